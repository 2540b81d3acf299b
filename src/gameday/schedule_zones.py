"""A schedule's times for keepers that have no time zone, or another one. Pure.

cron keeps the machine's time and GitHub keeps UTC. A time zone without daylight saving is a shift of the fields; one
with it is two shifts, each right for a part of the year, so that whoever has both must leave one of them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from zoneinfo import ZoneInfo

from gameday.errors import UsageError
from gameday.schedule import Appointment, cron_times, first_day

AHEAD = timedelta(days=2 * 366)
"""How far exports look: two years have every change of the clocks, and every month twice."""
MOST_TIMES = 20_000
"""So many at most: two years of every hour. What takes place more often still is no drill."""
_DAY = 24 * 60


def begin(one: Appointment, time_zone: str, now: datetime) -> datetime:
    """After what its times count: now, or its first day where that is later."""
    return now if one.next is None else max(now, first_day(one.next, time_zone))


def times(one: Appointment, time_zone: str, now: datetime, until: datetime) -> Iterator[datetime]:
    """Instants, in UTC, at which an appointment is due: later than `now`, up to `until`, not before its first day."""
    for due in cron_times(one.cron, time_zone, begin(one, time_zone, now)):
        if due > until:
            return
        yield due


def differences(one: Appointment, time_zone: str, other: str, now: datetime) -> dict[timedelta, datetime]:
    """By how much clocks of `time_zone` are ahead of clocks of `other` when it is due: with the first such instant."""
    found: dict[timedelta, datetime] = {}
    since = begin(one, time_zone, now)
    for due in islice(times(one, time_zone, since, since + AHEAD), MOST_TIMES):
        ahead = _offset(due, time_zone) - _offset(due, other)
        found.setdefault(ahead, due)
    return found


def _offset(instant: datetime, time_zone: str) -> timedelta:
    return instant.astimezone(ZoneInfo(time_zone)).utcoffset() or timedelta()


def shifted(cron: str, by: timedelta) -> tuple[str, ...]:
    """`cron` for a clock that is `by` ahead of the one that it is written for; several lines where one cannot say it.

    Raises:
        UsageError: a day that it names would be one of another month.
    """
    from cronsim import CronSim

    minutes = round(by.total_seconds() / 60)
    if not minutes:
        return (cron,)
    known = CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC))
    by_day: dict[int, dict[int, set[int]]] = {}
    for hour, minute in product(known.hours, known.minutes):
        days, of_day = divmod(hour * 60 + minute + minutes, _DAY)
        by_day.setdefault(days, {}).setdefault(of_day // 60, set()).add(of_day % 60)
    found = []
    for days, hours in sorted(by_day.items()):
        rest = _other_days(cron, days)
        same: dict[tuple[int, ...], list[int]] = {}
        for hour, found_minutes in sorted(hours.items()):
            same.setdefault(tuple(sorted(found_minutes)), []).append(hour)
        found += [f"{_field(part, 60)} {_field(of, 24)} {rest}" for part, of in same.items()]
    return tuple(found)


def _field(values: Iterable[int], full: int) -> str:
    listed = list(values)
    return "*" if len(listed) == full else ",".join(map(str, listed))


def _other_days(cron: str, days: int) -> str:
    """The last three fields, `days` days later."""
    from cronsim import CronSim

    _, _, day, month, weekday = cron.split(" ")
    if not days:
        return f"{day} {month} {weekday}"
    known = CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC))
    moved_day, moved_weekday = day, weekday
    if day != "*":
        moved = sorted(value + days for value in known.days)
        if day.startswith("*") or moved[0] < 1 or moved[-1] > 28:
            raise UsageError(f"{cron!r} falls on another day there, which may be one of another month")
        moved_day = _field(moved, 0)
    elif month != "*":
        raise UsageError(f"{cron!r} falls on another day there, which may be one of another month")
    if weekday != "*":
        moved_weekday = _field(sorted({(int(value) + days) % 7 for value in _weekdays(known.weekdays)}), 0)
    return f"{moved_day} {month} {moved_weekday}"


def _weekdays(found: Iterable[int | tuple[int, int]]) -> list[int]:
    return [value for value in found if isinstance(value, int)]


def doubtful(one: Appointment, time_zone: str, now: datetime) -> datetime | None:
    """The first local time at which it is due and which the clocks leave out or show twice: keepers differ there."""
    zone = ZoneInfo(time_zone)
    plain = one.model_copy(update={"next": None})
    start = now.astimezone(zone).replace(
        tzinfo=UTC
    )  # as if there were no daylight saving: the local times as such
    for due in islice(times(plain, "Etc/UTC", start, start + AHEAD), MOST_TIMES):
        local = due.replace(tzinfo=zone)
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            return local
    return None
