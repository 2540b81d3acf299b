"""The drill calendar: on a terminal, in a pipe and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import IO, Any

from rich import box
from rich.table import Table
from rich.text import Text

from gameday.drill_calendar import Entry, Run
from gameday.reporting.terminal import console_for
from gameday.schedule import span_text
from gameday.text import one_line

NEVER = "never"
_WIDE = 110


def print_calendar(entries: Sequence[Entry], title: str, stream: IO[str] | None = None) -> None:
    """A table on a terminal, tab-separated lines elsewhere; to stdout where no stream is given."""
    stream = stream or sys.stdout
    console = console_for(stream, live=stream.isatty())
    if console.is_terminal:
        console.print(title, soft_wrap=True)
        console.print(_table(entries, console.width), soft_wrap=False)
    else:
        stream.write(calendar_lines(entries) + "\n")


def calendar_lines(entries: Sequence[Entry]) -> str:
    """One line an entry, so that `cut`, `sort` and `grep` work."""
    head = "drill\tscenario\tlast_run\tverdict\tlast_pass\tdue\toverdue\tstale\tpass_good_for"
    return "\n".join([head, *("\t".join(_cells(entry)) for entry in entries)])


def calendar_values(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Every entry as plain data: instants as ISO 8601 in UTC, null for what never happened."""
    return [
        {
            "drill": entry.appointment,
            "title": entry.title,
            "scenario": entry.scenario,
            "every": entry.every,
            "cron": entry.cron,
            "last_run": _run(entry.known.run),
            "last_pass": _run(entry.known.passed),
            "last_rehearsal": _run(entry.known.rehearsal),
            "due": entry.due.isoformat(),
            "overdue": entry.overdue,
            "pass_good_for_s": entry.good_for.total_seconds(),
            "pass_good_until": entry.good_until.isoformat() if entry.good_until else None,
            "stale": entry.stale,
        }
        for entry in entries
    ]


def problems(entries: Sequence[Entry]) -> list[str]:
    """What is not as the schedule wants it, one sentence each; a scenario that is stale is named once."""
    found: dict[str, None] = {}
    for entry in entries:
        if entry.overdue:
            found[f"{entry.scenario} is overdue since {_minute(entry.due)} ({entry.appointment})"] = None
        if entry.stale:
            last = entry.known.passed
            good_for = span_text(entry.good_for)
            when = f"its last PASS was {_minute(last.started)}" if last else "it never passed at real speed"
            found[f"{entry.scenario} is stale: {when}, and a PASS is good for {good_for}"] = None
    return list(found)


def _table(entries: Sequence[Entry], width: int) -> Table:
    wide = width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1 if wide else 0, 0, 0))
    table.add_column("Drill", overflow="fold")
    if wide:
        table.add_column("Scenario", overflow="fold")
    for name in ("Last run", "Last PASS", "Next due"):
        table.add_column(name, no_wrap=True)
    table.add_column("State", overflow="fold")
    before = ""
    for entry in entries:
        name = "" if wide and entry.appointment == before else entry.appointment
        before = entry.appointment
        what = (name, one_line(entry.scenario, 80))
        table.add_row(
            *map(Text, what if wide else ["\n".join(what)]),
            Text(_shown(entry.known.run)),
            Text(_shown(entry.known.passed)),
            Text(_minute(entry.due)),
            _state(entry),
        )
    return table


def _state(entry: Entry) -> Text:
    """With a sign beside each colour: they must be told apart without seeing colours."""
    words = [word for word, holds in (("overdue", entry.overdue), ("stale", entry.stale)) if holds]
    if not words:
        return Text("\u2713 kept", style="green")
    return Text(f"\u2717 {', '.join(words)}", style="bold red")


def _cells(entry: Entry) -> list[str]:
    run, passed = entry.known.run, entry.known.passed
    return [
        entry.appointment,
        one_line(entry.scenario),
        _second(run.started) if run else NEVER,
        (run.verdict or "not known") if run else "-",
        _second(passed.started) if passed else NEVER,
        _second(entry.due),
        _word(entry.overdue),
        _word(entry.stale),
        span_text(entry.good_for),
    ]


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _shown(run: Run | None) -> str:
    if run is None:
        return NEVER
    return f"{run.started:%Y-%m-%d} {run.verdict or ''}".strip()


def _run(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {"started": run.started.isoformat(), "verdict": run.verdict, "drill": run.drill}


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"


def _second(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")
