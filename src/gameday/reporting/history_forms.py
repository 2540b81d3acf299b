"""Trends and metrics for a Git host, a spreadsheet and a program."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from gameday.metrics import Report, Value
from gameday.reporting import coverage as coverage_forms
from gameday.reporting import history_texts as texts
from gameday.reporting.document import json_text
from gameday.reporting.history_page import Trends, basis
from gameday.reporting.markdown import escape
from gameday.text import one_line
from gameday.trends import Interval, Series, Sum, heat_map, series, standing

_CSV_HEAD = (
    "month",
    "scenario",
    "environment",
    "speed",
    "severity",
    "drills",
    "passed",
    "failed",
    "inconclusive",
)
_CSV_SUM = ("measured", "mean_s", "least_s", "most_s", "objective_s", "met", "missed", "never")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


# --- Markdown -------------------------------------------------------------------------------------------------


def to_markdown(found: Trends) -> str:
    """Goals, metrics, the newest month of each trend, heat map, coverage and the latest drills."""
    sections = [
        f"# {escape(found.title)}",
        "\n".join(f"- {escape(row)}" for row in basis(found)),
        _goals(found),
        metrics_markdown(found.months),
        metrics_markdown(found.quarters),
        _trends(found),
        _heat(found),
        _coverage(found),
        _latest(found),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _goals(found: Trends) -> str:
    goals = texts.goals(found.months, found.quarters)
    rows = [
        (
            escape(goal.title),
            goal.value.goal,
            goal.period,
            f"{texts.sign(goal.value)} {texts.value_text(goal.value)}",
            goal.value.basis,
        )
        for goal in goals
    ]
    return "## Goals\n\n" + _table(("Metric", "Goal", "In", "Measured", "Of"), rows)


def metrics_markdown(reports: Sequence[Report]) -> str:
    """A table for each severity, with a column for each period, the newest first."""
    parts = []
    for report in reports:
        if not report.periods:
            continue
        rows = [
            (
                metric.label,
                *(f"{texts.sign(value)} {texts.value_text(value)}".strip() for value in reversed(values)),
            )
            for metric, values in report.rows.items()
        ]
        head = ("Metric", *reversed(report.periods))
        drills = ("Drills at the real speed", *(str(count) for count in reversed(report.drills)))
        parts.append(
            f"## {escape(texts.severity_title(report.severity))}\n\n" + _table(head, [drills, *rows])
        )
    return "\n\n".join(parts)


def _trends(found: Trends) -> str:
    rows = []
    for one in series(found.tallies):
        newest = one.tallies[-1]
        rows.append(
            (
                escape(one.scenario, texts.NAME_LIMIT),
                escape(texts.where(one.environment, one.speed)),
                newest.month,
                texts.standing_text(standing(newest)),
                *(_against(newest.sum(interval), interval) for interval in Interval),
            )
        )
    head = ("Scenario", "Environment", "Month", "Passed", *(interval.label for interval in Interval))
    return "## Trends, newest month\n\n" + _table(head, rows)


def _against(found: Sum, interval: Interval) -> str:
    objective = "" if found.objective_s is None else f" / {texts.span(found.objective_s)}"
    return f"{texts.sum_text(found, interval)}{objective}"


def _heat(found: Trends) -> str:
    heat = heat_map(found.tallies)
    rows = [
        (escape(row.scenario, texts.NAME_LIMIT), *map(texts.standing_text, row.cells)) for row in heat.rows
    ]
    return "## Scenario by month\n\n" + _table(("Scenario", *heat.months), rows)


def _coverage(found: Trends) -> str:
    if found.coverage is None:
        return f"## Coverage\n\nNot measured: {escape(found.why_no_coverage)}"
    text = coverage_forms.to_markdown(found.coverage)
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in text.splitlines())


def _latest(found: Trends) -> str:
    rows = []
    for drill in found.latest:
        label = escape(texts.name(drill.drill))
        rows.append(
            (
                f"[{label}]({drill.link})" if drill.link else label,
                escape(drill.verdict),
                *(
                    texts.spoken(value, "s")
                    for value in (drill.mttd_s, drill.time_to_recover_s, drill.data_loss_s)
                ),
                escape(drill.restored_by or "not known"),
            )
        )
    head = ("Drill", "Verdict", "MTTD", "To recover", "Data loss", "Restored by")
    return "## Latest drills\n\n" + _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body])


# --- CSV ------------------------------------------------------------------------------------------------------


def to_csv(found: Trends) -> str:
    """One line for each month of each trend; empty cells were not measured."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow((*_CSV_HEAD, *(f"{interval.value}_{name}" for interval in Interval for name in _CSV_SUM)))
    for one in series(found.tallies):
        for tally in one.tallies:
            counts = (tally.drills, tally.passed, tally.failed, tally.inconclusive)
            names = (tally.scenario, tally.environment, f"{tally.speed:g}", tally.severity)
            sums = [value for interval in Interval for value in _cells(tally.sum(interval))]
            writer.writerow((tally.month, *map(_cell, names), *counts, *sums))
    return stream.getvalue()


def metrics_csv(reports: Sequence[Report]) -> str:
    """One line for each metric, severity and period."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(("period", "severity", "metric", "value", "unit", "basis", "goal", "goal_met"))
    for report in reports:
        for metric, values in report.rows.items():
            for period, value in zip(report.periods, values, strict=True):
                met = "" if value.met is None else str(value.met).lower()
                number = "" if value.value is None else f"{value.value:.6g}"
                severity = _cell(report.severity)
                writer.writerow(
                    (period, severity, metric.value, number, metric.unit, value.basis, value.goal, met)
                )
    return stream.getvalue()


def _cells(found: Sum) -> list[str]:
    values = {**asdict(found), "mean_s": found.mean_s}
    return ["" if values[name] is None else f"{values[name]:.6g}" for name in _CSV_SUM]


def _cell(text: str) -> str:
    """A name that a spreadsheet shows, and never computes."""
    shown = one_line(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


# --- JSON -----------------------------------------------------------------------------------------------------


def to_json(found: Trends) -> str:
    """Everything; null is what was not measured."""
    return json_text(
        {
            "made": found.made.isoformat(),
            "since": found.since.isoformat(),
            "environment": found.environment,
            "scenario": found.scenario,
            "drills": asdict(found.standing),
            "rehearsals": found.rehearsals,
            "left_out": found.left_out,
            "metrics": {"month": metrics_values(found.months), "quarter": metrics_values(found.quarters)},
            "trends": [_series(one) for one in series(found.tallies)],
            "coverage": None
            if found.coverage is None
            else json.loads(coverage_forms.to_json(found.coverage)),
            "why_no_coverage": found.why_no_coverage or None,
            "latest": [{**asdict(drill), "started": drill.started.isoformat()} for drill in found.latest],
        }
    )


def metrics_values(reports: Sequence[Report]) -> list[dict[str, Any]]:
    return [
        {
            "severity": report.severity,
            "periods": [
                {
                    "period": period,
                    "drills": report.drills[number],
                    "rehearsals": report.rehearsals[number],
                    "metrics": {
                        metric.value: _value(values[number]) for metric, values in report.rows.items()
                    },
                }
                for number, period in enumerate(report.periods)
            ],
        }
        for report in reports
    ]


def _value(value: Value) -> dict[str, Any]:
    return {
        "value": value.value,
        "unit": value.metric.unit,
        "basis": value.basis,
        "goal": value.goal or None,
        "goal_met": value.met,
    }


def _series(one: Series) -> dict[str, Any]:
    return {
        "scenario": one.scenario,
        "environment": one.environment,
        "speed": one.speed,
        "months": [
            {
                "month": tally.month,
                "severity": tally.severity,
                "drills": tally.drills,
                "passed": tally.passed,
                "failed": tally.failed,
                "inconclusive": tally.inconclusive,
                **{
                    interval.value: {**asdict(tally.sum(interval)), "mean_s": tally.sum(interval).mean_s}
                    for interval in Interval
                },
            }
            for tally in one.tallies
        ],
    }
