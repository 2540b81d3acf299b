"""Several drills on a terminal: a table that is redrawn while they run, and the table of what came of them.

Elsewhere (a pipe, a CI log) each drill is one plain line when it starts and one when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rich import box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gameday.reporting.batch import NOT_RUN, DrillResult, RunSummary
from gameday.reporting.terminal import Shown, can_redraw, console_for
from gameday.text import one_line

_COLOURS = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow", NOT_RUN: "dim"}
_FIGURES = ("MTTD", "To recover")


class BatchConsole(Shown):
    """Shows one run. A reader who goes away silences the view and ends no drill."""

    def __init__(self, stream: IO[str], scenarios: Sequence[str], *, live: bool | None = None) -> None:
        self.live = can_redraw(stream) if live is None else live
        self._stream = stream
        self._console = console_for(stream, live=self.live)
        self._rows: dict[str, DrillResult | float | None] = dict.fromkeys(scenarios)
        self._region: Live | None = None

    def started(self, scenario: str, instance: str, log: Path) -> None:
        self._rows[scenario] = time.monotonic()
        self._line(Text(f"start  {scenario} in {instance}, log {log}"))

    def ended(self, result: DrillResult) -> None:
        self._rows[result.scenario] = result
        style = _COLOURS.get(result.outcome, "")
        text = Text.assemble((f"{result.sign} {result.outcome}", style), f"  {result.scenario}")
        if result.exit_code is not None:
            text.append(f"  MTTD {result.shown('mttd')}, recovered after {result.shown('time_to_recover')}")
        if result.duration_s is not None:
            text.append(f"  ({result.duration_s:.0f} s)")
        self._line(text)

    def say(self, line: str) -> None:
        self._line(Text(one_line(line)))

    def tick(self) -> None:
        """Redraw, on a terminal."""
        if self.live:
            self._attempt(self._draw)

    def finish(self, run: RunSummary) -> None:
        """The last table, and where its documents are."""
        self.close()
        self._attempt(lambda: self._show(run))

    def close(self) -> None:
        if self._region is not None:
            self._attempt(self._region.stop)
            self._region = None

    def _line(self, text: Text) -> None:
        self._attempt(lambda: self._console.print(text))

    def _draw(self) -> None:
        if self._region is None:
            self._region = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._region.start()
            self._console.show_cursor(True)
        table = _table("Scenario", "State")
        for scenario, row in self._rows.items():
            state = Text("waiting", style="dim")
            if isinstance(row, float):
                state = Text(f"running for {time.monotonic() - row:.0f} s", style="bold")
            elif row is not None:
                state = Text(f"{row.sign} {row.outcome}", style=_COLOURS.get(row.outcome, ""))
            table.add_row(Text(scenario), state)
        self._region.update(table, refresh=True)

    def _show(self, run: RunSummary) -> None:
        self._console.print()
        self._console.print(Text(run.headline, style="bold"))
        for notice in run.notices:
            self._console.print(Text(one_line(notice), style="bold yellow"))
        table = _table("Scenario", "Verdict", *_FIGURES, "Why", "Report")
        for drill in run.drills:
            table.add_row(
                Text(drill.scenario),
                Text(f"{drill.sign} {drill.outcome}", style=_COLOURS.get(drill.outcome, "")),
                Text(drill.shown("mttd")),
                Text(drill.shown("time_to_recover")),
                Text(drill.short_reason),
                Text(drill.record.folder.name if drill.record else "-"),
            )
        self._console.print(table, soft_wrap=not self.live)
        self._console.print(Text(f"Report: {one_line(run.folder / 'summary.md')}"))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        right = name in _FIGURES
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "Why", overflow="fold")
    return table
