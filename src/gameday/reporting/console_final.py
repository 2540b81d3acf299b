"""The last screen of a drill: verdict first, then its reasons, the checks and where the report lies."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from gameday.fields import format_duration
from gameday.intervals import Result
from gameday.record import DrillRecord
from gameday.reporting.summary import figures, measured_text, notices, proven
from gameday.reporting.terminal import SIGNS
from gameday.text import one_line
from gameday.verdict import Check, Outcome

_COLOURS: dict[str, str] = {
    Outcome.PASS: "bold green",
    Outcome.FAIL: "bold red",
    Outcome.INCONCLUSIVE: "bold yellow",
    Result.MET: "green",
    Result.MISSED: "bold red",
    Result.UNKNOWN: "yellow",
}


def show(console: Console, record: DrillRecord) -> None:
    """Print the outcome. Lines wrap on a terminal and stay whole in a file."""
    verdict = record.verdict
    title = one_line(record.scenario.title, 200)
    style = _COLOURS[verdict.outcome]
    console.print()
    console.print(Text.assemble((f"{SIGNS[verdict.outcome]} {verdict.outcome.value}", style), f"  {title}"))
    for kind, text in notices(record):
        console.print(Text(text, style="bold red" if kind == "bad" else "bold yellow"))
    console.print(Text(proven(record)))
    console.print()
    for figure in figures(record):
        objective = f"  ({figure.objective})" if figure.objective else ""
        sign = (f"{SIGNS[figure.result]} ", _COLOURS[figure.result])
        console.print(Text.assemble(sign, f"{figure.label:<22} {one_line(figure.value, 400)}{objective}"))
    if verdict.reasons:
        console.print()
        console.print(Text("Reasons", style="bold"))
        for reason in verdict.reasons:
            console.print(Text(f"  - {one_line(reason, 1000)}"))
    console.print()
    _checks(console, verdict.checks)
    console.print()
    console.print(Text(f"Report: {one_line(record.folder / 'report.html')}"))


def _checks(console: Console, checks: tuple[Check, ...]) -> None:
    """Aligned columns by hand: a rich table would wrap a long title into a ragged cell at 80 columns."""
    rows = [
        (
            one_line(check.title, 60),
            measured_text(check.measured) if check.measured else "",
            f"of {format_duration(check.objective_s)}" if check.objective_s is not None else "",
        )
        for check in checks
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    console.print(Text("Checks", style="bold"))
    for check, row in zip(checks, rows, strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sign = f"  {SIGNS[check.result]} {check.result.value:<8}"
        console.print(Text.assemble((sign, _COLOURS[check.result]), cells.rstrip()))
