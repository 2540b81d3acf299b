"""What a schedule asks for against what the history knows: last run, last PASS, next due, overdue, stale. Pure.

Two questions are kept apart. *Overdue* is about the appointment: it was kept by any drill at real speed that began
when it should, whatever came of it. *Stale* is about the proof: only a PASS at real speed counts, and only for the
period. A rehearsal is neither, since its figures are no evidence for the real objectives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gameday.schedule import (
    Appointment,
    Schedule,
    cron_times,
    first_day,
    is_stale,
    longest_distance,
    midnight,
    periods,
)


@dataclass(frozen=True, slots=True)
class Run:
    """A drill as the history has it. `drill` is None of one that only the schedule file tells of."""

    started: datetime
    verdict: str | None
    drill: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """The newest drills of one scenario in the schedule's environment, each None where there was none."""

    run: Run | None = None
    """At real speed."""
    passed: Run | None = None
    """With PASS at real speed."""
    rehearsal: Run | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One scenario of one appointment. All instants are UTC."""

    appointment: str
    title: str
    scenario: str
    every: str | None
    cron: str
    known: Known
    due: datetime
    """When it is to take place next; where it was missed, when it should have."""
    overdue: bool
    good_for: timedelta
    """Of a PASS of this scenario: the shortest period of the appointments that it has."""
    stale: bool

    @property
    def good_until(self) -> datetime | None:
        """Until when the last PASS is good; None without one."""
        return None if self.known.passed is None else self.known.passed.started + self.good_for

    @property
    def fine(self) -> bool:
        return not self.overdue and not self.stale


def entries(schedule: Schedule, history: Mapping[str, Known], now: datetime) -> tuple[Entry, ...]:
    """Every scenario of every appointment, in the order of the file. `history` is by the scenario's name."""
    shortest = periods(schedule)
    return tuple(
        _entry(schedule, name, scenario, history.get(scenario, Known()), shortest[scenario], now)
        for name, one in schedule.drills.items()
        for scenario in dict.fromkeys(one.names)
    )


def _passed(known: Known) -> datetime | None:
    return None if known.passed is None else known.passed.started


def _entry(
    schedule: Schedule, name: str, scenario: str, known: Known, good_for: timedelta, now: datetime
) -> Entry:
    one = schedule.drills[name]
    known = _with_file(known, one, schedule.time_zone)
    due = _due(one, schedule.time_zone, None if known.run is None else known.run.started, now)
    return Entry(
        appointment=name,
        title=one.title,
        scenario=scenario,
        every=one.every,
        cron=one.cron,
        known=known,
        due=due,
        overdue=due + timedelta(seconds=one.start_within) < now,
        good_for=good_for,
        stale=is_stale(_passed(known), good_for, now),
    )


def _with_file(known: Known, one: Appointment, time_zone: str) -> Known:
    """The day that the file names is its last run, unless the history knows a later one; its verdict is not known."""
    if one.last is None:
        return known
    told = Run(midnight(one.last, time_zone), None, None)
    if known.run is not None and known.run.started >= told.started:
        return known
    return Known(told, known.passed, known.rehearsal)


def _due(one: Appointment, time_zone: str, last_run: datetime | None, now: datetime) -> datetime:
    """The latest appointment that was not kept, else the next one."""
    previous, following = around(one, time_zone, now)
    if previous is None:
        return following
    kept = last_run is not None and last_run >= previous - timedelta(seconds=one.start_within)
    return following if kept else previous


def around(one: Appointment, time_zone: str, now: datetime) -> tuple[datetime | None, datetime]:
    """The appointment's last time up to `now`, None where it has had none yet, and the one after it."""
    since = None if one.next is None else first_day(one.next, time_zone)
    following = next(cron_times(one.cron, time_zone, now if since is None else max(since, now)))
    start = (
        now - longest_distance(one.cron, time_zone) - timedelta(hours=1)
    )  # one is within it, or there was none
    if since is not None and start < since:
        start = since
    previous = None
    for due in cron_times(one.cron, time_zone, start):
        if due > now:
            break
        previous = due
    return previous, following
