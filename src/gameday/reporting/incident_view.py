"""Incidents on a terminal, in a pipe and as JSON; and the table of severities."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gameday.incidents.model import NOT_MEASURED, ActionNote, DeadlineNote, ImpactNote, LogNote, utc_text
from gameday.incidents.severities import RANKS, Ask, Duty, asks, levels, named
from gameday.incidents.store import RECORD, Stored
from gameday.reporting.terminal import SIGNS, console_for
from gameday.schedule import span_text
from gameday.text import one_line

_COLOURS = {"SEV-1": "bold red", "SEV-2": "red", "SEV-3": "yellow", "SEV-4": "cyan"}
_KEPT = {"met": SIGNS["met"], "missed": SIGNS["missed"], NOT_MEASURED: SIGNS["unknown"]}
_KEPT_COLOURS = {"met": "green", "missed": "bold red", NOT_MEASURED: "yellow"}


def when(instant: datetime | None) -> str:
    """As the record has it, or that it was not measured."""
    return NOT_MEASURED if instant is None else utc_text(instant)


def share_text(impact: ImpactNote) -> str:
    return NOT_MEASURED if impact.users_share is None else f"{impact.users_share:.1%}"


def duration_text(impact: ImpactNote) -> str:
    """`17.6s`; where it did not recover, how long that was watched."""
    if impact.recovered_after_s is not None:
        return _span(impact.recovered_after_s)
    if impact.lasted_s is not None:
        return f"at least {_span(impact.lasted_s)}: not recovered meanwhile"
    return NOT_MEASURED


def loss_text(impact: ImpactNote) -> str:
    if impact.records_lost is None:
        return NOT_MEASURED
    if not impact.records_lost:
        return "no record lost"
    records = "1 record" if impact.records_lost == 1 else f"{impact.records_lost} records"
    age = "" if impact.data_loss_s is None else f", the oldest {impact.data_loss_s:.2f} s before the fault"
    return f"{records} lost{age}"


def asked_text(deadline: DeadlineNote) -> str:
    if deadline.within_s is None:
        return deadline.words
    span = _span(deadline.within_s)
    return f"within {span}" if deadline.due else span


def said_text(entry: LogNote) -> str:
    """`2026-03-02T09:14:30Z  tell customers, by Ana: by mail`."""
    severity = f" as {entry.severity}" if entry.severity else ""
    by = f", by {entry.by}" if entry.by else ""
    note = f": {entry.note}" if entry.note else ""
    return f"{utc_text(entry.at)}  {entry.what}{severity}{by}{note}"


def item_text(item: ActionNote) -> str:
    """`owner payments, due 2026-03-09`, and whether it is done."""
    text = f"owner {item.owner}, due {item.due:%Y-%m-%d}"
    if item.done_at is None:
        return text
    return f"{text}, done {item.done_at:%Y-%m-%d}" + (f" by {item.done_by}" if item.done_by else "")


def _span(seconds: float) -> str:
    """`17.6s`, `5m7s`, `7d`: as exact as people read it."""
    return span_text(timedelta(seconds=round(seconds, 1 if seconds < 120 else None)))


def print_incident(stored: Stored, stream: IO[str] | None = None) -> None:
    """The whole record for people."""
    stream = stream or sys.stdout
    console = console_for(stream, live=stream.isatty())
    incident, response = stored.incident, stored.response
    style = _COLOURS[incident.severity]
    console.print(
        Text.assemble((f"{incident.incident_id}  {incident.severity}", style), f"  {incident.title}")
    )
    if response.rehearsal:
        console.print(
            Text(f"{response.rehearsal}: its figures are no evidence for real objectives", style="yellow")
        )
    console.print()
    impact = response.impact
    rows = [
        ("Severity", "; ".join(response.severity.because)),
        ("Called", ", ".join(f"{name} ({source})" for source, name in response.severity.called.items())),
        ("Declared", f"{response.severity.declared} by scenario {response.scenario}"),
        ("Detected", when(incident.detected_at)),
        ("Resolved", when(incident.resolved_at)),
        ("Users affected", share_text(impact)),
        ("Lasted", duration_text(impact)),
        ("Data loss", loss_text(impact)),
        (
            "Tenants affected",
            NOT_MEASURED if incident.affected_tenants is None else str(incident.affected_tenants),
        ),
        ("Root cause", incident.root_cause),
        ("Resolution", incident.resolution),
    ]
    for name, value in rows:
        console.print(Text(f"{name:<18}{one_line(value, 1000)}"))
    _section(
        console, "Lifecycle", (f"{one.phase:<14}{when(one.at):<22}{one.detail}" for one in response.lifecycle)
    )
    _deadlines(console, response.deadlines)
    if response.log:
        _section(console, "Said by people", map(said_text, response.log))
    todo = [
        f"{number}. [{one.priority}] {one.action} ({item_text(one)})"
        for number, one in enumerate(response.action_items, 1)
    ]
    _section(console, "Action items", todo or ["none"])
    console.print()
    console.print(Text(f"Record: {one_line(stored.folder / RECORD)}"))
    gone = "" if stored.evidence.is_dir() else " (gone)"
    console.print(Text(f"Drill:  {one_line(response.drill)}{gone}"))


def _section(console: Console, title: str, rows: Iterable[str]) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    for row in rows:
        console.print(Text(f"  {one_line(row, 1000)}"))


def _deadlines(console: Console, deadlines: Sequence[DeadlineNote]) -> None:
    console.print()
    console.print(Text("Deadlines", style="bold"))
    for one in deadlines:
        due = f"by {utc_text(one.due)}" if one.due else ""
        sign = (f"  {_KEPT[one.result]} {one.result:<14}", _KEPT_COLOURS[one.result])
        console.print(
            Text.assemble(sign, f"{one.duty:<31}{asked_text(one):<24}{due:<24}{one.source}".rstrip())
        )


def incident_values(stored: Stored) -> dict[str, Any]:
    """The record, and what gameday knows beside it, as plain data."""
    return {
        "incident": stored.incident.model_dump(mode="json"),
        "response": stored.response.model_dump(mode="json"),
        "folder": os.fspath(stored.folder),
    }


def print_incidents(found: Sequence[Stored], stream: IO[str] | None = None) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    stream = stream or sys.stdout
    console = console_for(stream, live=stream.isatty())
    if not console.is_terminal:
        head = "incident\tseverity\tdetected_at\tresolved_at\tusers_share\tverdict\tdrill\ttitle"
        stream.write("\n".join([head, *("\t".join(_cells(one)) for one in found)]) + "\n")
        return
    if not found:
        console.print("no incidents yet")
        return
    table = _table("Incident", "Severity", "Detected (UTC)", "Lasted", "Users", text="Title")
    for one in found:
        impact, incident = one.response.impact, one.incident
        detected = f"{incident.detected_at:%Y-%m-%d %H:%M}" if incident.detected_at else NOT_MEASURED
        lasted = NOT_MEASURED if impact.lasted_s is None else _span(impact.lasted_s)
        table.add_row(
            Text(incident.incident_id),
            Text(incident.severity, style=_COLOURS[incident.severity]),
            *map(Text, (detected, lasted, share_text(impact), incident.title)),
        )
    console.print(table, soft_wrap=False)


def _table(*names: str, text: str) -> Table:
    """Columns that stay on one line, and a last one of text that is folded."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    table.add_column(text, overflow="fold")
    return table


def _cells(one: Stored) -> list[str]:
    incident, share = one.incident, one.response.impact.users_share
    return [
        incident.incident_id,
        incident.severity,
        when(incident.detected_at),
        when(incident.resolved_at),
        NOT_MEASURED if share is None else f"{share:.4f}",
        one.response.verdict,
        one.response.drill,
        one_line(incident.title),
    ]


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An action item that is not done, and whose incident it is of."""

    incident_id: str
    number: int
    item: ActionNote
    overdue: bool


def print_open_items(found: Sequence[OpenItem], stream: IO[str] | None = None) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    stream = stream or sys.stdout
    console = console_for(stream, live=stream.isatty())
    if not console.is_terminal:
        head = "incident\titem\tdue\toverdue\tpriority\towner\taction"
        rows = [
            f"{one.incident_id}\t{one.number}\t{one.item.due:%Y-%m-%d}\t{'yes' if one.overdue else 'no'}\t"
            f"{one.item.priority}\t{one_line(one.item.owner)}\t{one_line(one.item.action)}"
            for one in found
        ]
        stream.write("\n".join([head, *rows]) + "\n")
        return
    if not found:
        console.print("no open action items")
        return
    table = _table("Incident", "Item", "Due", "Owner", text="Action")
    for one in found:
        due = Text(f"{one.item.due:%Y-%m-%d}", style="bold red" if one.overdue else "")
        action = f"[{one.item.priority}] {one_line(one.item.action)}"
        table.add_row(
            Text(one.incident_id), Text(str(one.number)), due, Text(one_line(one.item.owner)), Text(action)
        )
    console.print(table, soft_wrap=False)


def open_items_values(found: Sequence[OpenItem]) -> list[dict[str, Any]]:
    return [
        {
            "incident": one.incident_id,
            "item": one.number,
            "overdue": one.overdue,
            **one.item.model_dump(mode="json", include={"action", "owner", "due", "priority"}),
        }
        for one in found
    ]


# --- the table of severities --------------------------------------------------------------------------------


def print_severities(stream: IO[str] | None = None) -> None:
    """Rank by rank: what each team calls it, and everything that each asks, with its source."""
    stream = stream or sys.stdout
    console = console_for(stream, live=stream.isatty())
    for rank in RANKS:
        console.print(Text(named(rank), style=_COLOURS[named(rank)]))
        for level in levels(rank):
            share = f", {level.share} of users" if level.share else ""
            console.print(Text(f"  {level.name:<6} {level.definition}{share}  [{level.source}]"))
        for duty in Duty:
            for ask in asks(rank, duty):
                console.print(Text(f"    {duty:<31} {_time(ask):<24} [{ask.source}]"))
        console.print()


def _time(ask: Ask) -> str:
    return ask.words if ask.within_s is None else _span(ask.within_s)


def severities_values() -> list[dict[str, Any]]:
    return [
        {
            "rank": rank,
            "severity": named(rank),
            "levels": [
                {
                    "source": level.source.value,
                    "name": level.name,
                    "definition": level.definition,
                    "examples": level.examples,
                    "share": level.share,
                }
                for level in levels(rank)
            ],
            "asks": [
                {"source": ask.source.value, "duty": duty.value, "within_s": ask.within_s, "words": ask.words}
                for duty in Duty
                for ask in asks(rank, duty)
            ],
        }
        for rank in RANKS
    ]
