"""The drills of a `gameday run` with several scenarios, read and checked before anything is touched."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.commands.run import Options, load
from gameday.component_spec import FakeComponent
from gameday.errors import InvalidFile, UsageError
from gameday.plan import plan

if TYPE_CHECKING:
    from gameday.drill import Request
    from gameday.reporting.batch import DrillResult
    from gameday.runbook.manual import Prepared
    from gameday.runbook.model import Runbook

SETUP_S = 120.0
"""Beyond what the components say themselves that they need: initdb, backups, a slow machine with N at once."""
DOWN_S = 120.0


@dataclass(slots=True)
class Job:
    """One drill to be carried out."""

    request: Request
    file: Path
    instance: str
    runbook: Runbook | None
    result: DrillResult | None = None

    @property
    def scenario(self) -> str:
        return self.request.scenario.scenario

    @property
    def limit_s(self) -> float:
        """The longest that its process can take: set-up, the drill's own deadline, taking down."""
        request = self.request
        components = request.environment.components.values()
        ready_s = sum(part.ready.within for part in components if not isinstance(part, FakeComponent))
        return SETUP_S + ready_s + plan(request.scenario.at_speed(request.speed)).deadline_s + DOWN_S


def read_jobs(scenarios: Sequence[str], options: Options) -> list[Job]:
    """One job a scenario, every file read; all problems of all files at once."""
    if options.interactive:
        raise UsageError("--interactive: one person cannot answer several drills; run them one by one")
    token = secrets.token_hex(2)
    jobs: list[Job] = []
    problems: list[str] = []
    for scenario in scenarios:
        try:
            jobs.append(_read(scenario, options, token))
        except (InvalidFile, UsageError) as error:
            problems += [line for line in str(error).splitlines() if line not in problems]
    names = [job.scenario for job in jobs]
    problems += [
        f"scenario {name} stands {names.count(name)} times in this run; expected each once"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if problems:
        raise UsageError("\n".join([*problems, "nothing was touched"]))
    return jobs


def _read(scenario: str, options: Options, token: str) -> Job:
    from gameday.runbook.parse import load_runbook

    request = load(scenario, options)
    environment = request.environment
    if environment.drills != "allowed":
        raise UsageError(f"environment {environment.environment} does not allow drills")
    name = request.scenario.runbook
    runbook = load_runbook(request.project.runbook_file(name)) if name else None
    outer = request.instance.partition("@")[2][:12]
    suffix = "-".join(part for part in (outer, request.scenario.scenario[:44].rstrip("-"), token) if part)
    file = request.project.scenario_file(scenario).resolve()
    if environment.single:
        return Job(request, file, request.instance, runbook)
    return Job(request, file, f"{environment.environment}@{suffix}", runbook)


def read_answers(jobs: Sequence[Job], options: Options) -> dict[str, Prepared]:
    from gameday.runbook.manual import load_answers

    if options.answers is None:
        return {}
    return load_answers(options.answers, [job.runbook for job in jobs if job.runbook])


def _where(jobs: Sequence[Job]) -> str:
    environment = jobs[0].request.environment
    if environment.single:
        return f"one after another in {environment.environment}"
    return "each in an environment of its own"


def confirm(jobs: Sequence[Job]) -> None:
    what = f"run {len(jobs)} drills ({', '.join(job.scenario for job in jobs)}), {_where(jobs)}"
    if not sys.stdin.isatty():
        raise UsageError(f"this will {what}; say --yes where nobody can be asked")
    if input(f"This will {what}. Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("not confirmed; nothing was touched")
