"""Small environments of real containers: a server that says its name, in as many containers as a test wants."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker

from gameday.environment import Environment
from gameday.fields import parse
from gameday.project import Project
from gameday.targets.docker.target import DockerTarget
from gameday.targets.ports import find_free_ports

SERVER = """
import http.server, json, os, urllib.request
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/ask/"):  # ask another one: what can be reached from here
            try:
                body = urllib.request.urlopen("http://" + self.path[5:], timeout=1).read()
            except Exception as error:
                body = b"FAILED " + str(error).encode()
        else:
            body = os.environ.get("SAYS", "well").encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): print("asked", self.path, flush=True)
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""
IMAGE = "python:3.11-slim"
COMMAND = ("python3", "-u", "-c", SERVER)


class World:
    """One environment, its containers and its target. Names are unique to it; `close` removes all of them."""

    def __init__(self, folder: Path) -> None:
        self.prefix = f"gdtest-{uuid.uuid4().hex[:8]}"
        self.client = docker.from_env(timeout=60)
        self.network = self.client.networks.create(f"{self.prefix}-net", labels={"gameday.test": self.prefix})
        self.components: dict[str, Any] = {}
        self.project = Project(folder, folder / ".gameday", folder / "reports")

    def run(self, component: str, number: int = 1, **more: Any) -> Any:
        """Start one container of a component; its port 8000 is published for the first. Returns the SDK's object."""
        options: dict[str, Any] = {
            "image": IMAGE,
            "command": list(COMMAND),
            "name": f"{self.prefix}-{component}-{number}",
            "labels": {"gameday.test": self.prefix, "component": component},
            "environment": {"SAYS": component},
            "network": self.network.name,
            "init": True,
        }
        if component not in self.components:
            (port,) = find_free_ports(1)
            options["ports"] = {"8000/tcp": ("127.0.0.1", port)}
        options.update(more)
        container = self.client.containers.run(detach=True, **options)
        selector = {"labels": {"gameday.test": self.prefix, "component": component}}
        self.components.setdefault(
            component, {"docker": selector, "port": 8000, "ready": {"http": "/", "within": "20s"}}
        )
        return container

    def environment(self, **more: Any) -> Environment:
        """`more` are further parts of the file, such as `links`; `components` are merged into those that run."""
        components = {
            name: {**spec, **more.get("components", {}).get(name, {})}
            for name, spec in self.components.items()
        }
        first = next(iter(self.components))
        document = {
            "environment": "world",
            "target": "docker",
            "drills": "allowed",
            "probes": {"answers": {"http": "GET /", "component": first, "every": "100ms", "timeout": "1s"}},
            "detector": {"kind": "prometheus", "url": "http://127.0.0.1:1"},
            **{name: part for name, part in more.items() if name != "components"},
            "components": components,
        }
        return parse(Environment, document)

    def target(self, **more: Any) -> DockerTarget:
        """With all components ready and remembered."""
        target = DockerTarget(self.environment(**more), "world", self.project)
        for name in self.components:
            target.start(name, 30)
        target.remember(10)
        return target

    def inspect(self, component: str, number: int = 1) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.client.api.inspect_container(f"{self.prefix}-{component}-{number}")
        return found

    def reach(self, target: DockerTarget, client: str, server: str, number: int = 1) -> bool:
        """Whether `client` reaches `server` over the network, as its own process finds out."""
        import urllib.request

        url = target.address(client).url
        asked = f"{url}/ask/{self.prefix}-{server}-{number}:8000/"
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return bool(answer.read() == server.encode())

    def close(self) -> None:
        found = self.client.containers.list(
            all=True, filters={"label": f"gameday.test={self.prefix}"}, ignore_removed=True
        )
        for container in found:
            container.remove(force=True, v=True)
        for network in self.client.networks.list(filters={"label": f"gameday.test={self.prefix}"}):
            self._remove(network)
        self.client.close()

    def _remove(self, network: Any) -> None:
        for _ in range(20):  # a helper that is just ending still holds the network
            try:
                network.remove()
                break
            except docker.errors.APIError:
                time.sleep(0.2)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    made = World(folder)
    try:
        yield made
    finally:
        made.close()
