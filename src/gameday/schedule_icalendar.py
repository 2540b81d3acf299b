"""A schedule as a calendar (RFC 5545) that people subscribe to.

Each appointment is one recurring event in the schedule's own time zone, so that calendars keep daylight saving right.
cron can say what a recurrence rule cannot; whether the rule means the same is tried out, over two years, and where it
does not, the times of the coming year are events one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gameday.schedule import Appointment, Schedule
from gameday.schedule_zones import AHEAD, MOST_TIMES, begin, times

if TYPE_CHECKING:
    from icalendar import Calendar, Event

_PRODUCT = "-//gameday//schedule//EN"
_WEEKDAYS = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_YEAR = timedelta(days=366)
_MOST_EVENTS = 1000


def icalendar(schedule: Schedule, now: datetime) -> str:
    """The calendar: every appointment from now on. An event lasts as long as its drills may begin."""
    found = new_calendar(f"gameday {schedule.schedule}")
    for name, one in schedule.drills.items():
        for event in _events(schedule, name, one, now):
            found.add_component(event)
    return text_of(found, now)


def new_calendar(name: str) -> Calendar:
    from icalendar import Calendar

    found = Calendar()
    found.add("prodid", _PRODUCT)
    found.add("version", "2.0")
    found.add("x-wr-calname", name)
    return found


def text_of(calendar: Calendar, now: datetime) -> str:
    """As RFC 5545 has it, with the time zones that its events name, from last year on."""
    calendar.add_missing_timezones(first_date=(now - _YEAR).date())
    text: bytes = calendar.to_ical()
    return text.decode("utf-8")


def _events(schedule: Schedule, name: str, one: Appointment, now: datetime) -> Iterator[Event]:
    zone, since = ZoneInfo(schedule.time_zone), begin(one, schedule.time_zone, now)
    found = islice(times(one, schedule.time_zone, since, since + AHEAD), MOST_TIMES)
    due = [at.astimezone(zone) for at in found]
    rule = recurrence(one.cron)
    uid = f"{name}.{schedule.schedule}@gameday"
    if rule is not None and due and _means_the_same(rule, due):
        event = _event(schedule, one, uid, due[0], now)
        event.add("rrule", rule)
        yield event
        return
    for at in [at for at in due if at <= since + _YEAR][:_MOST_EVENTS]:
        yield _event(schedule, one, f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.{uid}", at, now)


def _event(schedule: Schedule, one: Appointment, uid: str, at: datetime, now: datetime) -> Event:
    from icalendar import Event

    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", now)
    event.add("summary", one.title)
    drills = ", ".join(one.names)
    event.add("description", f"Drills in {schedule.environment}: {drills}. They begin within this time.")
    event.add("categories", ["drill"])
    event.add("dtstart", at)
    event.add("duration", timedelta(seconds=one.start_within))
    return event


def recurrence(cron: str) -> dict[str, Any] | None:
    """The recurrence rule that may mean the same; None where cron takes days of the month or of the week, either."""
    from cronsim import CronSim

    _, _, day, month, weekday = cron.split(" ")
    known = CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC))
    if not known.day_and:
        return None
    rule: dict[str, Any] = {"freq": "DAILY"}
    if day != "*":
        rule |= {"freq": "MONTHLY", "bymonthday": sorted(known.days)}
    if weekday != "*":
        if day == "*":
            rule["freq"] = "WEEKLY"
        rule["byday"] = [_WEEKDAYS[value] for value in _weekdays(known.weekdays)]
    if month != "*":
        rule["bymonth"] = sorted(known.months)
    if len(known.hours) > 1:
        rule["byhour"] = sorted(known.hours)
    if len(known.minutes) > 1:
        rule["byminute"] = sorted(known.minutes)
    return rule


def _weekdays(found: Iterable[int | tuple[int, int]]) -> list[int]:
    return sorted({value % 7 for value in found if isinstance(value, int)})


def _means_the_same(rule: dict[str, Any], due: list[datetime]) -> bool:
    """Whether the rule, expanded as calendars do it, gives the times of cron, as far as these go."""
    from dateutil.rrule import rrulestr
    from icalendar import Event

    start, example = due[0], Event()
    example.add("rrule", rule)
    encoded: Any = example["rrule"]
    # in local time, as RFC 5545 counts; then as instants, where local times that do not exist move
    local = rrulestr(encoded.to_ical().decode(), dtstart=start.replace(tzinfo=None))
    found = islice(local, len(due))
    instants = [at.replace(tzinfo=start.tzinfo).astimezone(UTC) for at in found]
    return instants == [at.astimezone(UTC) for at in due]
