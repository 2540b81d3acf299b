"""`gameday gate`: whether drills allow a release, for a CI job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gameday.commands.scheduled import good_for, load_schedules
from gameday.gate import Scheduled, judge
from gameday.history import History
from gameday.history import figures as sums
from gameday.history.filters import Wanted
from gameday.project import Project
from gameday.regressions import Candidate
from gameday.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Question:
    """What is judged, and how strictly."""

    environment: str | None
    scenarios: Sequence[str]
    since: datetime | None
    schedules: Sequence[Path]
    last: int
    tolerance: float
    rehearsals: bool


def gate(question: Question, *, as_json: bool) -> int:
    """Print the verdict with its reasons; 0, 1 or 3, as a drill's.

    Raises:
        HistoryError: the history cannot be read.
        UsageError: a schedule file is not there, or wrong.
    """
    project, now = Project.find(), datetime.now(UTC)
    schedules = load_schedules(project, question.schedules)
    with History.open(project) as history, history.reading() as session:
        found: list[Candidate] = []
        passes: dict[str, dict[str, datetime]] = {}
        if session is not None:
            for scenario in question.scenarios or (None,):
                wanted = Wanted(scenario, question.environment, since=question.since)
                found += sums.candidates(session, wanted, question.last)
            for environment in _environments(schedules, question):
                wanted = Wanted(environment=environment)
                passes[environment] = sums.last_passes(session, wanted, rehearsals=question.rehearsals)
    verdict = judge(
        found, _scheduled(schedules, question, passes), now, last=question.last, tolerance=question.tolerance
    )
    if as_json:
        from gameday.reporting.document import json_text
        from gameday.reporting.history_tables import gate_values

        print(json_text(gate_values(verdict)), end="")
    else:
        from gameday.reporting.history_tables import print_gate

        print_gate(verdict, sys.stdout)
    return verdict.opinion.exit_code


def _environments(schedules: Sequence[Schedule], question: Question) -> set[str]:
    return {environment for _, environment in good_for(schedules, question.environment)}


def _scheduled(
    schedules: Sequence[Schedule], question: Question, passes: dict[str, dict[str, datetime]]
) -> list[Scheduled]:
    return [
        Scheduled(scenario, environment, period, passes.get(environment, {}).get(scenario))
        for (scenario, environment), period in sorted(good_for(schedules, question.environment).items())
        if not question.scenarios or scenario in question.scenarios
    ]
