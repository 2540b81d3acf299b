"""Medians, spreads and ratios, and taking turns: the only arithmetic that a result rests on."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Own = TypeVar("Own")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some figures, and how far they lie apart. Quartiles, since one stall of a busy machine
    would own a standard deviation."""

    median: float
    low: float
    high: float
    minimum: float
    maximum: float


def spread(samples: Sequence[float]) -> Spread:
    """Median, quartiles and extremes.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples: nothing was measured")
    if len(samples) == 1:
        only = samples[0]
        return Spread(only, only, only, only, only)
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high, min(samples), max(samples))


def ratios(values: Sequence[float], yardsticks: Sequence[float]) -> list[float]:
    """Pair by pair, since the two of a pair saw the same machine.

    Raises:
        ValueError: the two are not pairs, or a yardstick is not above zero.
    """
    if len(values) != len(yardsticks):
        raise ValueError(f"{len(values)} values and {len(yardsticks)} yardsticks are not pairs")
    if any(yardstick <= 0 for yardstick in yardsticks):
        raise ValueError("a yardstick of nothing measures nothing")
    return [value / yardstick for value, yardstick in zip(values, yardsticks, strict=True)]


def alternate(
    subject: Callable[[], Own], yardstick: Callable[[], Other], pairs: int, *, warm_up: int = 1
) -> tuple[list[Own], list[Other]]:
    """Call both in turn, `pairs` times, and swap who goes first, so that a drift of the machine favours neither.

    What `warm_up` pairs return is thrown away: they fill the caches that every later call finds full.
    """
    subjects: list[Own] = []
    yardsticks: list[Other] = []
    for number in range(warm_up + pairs):
        if number % 2:
            other = yardstick()
            own = subject()
        else:
            own = subject()
            other = yardstick()
        if number >= warm_up:
            subjects.append(own)
            yardsticks.append(other)
    return subjects, yardsticks
