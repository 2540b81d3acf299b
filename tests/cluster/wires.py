"""What pods can reach, as processes in them find out: over a connection that was open before, and over new ones."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cluster.quarters import CONTEXT, Quarters
from targets.eventually import eventually

IMAGE = "python:3.11-slim"
SAYS, ECHO, NAMES = 8000, 8001, 53
_SERVER = """
import http.server, os, socketserver, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ["SAYS"].encode())
    def log_message(self, *_): pass
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
for port in map(int, sys.argv[1:]):
    threading.Thread(target=socketserver.ThreadingTCPServer(("", port), Echo).serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""
_ASK = """
import socket, sys, time
begun = time.monotonic()
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as one:
        one.sendall(b"x")
        said = "ok" if one.recv(10) else "ended"
except OSError as error:
    said = "refused" if isinstance(error, ConnectionRefusedError) else "FAILED " + type(error).__name__
print(f"{time.monotonic() - begun:.3f} {said}")
"""
_WATCH = """
import json, socket, sys, threading, time
host, port = sys.argv[1], int(sys.argv[2])
def told(kind, begun, ok): print(json.dumps({"kind": kind, "at": begun, "ok": ok}), flush=True)
def talk(kind, connection):
    begun = time.time()
    try:
        connection.sendall(b"x")
        told(kind, begun, bool(connection.recv(4096)))
    except OSError as error:
        told(kind, begun, False)
        return isinstance(error, TimeoutError)
    return True
def kept():
    connection = None
    while connection is None:  # a new Service answers moments later
        try:
            connection = socket.create_connection((host, port), timeout=0.3)
        except OSError:
            time.sleep(0.1)
    while talk("open", connection):
        time.sleep(0.02)
def new():
    while True:
        begun = time.time()
        try:
            with socket.create_connection((host, port), timeout=0.1) as connection:
                talk("new", connection)
        except OSError:
            told("new", begun, False)
        time.sleep(0.02)
threading.Thread(target=kept).start()
new()
"""


def serve(quarters: Quarters, component: str, *ports: int, **pod: Any) -> list[dict[str, Any]]:
    """A deployment that says its name at port 8000 and echoes at 8001 and these ports; to be applied."""
    container = {
        "image": IMAGE,
        "command": ["python3", "-u", "-c", _SERVER, str(ECHO), *map(str, ports)],
        "env": [{"name": "SAYS", "value": component}],
        "readinessProbe": {
            "tcpSocket": {"port": ECHO},
            "periodSeconds": 1,
        },
    }
    made = quarters.workload(component, container, port=SAYS, terminationGracePeriodSeconds=1, **pod)
    made[1]["spec"]["ports"] = [
        {"name": f"p{port}", "port": port, "targetPort": port} for port in (SAYS, ECHO, *ports)
    ]
    return made


def reach(
    quarters: Quarters, client: str, server: str, port: int = ECHO, within_s: float = 2.5, pod: str = ""
) -> str:
    """What a process in a client's pod finds: `ok`, or how it failed."""
    name = pod or quarters.pods_of(client)[0]
    said = quarters.do(
        "exec", name, "-c", client, "--", "python3", "-c", _ASK, server, str(port), str(within_s)
    )
    return said.split(maxsplit=1)[1].strip()


def took_s(quarters: Quarters, client: str, server: str, port: int, within_s: float = 9.0) -> float:
    name = quarters.pods_of(client)[0]
    said = quarters.do(
        "exec", name, "-c", client, "--", "python3", "-c", _ASK, server, str(port), str(within_s)
    )
    seconds, answer = said.split(maxsplit=1)
    assert answer.strip() == "ok", said
    return float(seconds)


class Watch:
    """Samples of an open connection and of new ones, one after another, with the instants at which they began."""

    def __init__(self, quarters: Quarters, client: str, server: str, port: int = ECHO) -> None:
        (pod, *_) = quarters.pods_of(client)
        words = ["-n", quarters.namespace, "exec", pod, "-c", client, "--"]
        self.samples: list[Mapping[str, Any]] = []
        self._process = subprocess.Popen(
            [
                "kubectl",
                "--context",
                CONTEXT,
                *words,
                "timeout",
                "90",
                "python3",
                "-c",
                _WATCH,
                server,
                str(port),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.samples.append(json.loads(line))

    def after(self, kind: str, instant: float) -> list[Mapping[str, Any]]:
        return [one for one in self.samples if one["kind"] == kind and one["at"] >= instant]

    def first(self, kind: str, instant: float, *, ok: bool, within_s: float = 10.0) -> float:
        """How long after `instant` (wall clock) the first such sample began."""

        def found() -> list[float]:
            return [one["at"] - instant for one in self.after(kind, instant) if one["ok"] is ok]

        assert eventually(found, within_s, 0.02), f"no sample of {kind} is {'ok' if ok else 'failed'}"
        return found()[0]

    def only(self, kind: str, instant: float, *, ok: bool) -> bool:
        """Whether all samples since then are so."""
        found = self.after(kind, instant)
        return bool(found) and all(one["ok"] is ok for one in found)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def watching(quarters: Quarters, client: str, server: str, port: int = ECHO) -> Iterator[Watch]:
    made = Watch(quarters, client, server, port)
    try:
        for kind in ("open", "new"):
            made.first(kind, 0.0, ok=True)
        yield made
    finally:
        made.close()


def timed(act: Callable[[], object]) -> float:
    """When it was called, by the wall clock, which is that of the pods too where they are on this machine."""
    begun = time.time()
    act()
    return begun


def policy(quarters: Quarters, name: str, **spec: Any) -> dict[str, Any]:
    """One of somebody else's."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": quarters.namespace},
        "spec": spec,
    }


def cuts_open(quarters: Quarters, client: str, server: str) -> bool:
    """Whether this cluster's network checks the packets of open connections too: a policy's effect on one, before
    gameday takes part. Where it does not, only new connections can be looked at."""
    with watching(quarters, client, server) as watch:
        quarters.apply(policy(quarters, "tried", podSelector=app(server), policyTypes=["Ingress"]))
        try:
            applied = time.time()
            watch.first("new", applied, ok=False)
            return eventually(lambda: any(not one["ok"] for one in watch.after("open", applied)), 2)
        finally:
            quarters.do("delete", "networkpolicy", "tried")


def app(name: str) -> dict[str, Any]:
    return {"matchLabels": {"app": name}}
