"""`gameday judge`, `show` and `history`: drills that are over."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
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


def show(drill: str, to: Path | None, *, as_json: bool) -> None:
    """Print a drill as it lies in its folder, or in a history at a URL; with `to`, put its files there.

    Raises:
        UsageError: there is no such drill, or `to` is there already.
        HistoryError: it cannot be read from the history.
    """
    if to is not None and to.exists():
        raise UsageError(f"--to {to}: it is there already; name a folder that is not")
    with evidence(drill, to, tell=True) as (folder, shown):
        _print(folder, shown, as_json=as_json)
    if to is not None:
        print(f"Its files: {to}", file=sys.stderr)


@contextmanager
def evidence(drill: str, to: Path | None = None, *, tell: bool = False) -> Iterator[tuple[Path, Path]]:
    """The folder to read, which may be gone afterwards, and what to call it; `tell`: how to keep it."""
    from gameday.history import URL_VARIABLE, History

    if not os.environ.get(URL_VARIABLE) or (Path(drill) / "timeline.jsonl").exists():
        folder = _folder(drill)
        if to is not None:
            shutil.copytree(folder, to)
        yield (to or folder), (to or folder)
        return
    with History.open(Project.find()) as index, tempfile.TemporaryDirectory(prefix="gameday-") as scratch:
        name = index.find(drill).drill
        folder = to or Path(scratch) / name
        index.fetch(name, folder)
        yield folder, to or Path(name)
        if tell and to is None:
            print(
                f"In the history at {index.where}; `gameday show {name} --to DIR` fetches it", file=sys.stderr
            )


def _print(folder: Path, shown: Path, *, as_json: bool) -> None:
    from gameday.record import load_record
    from gameday.reporting.console import DrillConsole
    from gameday.reporting.document import json_text, verdict_document

    record = load_record(folder)
    if as_json:
        print(json_text(verdict_document(record)), end="")
        return
    console = DrillConsole(sys.stdout)
    console.finish(replace(record, folder=shown))
    console.close()


def add(folders: Sequence[Path], out: Callable[[str], None]) -> int:
    """Store each folder, all of it or nothing; 3 when one could not be."""
    from gameday.errors import GamedayError
    from gameday.history import History
    from gameday.record import load_record

    code = 0
    with History.open(Project.find()) as index:
        for folder in folders:
            try:
                record = load_record(folder, with_samples=False)
                index.add(record)
            except GamedayError as error:
                out(f"{folder}: not stored: {error}")
                code = 3
            else:
                out(f"{record.drill}: {record.verdict.outcome.value}, stored at {index.where}")
    return code


def history(
    limit: int,
    scenario: str | None,
    environment: str | None,
    verdict: str | None,
    since: datetime | None,
    *,
    as_json: bool,
) -> None:
    """Print drills from the index, newest first."""
    from gameday.history.listing import listed
    from gameday.reporting.history_view import history_json, print_history

    project = Project.find()
    if not as_json and (quick := listed(project, limit, scenario, environment, verdict, since)) is not None:
        print_history(quick)
        return
    from gameday.history import History

    with History.open(project) as index:
        rows = index.drills(
            limit=limit, scenario=scenario, environment=environment, verdict=verdict, since=since
        )
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
