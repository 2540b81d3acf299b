"""Detect, classify, mitigate, communicate, resolve, post-mortem: when each was, and what was owed by when. Pure.

Instants are those of the drill's timeline. What only people do (classify, tell customers) a drill cannot see, so that
it is "not measured", and never counted as kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from gameday.incidents.severities import AFTER_RESOLUTION, Duty, strictest
from gameday.intervals import alert_event, restored_by, restoring_step
from gameday.record import DrillRecord
from gameday.text import one_line
from gameday.timeline import Event, Kind

Kept = Literal["met", "missed", "not measured"]


class Phase(StrEnum):
    """In order."""

    DETECT = "detect"
    CLASSIFY = "classify"
    MITIGATE = "mitigate"
    COMMUNICATE = "communicate"
    RESOLVE = "resolve"
    POST_MORTEM = "post-mortem"


@dataclass(frozen=True, slots=True)
class Stage:
    """A phase of one incident; `at` is None where its instant was not measured."""

    phase: Phase
    at: datetime | None
    detail: str


@dataclass(frozen=True, slots=True)
class Deadline:
    """What one duty asks of this incident, by its strictest source."""

    duty: Duty
    within_s: float | None
    words: str
    source: str
    due: datetime | None
    done: datetime | None
    kept: Kept


def detected(record: DrillRecord) -> Event | None:
    """The expected alert fired; of a control, which expects none, the first one that did."""
    if record.scenario.control:
        return record.timeline.first(Kind.ALERT_FIRING)
    return alert_event(record.timeline, Kind.ALERT_FIRING, record.scenario.alert)


def recovered(record: DrillRecord) -> Event | None:
    """The service was back, and not by the drill's undo."""
    if restored_by(record.timeline) not in ("runbook", "self"):
        return None
    return record.timeline.first(Kind.SERVICE_RECOVERED)


def stages(record: DrillRecord) -> tuple[Stage, ...]:
    """All six, in order, as they are when the drill ends."""
    return (
        _stage(Phase.DETECT, detected(record), _alert(record), "the expected alert did not fire"),
        Stage(Phase.CLASSIFY, None, "people decide; the severity here is derived from the measured impact"),
        _stage(Phase.MITIGATE, _acting(record), "first step of the runbook that acts", "no step acted"),
        _stage(
            Phase.COMMUNICATE,
            alert_event(record.timeline, Kind.ALERT_NOTIFIED, record.scenario.alert),
            "the alert was notified; whom people told is not seen",
            "no notification was seen",
        ),
        _stage(Phase.RESOLVE, recovered(record), f"by {_by(record)}", _unresolved(record)),
        Stage(Phase.POST_MORTEM, None, "no draft written yet"),
    )


def _stage(phase: Phase, event: Event | None, detail: str, absent: str) -> Stage:
    return Stage(phase, None, absent) if event is None else Stage(phase, event.at.utc, detail)


def _alert(record: DrillRecord) -> str:
    found = detected(record)
    return f"alert {one_line(found.data.get('alert'), 200)} fired" if found is not None else ""


def _acting(record: DrillRecord) -> Event | None:
    return record.timeline.first(Kind.STEP_STARTED, lambda event: bool(event.data.get("acts")))


def _by(record: DrillRecord) -> str:
    by, step = record.verdict.restored_by, restoring_step(record.timeline)
    if by == "self":
        return "itself, before any step of the runbook acted"
    return f"runbook {record.scenario.runbook}" + (f", step “{one_line(step, 200)}”" if step else "")


def _unresolved(record: DrillRecord) -> str:
    if record.scenario.control:
        return "nothing was to be restored: a control"
    if record.verdict.restored_by == "undo":
        return "not by the response: the drill's own undo brought it back"
    if record.timeline.last(Kind.SERVICE_UNHARMED) is not None:
        return "the service was not seen to fail by the probes that tell its recovery"
    return "the service was not seen to come back"


def deadlines(record: DrillRecord, rank: int) -> tuple[Deadline, ...]:
    """Everything that is owed at this severity. Times of a rehearsal are divided by its speed, but for those that
    only people keep: the post-mortem's. What was never detected is counted from its effect, which is earlier.
    """
    return tuple(_deadlines(record, rank))


def _deadlines(record: DrillRecord, rank: int) -> Iterator[Deadline]:
    known, back = detected(record) or record.timeline.first(Kind.FAULT_EFFECTIVE), recovered(record)
    over = back.at.utc if back is not None else record.ended.utc
    done = {
        Duty.RESPOND: record.timeline.first(Kind.STEP_STARTED),
        Duty.TELL_TEAM: alert_event(record.timeline, Kind.ALERT_NOTIFIED, record.scenario.alert),
        Duty.RESOLVE: back,
    }
    for duty in Duty:
        ask = strictest(rank, duty)
        if ask is None:
            continue
        within_s, event = ask.within_s, done.get(duty)
        after = duty in AFTER_RESOLUTION
        if within_s is not None and not after:
            within_s /= record.speed
        since = over if after else known.at.utc if known is not None else None
        due = since + timedelta(seconds=within_s) if since is not None and within_s is not None else None
        if duty in (Duty.EVERY, Duty.MONITOR):
            due = None  # no point in time
        at = None if event is None else event.at.utc
        yield Deadline(duty, within_s, ask.words, ask.source.value, due, at, _kept(due, at, record, duty))


def _kept(due: datetime | None, done: datetime | None, record: DrillRecord, duty: Duty) -> Kept:
    if due is None:
        return "not measured"
    if done is not None:
        return "met" if done <= due else "missed"
    # a drill that was watched beyond the time and did not see it
    watched = duty in (Duty.RESPOND, Duty.RESOLVE)
    return "missed" if watched and record.complete and record.ended.utc > due else "not measured"
