"""Who is on call when, and who is called next. Pure: the instant comes in, and all instants that go out are UTC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from gameday.errors import UsageError
from gameday.oncall import WEEK, Level, Override, Person, Roster

ROTATING = (Level.PRIMARY, Level.SECONDARY, Level.INCIDENT_COMMANDER)
By = Literal["rotation", "swap", "override"]


@dataclass(frozen=True, slots=True)
class Shift:
    """One person at one level, from `begins` up to `ends`. `by` says why it is this one."""

    level: Level
    person: str
    begins: datetime
    ends: datetime
    by: By
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Who is called when nobody has answered until then."""

    level: Level
    person: str
    at: datetime
    after_s: float


def week_at(roster: Roster, instant: datetime) -> int:
    """The week that an instant lies in.

    Raises:
        UsageError: the roster has not begun.
    """
    week = roster.week_of(instant.astimezone(roster.zone).date())
    if instant < roster.begins(week):  # before the hour of the handoff
        week -= 1
    if week < 0:
        raise UsageError(
            f"{roster.on_call}: {instant:%Y-%m-%d %H:%M} is before it starts, on {roster.starts}"
        )
    return week


def shifts(roster: Roster, level: Level, since: datetime, until: datetime) -> tuple[Shift, ...]:
    """Whoever has `level` from `since` up to `until`, without a gap: the first and the last may reach beyond."""
    found: list[Shift] = []
    week = week_at(roster, since)
    while roster.begins(week) < until:
        found += _of_week(roster, level, week)
        week += 1
    return tuple(one for one in found if since < one.ends and one.begins < until)


def _of_week(roster: Roster, level: Level, week: int) -> Iterator[Shift]:
    """A week's shift, cut where overrides begin and end."""
    plain = _plain(roster, level, week)
    at = plain.begins
    for one in sorted(_overriding(roster, level, plain), key=lambda one: roster.instant(one.since)):
        since, until = max(roster.instant(one.since), at), min(roster.instant(one.until), plain.ends)
        if at < since:
            yield replace(plain, begins=at, ends=since)
        yield Shift(level, one.person, since, until, "override", one.why)
        at = until
    if at < plain.ends:
        yield replace(plain, begins=at)


def _plain(roster: Roster, level: Level, week: int) -> Shift:
    day = roster.starts + week * WEEK
    swap = next((one for one in roster.swaps if one.level is level and day in one.weeks), None)
    by: By = "rotation" if swap is None else "swap"
    person = roster.in_rotation(level, week)
    why = None if swap is None else swap.why
    return Shift(level, person, roster.begins(week), roster.begins(week + 1), by, why)


def _overriding(roster: Roster, level: Level, shift: Shift) -> Sequence[Override]:
    return [
        one
        for one in roster.overrides
        if one.level is level
        and roster.instant(one.since) < shift.ends
        and shift.begins < roster.instant(one.until)
    ]


def on_call(roster: Roster, level: Level, instant: datetime) -> Shift:
    """Who has a level at an instant.

    Raises:
        UsageError: the roster has not begun.
    """
    (found,) = shifts(roster, level, instant, instant + timedelta(microseconds=1))
    return found


def escalation(roster: Roster, instant: datetime, severity: str | None = None) -> tuple[Call, ...]:
    """Who is called for an incident at `instant` as long as nobody answers, in the order of the calls."""
    found = []
    for level in Level:
        rung = roster.escalation[level]
        after_s = 0.0 if severity in rung.at_once else rung.after
        at = instant + timedelta(seconds=after_s)
        found.append(Call(level, on_call(roster, level, at).person, at, after_s))
    return tuple(sorted(found, key=lambda call: call.after_s))


def person(roster: Roster, name: str) -> Person:
    return roster.people[name]


def clashes(roster: Roster, since: datetime, until: datetime) -> tuple[tuple[datetime, str], ...]:
    """From when somebody is primary and secondary at once, by an override or a swap; and who."""
    first, second = (shifts(roster, level, since, until) for level in (Level.PRIMARY, Level.SECONDARY))
    return tuple(
        (max(one.begins, other.begins), one.person)
        for one in first
        for other in second
        if one.person == other.person and one.begins < other.ends and other.begins < one.ends
    )
