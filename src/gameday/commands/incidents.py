"""`gameday incident`: records of failed drills, and what is made of them."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.errors import UsageError
from gameday.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable

    from gameday.incidents.model import Incident, Response, SeverityName
    from gameday.incidents.store import Incidents, Stored
    from gameday.record import DrillRecord

_POST_MORTEMS = Path("docs") / "post-mortems"
_TITLE_LIMIT = 60


def note_failure(record: DrillRecord, project: Project, say: Callable[[str], None]) -> None:
    """Make a drill that failed an incident, and say which. Whatever goes wrong is a warning: the verdict stands."""
    from gameday.verdict import Outcome

    if record.verdict.outcome is not Outcome.FAIL or not record.complete:
        return
    try:
        stored, new = _create(_incidents(project), record, record.folder)
    except Exception as error:  # noqa: BLE001 - a verdict must not depend on its paperwork, however that breaks
        say(f"warning: no incident record: {error}; `gameday incident create {record.folder.name}` writes it")
        return
    if new:
        say(f"incident: {stored.incident.incident_id} ({stored.incident.severity}): {stored.folder}")


def create(drill: str, affected_tenants: int | None, *, as_json: bool) -> None:
    """Make any drill an incident; one that is one already stays what it is.

    Raises:
        UsageError: there is no such drill.
        IncidentError: it cannot be written.
    """
    project = Project.find()
    stored, new = _create_of(project, _incidents(project), drill, affected_tenants)
    if not new:
        print(f"{stored.response.drill} is {stored.incident.incident_id} already", file=sys.stderr)
    _print(stored, as_json=as_json)


def create_failed(since: datetime | None, *, as_json: bool) -> int:
    """Make every drill of the history that failed an incident, the oldest first, and print those that are new.

    Drills that ended where no records are kept, as in a cluster, need it. Returns 3 when one could not be made.

    Raises:
        HistoryError: the history cannot be read.
    """
    from gameday.errors import GamedayError
    from gameday.history import History
    from gameday.reporting.incident_view import incident_values, print_incidents

    project = Project.find()
    incidents = _incidents(project)
    with History.open(project) as index:
        failed = [row.drill for row in reversed(index.drills(limit=None, verdict="FAIL", since=since))]
    made: list[Stored] = []
    problems: list[str] = []
    for drill in failed:
        try:
            if incidents.of_drill(drill) is None:
                stored, new = _create_of(project, incidents, drill)
                made += [stored] if new else []
        except (GamedayError, OSError) as error:
            problems.append(f"warning: no incident record of {drill}: {error}")
    if as_json:
        print(json.dumps([incident_values(one) for one in made], ensure_ascii=False, indent=2))
    else:
        print_incidents(made)
    were = len(failed) - len(made) - len(problems)
    print(f"{len(failed)} drills failed; {were} were incidents already, {len(made)} are now", file=sys.stderr)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 3 if problems else 0


def _create_of(
    project: Project, incidents: Incidents, drill: str, affected_tenants: int | None = None
) -> tuple[Stored, bool]:
    from gameday.commands.stored import evidence
    from gameday.record import load_record

    with evidence(drill) as (folder, shown):
        lies = shown if shown.is_dir() else project.reports / shown.name
        return _create(incidents, load_record(folder), lies, affected_tenants)


def _create(
    incidents: Incidents, record: DrillRecord, lies: Path, affected_tenants: int | None = None
) -> tuple[Stored, bool]:
    """`lies` is where the evidence stays, which may have been fetched from a database for a moment."""
    from gameday.incidents.build import build
    from gameday.incidents.store import probes_of

    probes = probes_of(record.folder)

    def make(incident_id: str, folder: Path) -> tuple[Incident, Response]:
        return build(record, incident_id, os.path.relpath(lies, folder), probes, affected_tenants)

    return incidents.create(record.drill, record.started.utc, make)


def list_all(limit: int, severity: str | None, *, as_json: bool) -> None:
    """Print incidents, the newest first; those that cannot be read are named on standard error."""
    from gameday.incidents.store import Stored
    from gameday.reporting.incident_view import incident_values, print_incidents

    incidents = _incidents(Project.find())
    everything = list(incidents.all())
    readable = [one for one in everything if isinstance(one, Stored)]
    found = [one for one in readable if severity is None or one.incident.severity == severity][:limit]
    if as_json:
        print(json.dumps([incident_values(one) for one in found], ensure_ascii=False, indent=2))
    else:
        print_incidents(found)
    for problem in everything:
        if not isinstance(problem, Stored):
            print(f"warning: {problem}", file=sys.stderr)


def show(reference: str, *, as_json: bool, record_only: bool) -> None:
    """Print one incident; with `record_only`, the record that others' tools read and nothing else."""
    stored = _incidents(Project.find()).find(reference)
    if record_only:
        print((stored.folder / "incident.json").read_text(encoding="utf-8"), end="")
        return
    _print(stored, as_json=as_json)


def _print(stored: Stored, *, as_json: bool) -> None:
    from gameday.reporting.incident_view import incident_values, print_incident

    if as_json:
        print(json.dumps(incident_values(stored), ensure_ascii=False, indent=2))
    else:
        print_incident(stored)


def report(drill: str, *, as_json: bool) -> None:
    """Print a drill, and the incident that it is; or that it is none, and the latest one that there is."""
    from gameday.commands import stored as drills
    from gameday.incidents.store import Stored
    from gameday.record import load_record
    from gameday.reporting.console import DrillConsole
    from gameday.reporting.document import json_text, verdict_document
    from gameday.reporting.incident_view import incident_values, print_incident

    incidents = _incidents(Project.find())
    with drills.evidence(drill) as (folder, shown):
        record = load_record(folder)
        found = incidents.of_drill(record.drill)
        if as_json:
            incident = None if found is None else incident_values(found)
            print(json_text({"drill": verdict_document(record), "incident": incident}), end="")
            return
        console = DrillConsole(sys.stdout)
        console.finish(replace(record, folder=shown))
        console.close()
    print()
    if found is not None:
        print_incident(found)
        return
    latest = next((one for one in incidents.all() if isinstance(one, Stored)), None)
    more = (
        ""
        if latest is None
        else f" The latest is {latest.incident.incident_id}, of drill {latest.response.drill}."
    )
    print(f"Incident: none. Only a drill that failed becomes one, or by `gameday incident create`.{more}")


@dataclass(frozen=True, slots=True)
class Draft:
    """What is asked for of a post-mortem; None is asked on a terminal, and the incident's own elsewhere."""

    reference: str | None
    title: str | None
    folder: Path | None = None
    again: bool = False


def post_mortem(draft: Draft) -> None:
    """Write the draft of a post-mortem, and print where.

    Raises:
        UsageError: there is no such incident or its drill is gone; or the draft is there already.
    """
    from gameday.commands.stored import evidence
    from gameday.incidents.people import with_draft
    from gameday.record import load_record
    from gameday.reporting.postmortem import post_mortem as render
    from gameday.reporting.write import write_text

    project = Project.find()
    incidents = _incidents(project)
    stored = incidents.find(draft.reference or _asked("Incident ID", "latest"))
    title = draft.title or _asked("Incident title", stored.incident.title)
    path = (draft.folder or project.root / _POST_MORTEMS) / f"{stored.incident.incident_id}-{_slug(title)}.md"
    if path.exists() and not draft.again:
        raise UsageError(f"{path} is there already, and may have been edited; --again writes it anew")
    here = stored.evidence
    with evidence(str(here) if (here / "timeline.jsonl").exists() else stored.response.drill) as (folder, _):
        record = load_record(folder)
        drafted = incidents.change(stored, lambda response: with_draft(response, datetime.now(UTC)))
        text = render(drafted, record, title, path, project.root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}") from error
    print(path)


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says that people did: a duty, or `classify`; `at` as `--at` takes it."""

    what: str
    at: str | None
    by: str | None
    severity: SeverityName | None = None
    note: str | None = None


def log(reference: str, said: Said, *, as_json: bool) -> None:
    """Write down what people did about an incident, and print it as it is now.

    Raises:
        UsageError: there is no such incident, or nobody can have done that then.
    """
    from gameday.incidents.model import LogNote
    from gameday.incidents.people import CLASSIFY, with_entry

    if said.severity is not None and said.what != CLASSIFY:
        raise UsageError(f"--severity: what an incident was taken for belongs to `{CLASSIFY}`")
    at, now = _instant(said.at)
    entry = LogNote(what=said.what, at=at, by=said.by, severity=said.severity, note=said.note)
    _change(reference, lambda response: with_entry(response, entry, now), as_json=as_json)


def done(reference: str, number: int, at: str | None, by: str | None, *, as_json: bool) -> None:
    """Mark an action item as done.

    Raises:
        UsageError: there is no such incident or no such item, or nobody can have done it then.
    """
    from gameday.incidents.people import with_done

    when, now = _instant(at)
    _change(reference, lambda response: with_done(response, number, when, by, now), as_json=as_json)


def _instant(at: str | None) -> tuple[datetime, datetime]:
    """What `--at` means, and now."""
    from gameday.commands.since import parse_since

    now = datetime.now(UTC)
    return (now if at is None else parse_since(at, now, "--at")), now


def _change(reference: str, how: Callable[[Response], Response], *, as_json: bool) -> None:
    incidents = _incidents(Project.find())
    stored = incidents.find(reference)
    try:
        stored = incidents.change(stored, how)
    except ValueError as error:
        raise UsageError(f"{stored.incident.incident_id}: {error}") from error
    _print(stored, as_json=as_json)


def action_items(*, overdue: bool, as_json: bool) -> None:
    """Print what is still to be done about all incidents, what is due first at the top."""
    from gameday.incidents.people import open_items
    from gameday.incidents.store import Stored
    from gameday.reporting.incident_view import OpenItem, open_items_values, print_open_items

    now = datetime.now(UTC)
    found = [
        OpenItem(one.incident.incident_id, number, item, overdue=item.due < now)
        for one in _incidents(Project.find()).all()
        if isinstance(one, Stored)
        for number, item in open_items(one.response)
        if not overdue or item.due < now
    ]
    found.sort(key=lambda one: (one.item.due, one.incident_id, one.number))
    if as_json:
        print(json.dumps(open_items_values(found), ensure_ascii=False, indent=2))
    else:
        print_open_items(found)


def _asked(what: str, default: str) -> str:
    """What a person answers; the default where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return default
    print(f"{what} [{default}]: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or default


def _slug(title: str) -> str:
    """`postgresql-dies-under-load`: for the name of a file."""
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")[:_TITLE_LIMIT].strip("-") or "untitled"


def severities(*, as_json: bool) -> None:
    """Print the table of severities."""
    from gameday.reporting.incident_view import print_severities, severities_values

    if as_json:
        print(json.dumps(severities_values(), ensure_ascii=False, indent=2))
    else:
        print_severities()


def _incidents(project: Project) -> Incidents:
    from gameday.incidents.store import Incidents

    return Incidents(project.reports)
