"""A blameless post-mortem, drafted from the evidence: Markdown with the sections of the teams' templates.

What was measured is filled in; what only people know is a line that says *To write*. Every value is escaped where it is
printed, so that a hostile title is text and a `|` splits no table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from gameday.fields import format_duration
from gameday.incidents.model import NOT_MEASURED
from gameday.incidents.severities import AFTER_RESOLUTION
from gameday.incidents.store import RECORD, RESPONSE, Stored
from gameday.intervals import Result
from gameday.record import DrillRecord
from gameday.reporting.incident_view import asked_text, duration_text, loss_text, said_text, share_text, when
from gameday.reporting.markdown import escape
from gameday.reporting.sentences import sentence
from gameday.reporting.summary import figures, in_time, notices, origin, proven, signed, steps
from gameday.timeline import Event, Kind

_BY = {
    "alert": "alert rule",
    "detector": "detector",
    "detect": "detector",
    "watch": "detector",
    "runbook": "runbook",
    "step": "runbook",
    "service": "service",
    "canary": "canary",
}
_TOLD = frozenset(
    {
        *(Kind.DURING_EFFECTIVE, Kind.FAULT_INJECTING, Kind.FAULT_EFFECTIVE, Kind.FAULT_FAILED),
        *(Kind.ALERT_PENDING, Kind.ALERT_FIRING, Kind.ALERT_NOTIFIED, Kind.ALERT_SUPPRESSED),
        *(Kind.ALERT_RELEASED, Kind.ALERT_RESOLVED, Kind.DETECTOR_HEALTH, Kind.DETECT_ENDED),
        *(Kind.WATCH_ENDED, Kind.RUNBOOK_STARTED, Kind.STEP_ENDED, Kind.RUNBOOK_ENDED),
        *(Kind.SERVICE_RECOVERED, Kind.SERVICE_DOWN, Kind.SERVICE_UNHARMED),
        *(Kind.CANARY_ACCOUNTED, Kind.AFTERWARDS_ENDED),
        *(Kind.UNDO_ENDED, Kind.STOP_CONDITION, Kind.DRILL_ABORTED),
    }
)
"""What happened to the service and what was done about it; preparations and phases are in the drill's report."""


class _Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Row:
    at: str
    since: str
    event: str
    by: str


@dataclass(frozen=True, slots=True)
class _Step:
    heading: str
    outcome: str
    took: str
    budget: str
    over: bool


def post_mortem(stored: Stored, record: DrillRecord, title: str, path: Path, project: Path) -> str:
    """The draft. `path` is where it will lie, from which its links go."""
    incident, response = stored.incident, stored.response
    checks = record.verdict.checks
    return _template().render(
        br=_Markdown("  "),  # a line break
        incident=incident,
        response=response,
        title=title,
        notices=[text for _, text in notices(record)],
        date=f"{record.started.utc:%Y-%m-%d}",
        called=", ".join(dict.fromkeys(response.severity.called.values())),
        because="; ".join(response.severity.because),
        users=share_text(response.impact),
        duration=duration_text(response.impact),
        loss=loss_text(response.impact),
        tenants=NOT_MEASURED if incident.affected_tenants is None else incident.affected_tenants,
        breach=_breach(stored),
        not_measured=NOT_MEASURED,
        proven=proven(record),
        detected_by=response.lifecycle[0].detail,
        timeline=_timeline(record),
        reasons=record.verdict.reasons,
        figures=figures(record),
        advices=_advices(record),
        steps=_steps(record),
        held=[f"{check.title}: {check.detail}" for check in checks if check.result is Result.MET],
        not_held=[f"{check.title}: {check.detail}" for check in checks if check.result is not Result.MET],
        follow_up=[one for one in response.deadlines if one.duty in AFTER_RESOLUTION],
        links=_links(stored, path, project),
    )


def _breach(stored: Stored) -> str:
    """Whether anything owed up to the resolution was missed. What was not measured is no proof that it was kept."""
    owed = [one for one in stored.response.deadlines if one.duty not in AFTER_RESOLUTION]
    missed = [one.duty for one in owed if one.result == "missed"]
    if missed:
        return f"yes: {', '.join(missed)}"
    return (
        "none seen; not everything was measured" if any(one.result == NOT_MEASURED for one in owed) else "no"
    )


def _timeline(record: DrillRecord) -> list[_Row]:
    zero = origin(record)
    return [
        _Row(f"{event.at.utc:%H:%M:%S}", signed(event.at - zero), sentence(event), _by(event))
        for event in in_time(record)
        if event.kind in _TOLD
    ]


def _by(event: Event) -> str:
    return _BY.get(event.kind.value.partition(".")[0], "drill")


def _advices(record: DrillRecord) -> list[str]:
    """What is known to be weak in the expected alert's rule."""
    rule = record.timeline.first(
        Kind.ALERT_RULE, lambda event: event.data.get("alert") == record.scenario.alert
    )
    found = (rule.data.get("advice") if rule is not None else None) or []
    return [f"{one.get('explanation', '')} Instead: {one.get('instead', '')}" for one in found]


def _steps(record: DrillRecord) -> Sequence[_Step]:
    return [
        _Step(
            one.heading,
            one.outcome,
            "" if one.duration_s is None else f"{one.duration_s:.2f} s",
            format_duration(round(one.budget_s, 3)),
            one.over_budget,
        )
        for one in steps(record)
    ]


def _links(stored: Stored, path: Path, project: Path) -> list[tuple[str, _Markdown]]:
    """To what is there, relative to the draft: the folder can be moved as a whole."""
    evidence, response = stored.evidence, stored.response
    wanted = [
        ("The drill's report", evidence / "report.html"),
        ("The drill's timeline", evidence / "timeline.jsonl"),
        ("The drill's verdict", evidence / "verdict.json"),
        ("The incident's record", stored.folder / RECORD),
        ("What gameday knows beside it", stored.folder / RESPONSE),
        ("The runbook", project / "runbooks" / f"{response.runbook}.md"),
        ("The scenario", project / "scenarios" / f"{response.scenario}.yaml"),
    ]
    start = path.parent.resolve()
    return [
        (name, _Markdown(quote(os.path.relpath(target, start)))) for name, target in wanted if target.exists()
    ]


def _shown(value: Any) -> Any:
    return value if isinstance(value, _Markdown) else escape(value)


def _when_due(instant: datetime | None) -> str:
    return "" if instant is None else when(instant)


def _day(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("gameday.reporting"),
        undefined=StrictUndefined,
        finalize=_shown,
        autoescape=False,  # noqa: S701 - it is Markdown, and `finalize` escapes every value for that
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[[Any], str]] = {
        "when": when,
        "when_due": _when_due,
        "asked": asked_text,
        "day": _day,
        "said": said_text,
    }
    environment.filters |= filters
    return environment.get_template("post-mortem.md.j2")
