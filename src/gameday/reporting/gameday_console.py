"""A game day on the terminal: the running drill as ever, around it the day, what is asked, and the keys.

A surprise stays one: until its alert fires, or somebody has to act on it, the screen shows no more than a team on a
quiet day would see, which is phases and alerts.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import IO

from rich.text import Text

from gameday.record import DrillRecord
from gameday.reporting.console import DrillConsole, LiveStatus, status_text
from gameday.text import one_line
from gameday.timeline import Event, Kind

_SHOWN_OF_A_SURPRISE = frozenset({Kind.PHASE_STARTED, Kind.ALERT_PENDING, Kind.ALERT_LAPSED})
_REVEALING = frozenset(
    {
        Kind.RUNBOOK_STARTED,
        Kind.WATCH_ENDED,
        Kind.DETECT_ENDED,
        Kind.FAULT_FAILED,
        Kind.FAULT_INEFFECTIVE,
        Kind.STOP_CONDITION,
        Kind.DRILL_ABORTED,
        Kind.UNDO_STARTED,
        Kind.DRILL_ENDED,
    }
)
_CURSOR = "▏"


class GameDayConsole(DrillConsole):
    """Shows one game day, drill after drill; from several threads."""

    def __init__(self, stream: IO[str] | None = None, *, live: bool | None = None) -> None:
        super().__init__(stream or sys.stdout, live=live)
        self.heading = ""
        self.keys = ""
        self._body: LiveStatus | Sequence[str] = ()
        self._asked: tuple[tuple[str, str], ...] = ()
        self._announced: str | None = None
        self._surprise: str | None = None
        self._printing = threading.RLock()

    # --- what happens ---------------------------------------------------------------------------------------

    def say(self, line: str, style: str = "") -> None:
        """One line above the live region."""
        with self._printing:
            self._attempt(lambda: self._console.print(Text(one_line(line, 2000), style=style)))

    def event(self, event: Event) -> None:
        with self._printing:
            if self._surprise is not None:
                if event.kind is Kind.DRILL_STARTED:
                    self._started = event.at
                if event.kind in _REVEALING or (
                    event.kind is Kind.ALERT_FIRING and event.data.get("expected")
                ):
                    self.reveal()
                elif event.kind not in _SHOWN_OF_A_SURPRISE:
                    return
            super().event(event)

    def veil(self, scenario: str) -> None:
        """The drill that follows is a surprise, until it shows itself."""
        self._surprise = scenario

    def reveal(self) -> None:
        scenario, self._surprise = self._surprise, None
        if scenario is not None:
            self.say(f"the surprise is {scenario}", "bold magenta")

    def tick(self, status: LiveStatus) -> None:
        self._body = status if self._surprise is None else _veiled(status)
        super().tick(self._body)

    def idle(self, *lines: str) -> None:
        """What stands below while no drill runs."""
        self._body = lines
        self._refresh()

    def asked(self, prompts: Sequence[tuple[str, str]]) -> None:
        """What somebody is asked, and what was typed so far, the first being answered; drawn at once."""
        with self._printing:
            self._asked = tuple(prompts)
            label = prompts[0][0] if prompts else None
            if not self.live and label is not None and label != self._announced:
                self.say(f"? {label} > ")
            self._announced = label
            self._refresh()

    def finish(self, record: DrillRecord) -> None:
        with self._printing:
            self.reveal()
            super().finish(record)

    def close(self) -> None:
        with self._printing, self._drawing:
            super().close()

    # --- the live region ------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        if not self.live:
            return
        with self._printing, self._drawing:
            self._attempt(self._redraw)

    def _draw(self, status: LiveStatus) -> None:
        del status  # it is the body
        self._redraw()

    def _redraw(self) -> None:
        width = self._console.width
        rows = [Text(one_line(self.heading, 300), style="bold")] if self.heading else []
        body = self._body
        if isinstance(body, LiveStatus):
            rows.append(status_text(body, width))
        else:
            rows += [Text(one_line(line, 300)) for line in body]
        for index, (label, buffer) in enumerate(self._asked):
            if index == 0:
                rows.append(Text.assemble((f"? {one_line(label, 1000)} > ", "bold yellow"), buffer, _CURSOR))
            else:
                rows.append(Text(f"  then: {one_line(label, 200)}", style="yellow"))
        if self.keys and not self._asked:
            rows.append(Text(self.keys, style="dim"))
        for row in rows:
            if not row.plain.startswith("?"):
                _cut(row, width)
        self._put(Text("\n").join(rows))


def _cut(row: Text, width: int) -> None:
    if "\n" not in row.plain:
        row.truncate(max(width - 1, 1), overflow="ellipsis")


def _veiled(status: LiveStatus) -> LiveStatus:
    """Without what would tell: the probes that this drill samples, and the alert that it waits for."""
    loud = tuple(alert for alert in status.alerts if alert[1] != "inactive")
    return replace(status, alerts=loud, probes=(), step=None)
