"""A small system for whole drills on a Docker engine: a bar that asks its cellar, each a container of its own.

Short rule windows, so that a drill takes seconds; every file is one that a test may change (see `process.inn`).
Several taverns stand side by side, and several projects may be of the same tavern.
"""

from __future__ import annotations

import http.client
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from containers.seen import comparable
from containers.worlds import World
from gameday.targets.docker.containers import HELPER_LABEL
from process.inn import Finished, Inn, until

BAR = """
import http.server, urllib.request
failures = 0
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global failures
        code, body = 200, b"well"
        if self.path == "/drink":
            try:
                body = urllib.request.urlopen("http://CELLAR:8000/", timeout=1).read()
            except Exception as error:
                code, body, failures = 503, str(error).encode(), failures + 1
        elif self.path == "/metrics":
            body = b"# TYPE failed_drinks_total counter\\nfailed_drinks_total %d\\n" % failures
        self.send_response(code); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""
ENVIRONMENT = """
environment: tavern
target: docker
drills: allowed
components:
  cellar:
    docker: {labels: {gameday.test: PREFIX, component: cellar}}
    port: 8000
    ready: {http: /, within: 20s}
  bar:
    docker: {labels: {gameday.test: PREFIX, component: bar}}
    port: 8000
    after: [cellar]
    ready: {http: /, within: 20s}
probes:
  drinks: {http: GET /drink, component: bar, every: 100ms, timeout: 3s}
  cellar-answers: {http: GET /, component: cellar, every: 100ms, timeout: 3s}
detector:
  kind: embedded
  rules: rules.yaml
  every: 250ms
  scrape: [{job: bar, component: bar}]
"""
RULES = """
groups:
  - name: tavern
    rules:
      - alert: NoDrinks
        expr: rate(failed_drinks_total[2s]) > 0.5
        for: 500ms
        labels: {severity: SEV2}
        annotations: {runbook_url: runbooks/cellar.md}
"""
SCENARIO = """
scenario: cellar-down
title: The tavern's cellar dies
owner: tests
tier: 1
severity: SEV2
hypothesis: The alert fires and the runbook brings drinks back.
steady_state: [drinks, cellar-answers]
fault: {kill: cellar}
impact: {probe: drinks, fails_within: 5s}
expect: {alert: NoDrinks, fires_within: 20s, resolves_within: 20s}
respond: {runbook: cellar}
recovered: {probes: [drinks, cellar-answers], stable_for: 500ms}
objectives: {rto: 30s}
safety: {ttl: 40s}
"""
RUNBOOK = """---
alerts: [NoDrinks]
severity: CRITICAL
rto: 15m
---
# Cellar down

## Resolution Steps

### Start the cellar again

It is gone; start it.

```yaml step
do: {start: cellar}
budget: 20s
check: {probe: cellar-answers, within: 10s}
```
"""


class Tavern(Inn):
    """One project of a tavern, with its own state and reports. Scenario `cellar-down` passes in some seconds."""

    environment: ClassVar[str] = "tavern"
    drill_timeout_s: ClassVar[float] = 180.0

    def __init__(self, root: Path, world: World) -> None:
        self.world = world
        super().__init__(root)

    @classmethod
    @contextmanager
    def standing(cls) -> Iterator[Self]:
        """One that is up, in a folder of its own; afterwards nothing of it is left."""
        root = Path(tempfile.mkdtemp(prefix="gameday-tavern-")).resolve()
        world = World(root)
        try:
            world.run("cellar")
            world.run(
                "bar", command=["python3", "-u", "-c", BAR.replace("CELLAR", f"{world.prefix}-cellar-1")]
            )
            place = cls(root, world)
            for component in ("cellar", "bar"):
                until(partial(place.answers, component), 30, f"{component} answers")
            yield place
            assert place.drill_processes() == []
            assert place.helpers() == []
        finally:
            world.close()
            shutil.rmtree(root)

    def another(self, folder: Path) -> Tavern:
        """Another checkout: a project of its own, of the same containers."""
        return type(self)(folder, self.world)

    def write_all(self) -> None:
        self.write("environments/tavern.yaml", ENVIRONMENT.replace("PREFIX", self.world.prefix))
        self.write("rules.yaml", RULES)
        self.write("scenarios/cellar-down.yaml", SCENARIO)
        self.write("runbooks/cellar.md", RUNBOOK)

    def drill(self, *more: str, scenario: str = "cellar-down") -> Finished:
        return super().drill(*more, scenario=scenario)

    def start_drill(self, scenario: str = "cellar-down") -> subprocess.Popen[str]:
        return super().start_drill(scenario)

    def answers(self, component: str) -> bool:
        """Asked from this machine, as a probe does."""
        (published,) = self.inspect(component)["HostConfig"]["PortBindings"]["8000/tcp"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{published['HostPort']}/", timeout=1) as answer:
                return bool(answer.status == http.client.OK)
        except OSError:
            return False

    # --- what the engine says ------------------------------------------------------------------------------

    def name(self, component: str) -> str:
        """Of its container."""
        return f"{self.world.prefix}-{component}-1"

    def inspect(self, component: str) -> Mapping[str, Any]:
        return self.world.inspect(component)

    def seen(self) -> dict[str, Any]:
        """Both containers, to compare before with after."""
        return {name: comparable(self.inspect(name)) for name in ("cellar", "bar")}

    def helpers(self) -> list[Any]:
        """Gameday's own containers that have to do with this tavern, whatever they do; SDK objects."""
        found = self.world.client.containers.list(
            all=True, filters={"label": HELPER_LABEL}, ignore_removed=True
        )
        return [one for one in found if self.world.prefix in str(one.attrs)]

    def left_behind(self) -> list[str]:
        return [*super().left_behind(), *(f"container {one.name} is {one.status}" for one in self.helpers())]
