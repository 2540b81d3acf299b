"""A small system for whole drills on a cluster: a bar that asks its cellar, each a deployment of its own.

Short rule windows, so that a drill takes seconds; every file is one that a test may change (see `process.inn`). Several
projects may be of the same lodge, as on other machines.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from cluster.quarters import CONTEXT, Quarters, kubectl
from containers.tavern import BAR, RUNBOOK
from containers.tavern import RULES as TAVERN_RULES
from containers.tavern import SCENARIO as TAVERN_SCENARIO
from containers.worlds import SERVER
from process.inn import Finished, Inn, until

IMAGE = "python:3.11-slim"
LOAD_IMAGE = "LOAD_IMAGE"
ENVIRONMENT = """
environment: lodge
target: kubernetes
drills: allowed
kubernetes:
  context: "${env:CONTEXT}"
  namespace: NAMESPACE
  runner_image: RUNNER
components:
  cellar:
    kubernetes: {workload: deployment/cellar}
    port: 8000
    ready: {http: /, within: 40s}
    versions: {other: {env: {SAYS: other}}}
  bar: {kubernetes: {workload: deployment/bar}, port: 8000, after: [cellar], ready: {http: /, within: 40s}}
probes:
  drinks: {http: GET /drink, component: bar, every: 100ms, timeout: 3s}
  cellar-answers: {http: GET /, component: cellar, every: 100ms, timeout: 3s}
detector:
  kind: embedded
  rules: rules.yaml
  every: 250ms
  scrape: [{job: bar, component: bar}]
"""
RULES = TAVERN_RULES.replace("> 0.5", "> 2")
"""Under load a request or two may fail."""
SCENARIO = TAVERN_SCENARIO.replace("fails_within: 5s", "fails_within: 20s")
"""A node that has much to do is slow to end a pod."""


class Lodge(Inn):
    """One project of a lodge, with its own state and reports. Scenario `cellar-down` passes in some seconds."""

    environment: ClassVar[str] = "lodge"
    drill_timeout_s: ClassVar[float] = 180.0

    def __init__(self, root: Path, quarters: Quarters, image: str) -> None:
        self.quarters = quarters
        self.image = image
        super().__init__(root)

    @classmethod
    @contextmanager
    def open_in(cls, image: str) -> Iterator[Self]:
        """One that is up, in a namespace and a folder of its own; afterwards nothing of it is left."""
        root = Path(tempfile.mkdtemp(prefix="gameday-lodge-")).resolve()
        quarters = Quarters(root, prefix="dm")
        try:
            place = cls(root, quarters, image)
            place.build()
            yield place
            assert place.drill_processes() == []
            assert place.objects_of_gameday() == []
        finally:
            quarters.close()
            shutil.rmtree(root)

    def build(self) -> None:
        """What is in the namespace."""
        made = []
        for name, program in (
            ("cellar", SERVER),
            ("bar", BAR.replace("CELLAR", "cellar").replace("timeout=1", "timeout=2")),
        ):
            container = {
                "image": IMAGE,
                "command": ["python3", "-u", "-c", program],
                "env": [{"name": "SAYS", "value": name}],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
                "resources": {
                    "requests": {"memory": "32Mi", "cpu": "10m"},
                    "limits": {"memory": "128Mi", "cpu": "1"},
                },
            }
            made += self.quarters.workload(name, container, port=8000, terminationGracePeriodSeconds=1)
        self.quarters.apply(*made)
        allowed = self.gameday("rbac", "-e", "lodge", "-s", "cellar-down")
        assert allowed.code == 0, allowed.stderr
        self.quarters.do("apply", "-f", "-", stdin=allowed.stdout)
        self.quarters.ready("cellar", "bar")
        self.settle()

    def another(self, folder: Path) -> Lodge:
        """Another machine's project of the same lodge."""
        folder.mkdir(exist_ok=True)
        return type(self)(folder, self.quarters, self.image)

    def write_all(self) -> None:
        text = ENVIRONMENT.replace("NAMESPACE", self.quarters.namespace).replace("RUNNER", self.image)
        self.write("environments/lodge.yaml", text)
        self.write("rules.yaml", RULES)
        self.write("scenarios/cellar-down.yaml", SCENARIO)
        self.write("runbooks/cellar.md", RUNBOOK)

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "CONTEXT": CONTEXT}

    def drill(self, *more: str, scenario: str = "cellar-down") -> Finished:
        return super().drill(*more, scenario=scenario)

    def start_drill(self, scenario: str = "cellar-down") -> subprocess.Popen[str]:
        return super().start_drill(scenario)

    def struck(self, ttl: str = "40s") -> tuple[subprocess.Popen[str], Path]:
        """A drill whose fault is in effect and whose runbook restores nothing; and its folder."""
        self.write("scenarios/cellar-down.yaml", SCENARIO.replace("ttl: 40s", f"ttl: {ttl}"))
        useless = RUNBOOK.replace("do: {start: cellar}", "do: {start: bar}")
        self.write("runbooks/cellar.md", useless.replace("20s", "28s").replace("within: 10s", "within: 25s"))
        self.settle()
        known = self.folders()
        runner = self.start_drill()
        folder = self.wait_for("fault.effective", runner, known)
        assert folder is not None, runner.communicate()[0]
        return runner, folder

    def settle(self) -> None:
        """Other tests may have drained the node."""
        for component in ("cellar", "bar"):
            until(partial(self.answers, component), 60, f"{component} answers")

    def answers(self, component: str) -> bool:
        """Asked from this machine, as a probe does."""
        port = self.quarters.get("service", component)["spec"]["ports"][0]["nodePort"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    # --- what the cluster says -----------------------------------------------------------------------------

    def objects_of_gameday(self) -> list[str]:
        """What drills make beside their faults; empty when none runs and nothing is left."""
        said = self.quarters.do("get", "jobs,leases,configmaps,pods,secrets", "-o", "name").split()
        return [name for name in said if "/gameday-" in name]

    def lease(self) -> dict[str, Any]:
        return self.quarters.get("lease", "gameday-lodge")

    def records(self) -> list[dict[str, Any]]:
        return self.quarters.listed("configmaps", "gameday.dev/undo=true")

    def is_whole(self) -> bool:
        """Both answer, nothing of gameday is there, and nothing says that a fault is in force."""
        text = self.quarters.do("get", "deployments", "-o", "yaml")
        return (
            self.answers("cellar")
            and self.answers("bar")
            and not self.objects_of_gameday()
            and "gameday.dev/held" not in text
        )

    def left_behind(self) -> list[str]:
        return [*super().left_behind(), *self.objects_of_gameday()]


def load(image: str) -> None:
    """Make an image of the Docker engine known to the cluster."""
    subprocess.run(
        [*shlex.split(os.environ[LOAD_IMAGE]), image], check=True, timeout=300, capture_output=True
    )


__all__ = ["CONTEXT", "LOAD_IMAGE", "Lodge", "kubectl", "load"]
