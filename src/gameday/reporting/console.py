"""The drill on the terminal while it runs: what happened above, where it stands below.

On a terminal the last lines are a live region; elsewhere (a pipe, a CI log, `TERM=dumb`) each event is one plain
line and nothing is ever redrawn. Watching must not disturb the drill: refreshes are rare, and a reader who goes
away (a closed pipe) silences the view instead of ending the drill.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from rich.live import Live
from rich.text import Text

from gameday.clock import Instant
from gameday.fields import format_duration
from gameday.record import DrillRecord
from gameday.reporting import console_final
from gameday.reporting.sentences import BAD, GOOD, sentence, tone
from gameday.reporting.terminal import Shown, can_redraw, console_for
from gameday.text import one_line
from gameday.timeline import Event, Kind, Phase

REFRESH_S = 0.25
_PHASES = tuple(Phase)
_SILENT = frozenset({Kind.UNDO_STARTED, Kind.TARGET_ASKED, Kind.DRILL_ENDED})
_COLOURS = {"firing": "bold red", "pending": "yellow", "unknown": "magenta", GOOD: "green", BAD: "bold red"}


@dataclass(frozen=True, slots=True)
class StepStatus:
    """The runbook step that is being executed."""

    heading: str
    budget_s: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """Where a running drill stands. Times in seconds; `since_effect_s` is None before the fault took effect."""

    phase: Phase
    phase_elapsed_s: float
    phase_budget_s: float | None
    since_effect_s: float | None
    rto_s: float | None
    """None where nothing has to recover (a control)."""
    alerts: tuple[tuple[str, str, float | None], ...]
    """Name, state and for how long: the expected alert first."""
    probes: tuple[tuple[str, bool | None, str], ...]
    """Name, whether the last sample held (None before the first), its detail."""
    step: StepStatus | None = None
    recovered_s: float | None = None
    """Time to recover, once the service is back: the RTO clock has stopped there."""


class DrillConsole(Shown):
    """Shows one drill. Give it stderr where stdout must stay clean (`--output json`)."""

    def __init__(self, stream: IO[str] | None = None, *, live: bool | None = None) -> None:
        self._stream = stream or sys.stdout
        self.live = can_redraw(self._stream) if live is None else live
        self._console = console_for(self._stream, live=self.live)
        self._region: Live | None = None
        self._started: Instant | None = None
        self._last = float("-inf")
        self._drawing = threading.RLock()
        self._paused = False

    def event(self, event: Event) -> None:
        """One line for what happened, with the time since the start of the drill."""
        if event.kind is Kind.DRILL_STARTED:
            self._started = event.at
            self._attempt(lambda: self._head(event))
        elif event.kind not in _SILENT:
            self._attempt(lambda: self._console.print(self._line(event)))

    def tick(self, status: LiveStatus) -> None:
        """Redraw the live region, at most each `REFRESH_S`; nothing where it cannot be redrawn."""
        now = time.monotonic()
        if not self.live or now - self._last < REFRESH_S:
            return
        self._last = now
        with self._drawing:
            if not self._paused:
                self._attempt(lambda: self._draw(status))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No live region while somebody is asked on the same terminal; from any thread."""
        with self._drawing:
            self._paused = True
            self.close()
        try:
            yield
        finally:
            self._paused = False

    def finish(self, record: DrillRecord) -> None:
        """Close the live region and show the verdict."""
        self.close()
        self._attempt(lambda: console_final.show(self._console, record))

    def close(self) -> None:
        """Give the terminal back; for a drill that ends without a record. Harmless when called twice."""
        if self._region is not None:
            self._attempt(self._region.stop)
            self._region = None

    def _draw(self, status: LiveStatus) -> None:
        self._put(status_text(status, self._console.width))

    def _put(self, text: Text) -> None:
        """Redraw the live region as this."""
        if self._region is None:
            self._region = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._region.start()
            self._console.show_cursor(True)  # a runner that is killed must not leave a terminal without one
        self._region.update(text, refresh=True)

    def _head(self, event: Event) -> None:
        data, speed = event.data, float(event.data.get("speed") or 1)
        where = data.get("instance") or data.get("environment")
        self._console.print(Text(one_line(f"Drill {data.get('scenario')} in {where}", 500), style="bold"))
        self._console.print(
            Text(one_line(f"{data.get('drill')}, started {event.at.utc:%Y-%m-%d %H:%M:%S} UTC", 500))
        )
        if speed != 1:
            self._console.print(Text(f"rehearsal at {speed:g} times speed", style="bold yellow"))

    def _line(self, event: Event) -> Text:
        since = event.at - self._started if self._started else 0.0
        text = Text(f"{since:9.2f} s  ", style="dim", end="")
        if event.kind is Kind.PHASE_STARTED:
            number = _PHASES.index(event.phase) + 1
            return text.append(
                f"{number}/{len(_PHASES)} {event.phase.value}: {sentence(event)}", style="not dim bold"
            )
        return text.append(f"  {sentence(event)}", style=f"not dim {_COLOURS.get(tone(event), '')}".strip())


def status_text(status: LiveStatus, width: int) -> Text:
    """The live region: at most a dozen short lines, cheap to draw (plain text, no tables)."""
    number = _PHASES.index(status.phase) + 1
    budget = _against(status.phase_elapsed_s, status.phase_budget_s)
    rows = [
        Text("─" * min(width, 72), style="dim"),
        Text.assemble((f"{number}/{len(_PHASES)} {status.phase.value}", "bold"), f"  {budget}"),
        _rto(status),
    ]
    if status.step is not None:
        step = status.step
        late = step.elapsed_s > step.budget_s
        spent = _against(step.elapsed_s, step.budget_s)
        rows.append(
            Text.assemble(f"step “{one_line(step.heading, 200)}”  ", (spent, "bold red" if late else ""))
        )
    for name, state, since_s in status.alerts[:6]:
        held = f" for {since_s:.1f} s" if since_s is not None else ""
        rows.append(
            Text.assemble(f"alert {one_line(name, 100)}  ", (state.upper(), _COLOURS.get(state, "")), held)
        )
    for name, ok, detail in status.probes[:6]:
        mark, style = ("…", "dim") if ok is None else ("✓ holds", "green") if ok else ("✗ FAILS", "bold red")
        rows.append(
            Text.assemble(f"probe {one_line(name, 60)}  ", (mark, style), f"  {one_line(detail, 200)}")
        )
    for row in rows:
        row.truncate(max(width - 1, 1), overflow="ellipsis")
    return Text("\n", no_wrap=True).join(rows)


def _rto(status: LiveStatus) -> Text:
    if status.rto_s is None:
        return Text("a control: no alert may fire", style="dim")
    if status.since_effect_s is None:
        return Text(
            f"RTO {format_duration(status.rto_s)}: the clock starts when the fault takes effect", style="dim"
        )
    if status.recovered_s is not None:
        return Text(
            f"recovered after {status.recovered_s:.1f} s, RTO {format_duration(status.rto_s)}", style="green"
        )
    left = status.rto_s - status.since_effect_s
    style = "bold red" if left < 0 else "bold"
    rest = f"{left:.1f} s left" if left >= 0 else f"{-left:.1f} s over"
    return Text.assemble(
        f"RTO {_bar(status.since_effect_s / status.rto_s)} {_against(status.since_effect_s, status.rto_s)}, ",
        (rest, style),
    )


def _against(elapsed_s: float, budget_s: float | None) -> str:
    return f"{elapsed_s:.1f} s" + (
        f" of {format_duration(round(budget_s, 3))}" if budget_s is not None else ""
    )


def _bar(share: float, cells: int = 16) -> str:
    full = max(0, min(cells, round(share * cells)))
    return "█" * full + "░" * (cells - full)
