"""A row of small deployments in one namespace, a scenario for each: what a cluster carries out by itself.

Times are generous: where many run at once on few cores, an answer may take seconds, and no drill is to fail by that.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml

from cluster.quarters import CONTEXT, Quarters
from process.inn import Finished, Inn
from targets.eventually import eventually

IMAGE = "python:3.11-slim"
SERVER = """
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"room_open 1\\n")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""
SCENARIO = """
scenario: NAME-down
title: A room of the row is gone
owner: tests
tier: 2
severity: SEV3
hypothesis: The alert fires and the runbook opens the room again.
steady_state: [NAME-answers]
fault: {kill: NAME}
impact: {probe: NAME-answers, fails_within: 30s}
expect: {alert: NAME_closed, fires_within: 60s, resolves_within: 60s}
respond: {runbook: NAME}
recovered: {probes: [NAME-answers], stable_for: 500ms}
objectives: {rto: 180s}
safety: {ttl: 240s}
"""
RUNBOOK = """---
alerts: [NAME_closed]
severity: HIGH
rto: 15m
---
# NAME is closed

## Resolution Steps

### Open it again

It is gone; start it.

```yaml step
do: {start: NAME}
budget: 60s
check: {probe: NAME-answers, within: 50s}
```
"""


class Row(Inn):
    """The project of a row, and its namespace, restricted as Pod Security can be."""

    environment = "row"

    def __init__(self, root: Path, quarters: Quarters, image: str, rooms: int) -> None:
        self.quarters = quarters
        self.image = image
        self.rooms = [f"room-{number:02}" for number in range(rooms)]
        super().__init__(root)

    @classmethod
    @contextmanager
    def open_in(cls, image: str, rooms: int, prefix: str = "sub") -> Iterator[Self]:
        """One that is up; afterwards nothing of it is left."""
        root = Path(tempfile.mkdtemp(prefix="gameday-row-")).resolve()
        quarters = Quarters(root, prefix=prefix)
        try:
            row = cls(root, quarters, image, rooms)
            row.build()
            yield row
        finally:
            quarters.close()
            shutil.rmtree(root)

    def another(self, folder: Path) -> Row:
        """Another machine's project of the same row."""
        folder.mkdir()
        return Row(folder, self.quarters, self.image, len(self.rooms))

    def build(self) -> None:
        container: dict[str, Any] = {
            "image": IMAGE,
            "command": ["python3", "-S", "-c", SERVER],
            "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
        }
        made = []
        for room in self.rooms:
            made += self.quarters.workload(room, container, port=8000, terminationGracePeriodSeconds=1)
        self.quarters.apply(*made)
        self.quarters.ready(*self.rooms, within_s=180)
        self.allow()

    def allow(self) -> None:
        """Let drills in the namespace do what they need, and no more."""
        allowed = self.gameday(
            "rbac", "-e", "row", *(word for name in self.scenarios for word in ("-s", name))
        )
        assert allowed.code == 0, allowed.stderr
        self.quarters.do("apply", "-f", "-", stdin=allowed.stdout)

    def write_all(self) -> None:
        probes = {
            f"{room}-answers": {"http": "GET /", "component": room, "every": "250ms", "timeout": "5s"}
            for room in self.rooms
        }
        components = {
            room: {"kubernetes": {"workload": f"deployment/{room}"}, "port": 8000, "ready": {"within": "60s"}}
            for room in self.rooms
        }
        document = {
            "environment": "row",
            "target": "kubernetes",
            "drills": "allowed",
            "kubernetes": {
                "context": "${env:CONTEXT}",
                "namespace": self.quarters.namespace,
                "runner_image": self.image,
            },
            "components": components,
            "probes": probes,
            "detector": {
                "kind": "embedded",
                "rules": "rules.yaml",
                "every": "3s",
                "scrape": [{"job": room, "component": room} for room in self.rooms],
            },
        }
        rules = [
            {
                "alert": f"{room.replace('-', '_')}_closed",
                "expr": f'up{{job="{room}"}} == 0',
                "for": "3s",
                "annotations": {"runbook_url": f"runbooks/{room}.md"},
            }
            for room in self.rooms
        ]
        self.write("environments/row.yaml", yaml.safe_dump(document, sort_keys=False))
        self.write("rules.yaml", yaml.safe_dump({"groups": [{"name": "row", "rules": rules}]}))
        for room in self.rooms:
            alert = room.replace("-", "_")
            for path, text in ((f"scenarios/{room}-down.yaml", SCENARIO), (f"runbooks/{room}.md", RUNBOOK)):
                self.write(path, text.replace("NAME_closed", f"{alert}_closed").replace("NAME", room))

    @cached_property
    def scenarios(self) -> list[str]:
        return [f"{room}-down" for room in self.rooms]

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "CONTEXT": CONTEXT}

    def submit(
        self, *arguments: str, scenarios: Sequence[str] | None = None, timeout_s: float = 300
    ) -> Finished:
        named = self.scenarios if scenarios is None else scenarios
        return self.gameday("submit", *named, "-e", "row", *arguments, timeout_s=timeout_s)

    def jobs(self) -> list[str]:
        return [one["metadata"]["name"] for one in self.quarters.listed("jobs", "gameday.dev/drills")]

    def is_whole(self) -> bool:
        """Every room is open, and nothing says that a fault is in force."""
        found = [one for one in self.quarters.listed("deployments") if one["metadata"]["name"] in self.rooms]
        held = [one for one in found if "gameday.dev/held" in (one["metadata"].get("annotations") or {})]
        ready = [one for one in found if one["status"].get("readyReplicas") == 1]
        leases = self.quarters.do("get", "leases", "-o", "name").split()
        return not held and len(ready) == len(self.rooms) and not leases

    def wait_until_whole(self, within_s: float = 60) -> None:
        assert eventually(self.is_whole, within_s), self.quarters.do("get", "deployments,leases,pods,jobs")
