"""What tests of networks share: what is in a container's network namespace, and what its processes can reach."""

from __future__ import annotations

import json
import threading
from typing import Any

from containers.worlds import World
from gameday.targets.docker import sidecar
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.helper import run_helper
from gameday.targets.waiting import Deadline
from targets.eventually import eventually

RULES = "iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save"
SAVE = f"{RULES}; tc qdisc show; tc class show dev eth0"
_ASK = """
import sys, time, urllib.request
begun = time.monotonic()
try:
    said = urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2])).read().decode()[:40]
except Exception as error:
    said = "FAILED " + str(error)
print(f"{time.monotonic() - begun:.3f}", said)
"""
ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", 8000), Echo).serve_forever()
"""
_TALK = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], 8000), timeout=0.5)
while True:
    try:
        connection.sendall(b"x")
        print("ok" if connection.recv(4096) else "ended", flush=True)
    except TimeoutError:
        print("silent", flush=True)
    except OSError as error:
        print("broken", type(error).__name__, flush=True)
        break
    time.sleep(0.02)
"""


def saved(engine: Engine, mode: str) -> str:
    """All rules and queue disciplines of a namespace, without counters: `container:ID`, or `host`: this machine's."""
    done = run_helper(
        engine,
        ["sh", "-c", SAVE if mode != "host" else RULES],
        Deadline.after(30),
        environment="tests",
        check=False,
        network_mode=mode,
        cap_add=["NET_ADMIN"],
    )
    lines = (line for line in done.output.splitlines() if not line.startswith("#"))
    return "\n".join(line.partition(" [")[0] if line.startswith(":") else line for line in lines)


def saved_of_host(engine: Engine, world: World) -> list[str]:
    """This machine's own rules that are about this world, or gameday's: others on the engine come and go."""
    network = world.client.api.inspect_network(world.network.id)
    subnet = network["IPAM"]["Config"][0]["Subnet"].rpartition(".")[0]
    marks = (f"br-{world.network.id[:12]}", subnet, "GAMEDAY")
    return [line for line in saved(engine, "host").splitlines() if any(mark in line for mark in marks)]


def ask(world: World, client: str, server: str, port: int = 8000, number: int = 1, of: int = 1) -> str:
    """What container `number` of a client hears from container `of` of a server: seconds and answer."""
    url = f"http://{world.prefix}-{server}-{of}:{port}/"
    container = world.client.containers.get(f"{world.prefix}-{client}-{number}")
    answer: str = container.exec_run(["python3", "-c", _ASK, url, "2"]).output.decode()
    return answer.strip()


def reaches(world: World, client: str, server: str, **more: Any) -> bool:
    return "FAILED" not in ask(world, client, server, **more)


def helpers_of(engine: Engine, world: World) -> list[str]:
    """Ids of what impairs networks in this world; its containers that are gone may have had some too."""
    api, mark = world.client.api, f"gameday.test={world.prefix}"
    before = {one["Id"] for one in api.containers(all=True)}
    mine = {one["Id"] for one in api.containers(all=True, filters={"label": mark})}
    marked = api.containers(all=True, filters={"label": f"{sidecar.NETWORK_LABEL}=1"})
    there = before | {
        one["Id"] for one in api.containers(all=True)
    }  # other tests make and remove theirs meanwhile
    found = [sidecar.Helper.of(entry) for entry in marked]
    return [helper.id for helper in found if helper.victim in mine or helper.victim not in there]


class Talk:
    """An open connection between two containers over which something is said all the time."""

    def __init__(self, world: World, client: str, server: str) -> None:
        self.said: list[str] = []
        container = world.client.containers.get(f"{world.prefix}-{client}-1")
        command = ["python3", "-c", _TALK, f"{world.prefix}-{server}-1"]
        self._stream = container.exec_run(command, stream=True).output
        threading.Thread(target=self._read, daemon=True).start()
        assert eventually(lambda: self.hears("ok"))

    def _read(self) -> None:
        for chunk in self._stream:
            self.said += chunk.decode().splitlines()

    def hears(self, what: str) -> bool:
        """What it has heard last."""
        return bool(self.said) and self.said[-1].startswith(what)


def proxy_command(link: str, port: int, upstream: str) -> list[str]:
    """Runs gameday's fault proxy where its orders are taken, as an environment would."""
    config = {
        "exposed": True,
        "links": [{"name": link, "listen": f"0.0.0.0:{port}", "upstream": upstream}],
        "control": "/run/gameday/control.sock",
        "state": "/run/gameday/state.json",
    }
    script = 'mkdir -p /run/gameday && echo "$0" > "$1" && exec python3 -m gameday.proxy --config "$1"'
    return ["sh", "-c", script, json.dumps(config), "/run/gameday/proxy.json"]
