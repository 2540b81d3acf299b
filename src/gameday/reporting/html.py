"""`report.html`: one self-contained page. No script, no font, no request: it opens from a mail in ten years.

Everything is drawn here, on the server's side; templates lay out and escape, and decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from jinja2 import Template

from gameday.fields import format_duration
from gameday.record import DrillRecord
from gameday.reporting.chart import chart
from gameday.reporting.page import page_template
from gameday.reporting.sentences import sentence, tone
from gameday.reporting.summary import (
    Figure,
    Step,
    detector_facts,
    effect,
    facts,
    figures,
    in_time,
    measured_text,
    notices,
    origin,
    proven,
    resolution_text,
    signed,
    stamp,
    stamp_ms,
    steps,
)
from gameday.reporting.terminal import SIGNS
from gameday.text import lines, one_line

_OUTPUT_LIMIT = 20_000
_DETAIL_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class _Meter:
    """How much of what was allowed was used, in percent of a bar."""

    used: float
    over: bool


def to_html(record: DrillRecord) -> str:
    """The whole page."""
    verdict = record.verdict
    return _template().render(
        record=record,
        title=one_line(record.scenario.title, 200),
        verdict=verdict,
        tone=verdict.outcome.value.lower(),
        proven=proven(record),
        notices=notices(record),
        reasons=[one_line(reason, _DETAIL_LIMIT) for reason in verdict.reasons],
        figures=[(figure, _figure_meter(figure)) for figure in figures(record)],
        chart=chart(record),
        since="the fault's effect" if effect(record) else "the start",
        steps=[(step, _step_meter(step), lines(step.output, _OUTPUT_LIMIT)) for step in steps(record)],
        probes=_probes(record),
        facts=facts(record),
        detector=detector_facts(record),
        events=[
            (signed(event.at - origin(record)), event.phase.value, sentence(event), tone(event))
            for event in in_time(record)
        ],
    )


def prepare() -> None:
    """Compile the template now, so that the first page need not wait for it."""
    _template()


@cache
def _template() -> Template:
    return page_template(
        "report.html.j2",
        signs=SIGNS,
        duration=lambda seconds: format_duration(round(seconds, 3)),
        measured=measured_text,
        one_line=lambda text: one_line(text, _DETAIL_LIMIT),
        signed=signed,
        resolution=resolution_text,
        stamp=stamp,
        stamp_ms=stamp_ms,
    )


def _figure_meter(figure: Figure) -> _Meter | None:
    if figure.measured is None or not figure.objective_s:
        return None
    return _meter(figure.measured.value_s, figure.objective_s)


def _step_meter(step: Step) -> _Meter | None:
    if step.duration_s is None or not step.budget_s:
        return None
    return _meter(step.duration_s, step.budget_s)


def _meter(value: float, allowed: float) -> _Meter:
    """More than allowed fills the bar."""
    return _Meter(round(min(100 * value / allowed, 100.0), 2), value > allowed)


def _probes(record: DrillRecord) -> list[tuple[str, int, int, str]]:
    """Name, number of samples, failed ones, what the first failure said."""
    rows = []
    for name, samples in sorted(record.samples.items()):
        failed = [sample for sample in samples if not sample.ok]
        detail = one_line(failed[0].detail, 500) if failed else ""
        rows.append((one_line(name, 200), len(samples), len(failed), detail))
    return rows
