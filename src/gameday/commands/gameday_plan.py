"""`gameday gameday plan`: what will happen when, and what it needs; touches nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from zoneinfo import ZoneInfo

from gameday.commands import gameday_files as files
from gameday.commands.gameday_files import Loaded
from gameday.fields import format_duration
from gameday.gamedays.model import DUTIES, ROLES
from gameday.gamedays.plan import Entry, order, timetable
from gameday.project import Project

Out = Callable[[str], None]


def plan(
    reference: str,
    environment: str | None,
    speed: float,
    seed: int | None,
    out: Out,
    *,
    reveal: bool,
    as_json: bool,
) -> None:
    """Print the plan. Surprises stay hidden unless `reveal`; of a game day that has begun, what it has drawn counts.

    Raises:
        InvalidFile, UsageError: with every problem of every file.
    """
    project = Project.find()
    loaded = files.load(project, reference, environment, speed)
    seed = _seed(project, loaded, seed)
    entries = timetable(
        loaded.day.planned_start,
        order(loaded.day, seed),
        loaded.drills,
        speed=speed,
        reveal=reveal,
    )
    if as_json:
        out(json.dumps(_document(loaded, entries, seed if reveal else None), indent=2, ensure_ascii=False))
        return
    _print(loaded, entries, out)
    if loaded.day.surprises is not None:
        _print_surprises(loaded, seed, out, reveal=reveal)


def _seed(project: Project, loaded: Loaded, wanted: int | None) -> int | None:
    """By which surprises are drawn; None where nobody can know yet."""
    if wanted is not None or loaded.day.surprises is None:
        return wanted
    begun = files.unfinished(project, loaded.day.game_day)
    if begun is not None:
        return files.state_of(begun).started.seed
    return loaded.day.surprises.seed


def _print(loaded: Loaded, entries: Sequence[Entry], out: Out) -> None:
    day = loaded.day
    zone = ZoneInfo(day.time_zone)
    out(f"{day.title}")
    out(
        f"{day.date} {day.starts:%H:%M} {day.time_zone}, in {loaded.instance} (target {loaded.environment.target})"
    )
    if loaded.speed != 1:
        out(f"rehearsal at {loaded.speed:g} times speed")
    out("goals:")
    for goal in day.goals:
        out(f"  - {goal}")
    out("roles:")
    for role in ROLES:
        who = ", ".join(day.roles.get(role, ())) or "NOBODY: a no-go"
        out(f"  {role:<20} {who}: {DUTIES[role]}")
    out("go or no-go, besides what is looked at automatically:")
    for question in day.checklist:
        out(f"  - {question.question}: {question.ask}")
    if not day.checklist:
        out("  nothing is asked")
    out("drills (latest time of day, when all before take their whole time):")
    for entry in entries:
        begins = entry.begins_by.astimezone(zone)
        out(
            f"  {entry.planned.number:>2}  {begins:%H:%M:%S}  at most {format_duration(round(entry.at_most_s)):<8} "
            f"{_name(entry)}"
        )
        for line in _needs(entry):
            out(f"      {line}")
        if entry.pause_s:
            out(f"      then a pause of {format_duration(round(entry.pause_s, 1))}")
    last = entries[-1]
    out(f"over at the latest {format_duration(round(_whole_s(entries, last)))} after its beginning")


def _whole_s(entries: Sequence[Entry], last: Entry) -> float:
    return (last.begins_by - entries[0].begins_by).total_seconds() + last.at_most_s


def _name(entry: Entry) -> str:
    if entry.needs is None:
        return "a surprise"
    surprise = " (a surprise)" if entry.planned.surprise else ""
    return f"{entry.planned.scenario}{surprise}: {entry.needs.title} ({entry.needs.severity})"


def _needs(entry: Entry) -> list[str]:
    found = entry.needs
    if found is None:
        return []
    lines = [f"breaks:   {found.fault}", f"watches:  {', '.join(found.probes)}"]
    lines.append(f"alert:    {found.alert or 'none: a control'}")
    if found.runbook is not None:
        asked = f", which asks a person: {', '.join(found.questions)}" if found.questions else ""
        lines.append(f"runbook:  {found.runbook}{asked}")
    if found.alone:
        lines.append("needs the machine for itself")
    return lines


def _print_surprises(loaded: Loaded, seed: int | None, out: Out, *, reveal: bool) -> None:
    surprises = loaded.day.surprises
    if surprises is None:
        return
    of = f"{loaded.day.places} of {len(surprises.scenarios)} scenarios"
    if not reveal:
        out(f"surprises: {of}; --reveal shows them")
    elif seed is None:
        out(f"surprises: {of}, not drawn yet: without a seed they are when the game day begins")
    else:
        out(f"surprises: {of}, drawn with seed {seed}")


def _document(loaded: Loaded, entries: Sequence[Entry], seed: int | None) -> dict[str, object]:
    day = loaded.day
    return {
        "game_day": day.game_day,
        "title": day.title,
        "starts": day.planned_start.isoformat(),
        "environment": loaded.instance,
        "speed": loaded.speed,
        "goals": list(day.goals),
        "roles": {role: list(day.roles.get(role, ())) for role in ROLES},
        "checklist": [question.model_dump(mode="json") for question in day.checklist],
        "seed": seed,
        "drills": [
            {
                "number": entry.planned.number,
                "scenario": entry.planned.scenario,
                "surprise": entry.planned.surprise,
                "begins_by": entry.begins_by.isoformat(),
                "at_most_s": round(entry.at_most_s, 3),
                "pause_s": round(entry.pause_s, 3),
                "needs": None if entry.needs is None else asdict(entry.needs),
            }
            for entry in entries
        ],
    }
