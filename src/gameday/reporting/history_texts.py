"""Figures of many drills in words: what the page, Markdown, the tables and the gate call the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gameday.metrics import ALL, Metric, Report, Value
from gameday.text import one_line
from gameday.trends import Interval, Standing, Sum

NOT_MEASURED = "not measured"
MINUS = "\u2212"
NAME_LIMIT = 120
TONE_SIGNS = {"met": "\u2713", "missed": "\u2717", "unknown": "?", "plain": ""}
STANDING_SIGNS = {"pass": "\u2713", "fail": "\u2717", "unknown": "?", "none": ""}


def name(text: object) -> str:
    """A name that others gave, on one line and never longer than a few."""
    return one_line(text, NAME_LIMIT)


def span(seconds: float) -> str:
    """A duration as people say it: `0.25 s`, `14.2 s`, `13m32s`, `5h12m`, `3.2 days`."""
    if abs(seconds) < 10:
        return f"{seconds:.2f} s"
    if abs(seconds) < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m" if minutes else f"{hours}h"
    return f"{seconds / 86_400:.1f} days"


def spoken(value: float | None, unit: str) -> str:
    """A metric's value with its unit, or that nobody measured it."""
    if value is None:
        return NOT_MEASURED
    if unit == "s":
        return span(value)
    if unit == "share":
        return f"{100 * value:.1f} %".replace(".0 %", " %")
    if unit == "change":
        sign = MINUS if value < 0 else "+"
        return f"{sign}{abs(100 * value):.1f} %"
    return f"{value:.0f}"


def value_text(value: Value) -> str:
    return spoken(value.value, value.metric.unit)


def tone(value: Value) -> str:
    """`met`, `missed`, `unknown` (not measured), or `plain` where there is no goal to meet."""
    if value.met is not None:
        return "met" if value.met else "missed"
    return "unknown" if value.value is None else "plain"


def sign(value: Value) -> str:
    return TONE_SIGNS[tone(value)]


def standing_text(found: Standing) -> str:
    """`✓ 12/12`: drills that passed, of how many; empty where there was none."""
    if not found.drills:
        return ""
    return f"{STANDING_SIGNS[found.tone]} {found.passed}/{found.drills}"


def standing_words(found: Standing) -> str:
    """The same for a tooltip: `2 passed, 1 failed`."""
    counts = {"passed": found.passed, "failed": found.failed, "inconclusive": found.inconclusive}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no drill"


def sum_text(found: Sum, interval: Interval) -> str:
    """`14.2 s (12.0 s to 20.1 s), 1 never`: mean, the least and the most; or that it was not measured."""
    never = {Interval.MTTD: "never detected", Interval.TIME_TO_RECOVER: "never recovered"}.get(
        interval, "missed"
    )
    parts = []
    if found.mean_s is not None and found.least_s is not None and found.most_s is not None:
        text = span(found.mean_s)
        if found.measured > 1 and found.most_s != found.least_s:
            text += f" ({span(found.least_s)} to {span(found.most_s)})"
        parts.append(text)
    if found.never:
        parts.append(f"{found.never} {never}")
    return ", ".join(parts) or NOT_MEASURED


def where(environment: str, speed: float) -> str:
    """`hotel-local`, with the mark that every figure of a rehearsal carries."""
    return name(environment) + ("" if speed == 1 else f", rehearsal at {speed:g} times speed")


def severity_title(severity: str) -> str:
    return "All severities" if severity == ALL else name(severity)


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal and how the newest period stands."""

    title: str
    period: str
    value: Value


def goals(months: Sequence[Report], quarters: Sequence[Report]) -> tuple[Goal, ...]:
    """Every goal in the newest month, or the newest quarter where the goal is a quarter's."""
    by_month = {Metric.MTTD, Metric.MTTR, Metric.MTBF, Metric.INCIDENTS}
    by_quarter = {Metric.MTTR_CHANGE, Metric.ACCURACY}
    return (*_newest(months, by_month), *_newest(quarters, by_quarter))


def _newest(reports: Sequence[Report], wanted: set[Metric]) -> Iterator[Goal]:
    for report in reports:
        for metric, values in report.rows.items():
            if metric not in wanted or not values or not values[-1].goal:
                continue
            if report.severity != ALL and metric not in (Metric.MTTR, Metric.MTTR_CHANGE):
                continue
            title = metric.label if report.severity == ALL else f"{metric.label}, {name(report.severity)}"
            yield Goal(title, report.periods[-1], values[-1])
