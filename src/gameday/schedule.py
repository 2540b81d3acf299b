"""A schedule file: which drills take place when. Times are checked as cron says them; who keeps them is another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise, product
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gameday.errors import UsageError
from gameday.fields import Misfit, Model, Name, PositiveDuration, Text, format_duration, load_named, shown

_FIELDS = re.compile(r"[0-9A-Za-z*,/-]+( [0-9A-Za-z*,/-]+){4}")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def check_cron(text: str) -> str:
    """`text`, as a cron that Kubernetes keeps: five fields, and nothing that only other crons know.

    Raises:
        ValueError: what is wrong with it.
    """
    from cronsim import CronSim, CronSimError

    problem = f"{text!r} is no time that cron knows"
    if not _FIELDS.fullmatch(text):
        raise ValueError(
            f"{problem}; expected five fields (minute, hour, day, month, weekday) of digits, * , - /"
        )
    fields = text.lower().split(" ")
    for field, names in zip(fields, ((), (), (), _MONTHS, _DAYS), strict=True):
        strange = [word for word in re.findall("[a-z]+", field) if word not in names]
        if strange:
            raise ValueError(f"{problem}; {strange[0]!r} means nothing there")
    if "7" in re.findall("[0-9]+", re.sub("/[0-9]+", "", fields[4])):
        raise ValueError(f"{problem}; Sunday is 0 there, or sun")
    try:
        next(CronSim(text, datetime.now(UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{problem}{f': {error}' if str(error) else ''}") from error
    return text


def check_time_zone(name: str) -> str:
    """Raises ValueError for what is none."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r} is no time zone; expected one such as Etc/UTC or Europe/Berlin"
        ) from error
    return name


def parse_date(value: object) -> date:
    """The date of `2025-06-27`."""
    try:
        if isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
    except ValueError:
        pass  # the 31st of June
    raise ValueError(f"{shown(value)} is not a date; expected year, month and day such as 2025-06-27")


Cron = Annotated[str, AfterValidator(check_cron)]
TimeZone = Annotated[str, AfterValidator(check_time_zone)]
Date = Annotated[date, BeforeValidator(parse_date), WithJsonSchema({"type": "string", "format": "date"})]
Frequency = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]

_LONGEST: dict[str, timedelta] = {
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
    "monthly": timedelta(days=31),
    "quarterly": timedelta(days=92),
    "yearly": timedelta(days=366),
}
_SINCE, _SO_MANY_DAYS = datetime(2024, 1, 1, tzinfo=UTC), 400
"""From a leap year on, so many days of cron: every day of a year is among them."""


def cron_times(cron: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    """Instants (in UTC) at which cron is due, later than `after`, without end. A time that daylight saving leaves out
    is due when the clocks have been put forward, one that comes twice is due once, as Debian's cron has it.
    """
    from cronsim import CronSim

    # a step earlier, since the first search begins behind a full minute of the local clock, which may come twice
    local = (after - timedelta(hours=2)).astimezone(ZoneInfo(time_zone))
    for due in CronSim(cron, local):
        instant = due.astimezone(UTC)
        if instant > after:
            yield instant


class Appointment(Model):
    """Drills that take place together."""

    title: Text = "Drills"
    every: Frequency | None = None
    """How often the team has promised it; `cron` must keep it."""
    cron: Cron
    """Minute, hour, day of the month, month, weekday."""
    scenarios: tuple[Text, ...] = Field(min_length=1)
    parallel: int = Field(default=1, ge=1)
    start_within: PositiveDuration = 3600.0
    """Later than this after its time it does not begin: a drill at an hour that nobody expects is an incident."""
    last: Date | None = None
    """The day on which it took place before there was a history."""
    next: Date | None = None
    """The first day on which `cron` counts; days before it are not missed."""
    stale_after: PositiveDuration | None = None
    """How long a PASS is good for. Absent: the longest time between two appointments, and `start_within`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its scenarios as the history knows them: by name, where the file has a path."""
        return tuple(Path(one).stem if "/" in one or one.endswith(".yaml") else one for one in self.scenarios)

    @model_validator(mode="after")
    def _dates_in_order(self) -> Appointment:
        if self.last is not None and self.next is not None and self.last >= self.next:
            raise Misfit((("next",), f"{self.next} is not later than last, {self.last}"))
        return self


class Schedule(Model):
    """One schedule file."""

    schedule: Name
    """The schedule's name, equal to its file name."""
    environment: Name
    time_zone: TimeZone = "Etc/UTC"
    drills: dict[Name, Appointment] = Field(min_length=1)

    @model_validator(mode="after")
    def _cron_keeps_what_is_promised(self) -> Schedule:
        problems = [
            (("drills", name, field), message)
            for name, one in self.drills.items()
            for field, message in _broken_promises(one, self.time_zone)
        ]
        if problems:
            raise Misfit(*problems)
        return self


def _broken_promises(one: Appointment, time_zone: str) -> Iterator[tuple[str, str]]:
    distance = longest_distance(one.cron, "Etc/UTC")
    words = span_text(distance)
    if one.every is not None and distance > _LONGEST[one.every]:
        yield "cron", f"{one.cron!r} leaves up to {words} between two times, which is not {one.every}"
    if one.stale_after is not None and one.stale_after < distance.total_seconds():
        given = span_text(timedelta(seconds=one.stale_after))
        yield "stale_after", f"{given} is shorter than the {words} between two times of {one.cron!r}"
    if one.next is not None:
        first = next(
            cron_times(one.cron, time_zone, midnight(one.next, time_zone) - timedelta(microseconds=1))
        )
        day = first.astimezone(ZoneInfo(time_zone)).date()
        if day != one.next:
            yield "next", f"{one.next} is no day of {one.cron!r}; the first from then on is {day}"


def span_text(span: timedelta) -> str:
    """`31d1h`: with days, which nobody counts in hours."""
    rest = span - timedelta(days=span.days)
    hours = format_duration(rest.total_seconds()) if rest or not span.days else ""
    return f"{span.days}d{hours}" if span.days else hours


def midnight(day: date, time_zone: str) -> datetime:
    """When a day begins there."""
    return datetime.combine(day, time(), ZoneInfo(time_zone))


def first_day(day: date, time_zone: str) -> datetime:
    """After what a time must be, to be of that day or later: midnight counts."""
    return midnight(day, time_zone) - timedelta(microseconds=1)


@lru_cache(maxsize=256)
def longest_distance(cron: str, time_zone: str) -> timedelta:
    """The longest time between two times of `cron`: within a day, or from a day's last to the next first."""
    from cronsim import CronSim

    known = CronSim(cron, _SINCE)
    of_day = [timedelta(hours=h, minutes=m) for h, m in product(sorted(known.hours), sorted(known.minutes))]
    first = f"{min(known.minutes)} {min(known.hours)} {cron.split(' ', 2)[2]}"
    days = islice(cron_times(first, time_zone, _SINCE), _SO_MANY_DAYS)
    between = max(later - earlier for earlier, later in pairwise(days)) - (of_day[-1] - of_day[0])
    return max([between, *(later - earlier for earlier, later in pairwise(of_day))])


def period(appointment: Appointment, time_zone: str) -> timedelta:
    """How long a PASS of the appointment's scenarios is good for."""
    if appointment.stale_after is not None:
        return timedelta(seconds=appointment.stale_after)
    return longest_distance(appointment.cron, time_zone) + timedelta(seconds=appointment.start_within)


def periods(schedule: Schedule) -> dict[str, timedelta]:
    """How long a PASS is good for, by scenario. Of several appointments the most frequent one counts."""
    found: dict[str, timedelta] = {}
    for one in schedule.drills.values():
        span = period(one, schedule.time_zone)
        for name in one.names:
            found[name] = min(span, found.get(name, span))
    return found


def is_stale(last_pass: datetime | None, good_for: timedelta, now: datetime) -> bool:
    """Whether a scenario has not passed within its period; one that never passed has not."""
    return last_pass is None or now - last_pass > good_for


def load_schedule(path: Path) -> Schedule:
    """Read and check a schedule file.

    Raises:
        InvalidFile: with file, line and field of every problem.
        UsageError: there is no such file.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    return load_named(Schedule, path, "schedule")
