"""Whether the newest drill of a scenario is worse than those before it. Pure.

Each interval is held against the median of the last drills of the same scenario, environment and speed. It is worse
where it is above the median by more than the tolerance and a quarter of a second, even at the lower end of what it may
have been, given how often was sampled; and where earlier drills measured it and this one says that it never came. Where
too few drills measured it there is no baseline, which is said and is no good news.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from statistics import median

from gameday.trends import Interval

LAST = 10
"""So many drills make the baseline."""
FEWEST = 3
"""Of fewer values a median says nothing."""
TOLERANCE = 0.2
"""Share of the median."""
LEAST_S = 0.25
"""Less than that, a time is not worse: the machine that drills causes as much. A lost record always is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one drill measured of one interval; `value_s` is None where it did not. `result` as in the verdict."""

    value_s: float | None = None
    resolution_s: float = 0.0
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """One drill, as far as it is compared."""

    drill: str
    scenario: str
    environment: str
    """Without the instance."""
    speed: float
    started: datetime
    verdict: str
    exit_code: int
    readings: Mapping[Interval, Reading] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    def reading(self, interval: Interval) -> Reading:
        return self.readings.get(interval, Reading())


@dataclass(frozen=True, slots=True)
class Candidate:
    """The newest drill of a scenario in an environment, and those that it is held against, the newest first."""

    newest: Figures
    before: tuple[Figures, ...] = ()


class Change(StrEnum):
    """What the newest drill says against its baseline."""

    WORSE = "worse"
    AS_BEFORE = "as before"
    BETTER = "better"
    NOT_MEASURED = "not measured"
    NO_BASELINE = "no baseline"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One interval of one scenario. `of` is how many drills the baseline has."""

    interval: Interval
    newest: Figures
    change: Change
    value_s: float | None
    resolution_s: float
    baseline_s: float | None
    of: int

    @property
    def share(self) -> float | None:
        """How much above the median, as a share of it; None where that is no number."""
        if self.value_s is None or not self.baseline_s:
            return None
        return self.value_s / self.baseline_s - 1


def compare_all(
    candidates: Iterable[Candidate], *, last: int = LAST, tolerance: float = TOLERANCE
) -> tuple[Comparison, ...]:
    """Every interval of every candidate; the worse ones first, then in the order given."""
    found = [
        compare(candidate, interval, last=last, tolerance=tolerance)
        for candidate in candidates
        for interval in Interval
    ]
    return tuple(sorted(found, key=lambda one: one.change is not Change.WORSE))


def compare(
    candidate: Candidate, interval: Interval, *, last: int = LAST, tolerance: float = TOLERANCE
) -> Comparison:
    """One interval of a candidate against the median of the last `last` drills before it."""
    newest = candidate.newest
    reading = newest.reading(interval)
    values = _values(candidate.before[:last], interval)
    baseline_s = median(values) if len(values) >= FEWEST else None
    return Comparison(
        interval,
        newest,
        _change(reading, baseline_s, tolerance, 0.0 if interval is Interval.DATA_LOSS else LEAST_S),
        reading.value_s,
        reading.resolution_s,
        baseline_s,
        len(values),
    )


def _values(drills: Sequence[Figures], interval: Interval) -> list[float]:
    readings = (drill.reading(interval).value_s for drill in drills)
    return [value for value in readings if value is not None]


def _change(reading: Reading, baseline_s: float | None, tolerance: float, least_s: float) -> Change:
    if baseline_s is None:
        return Change.NO_BASELINE if reading.value_s is not None else Change.NOT_MEASURED
    if reading.value_s is None:
        return Change.WORSE if reading.result == "missed" else Change.NOT_MEASURED
    if reading.value_s - reading.resolution_s > baseline_s + max(baseline_s * tolerance, least_s):
        return Change.WORSE
    if reading.value_s + reading.resolution_s < baseline_s - max(baseline_s * tolerance, least_s):
        return Change.BETTER
    return Change.AS_BEFORE


def count(comparisons: Iterable[Comparison]) -> tuple[int, int]:
    """How many are worse, and how many could be compared at all."""
    changes = [one.change for one in comparisons]
    unknown = sum(change in (Change.NOT_MEASURED, Change.NO_BASELINE) for change in changes)
    return changes.count(Change.WORSE), len(changes) - unknown
