"""An on-call roster: who answers, week by week, and who is called when nobody does.

The rules are those of the P019 Incident Response & Recovery Guide: a week each, handed over on Monday at 9:00 local
time, and Primary -> Secondary -> Incident Commander -> Team Lead -> Director.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from math import lcm
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from gameday.errors import UsageError
from gameday.fields import Duration, Misfit, Model, Name, Text, load_named, shown
from gameday.files import Location
from gameday.scenario import Severity
from gameday.schedule import Date, TimeZone

WEEK = timedelta(weeks=1)
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Level(StrEnum):
    """Who is called, in this order."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    INCIDENT_COMMANDER = "incident-commander"
    TEAM_LEAD = "team-lead"
    DIRECTOR = "director"

    @property
    def spoken(self) -> str:
        """`Incident Commander`."""
        return self.value.replace("-", " ").title()


def _time(value: object) -> time:
    if isinstance(value, str) and re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", value):
        return time.fromisoformat(value)
    raise ValueError(f"{shown(value)} is not a time of day; expected hour and minute such as 09:00")


def parse_instant(value: object) -> datetime:
    """`2026-12-24T09:00`, without a zone where it means the roster's, or `2026-12-24T09:00Z`."""
    if isinstance(value, str) and re.match("[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}", value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass  # the 31st of June
    raise ValueError(f"{shown(value)} is not an instant; expected one such as 2026-12-24T09:00")


TimeOfDay = Annotated[time, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "time"})]
When = Annotated[
    datetime, BeforeValidator(parse_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]


def _level(value: object) -> Level:
    try:
        return Level(str(value))
    except ValueError as error:
        raise ValueError(f"{shown(value)} is no level; expected {', '.join(Level)}") from error


LevelName = Annotated[Level, BeforeValidator(_level)]


class Person(Model):
    """Somebody on call."""

    name: Text
    contact: Text | None = None
    """How to reach them: a number, an address, a handle."""


class Handoff(Model):
    """When a week ends and the next one begins, in the roster's time zone."""

    day: Weekday = "monday"
    at: TimeOfDay = time(9)


class Rung(Model):
    """One level of the escalation."""

    who: tuple[Name, ...] = Field(min_length=1, max_length=100)
    """A week each, in this order and then again; one alone is always the one."""
    after: Duration = 0.0
    """Called when nobody has answered for so long."""
    at_once: tuple[Severity, ...] = ()
    """Called at once for incidents of these severities."""


class Override(Model):
    """Somebody else, for a while."""

    level: LevelName
    person: Name
    since: When
    until: When
    why: Text | None = None


class Swap(Model):
    """Two weeks of one level are exchanged."""

    level: LevelName
    weeks: tuple[Date, ...] = Field(min_length=2, max_length=2)
    """The days on which they begin."""
    why: Text | None = None


class Roster(Model):
    """One roster file."""

    on_call: Name
    """The roster's name, equal to its file name."""
    time_zone: TimeZone = "Etc/UTC"
    starts: Date
    """The day of the first handoff; the first of each list begins then."""
    handoff: Handoff = Handoff()
    people: dict[Name, Person] = Field(min_length=1)
    escalation: dict[LevelName, Rung]
    overrides: tuple[Override, ...] = ()
    swaps: tuple[Swap, ...] = ()

    @model_validator(mode="after")
    def _all_fits(self) -> Roster:
        problems = [*self._levels(), *self._strangers(), *self._days(), *self._overrides()]
        if problems:
            raise Misfit(*problems)
        if twice := list(self._in_two_places()):
            raise Misfit(*twice)
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def instant(self, when: datetime) -> datetime:
        """In UTC; without a zone it is the roster's."""
        return (when if when.tzinfo else when.replace(tzinfo=self.zone)).astimezone(UTC)

    def begins(self, week: int) -> datetime:
        """When week `week` begins, in UTC; 0 is the first. Local time decides, so that weeks around a change of the
        clocks are an hour shorter or longer.
        """
        day = self.starts + week * WEEK
        return datetime.combine(day, self.handoff.at, self.zone).astimezone(UTC)

    def week_of(self, day: date) -> int:
        return (day - self.starts) // WEEK

    def in_rotation(self, level: Level, week: int) -> str:
        """Who has that week, overrides aside."""
        for swap in self.swaps:
            first, second = map(self.week_of, swap.weeks)
            if swap.level is level and week in (first, second):
                week = second if week == first else first
                break
        who = self.escalation[level].who
        return who[week % len(who)]

    # --- what is wrong with it ------------------------------------------------------------------------------

    def _levels(self) -> Iterator[tuple[Location, str]]:
        absent = [level for level in Level if level not in self.escalation]
        if absent:
            yield ("escalation",), f"{', '.join(absent)} is absent; expected {', '.join(Level)}"
        last = 0.0
        for level in Level:
            rung = self.escalation.get(level)
            if rung is None:
                continue
            if rung.after < last:
                yield ("escalation", level.value, "after"), "is sooner than the level before it"
            last = rung.after

    def _strangers(self) -> Iterator[tuple[Location, str]]:
        known = f"is not one of the people: {', '.join(self.people)}"
        for level, rung in self.escalation.items():
            for place, name in enumerate(rung.who):
                if name not in self.people:
                    yield ("escalation", level.value, "who", place), f"{name!r} {known}"
        for place, one in enumerate(self.overrides):
            if one.person not in self.people:
                yield ("overrides", place, "person"), f"{one.person!r} {known}"

    def _days(self) -> Iterator[tuple[Location, str]]:
        day = self.handoff.day
        if _WEEKDAYS[self.starts.weekday()] != day:
            yield ("starts",), f"{self.starts} is a {_WEEKDAYS[self.starts.weekday()]}; weeks begin on {day}"
        seen: set[tuple[Level, date]] = set()
        for place, swap in enumerate(self.swaps):
            where: Location = ("swaps", place, "weeks")
            for week in swap.weeks:
                if (week - self.starts) % WEEK or week < self.starts:
                    yield where, f"{week} is no day on which a week begins: a {day} from {self.starts} on"
                if (swap.level, week) in seen:
                    yield where, f"{week} is swapped twice"
                seen.add((swap.level, week))

    def _overrides(self) -> Iterator[tuple[Location, str]]:
        spans = [(self.instant(one.since), self.instant(one.until), one.level) for one in self.overrides]
        for place, (since, until, level) in enumerate(spans):
            if since >= until:
                yield ("overrides", place, "until"), "is not later than since"
            if since < self.begins(0):
                yield ("overrides", place, "since"), f"is before the roster starts, on {self.starts}"
            for earlier, (other_since, other_until, other) in enumerate(spans[:place]):
                if other is level and since < other_until and other_since < until:
                    yield (
                        ("overrides", place),
                        f"is at the same time as overrides[{earlier}], of the same level",
                    )

    def _in_two_places(self) -> Iterator[tuple[Location, str]]:
        """Nobody is the primary and the secondary at once: then there is no second one."""
        primary, secondary = self.escalation[Level.PRIMARY].who, self.escalation[Level.SECONDARY].who
        for week in range(min(lcm(len(primary), len(secondary)), 520)):
            both = primary[week % len(primary)]
            if both == secondary[week % len(secondary)]:
                day = self.starts + week * WEEK
                where: Location = ("escalation", "secondary", "who", week % len(secondary))
                yield where, f"{both!r} is primary, too, in the week of {day}; then nobody is second"
                return


def load_roster(path: Path) -> Roster:
    """Read and check a roster file.

    Raises:
        InvalidFile: with file, line and field of every problem.
        UsageError: there is no such file.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    return load_named(Roster, path, "on_call")
