"""The coverage matrix for people and programs: terminal, Markdown, JSON and one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import IO, Any

from jinja2 import Template
from rich import box
from rich.table import Table
from rich.text import Text

from gameday.coverage import Accuracy, Coverage, RuleCoverage
from gameday.reporting.coverage_texts import (
    HEAD,
    NUMBERS,
    basis,
    cell,
    columns,
    gaps,
    precision,
    recall,
    tone,
)
from gameday.reporting.document import json_text
from gameday.reporting.markdown import escape
from gameday.reporting.page import page_template
from gameday.reporting.terminal import console_for
from gameday.text import one_line

_COLOURS = {"met": "green", "missed": "bold red", "unknown": "yellow"}


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


def to_markdown(found: Coverage) -> str:
    """For a Git host or a job's summary."""
    lines = [f"# Coverage of {escape(found.environment)}", ""]
    lines += [f"- {escape(row)}" for row in basis(found)]
    lines += [f"- Recall of all alerts: {recall(found.total)}; precision: {precision(found.total)}", ""]
    lines += [_row(HEAD), _row(["---:" if name in NUMBERS else "---" for name in HEAD], raw=True)]
    lines += [_row(columns(rule)) for rule in found.rules]
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
        number = name in NUMBERS
        table.add_column(name, justify="right" if number else "left", no_wrap=name == "Rule", overflow="fold")
    for rule in found.rules:
        first, standing, *rest = columns(rule)
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
        rows=[(rule, columns(rule), tone(rule)) for rule in found.rules],
        head=HEAD,
        numbers=NUMBERS,
        basis=basis(found),
        recall=recall(found.total),
        precision=precision(found.total),
        gaps=gaps(found),
        cells=[(rule, scenario, text) for (rule, scenario), text in cells.items() if text],
        drills=found.drills.values(),
    )


@cache
def _template() -> Template:
    return page_template("coverage.html.j2", one_line=lambda text: one_line(text, 500))
