"""Drills that a cluster carries out, for people: a line as each ends, then the table of all; or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from rich import box
from rich.table import Table
from rich.text import Text

from gameday.reporting.batch import worst
from gameday.reporting.terminal import SIGNS, Shown, can_redraw, console_for
from gameday.text import one_line

_COLOURS = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}
_OUTCOMES = {0: "PASS", 1: "FAIL"}
NOT_MEASURED = "-"


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came of one drill."""

    scenario: str
    exit_code: int
    """INCONCLUSIVE where the drill said none."""
    duration_s: float | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def outcome(self) -> str:
        return str(self.said.get("verdict") or _OUTCOMES.get(self.exit_code, "INCONCLUSIVE"))

    @property
    def reasons(self) -> tuple[str, ...]:
        told = self.said.get("reasons")
        return tuple(map(str, told if isinstance(told, list) else ())) or ((self.why,) if self.why else ())

    def figure(self, name: str) -> str:
        found = self.said.get(name)
        if not isinstance(found, list) or len(found) != 2:
            return NOT_MEASURED
        return f"{float(found[0]):.2f} ±{float(found[1]):.2f} s"


def exit_code(drills: Sequence[Submitted]) -> int:
    """The worst of all, as `gameday run` of several says it."""
    return worst(drill.exit_code for drill in drills)


def submitted_json(job: str, drills: Sequence[Submitted]) -> str:
    rows = [
        {
            "scenario": drill.scenario,
            "verdict": drill.outcome,
            "exit_code": drill.exit_code,
            "duration_s": drill.duration_s,
            "reasons": list(drill.reasons),
            **{
                name: drill.said.get(name)
                for name in ("drill", "mttd", "time_to_recover", "restored_by", "stored")
            },
        }
        for drill in drills
    ]
    return json.dumps(
        {"job": job, "exit_code": exit_code(drills), "drills": rows}, ensure_ascii=False, indent=2
    )


class SubmittedConsole(Shown):
    """Shows one job. A reader who goes away silences the view."""

    def __init__(self, stream: IO[str]) -> None:
        self.live = can_redraw(stream)
        self._console = console_for(stream, live=self.live)

    def say(self, line: str) -> None:
        self._attempt(lambda: self._console.print(Text(one_line(line))))

    def ended(self, drill: Submitted) -> None:
        took = "" if drill.duration_s is None else f"  ({drill.duration_s:.0f} s)"
        figures = f"  MTTD {drill.figure('mttd')}, recovered after {drill.figure('time_to_recover')}{took}"
        text = Text.assemble((_named(drill), _COLOURS.get(drill.outcome, "")), f"  {drill.scenario}", figures)
        self._attempt(lambda: self._console.print(text))

    def finish(self, drills: Sequence[Submitted]) -> None:
        self._attempt(lambda: self._show(drills))

    def _show(self, drills: Sequence[Submitted]) -> None:
        outcomes = [drill.outcome for drill in drills]
        counts = [
            f"{outcomes.count(name)} {name}" for name in ("PASS", "FAIL", "INCONCLUSIVE") if name in outcomes
        ]
        self._console.print()
        self._console.print(Text(f"{len(drills)} drills: {', '.join(counts)}", style="bold"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name in ("Scenario", "Verdict", "MTTD", "To recover", "Why", "Drill"):
            right = name in ("MTTD", "To recover")
            table.add_column(
                name, justify="right" if right else "left", no_wrap=name != "Why", overflow="fold"
            )
        for drill in drills:
            table.add_row(
                Text(drill.scenario),
                Text(_named(drill), style=_COLOURS.get(drill.outcome, "")),
                Text(drill.figure("mttd")),
                Text(drill.figure("time_to_recover")),
                Text(one_line(drill.reasons[0], 160) if drill.reasons else ""),
                Text(one_line(drill.said.get("drill") or NOT_MEASURED)),
            )
        self._console.print(table, soft_wrap=not self.live)


def _named(drill: Submitted) -> str:
    return f"{SIGNS.get(drill.outcome, '?')} {drill.outcome}"
