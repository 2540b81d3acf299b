"""Small game days: a file of one, a project of nothing in which it takes seconds, and literal logs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from core.good_files import SCENARIO, broken
from core.worlds import RUNBOOK, fake_project
from gameday.cli import app
from gameday.clock import Instant
from gameday.errors import GamedayError
from gameday.gamedays import entries as e
from gameday.gamedays.log import FILE, Logged
from process.inn import Finished, environ_for

DAY = """\
game_day: small
title: A small game day
date: 2026-12-10
starts: 10:00
time_zone: Europe/Madrid
environment: fake
goals: [The runbook works.]
roles:
  incident-commander: Ana
  technical-lead: Ben
  communications-lead: Cleo
  scribe: Dora
  on-call: [Eva, Finn]
checklist:
  - {question: ready, ask: "Is everybody ready?"}
drills:
  - {scenario: one, pause: 1s}
  - {surprise: true}
  - {scenario: two}
surprises: {seed: 7, scenarios: [three, four]}
answers:
  checklist: {ready: yes}
  steps: {Tell the desk: {answer: yes, after: 100ms}}
  interrupted: repeat
"""
ONE = broken(
    broken(
        DAY, "  - {surprise: true}\n  - {scenario: two}\nsurprises: {seed: 7, scenarios: [three, four]}\n", ""
    ),
    "{scenario: one, pause: 1s}",
    "{scenario: one}",
)
"""A single drill."""
ASKING = """\
### Tell the desk

```yaml step
ask: Does the desk know?
budget: 20s
```

### Start it again
"""
PATIENT = {
    "fires_within: 3m": "fires_within: 10s",
    "resolves_within: 10m": "resolves_within: 10s",
    "stable_for: 10s": "stable_for: 60ms",
    "rto: 15m, rpo: 15m": "rto: 30s",
    "ttl: 20m": "ttl: 60s",
}
"""Seconds, and enough of them for a busy machine."""
ZERO = datetime(2026, 12, 10, 9, 0, tzinfo=UTC)


def small_project(root: Path, day: str = DAY) -> Path:
    """Environment fake, which is up; four scenarios of a second; the runbook asks somebody before it acts."""
    fake_project(root)
    text = SCENARIO
    for old, new in PATIENT.items():
        text = broken(text, old, new)
    for name in ("one", "two", "three", "four"):
        file = root / "scenarios" / f"{name}.yaml"
        file.write_text(broken(text, "scenario: demo", f"scenario: {name}"))
    (root / "runbooks" / "01-demo.md").write_text(broken(RUNBOOK, "### Start it again\n", ASKING))
    (root / "gamedays").mkdir()
    (root / "gamedays" / "small.yaml").write_text(day)
    return root


def gameday(root: Path, *arguments: str) -> Finished:
    """A command in that project, with nobody in front of it; one that drills is a process of its own."""
    if "run" in arguments:
        return _process(root, *arguments)
    outer = {name: None for name in os.environ if name.startswith("GAMEDAY_")}
    done = CliRunner().invoke(app, list(arguments), env={**outer, "GAMEDAY_PROJECT": str(root)})
    if isinstance(done.exception, GamedayError):
        return Finished(done.exception.exit_code, done.stdout, f"gameday: {done.exception}\n")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Finished(done.exit_code, done.stdout, done.stderr)


def _process(root: Path, *arguments: str) -> Finished:
    done = subprocess.run(
        [sys.executable, "-m", "gameday", *arguments],
        cwd=root,
        env=environ_for(root),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def at(second: float) -> Instant:
    return Instant(0, ZERO).plus(second)


STARTED = e.Started(
    game_day="small",
    title="A small game day",
    date="2026-12-10",
    environment="fake",
    speed=1.0,
    seed=7,
    goals=("The runbook works.",),
    roles={
        "incident-commander": ("Ana",),
        "technical-lead": ("Ben",),
        "communications-lead": ("Cleo",),
        "scribe": ("Dora",),
        "on-call": ("Eva", "Finn"),
    },
    drills=(
        e.Planned(number=1, scenario="one", pause_s=10.0),
        e.Planned(number=2, scenario="three", surprise=True),
        e.Planned(number=3, scenario="two"),
    ),
    version="0",
)
TAKEN_UP = e.TakenUp(pid=1, created=1.0)
GO = e.GoDecided(go=True, by="Ana")


def logged(*entries: e.Entry) -> tuple[Logged, ...]:
    """A log with one entry each second, behind the beginning."""
    return tuple(Logged(seq, at(seq), entry) for seq, entry in enumerate((STARTED, *entries)))


def write_log(folder: Path, lines: Iterable[Logged]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(b"".join(line.to_line() for line in lines))
    return folder


def begun(number: int, attempt: int = 1) -> tuple[e.Entry, ...]:
    return (
        e.DrillStarted(number=number, attempt=attempt),
        e.DrillNamed(number=number, attempt=attempt, drill=f"d{number}-{attempt}"),
    )


def ended(number: int, attempt: int = 1, outcome: str = "PASS", code: int = 0, *reasons: str) -> e.DrillEnded:
    return e.DrillEnded(
        number=number,
        attempt=attempt,
        drill=f"d{number}-{attempt}",
        outcome=outcome,
        exit_code=code,
        reasons=reasons,
    )


def died(number: int, attempt: int = 1, *, clean: bool = True) -> e.DrillInterrupted:
    return e.DrillInterrupted(
        number=number, attempt=attempt, drill=f"d{number}-{attempt}", clean=clean, detail="put back"
    )
