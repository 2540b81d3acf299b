"""Who is on call: for people, and as JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from gameday.fields import format_duration
from gameday.oncall import Level, Roster
from gameday.oncall_shifts import ROTATING, Call, Shift, clashes, escalation, on_call, shifts, week_at
from gameday.reporting.terminal import console_for
from gameday.text import one_line


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a roster: at which instant, for an incident of which severity, and how many weeks from then on."""

    at: datetime
    severity: str | None
    weeks: int


def print_roster(roster: Roster, asked: Asked, stream: IO[str] | None = None) -> None:
    stream = stream or sys.stdout
    console = console_for(stream, live=stream.isatty())
    local = asked.at.astimezone(roster.zone)
    console.print(
        Text(f"{roster.on_call}: on call at {local:%Y-%m-%d %H:%M %Z} ({roster.time_zone})", style="bold")
    )
    for level in Level:
        shift = on_call(roster, level, asked.at)
        until = _until(roster, shift)
        console.print(Text(f"  {level.spoken:<20}{_who(roster, shift.person):<28}{until}".rstrip()))
    console.print()
    what = f" of {asked.severity}" if asked.severity else ""
    console.print(Text(f"Escalation{what}", style="bold"))
    for call in escalation(roster, asked.at, asked.severity):
        console.print(Text(f"  {_after(call):<20}{call.level.spoken}: {_who(roster, call.person)}"))
    if asked.weeks:
        _weeks(console, roster, asked)
    for when, name in clashes(roster, asked.at, _end(roster, asked)):
        both = f"warning: {_name(roster, name)} is primary and secondary from {_local(roster, when)}: nobody is second"
        console.print(Text(both, style="bold yellow"))


def _weeks(console: Console, roster: Roster, asked: Asked) -> None:
    console.print()
    head = f"Next weeks, handed over on {roster.handoff.day.title()} at {roster.handoff.at:%H:%M} ({roster.time_zone})"
    console.print(Text(head, style="bold"))
    by_start: dict[datetime, dict[Level, Shift]] = {}
    for shift in upcoming(roster, asked):
        by_start.setdefault(shift.begins, {})[shift.level] = shift
    rows = [("From", *(level.spoken for level in ROTATING))]
    for begins, found in sorted(by_start.items()):
        rows.append((_local(roster, begins), *(_cell(roster, found.get(level)) for level in ROTATING)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(Text(f"  {'  '.join(cells)}".rstrip()))


def _cell(roster: Roster, shift: Shift | None) -> str:
    """Empty where nothing changes then: an override of another level begins."""
    return "" if shift is None else f"{_name(roster, shift.person)}{_note(shift)}"


def upcoming(roster: Roster, asked: Asked) -> tuple[Shift, ...]:
    """Shifts of the levels that rotate, in order of their begin; the ones of now are the first."""
    end = _end(roster, asked)
    found = [shift for level in ROTATING for shift in shifts(roster, level, asked.at, end)]
    return tuple(sorted(found, key=lambda shift: (shift.begins, ROTATING.index(shift.level))))


def _end(roster: Roster, asked: Asked) -> datetime:
    """Of the last of the weeks after this one."""
    return roster.begins(week_at(roster, asked.at) + 1 + asked.weeks)


def roster_values(roster: Roster, asked: Asked) -> dict[str, Any]:
    """Plain data; instants as ISO 8601 in UTC."""
    return {
        "on_call": roster.on_call,
        "time_zone": roster.time_zone,
        "at": asked.at.isoformat(),
        "severity": asked.severity,
        "now": {level.value: _shift(roster, on_call(roster, level, asked.at)) for level in Level},
        "escalation": [
            {
                "level": call.level.value,
                "after_s": call.after_s,
                "at": call.at.isoformat(),
                **_person(roster, call.person),
            }
            for call in escalation(roster, asked.at, asked.severity)
        ],
        "shifts": [_shift(roster, shift) for shift in upcoming(roster, asked)],
        "clashes": [
            {"at": when.isoformat(), "person": name}
            for when, name in clashes(roster, asked.at, _end(roster, asked))
        ],
    }


def _shift(roster: Roster, shift: Shift) -> dict[str, Any]:
    return {
        "level": shift.level.value,
        **_person(roster, shift.person),
        "begins": shift.begins.isoformat(),
        "ends": shift.ends.isoformat(),
        "by": shift.by,
        "why": shift.why,
    }


def _person(roster: Roster, name: str) -> dict[str, Any]:
    return {"person": name, "name": roster.people[name].name, "contact": roster.people[name].contact}


def _who(roster: Roster, name: str) -> str:
    contact = roster.people[name].contact
    return _name(roster, name) + (f" ({one_line(contact, 200)})" if contact else "")


def _name(roster: Roster, name: str) -> str:
    return one_line(roster.people[name].name, 100)


def _until(roster: Roster, shift: Shift) -> str:
    alone = len(roster.escalation[shift.level].who) == 1 and shift.by == "rotation"
    return "" if alone else f"until {_local(roster, shift.ends)}{_note(shift)}"


def _note(shift: Shift) -> str:
    if shift.by == "rotation":
        return ""
    return f" ({shift.by}{f': {one_line(shift.why, 100)}' if shift.why else ''})"


def _after(call: Call) -> str:
    return "at once" if not call.after_s else f"after {format_duration(call.after_s)}"


def _local(roster: Roster, instant: datetime) -> str:
    return f"{instant.astimezone(roster.zone):%a %Y-%m-%d %H:%M}"
