"""`report.md`: the drill for a Git host, a job summary or a mail. The first ten lines answer a manager.

Data is escaped, never trusted: a step's output that contains `<script>` or a table's `|` stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gameday.fields import format_duration
from gameday.record import DrillRecord
from gameday.reporting.sentences import sentence
from gameday.reporting.summary import (
    detector_facts,
    facts,
    figures,
    in_time,
    measured_text,
    moments,
    notices,
    origin,
    proven,
    resolution_text,
    signed,
    stamp_ms,
    steps,
)
from gameday.reporting.terminal import SIGNS
from gameday.text import lines, one_line

_SPECIAL = re.compile(r"([\\`*\[\]|~!#$]|(?<!\w)_|_(?!\w))")
_OUTPUT_LIMIT = 4000


def escape(text: object, limit: int = 2000) -> str:
    """`text` on one line, as Markdown that shows exactly that text."""
    shown = one_line(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", shown)


def to_markdown(record: DrillRecord) -> str:
    """The whole report."""
    sections = (
        _head(record),
        _reasons(record),
        _checks(record),
        _instants(record),
        _runbook(record),
        _probes(record),
        _facts("Environment", facts(record)),
        _facts("Detector", detector_facts(record)),
        _events(record),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(record: DrillRecord) -> str:
    verdict = record.verdict
    marks = [f"> **{escape(text)}**" for _, text in notices(record)]
    headline = f"**{SIGNS[verdict.outcome]} {verdict.outcome.value}**"
    answers = [
        f"- {SIGNS[figure.result]} **{figure.label}:** {escape(figure.value)}"
        + (f" ({escape(figure.objective)})" if figure.objective else "")
        for figure in figures(record)
    ]
    title = f"# {verdict.outcome.value}: {escape(record.scenario.title, 200)}"
    return "\n".join([title, "", *_quoted(marks), f"{headline} · {escape(proven(record))}", "", *answers])


def _quoted(marks: Sequence[str]) -> list[str]:
    return [*"\n>\n".join(marks).splitlines(), ""] if marks else []


def _reasons(record: DrillRecord) -> str:
    if not record.verdict.reasons:
        return ""
    return "\n".join(["## Reasons", "", *(f"- {escape(reason)}" for reason in record.verdict.reasons)])


def _checks(record: DrillRecord) -> str:
    rows = [
        (
            f"{SIGNS[check.result]} {check.result.value}",
            escape(check.title),
            measured_text(check.measured) if check.measured else "",
            format_duration(check.objective_s) if check.objective_s is not None else "",
            escape(check.detail),
        )
        for check in record.verdict.checks
    ]
    return "## Checks\n\n" + _table(("Result", "Check", "Measured", "Objective", "Detail"), rows)


def _instants(record: DrillRecord) -> str:
    since = "effect" if record.timeline.started.at != origin(record) else "start"
    rows = [
        (
            moment.label,
            signed(moment.since_s)
            + (f" ± {resolution_text(moment.resolution_s)}" if moment.resolution_s else ""),
            stamp_ms(moment.at),
        )
        for moment in moments(record)
    ]
    return f"## Instants\n\n{_table(('Instant', f'Since {since}', 'UTC'), rows)}" if rows else ""


def _runbook(record: DrillRecord) -> str:
    taken = steps(record)
    if not taken:
        return ""
    rows = [
        (
            str(step.number),
            escape(step.heading),
            f"{step.duration_s:.2f} s" if step.duration_s is not None else "not ended",
            format_duration(step.budget_s) + (" (over)" if step.over_budget else ""),
            escape(step.outcome),
        )
        for step in taken
    ]
    table = _table(("#", "Step", "Took", "Budget", "Outcome"), rows)
    outputs = [
        f"Output of step {step.number}:\n\n{_indented(step.output)}" for step in taken if lines(step.output)
    ]
    return "\n\n".join([f"## Runbook {escape(record.scenario.runbook or '')}", table, *outputs])


def _indented(output: str) -> str:
    """An indented block: unlike a fence, no text inside can end it."""
    return "\n".join(f"    {line}" for line in lines(output, _OUTPUT_LIMIT).splitlines())


def _probes(record: DrillRecord) -> str:
    rows = []
    for name, samples in sorted(record.samples.items()):
        failed = [sample for sample in samples if not sample.ok]
        detail = escape(failed[0].detail, 300) if failed else ""
        rows.append((escape(name), str(len(samples)), str(len(failed)), detail))
    return "## Probes\n\n" + _table(("Probe", "Samples", "Failed", "First failure"), rows) if rows else ""


def _facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    return f"## {title}\n\n" + _table(
        ("What", "Value"), [(escape(name), escape(value)) for name, value in rows]
    )


def _events(record: DrillRecord) -> str:
    zero = origin(record)
    rows = [
        (signed(event.at - zero), event.phase.value, escape(sentence(event), 500))
        for event in in_time(record)
    ]
    return "## Timeline\n\n" + _table(("Time", "Phase", "Event"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body])
