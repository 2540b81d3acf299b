"""prombed's evaluator on our store of samples.

This leans on prombed 0.1.0, which is pinned: `PromQLEngine._evaluate` is not public, but it is the only way
to evaluate a tree without parsing its text again, and to bring one's own store. Functions, operators and
aggregations stay prombed's. Tests compare the results with prombed on its own store.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import chain
from typing import Any

from prombed import PromQLEngine, Sample
from prombed.promql.evaluator import (
    _EvaluationBudget,
    _Matrix,
    _MatrixValue,
    _Scalar,
    _Vector,
    _VectorValue,
)
from prombed.promql.parser import SelectorExpression
from prombed.storage import _matches

from gameday.detectors.store import Series, Store

_MAX_SAMPLES = 5_000_000
_GAP = Sample(0, math.nan)


class Engine(PromQLEngine):  # type: ignore[misc]  # prombed ships no type information
    """Evaluates trees at one time."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._store = store

    def values(self, tree: Any, at_ms: int) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each resulting series; a scalar is one series without labels."""
        result = self._evaluate(tree, at_ms, _EvaluationBudget(_MAX_SAMPLES))
        if isinstance(result, _Scalar):
            return [({}, result.value)]
        return [(series.labels, series.value) for series in result.value]

    def _evaluate(self, expression: Any, time_ms: int, budget: Any) -> Any:
        if not isinstance(expression, SelectorExpression):
            return super()._evaluate(expression, time_ms, budget)
        matchers = expression.matchers
        found = self._store.select(matchers, lambda labels: _matches(labels, matchers))
        if expression.range_ms is None:
            values = [(series.labels, series.latest(time_ms)) for series in found]
            return _Vector([_VectorValue(labels, value) for labels, value in values if value is not None])
        start_ms = time_ms - expression.range_ms
        return _Matrix(
            [
                _MatrixValue(series.labels, _Window(series, start_ms, time_ms), expression.range_ms, time_ms)
                for series in found
            ]
        )


class _Window:
    """The samples of a series in (start, end], as far as `rate` and `increase` look at them.

    prombed's `_extrapolated_rate` needs their number, the first, the last, and of the others only the places
    where the value falls. Iteration therefore gives the two samples around each fall, after a NaN that keeps
    them from being compared with the fall before: the result is the same to the bit.
    """

    def __init__(self, series: Series, start_ms: int, end_ms: int) -> None:
        self._series = series
        self._start_ms, self._end_ms = start_ms, end_ms
        self._first = bisect_right(series.times_ms, start_ms)
        self._end = bisect_right(series.times_ms, end_ms)

    def __len__(self) -> int:
        return self._end - self._first

    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, slice):
            return self._sample(self._first + index if index >= 0 else self._end + index)
        if (index.start, index.stop, index.step) != (1, None, None):
            raise IndexError(f"a window gives its first and last sample and [1:], not {index!r}")
        times_ms = self._series.times_ms
        resets = (bisect_right(times_ms, at_ms) - 1 for at_ms in self._series.resets_ms)
        inside = (position for position in resets if self._first < position < self._end)
        pairs = ((_GAP, self._sample(position - 1), self._sample(position)) for position in inside)
        return list(chain.from_iterable(pairs))

    def _sample(self, position: int) -> Any:
        return Sample(self._series.times_ms[position], self._series.values[position])
