"""A small project around the real hotel API and a real PostgreSQL: short rule windows, so that a drill takes
seconds at the rules' own figures, and everything that a test may want to break is a file of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil

REPOSITORY = Path(__file__).parents[2]
GAMEDAY = [sys.executable, "-m", "gameday"]
TIMEOUT_S = 90

ENVIRONMENT = """
environment: inn
target: process
drills: allowed
components:
  database:
    postgresql: {database: hotel, user: hotel}
  api:
    command: ["${python}", -m, hotel.api]
    directory: HOTEL
    after: [database]
    env:
      HOST: 127.0.0.1
      PORT: "${port}"
      DATABASE_URL: "${database.url}"
      DATABASE_CHECKOUT_TIMEOUT_S: "0.3"
      DATABASE_QUERY_TIMEOUT_S: "1"
    ready: {http: /health/ready}
probes:
  bookings:
    http: POST /reservations
    component: api
    body: {guest: Probe, room_type: double, arrival: "${today}", nights: 1, reference: "${key}"}
    expect: {status: 201}
    every: 50ms
    timeout: 500ms
  database-answers: {sql: select 1, component: database, every: 50ms, timeout: 1s}
detector:
  kind: embedded
  rules: rules.yaml
  every: 250ms
  scrape: [{job: agente-api, component: api}]
canary:
  write:
    http: POST /reservations
    component: api
    body: {guest: Canary, room_type: double, arrival: "${today}", nights: 1, reference: "${key}"}
    expect: {status: 201}
    every: 100ms
    timeout: 1s
  find: {component: database, sql: "select reference from reservations where reference like '${prefix}%'"}
"""
RULES = """
groups:
  - name: inn
    rules:
      - alert: database_connection_failures
        expr: sum(rate(database_connection_errors_total[2s])) > 1
        for: 500ms
        labels: {severity: SEV2}
        annotations: {runbook_url: runbooks/database.md}
"""
SCENARIO = """
scenario: database-down
title: The inn's database dies
owner: tests
tier: 1
severity: SEV2
hypothesis: The alert fires and the runbook brings bookings back.
steady_state: [bookings, database-answers]
fault: {kill: database}
impact: {probe: bookings, fails_within: 5s}
expect: {alert: database_connection_failures, fires_within: 20s, resolves_within: 20s}
respond: {runbook: database}
recovered: {probes: [bookings, database-answers], stable_for: 500ms}
objectives: {rto: 30s, rpo: 30s}
safety: {ttl: 40s}
"""
RUNBOOK = """---
alerts: [database_connection_failures]
severity: CRITICAL
rto: 15m
---
# Database down

## Resolution Steps

### Start PostgreSQL again

It is gone; start it.

```yaml step
do: {start: database}
budget: 20s
check: {probe: database-answers, within: 10s}
```
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """A gameday command that has ended."""

    code: int
    stdout: str
    stderr: str


class Inn:
    """One project with its own state and reports; the environment is up while the fixture lives."""

    environment: ClassVar[str] = "inn"
    drill_timeout_s: ClassVar[float] = TIMEOUT_S

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reports = root / "reports"
        for folder in ("environments", "scenarios", "runbooks"):
            (root / folder).mkdir(exist_ok=True)
        self.write_all()

    @classmethod
    @contextmanager
    def standing(cls) -> Iterator[Self]:
        """One that is up, in a folder of its own; afterwards nothing of it is left."""
        root = Path(tempfile.mkdtemp(prefix=f"gameday-{cls.__name__.lower()}-")).resolve()
        root.chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
        place = cls(root)
        try:
            up = place.gameday("env", "up", cls.environment)
            assert up.code == 0, up.stderr
            yield place
        finally:
            down = place.gameday("env", "down", cls.environment)
            assert down.code == 0, down.stderr
        assert not place.drill_processes()
        assert str(root) not in Path("/proc/mounts").read_text(encoding="utf-8")
        shutil.rmtree(root)

    def write_all(self) -> None:
        """All files as they should be; a test changes one of them."""
        hotel = REPOSITORY / "examples" / "hotel"
        self.write("environments/inn.yaml", ENVIRONMENT.replace("HOTEL", str(hotel)))
        self.write("rules.yaml", RULES)
        self.write("scenarios/database-down.yaml", SCENARIO)
        self.write("runbooks/database.md", RUNBOOK)

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    @property
    def environ(self) -> dict[str, str]:
        return environ_for(self.root)

    def gameday(self, *arguments: str, timeout_s: float = TIMEOUT_S) -> Finished:
        done = subprocess.run(
            [*GAMEDAY, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def drill(self, *more: str, scenario: str = "database-down") -> Finished:
        arguments = ("run", scenario, "-e", self.environment, "--yes", *more)
        return self.gameday(*arguments, timeout_s=self.drill_timeout_s)

    def start_drill(self, scenario: str = "database-down") -> subprocess.Popen[str]:
        return self.begin("run", scenario, "-e", self.environment, "--yes")

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A gameday command that goes on; what it says, errors too, is in its output."""
        return subprocess.Popen(
            [*GAMEDAY, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
        )

    def folders(self) -> list[Path]:
        return sorted(path.parent for path in self.reports.glob("*/timeline.jsonl"))

    def latest(self) -> Path:
        return self.folders()[-1]

    def events(self, folder: Path | None = None) -> list[dict[str, Any]]:
        text = ((folder or self.latest()) / "timeline.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def verdict(self) -> dict[str, Any]:
        return dict(json.loads((self.latest() / "verdict.json").read_text(encoding="utf-8")))

    def checks(self) -> dict[str, str]:
        return {check["name"]: check["result"] for check in self.verdict()["checks"]}

    def wait_for(self, kind: str, runner: subprocess.Popen[str], known: Sequence[Path]) -> Path | None:
        """The folder of the new drill as soon as its timeline has an event of `kind`; None if it ended without."""
        needle = f'"event":"{kind}"'
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            for folder in self.folders():
                if folder not in known and needle in (folder / "timeline.jsonl").read_text(encoding="utf-8"):
                    return folder
            if runner.poll() is not None:
                return None
            time.sleep(0.001)
        raise AssertionError(f"no {kind} within {TIMEOUT_S} s")

    def chaos_run(self, experiment: Path) -> subprocess.CompletedProcess[str]:
        """A plain `chaos run` of a compiled experiment, in this project."""
        chaos = Path(sys.executable).parent / "chaos"
        return subprocess.run(
            [str(chaos), "run", "--journal-path", str(self.root / "journal.json"), str(experiment)],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=self.root,
            env={**self.environ, "GAMEDAY_ENVIRONMENT": self.environment},
        )

    def left_behind(self) -> list[str]:
        """All that a drill must not leave, seen from outside; empty when everything is put back."""
        found = [f"process {line}" for line in self.drill_processes()]
        found += [f"undo log {path.name}" for path in (self.root / ".gameday" / "undo").glob("*")]
        status = json.loads(self.gameday("env", "status", self.environment, "-o", "json").stdout)
        found += [f"{name} is {row['running']}" for name, row in status.items() if row["running"] != "up"]
        return found

    def drill_processes(self) -> list[str]:
        """Processes that belong to drills of this project: runner, engine, dead-man switch, commands."""
        mine = []
        for process in psutil.process_iter():
            try:
                words, environ = process.cmdline(), process.environ()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            ours = environ.get("GAMEDAY_PROJECT") == str(self.root)
            of_a_drill = any(word.startswith("gameday") for word in words[2:3]) or "GAMEDAY_DRILL" in environ
            if ours and of_a_drill and process.status() != psutil.STATUS_ZOMBIE:
                mine.append(f"{process.pid} {' '.join(words[:6])}")
        return mine


def environ_for(root: Path) -> dict[str, str]:
    """This process' environment with a project of its own."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("GAMEDAY_")}
    return {**outer, "GAMEDAY_PROJECT": str(root), "NO_COLOR": "1"}


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)


def kill_all(process: subprocess.Popen[str]) -> None:
    """With its descendants at once, as when its machine is gone."""
    for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        one.kill()
    process.communicate(timeout=10)


@contextmanager
def standing_still(process: subprocess.Popen[str]) -> Iterator[None]:
    """It neither goes on nor ends meanwhile, however long that takes."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)
