"""Trends as geometry, one SVG path for each kind of mark: a page has hundreds of these drawings.

They are drawn in a box of 100 by 100 that is stretched to the width of the page; strokes keep their width, and a point
is a stroke without length. A month that missed an objective has another shape, not just another colour. What was not
measured is a gap in the line, and never a point at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gameday.reporting.history_texts import span, sum_text
from gameday.trends import Interval, Month, Series, Sum

_TOP, _BOTTOM = 8.0, 92.0
_LEFT, _RIGHT = 3.0, 97.0


@dataclass(frozen=True, slots=True)
class Chart:
    """One interval of one series. The drawings are the `d` of an SVG path, empty where there is nothing to draw."""

    title: str
    summary: str
    """The newest month in words, and what it was held against."""
    means: str
    ranges: str
    """From the least to the most of a month."""
    objectives: str
    points: str
    missed: str
    """Months in which a drill missed the objective; one without a mean lies at the upper edge."""
    top: str
    """What the upper edge means."""


def charts(series: Series, months: Sequence[Month]) -> tuple[Chart, ...]:
    return tuple(_chart(series, interval, months) for interval in Interval)


def _chart(series: Series, interval: Interval, months: Sequence[Month]) -> Chart:
    found = {tally.month: tally.sum(interval) for tally in series.tallies}
    sums = [(number, found[month]) for number, month in enumerate(months) if month in found]
    top_s = max((max(one.most_s or 0.0, one.objective_s or 0.0) for _, one in sums), default=0.0) * 1.1 or 1.0
    step = (_RIGHT - _LEFT) / max(len(months) - 1, 1)

    def x(number: float) -> str:
        return f"{_LEFT + step * number:.1f}" if len(months) > 1 else f"{50 + step * number:.1f}"

    def y(seconds: float | None) -> str:
        return f"{_BOTTOM - (_BOTTOM - _TOP) * min((seconds or 0.0) / top_s, 1.0):.1f}"

    newest = series.tallies[-1]
    return Chart(
        interval.label,
        f"{newest.month}: {_note(newest.sum(interval), interval)}",
        means="".join(
            f"M{x(a)} {y(one.mean_s)}L{x(b)} {y(other.mean_s)}"
            for (a, one), (b, other) in pairwise(sums)
            if b == a + 1 and one.measured and other.measured
        ),
        ranges="".join(
            f"M{x(at)} {y(one.least_s)}V{y(one.most_s)}" for at, one in sums if one.least_s != one.most_s
        ),
        objectives="".join(
            f"M{x(at - 0.5)} {y(one.objective_s)}H{x(at + 0.5)}"
            for at, one in sums
            if one.objective_s is not None
        ),
        points="".join(
            f"M{x(at)} {y(one.mean_s)}h.01" for at, one in sums if one.measured and not one.missed
        ),
        missed="".join(
            f"M{x(at)} {y(one.mean_s if one.measured else top_s)}h.01" for at, one in sums if one.missed
        ),
        top=span(top_s),
    )


def _note(found: Sum, interval: Interval) -> str:
    objective = "" if found.objective_s is None else f", objective {span(found.objective_s)}"
    return f"{sum_text(found, interval)}{objective}"
