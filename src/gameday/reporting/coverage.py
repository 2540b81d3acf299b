"""The coverage matrix for people and programs: terminal, Markdown, JSON and one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import IO, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from rich import box
from rich.table import Table
from rich.text import Text

from gameday.coverage import Accuracy, Coverage, RuleCoverage, Standing
from gameday.reporting.document import json_text
from gameday.reporting.markdown import escape
from gameday.reporting.terminal import console_for
from gameday.text import one_line

NOT_MEASURED = "not measured"
_SIGNS = {
    Standing.PROVEN: "✓",
    Standing.FAULTY: "✗",
    Standing.UNKNOWN: "?",
    Standing.NOT_RUN: "?",
    Standing.NO_SCENARIO: "–",  # noqa: RUF001 - nothing there
}
_TONES = {Standing.PROVEN: "met", Standing.FAULTY: "missed"}
_COLOURS = {"met": "green", "missed": "bold red", "unknown": "yellow"}


@dataclass(frozen=True, slots=True)
class Gap:
    """One kind of thing that is missing, and what is."""

    title: str
    names: tuple[str, ...]


def gaps(found: Coverage) -> tuple[Gap, ...]:
    """What is missing, the worst first; kinds of which nothing is missing are left out."""
    standing: dict[Standing, list[str]] = {}
    for rule in found.rules:
        standing.setdefault(rule.standing, []).append(rule.name)
    rows = (
        Gap("Rules that no scenario drills", tuple(standing.get(Standing.NO_SCENARIO, ()))),
        Gap("Rules whose scenarios were never run", tuple(standing.get(Standing.NOT_RUN, ()))),
        Gap("Rules that were drilled and not measured", tuple(standing.get(Standing.UNKNOWN, ()))),
        Gap("Rules without a runbook", found.rules_without_runbook),
        Gap("Runbooks that no scenario drills", found.runbooks_without_scenario),
        Gap("Runbooks whose drills were never run", found.runbooks_never_drilled),
        Gap("Scenarios that were never run", found.scenarios_never_run),
        Gap("Alerts that fired and that the rules file does not have", _strange(found)),
    )
    return tuple(gap for gap in rows if gap.names)


def _strange(found: Coverage) -> tuple[str, ...]:
    return tuple(rule.name for rule in found.rules if not rule.in_rules)


def tone(rule: RuleCoverage) -> str:
    """`met`, `missed` or `unknown`."""
    return _TONES.get(rule.standing, "unknown")


def share(value: float | None, right: int, of: int) -> str:
    """`67 % (2 of 3)`; what was not measured says so."""
    return NOT_MEASURED if value is None else f"{100 * value:.0f} % ({right} of {of})"


def recall(accuracy: Accuracy) -> str:
    return share(accuracy.recall, accuracy.fired, accuracy.expected)


def precision(accuracy: Accuracy) -> str:
    right = accuracy.fired + accuracy.late
    return share(accuracy.precision, right, right + accuracy.unexpected)


def cell(accuracy: Accuracy) -> str:
    """`2 fired, 1 missed`; empty where nothing happened."""
    counts = asdict(accuracy)
    names = {"unknown": NOT_MEASURED, "late": "too late"}
    return ", ".join(f"{count} {names.get(name, name)}" for name, count in counts.items() if count)


def basis(found: Coverage) -> tuple[str, ...]:
    """What the figures rest on, and what they leave out."""
    rows = [f"{found.counted} drills say something of alerts, judged by {found.rules_file}"]
    if found.rehearsals:
        rows.append(f"{found.rehearsals} of all drills were rehearsals, faster than the rules are written")
    if found.left_out:
        rows.append(f"{found.left_out} drills were refused, without effect or broken off: not counted")
    if found.other_rules:
        rows.append(f"{found.other_rules} drills were judged by other rules: not counted")
    return tuple(rows)


def to_json(found: Coverage) -> str:
    """Everything, with counts beside every share."""
    return json_text(
        {
            "environment": found.environment,
            "rules_file": found.rules_file,
            "drills": {
                "counted": found.counted,
                "left_out": found.left_out,
                "rehearsals": found.rehearsals,
                "other_rules": found.other_rules,
            },
            "total": _accuracy(found.total),
            "rules": [_rule(rule) for rule in found.rules],
            "rules_without_runbook": found.rules_without_runbook,
            "runbooks_without_scenario": found.runbooks_without_scenario,
            "runbooks_never_drilled": found.runbooks_never_drilled,
            "scenarios_never_run": found.scenarios_never_run,
        }
    )


def _rule(rule: RuleCoverage) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "in_rules_file": rule.in_rules,
        "runbook": rule.runbook,
        "scenarios": rule.scenarios,
        "standing": rule.standing.value,
        **_accuracy(rule.accuracy),
        "by_scenario": {name: asdict(found) for name, found in rule.by_scenario.items()},
    }


def _accuracy(accuracy: Accuracy) -> dict[str, Any]:
    return {
        **asdict(accuracy),
        "true_positives": accuracy.true_positives,
        "false_positives": accuracy.false_positives,
        "false_negatives": accuracy.false_negatives,
        "recall": accuracy.recall,
        "precision": accuracy.precision,
    }


def _columns(rule: RuleCoverage) -> tuple[str, ...]:
    found = rule.accuracy
    return (
        rule.name,
        f"{_SIGNS[rule.standing]} {rule.standing.value}",
        *map(str, (found.fired, found.late + found.missed, found.unexpected)),
        recall(found),
        precision(found),
        ", ".join(rule.scenarios) or "-",
        rule.runbook or "none",
    )


HEAD = ("Rule", "Standing", "Fired", "Missed", "Unexpected", "Recall", "Precision", "Scenarios", "Runbook")
_NUMBERS = frozenset({"Fired", "Missed", "Unexpected"})


def to_markdown(found: Coverage) -> str:
    """For a Git host or a job's summary."""
    lines = [f"# Coverage of {escape(found.environment)}", ""]
    lines += [f"- {escape(row)}" for row in basis(found)]
    lines += [f"- Recall of all alerts: {recall(found.total)}; precision: {precision(found.total)}", ""]
    lines += [_row(HEAD), _row(["---:" if name in _NUMBERS else "---" for name in HEAD], raw=True)]
    lines += [_row(_columns(rule)) for rule in found.rules]
    lines += ["", "## By scenario", ""]
    lines += [_row(("Rule", "Scenario", "Outcomes")), _row(["---"] * 3, raw=True)]
    lines += [
        _row((rule.name, scenario, cell(accuracy)))
        for rule in found.rules
        for scenario, accuracy in rule.by_scenario.items()
        if cell(accuracy)
    ]
    for gap in gaps(found):
        lines += ["", f"## {gap.title}", "", *(f"- {escape(name)}" for name in gap.names)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else map(escape, cells))} |"


def print_coverage(found: Coverage, stream: IO[str]) -> None:
    """Tables on a terminal; the same, unstyled, in a pipe."""
    live = stream.isatty()
    console = console_for(stream, live=live)
    console.print(Text(f"Coverage of {found.environment}", style="bold"))
    for row in basis(found):
        console.print(Text(row))
    console.print(Text(f"recall of all alerts {recall(found.total)}, precision {precision(found.total)}"))
    console.print()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in HEAD:
        number = name in _NUMBERS
        table.add_column(name, justify="right" if number else "left", no_wrap=name == "Rule", overflow="fold")
    for rule in found.rules:
        first, standing, *rest = _columns(rule)
        table.add_row(
            Text(one_line(first)),
            Text(standing, style=_COLOURS[tone(rule)]),
            *(Text(one_line(c)) for c in rest),
        )
    console.print(table, soft_wrap=not live)
    for gap in gaps(found):
        console.print()
        console.print(Text(gap.title, style="bold"))
        for name in gap.names:
            console.print(Text(f"  {one_line(name)}"))


def to_html(found: Coverage) -> str:
    """One page without script, font or request."""
    cells = {
        (rule.name, scenario): cell(accuracy)
        for rule in found.rules
        for scenario, accuracy in rule.by_scenario.items()
    }
    return _template().render(
        found=found,
        rows=[(rule, _columns(rule), tone(rule)) for rule in found.rules],
        head=HEAD,
        numbers=_NUMBERS,
        basis=basis(found),
        recall=recall(found.total),
        precision=precision(found.total),
        gaps=gaps(found),
        cells=[(rule, scenario, text) for (rule, scenario), text in cells.items() if text],
        drills=found.drills.values(),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("gameday.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["one_line"] = lambda text: one_line(text, 500)
    return environment.get_template("coverage.html.j2")
