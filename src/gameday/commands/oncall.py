"""`gameday on-call`: who answers now, and in the next weeks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gameday.errors import UsageError
from gameday.oncall import Roster, load_roster, parse_instant
from gameday.oncall_shifts import week_at
from gameday.project import Project
from gameday.reporting.oncall_view import Asked, print_roster, roster_values

FOLDER = "on-call"


def on_call(
    names: Sequence[str],
    at: str | None,
    severity: str | None,
    weeks: int,
    form: str,
    out: Callable[[str], None],
) -> None:
    """Print rosters, all of the project's by default.

    Raises:
        UsageError: a file is not there or wrong, or the instant is none or before the roster starts.
    """
    rosters = [load_roster(path) for path in _paths(Project.find(), names)]
    if form == "icalendar":
        if len(rosters) != 1:
            raise UsageError(
                f"-o icalendar: expected one roster of {', '.join(one.on_call for one in rosters)}"
            )
        out(_calendar(rosters[0], at, weeks))
        return
    asked = [(one, Asked(_instant(one, at), severity, weeks)) for one in rosters]
    if form == "json":
        out(json.dumps([roster_values(one, what) for one, what in asked], ensure_ascii=False, indent=2))
        return
    for number, (one, what) in enumerate(asked):
        if number:
            out("")
        week_at(one, what.at)  # before anything is printed
        print_roster(one, what)


def _calendar(roster: Roster, at: str | None, weeks: int) -> str:
    from gameday.oncall_icalendar import icalendar

    instant = _instant(roster, at)
    until = roster.begins(week_at(roster, instant) + 1 + weeks)
    return icalendar(roster, instant, until).rstrip("\r\n")


def _instant(roster: Roster, at: str | None) -> datetime:
    if at is None:
        return datetime.now(UTC)
    try:
        return roster.instant(parse_instant(at))
    except ValueError as error:
        raise UsageError(f"--at: {error}") from error


def _paths(project: Project, names: Sequence[str]) -> list[Path]:
    folder = project.root / FOLDER
    if names:
        return [Path(one) if "/" in one or one.endswith(".yaml") else folder / f"{one}.yaml" for one in names]
    found = sorted(folder.glob("*.yaml"))
    if not found:
        raise UsageError(f"no rosters: expected YAML files in {folder}")
    return found
