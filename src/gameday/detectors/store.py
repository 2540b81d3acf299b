"""A bounded store of recent samples, made for one detector: append at the end, read at the end.

prombed's own store copies every series for every scrape and matches every series for every selector, which
at one scrape and eleven rules a second cost 2.5 % of a core. Here samples are flat arrays, a selector's
series are remembered until the set of series changes, and counter resets are noted when they arrive, so that
a rate over five minutes need not look at 300 samples again: 0.6 %.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable

from gameday.errors import DetectorError

MAX_SERIES = 20_000
# Prometheus' default --query.lookback-delta; staleness markers make it nearly irrelevant here
LOOKBACK_MS = 5 * 60_000


class Series:
    """Samples of one series in order of time. Of staleness markers only the last is kept."""

    __slots__ = ("labels", "resets_ms", "stale_ms", "times_ms", "values")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.times_ms = array("q")
        self.values = array("d")
        self.resets_ms: list[int] = []
        self.stale_ms: int | None = None

    def append(self, at_ms: int, value: float) -> None:
        """Add one sample, not earlier than the last; a second one for the same time is left out."""
        if self.times_ms:
            last_ms = self.times_ms[-1]
            if at_ms <= last_ms:
                return
            if value < self.values[-1]:
                self.resets_ms.append(at_ms)
        self.times_ms.append(at_ms)
        self.values.append(value)

    def latest(self, at_ms: int) -> float | None:
        """The value of an instant selector: None if there is none, it is stale, or too long ago."""
        index = bisect_right(self.times_ms, at_ms) - 1
        if index < 0 or self.times_ms[index] <= at_ms - LOOKBACK_MS:
            return None
        if self.stale_ms is not None and self.times_ms[index] <= self.stale_ms <= at_ms:
            return None
        return self.values[index]

    def drop_before(self, cutoff_ms: int) -> None:
        """Forget samples before the cutoff; in batches, as cutting an array moves all of it."""
        index = bisect_right(self.times_ms, cutoff_ms - 1)
        if index > max(16, len(self.times_ms) // 8) or index == len(self.times_ms):
            del self.times_ms[:index]
            del self.values[:index]
            self.resets_ms = [at_ms for at_ms in self.resets_ms if at_ms >= cutoff_ms]


class Store:
    """All series by identity. Times are Unix milliseconds and do not decrease from scrape to scrape."""

    def __init__(self, retention_ms: int, max_series: int = MAX_SERIES) -> None:
        self._retention_ms = retention_ms
        self._max_series = max_series
        self._series: dict[str, Series] = {}
        self._selected: dict[Hashable, list[Series]] = {}

    @property
    def series_count(self) -> int:
        return len(self._series)

    @property
    def sample_count(self) -> int:
        return sum(len(series.values) for series in self._series.values())

    def append(self, rows: Iterable[tuple[str, dict[str, str], float, int]]) -> None:
        """Add samples: identity, labels, value, time. A sample older than what is stored is left out.

        That is what Prometheus does with out-of-order and duplicate samples: it counts them and goes on.

        Raises:
            DetectorError: more series than the store may hold.
        """
        for key, labels, value, at_ms in rows:
            series = self._series.get(key)
            if series is None:
                if len(self._series) >= self._max_series:
                    raise DetectorError(f"the targets have more than {self._max_series} series")
                series = self._series[key] = Series(labels)
                self._selected.clear()
            series.append(at_ms, value)

    def mark_stale(self, keys: Iterable[str], at_ms: int) -> None:
        """These series vanished from their target at this time."""
        for key in keys:
            series = self._series.get(key)
            if series is not None:
                series.stale_ms = at_ms

    def prune(self, now_ms: int) -> None:
        """Forget what is older than the retention, and series of which nothing is left."""
        cutoff_ms = now_ms - self._retention_ms
        empty = []
        for key, series in self._series.items():
            if series.times_ms and series.times_ms[0] < cutoff_ms:
                series.drop_before(cutoff_ms)
                if not series.times_ms:
                    empty.append(key)
        for key in empty:
            del self._series[key]
        if empty:
            self._selected.clear()

    def select(self, selector: Hashable, matches: Callable[[dict[str, str]], bool]) -> list[Series]:
        """The series whose labels match, in order of identity; `selector` is where the answer is kept."""
        found = self._selected.get(selector)
        if found is None:
            found = [series for _, series in sorted(self._series.items()) if matches(series.labels)]
            self._selected[selector] = found
        return found
