"""`gameday judge`, `show` and `history`: drills that are over."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from gameday.errors import UsageError
from gameday.project import Project


def _folder(drill: str) -> Path:
    """The evidence folder that `drill` means: a path, a drill's name, the end of one, or `latest`."""
    if Path(drill).is_dir() and (Path(drill) / "timeline.jsonl").exists():
        return Path(drill)
    reports = Project.find().reports
    known = sorted(path.parent for path in reports.glob("*/timeline.jsonl"))
    matching = known[-1:] if drill == "latest" else [path for path in known if path.name.endswith(drill)]
    if len(matching) != 1:
        found = "several" if matching else "none"
        raise UsageError(
            f"{drill!r}: {found} of the {len(known)} drills in {reports}; `gameday history` lists them"
        )
    return matching[0]


def judge(drill: str) -> int:
    """Judge again and write all reports anew."""
    from gameday.commands.run import close
    from gameday.reporting.console import DrillConsole

    console = DrillConsole(sys.stdout)
    try:
        return close(_folder(drill), Project.find(), console)
    finally:
        console.close()


def show(drill: str, *, as_json: bool) -> None:
    """Print a drill as it lies there; writes nothing."""
    from gameday.record import load_record
    from gameday.reporting.console import DrillConsole
    from gameday.reporting.document import json_text, verdict_document

    record = load_record(_folder(drill))
    if as_json:
        print(json_text(verdict_document(record)), end="")
        return
    console = DrillConsole(sys.stdout)
    console.finish(record)
    console.close()


def history(
    limit: int, scenario: str | None, environment: str | None, verdict: str | None, *, as_json: bool
) -> None:
    """Print drills from the index, newest first."""
    from gameday.history import History
    from gameday.reporting.history_view import history_json, print_history

    with History.open(Project.find()) as index:
        rows = index.drills(limit=limit, scenario=scenario, environment=environment, verdict=verdict)
    if as_json:
        print(history_json(rows))
    else:
        print_history(rows)


def rebuild(out: Callable[[str], None]) -> int:
    """Index every evidence folder; 3 when one could not be read."""
    from gameday.history import History

    project = Project.find()
    with History.open(project) as index:
        result = index.rebuild(project.reports)
    if result.moved_aside is not None:
        out(f"the old index could not be used ({result.why}); it is at {result.moved_aside}")
    out(f"{result.indexed} of {result.found} drills indexed")
    for folder, reason in result.skipped:
        out(f"skipped {folder}: {reason}")
    return 3 if result.skipped else 0
