"""A roster as a calendar: an event a shift, in UTC, which every calendar shows in its reader's time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from gameday.oncall import Roster
from gameday.oncall_shifts import ROTATING, Shift, shifts
from gameday.schedule_icalendar import new_calendar, text_of

if TYPE_CHECKING:
    from icalendar import Event


def icalendar(roster: Roster, now: datetime, until: datetime) -> str:
    """Who is on call from `now` up to `until`, at the levels that rotate."""
    found = new_calendar(f"On call: {roster.on_call}")
    for level in ROTATING:
        for shift in shifts(roster, level, now, until):
            found.add_component(_event(roster, shift, now))
    return text_of(found, now)


def _event(roster: Roster, shift: Shift, now: datetime) -> Event:
    from icalendar import Event

    person = roster.people[shift.person]
    event = Event()
    event.add("uid", f"{shift.begins:%Y%m%dT%H%M%SZ}.{shift.level.value}.{roster.on_call}@gameday")
    event.add("dtstamp", now)
    event.add("summary", f"{shift.level.spoken} on call: {person.name}")
    if shift.why:
        event.add("description", shift.why)
    event.add("dtstart", shift.begins)
    event.add("dtend", shift.ends)
    event.add("transp", "TRANSPARENT")  # being on call does not make one busy
    return event
