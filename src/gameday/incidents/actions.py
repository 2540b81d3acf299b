"""What is to be done about what a drill missed. Pure.

Blameless: each item is about a rule, a runbook, an objective or a measurement, never about a person. What was missed is
due within a week (SmartBeak: critical fixes; SmartCloudOps AI: action items planned), what is not known within two
(SmartCloudOps AI: follow-up).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from gameday.fields import format_duration
from gameday.incidents.impact import Severity
from gameday.incidents.severities import named, rank_of
from gameday.intervals import Result
from gameday.record import DrillRecord
from gameday.text import one_line
from gameday.verdict import Check

_MISSED, _UNKNOWN = timedelta(weeks=1), timedelta(weeks=2)
_LIMIT = 600


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do, by whom and when."""

    what: str
    owner: str
    due: datetime
    priority: Literal["High", "Medium"]


def actions(record: DrillRecord, severity: Severity) -> tuple[Action, ...]:
    """One for each check that did not hold, in their order; then what else was noticed."""
    since, owner = record.ended.utc, one_line(record.scenario.owner, 200)
    found = []
    for check in record.verdict.checks:
        if check.result is Result.MISSED:
            found.append(Action(_mend(record, check), owner, since + _MISSED, "High"))
        elif check.result is Result.UNKNOWN:
            what = f"Find out what this drill could not: {check.title}: {check.detail}"
            found.append(Action(one_line(what, _LIMIT), owner, since + _UNKNOWN, "Medium"))
    return (*found, *(Action(what, owner, since + _UNKNOWN, "Medium") for what in _noticed(record, severity)))


def _mend(record: DrillRecord, check: Check) -> str:
    scenario = record.scenario
    within = format_duration(round(check.objective_s, 3)) if check.objective_s is not None else ""
    todo = {
        "detected": f"Make alert {scenario.alert} fire within {within} of the effect",
        "quiet": "Make the alerts stay quiet while nothing is wrong",
        "runbook": f"Mend runbook {scenario.runbook}",
        "recovered": f"Bring the recovery within its RTO of {within}",
        "restored_by": f"Make runbook {scenario.runbook} what restores the service",
        "data_loss": f"Bring the data loss within its RPO of {within}",
        "resolved": f"Make alert {scenario.alert} resolve within {within}",
        "afterwards": f"Bring everything back to normal within {within} once the cause is gone",
        "undone": "Put back what the drill left behind (gameday recover)",
    }.get(check.name, f"Mend: {check.title}")
    return one_line(f"{todo}: {check.detail}", _LIMIT)


def _noticed(record: DrillRecord, severity: Severity) -> list[str]:
    found = []
    if record.verdict.unexpected_alerts:
        names = one_line(", ".join(record.verdict.unexpected_alerts), 300)
        found.append(
            f"Decide of alerts that fired beside the expected one whether they belong to it: {names}"
        )
    declared = rank_of(record.scenario.severity)
    if severity.measured and severity.rank != declared:
        found.append(
            f"Compare the severity: the scenario declares {record.scenario.severity}, "
            f"the measured impact is {named(severity.rank)}"
        )
    return found
