"""Metrics, regressions and the gate's verdict on a terminal, in a pipe and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, Any

from rich import box
from rich.table import Table
from rich.text import Text

from gameday.gate import GateVerdict, Opinion, Reason
from gameday.metrics import Report
from gameday.regressions import Change, Comparison, count
from gameday.reporting import history_texts as texts
from gameday.reporting.terminal import SIGNS, console_for
from gameday.text import one_line

_COLOURS = {"met": "green", "missed": "bold red", "unknown": "yellow", "plain": ""}
_CHANGES = {Change.WORSE: ("bold red", "✗"), Change.BETTER: ("green", "✓"), Change.AS_BEFORE: ("green", "✓")}
_SHOWN = 6
"""Periods on a terminal, the newest first; the other forms have them all."""


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for text in names:
        table.add_column(text, overflow="fold")
    return table


def print_metrics(reports: Sequence[Report], stream: IO[str]) -> None:
    """A table for each severity; every value with what it rests on."""
    live = stream.isatty()
    console = console_for(stream, live=live)
    if not any(report.periods for report in reports):
        console.print("no drills yet: nothing was measured")
        return
    for report in reports:
        console.print(Text(texts.severity_title(report.severity), style="bold"))
        periods = list(reversed(report.periods))[:_SHOWN]
        table = _table("Metric", "Goal", *periods)
        counts = list(zip(reversed(report.drills), reversed(report.rehearsals), strict=True))[:_SHOWN]
        drills = (
            f"{real}" + (f" and {rehearsals} rehearsals, left out" if rehearsals else "")
            for real, rehearsals in counts
        )
        table.add_row("Drills", "", *drills)
        for metric, values in report.rows.items():
            cells = (
                Text(
                    f"{texts.sign(value)} {texts.value_text(value)}".strip(),
                    style=_COLOURS[texts.tone(value)],
                ).append(f" ({value.basis})", style="dim")
                for value in list(reversed(values))[:_SHOWN]
            )
            table.add_row(metric.label, values[-1].goal, *cells)
        console.print(table, soft_wrap=not live)
        console.print()


def print_comparisons(found: Sequence[Comparison], stream: IO[str]) -> None:
    """One line for each interval of each scenario, the worse ones first."""
    live = stream.isatty()
    console = console_for(stream, live=live)
    if not found:
        console.print("no drills: nothing to compare")
        return
    table = _table("", "Scenario", "Environment", "Interval", "Newest", "Median before", "Drills", "Change")
    for one in found:
        colour, sign = _CHANGES.get(one.change, ("yellow", "?"))
        table.add_row(
            Text(sign, style=colour),
            Text(texts.name(one.newest.scenario)),
            Text(texts.where(one.newest.environment, one.newest.speed)),
            one.interval.label,
            texts.spoken(one.value_s, "s"),
            "no baseline" if one.baseline_s is None else texts.span(one.baseline_s),
            str(one.of),
            Text(_change(one), style=colour),
        )
    console.print(table, soft_wrap=not live)
    worse, of = count(found)
    rest = f"; {len(found) - of} could not be compared" if of < len(found) else ""
    console.print(f"{worse or 'no'} {'regression' if worse < 2 else 'regressions'} in {of} intervals{rest}")


def _change(one: Comparison) -> str:
    if one.share is None or one.change in (Change.NOT_MEASURED, Change.NO_BASELINE):
        return one.change.value
    return f"{one.change.value}, {texts.spoken(one.share, 'change')}"


def comparison_values(found: Iterable[Comparison]) -> list[dict[str, Any]]:
    """For programs; null is what was not measured."""
    return [
        {
            "scenario": one.newest.scenario,
            "environment": one.newest.environment,
            "speed": one.newest.speed,
            "drill": one.newest.drill,
            "interval": one.interval.value,
            "change": one.change.value,
            "value_s": one.value_s,
            "resolution_s": one.resolution_s,
            "baseline_s": one.baseline_s,
            "baseline_drills": one.of,
            "share": one.share,
        }
        for one in found
    ]


# --- the gate -------------------------------------------------------------------------------------------------


def print_gate(found: GateVerdict, stream: IO[str]) -> None:
    """The verdict first, then every reason, then what was not judged."""
    console = console_for(stream, live=stream.isatty())
    colour = {Opinion.PASS: "bold green", Opinion.FAIL: "bold red"}.get(found.opinion, "bold yellow")
    console.print(
        Text(f"{SIGNS[found.opinion.value]} {found.opinion.value}", style=colour).append(
            f": judged newest drills: {found.drills}, scheduled scenarios: {found.scheduled}",
            style="not bold",
        )
    )
    for reason in found.reasons:
        console.print(
            Text(f"  {'✗' if reason.ground.bad else '?'} {reason.ground.value}: {_sentence(reason)}")
        )
    if not found.scheduled:
        console.print("  - no schedule: whether drills are stale was not judged")
    for one in found.without_baseline:
        where = (
            f"{texts.name(one.newest.scenario)} in {texts.where(one.newest.environment, one.newest.speed)}"
        )
        console.print(
            Text(f"  - no baseline: {where}: {one.interval.label}, {one.of} drills before measured it"),
            style="dim",
        )


def _sentence(reason: Reason) -> str:
    where = f" in {texts.name(reason.environment)}" if reason.environment else ""
    who = f"{texts.name(reason.scenario)}{where}: " if reason.scenario else ""
    drill = f" ({texts.name(reason.drill)})" if reason.drill else ""
    return f"{who}{one_line(reason.text, 500)}{drill}"


def gate_values(found: GateVerdict) -> dict[str, Any]:
    """For programs. `verdict` and `exit_code` are as a drill's."""
    return {
        "verdict": found.opinion.value,
        "exit_code": found.opinion.exit_code,
        "drills": found.drills,
        "scheduled": found.scheduled,
        "reasons": [
            {
                "ground": reason.ground.value,
                "bad": reason.ground.bad,
                "scenario": reason.scenario,
                "environment": reason.environment,
                "drill": reason.drill,
                "text": reason.text,
            }
            for reason in found.reasons
        ],
        "without_baseline": comparison_values(found.without_baseline),
    }
