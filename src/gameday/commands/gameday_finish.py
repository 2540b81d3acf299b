"""`gameday gameday finish`: one report of the whole game day."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from gameday.commands.gameday_files import find_folder
from gameday.commands.gameday_run import not_running
from gameday.commands.gameday_settle import settle, take_down
from gameday.errors import GamedayError, InvalidFile, UsageError
from gameday.gamedays import entries as e
from gameday.gamedays.log import GameDayLog, read_log
from gameday.gamedays.state import State, fold
from gameday.project import Project
from gameday.record import DrillRecord, load_record
from gameday.reporting.document import json_text
from gameday.reporting.gameday import Report, counted
from gameday.reporting.gameday_documents import document, write_documents


def finish(reference: str | None, *, as_json: bool) -> int:
    """Close a game day and write its report, or write it anew; 0, or 5 where a drill could not be put back.

    Raises:
        UsageError: there is no such game day, or the report cannot be written.
        LockHeld: it is being run.
    """
    project = Project.find()
    folder = find_folder(project, reference)
    with not_running(folder) as state, GameDayLog(folder) as log:
        log.refresh()
        if state.running is not None:
            settle(project, log, state.running, state.started.environment, _to_stderr)
        left = fold(log.lines).halted
        if state.owns_environment and left is None:
            take_down(project, log, state.started.environment, _to_stderr)
        if not state.finished:
            log.append(e.Finished())
        report = write(project, folder)
    if as_json:
        print(json_text(document(report)), end="")
    else:
        tell(report, print)
    if left is not None:
        _to_stderr(f"{left}; run `gameday recover`")
        return 5
    return 0


def write(project: Project, folder: Path) -> Report:
    """The documents of a game day as it stands.

    Raises:
        UsageError: they cannot be written.
    """
    lines = read_log(folder)
    records = evidence(project, fold(lines))
    report = Report.of(folder, lines, records, incidents(project, records))
    try:
        write_documents(report)
    except OSError as error:
        raise UsageError(f"cannot write the report of {folder.name}: {error}") from error
    return report


def evidence(project: Project, state: State) -> dict[str, DrillRecord]:
    """The records of all drills of a game day whose evidence can be read."""
    records: dict[str, DrillRecord] = {}
    for drill in state.drills:
        for attempt in drill.attempts:
            if attempt.drill is None:
                continue
            try:
                records[attempt.drill] = load_record(project.reports / attempt.drill, with_samples=False)
            except InvalidFile as error:
                _to_stderr(f"warning: drill {drill.planned.number}: its evidence cannot be read: {error}")
    return records


def incidents(project: Project, drills: Iterable[str]) -> dict[str, tuple[str, Path]]:
    """Number and record of the drills that are incidents; one whose record cannot be read is left out, and told."""
    from gameday.incidents.store import RECORD, Incidents

    store = Incidents(project.reports)
    found: dict[str, tuple[str, Path]] = {}
    for drill in drills:
        try:
            stored = store.of_drill(drill)
        except (GamedayError, OSError) as error:
            _to_stderr(f"warning: the incident of {drill} cannot be read: {error}")
            continue
        if stored is not None:
            found[drill] = stored.incident.incident_id, stored.folder / RECORD
    return found


def tell(report: Report, out: Callable[[str], None]) -> None:
    """What came of it, in a few lines."""
    out(report.headline)
    for _, text in report.notices:
        out(text)
    for row in report.rows:
        name = f"{row.scenario} (surprise)" if row.surprise else row.scenario
        out(
            f"  {row.number}  {row.sign} {row.outcome:<12}  {name}: MTTD {row.mttd}, to recover {row.recovery}"
        )
    open_findings = report.open_findings
    out(f"{counted(len(report.findings), 'finding')}, {counted(len(report.actions), 'action item')}")
    if open_findings:
        out(
            f"no action item yet for finding {', '.join(open_findings)}: "
            "gameday gameday note --action --owner NAME --due DATE --finding N TEXT"
        )
    out(f"Report: {report.folder / 'report.html'}")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
