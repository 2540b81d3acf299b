"""One metric of a metrics page in Prometheus' text format: the small part of it that a probe needs.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping

Series = tuple[tuple[str, str], ...]
"""Labels of one series, sorted by name."""

_LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+(\S+)')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


def select(page: str, metric: str, labels: Mapping[str, str]) -> dict[Series, float]:
    """The series of `metric` whose labels match whole; a label that a series lacks is empty, as in PromQL.

    Raises:
        ValueError: the page has no number where a value of it should be.
    """
    patterns = {label: re.compile(pattern) for label, pattern in labels.items()}
    found: dict[Series, float] = {}
    for line in page.splitlines():
        match = _LINE.match(line) if line.startswith(metric) else None
        if match is None or match[1] != metric:
            continue
        own = {label: _unescaped(value) for label, value in _LABEL.findall(match[2] or "")}
        if all(pattern.fullmatch(own.get(label, "")) for label, pattern in patterns.items()):
            found.setdefault(tuple(sorted(own.items())), float(match[3]))
    return found


class Increase:
    """The increase of counters, a second, over a time that moves along.

    A counter that falls was reset and counts from 0, as in PromQL's rate(). Otherwise than there, a series that was
    absent when the page was first read began at 0: its first event is an increase. Nothing is extrapolated.
    """

    def __init__(self, over_s: float) -> None:
        self._over_s = over_s
        self._values: dict[Series, float] | None = None
        self._samples: deque[tuple[float, float]] = deque()
        """When, in monotonic seconds, and the increase since the sample before."""

    def add(self, at_s: float, values: Mapping[Series, float]) -> float | None:
        """Take a sample; the rate, None until there are two samples at least half the time apart."""
        self._samples.append((at_s, self._since_last(values)))
        while self._samples[0][0] < at_s - self._over_s:
            self._samples.popleft()
        span_s = at_s - self._samples[0][0]
        if span_s < self._over_s / 2:
            return None
        return sum(increase for _, increase in list(self._samples)[1:]) / span_s

    def _since_last(self, values: Mapping[Series, float]) -> float:
        before, first = self._values or {}, self._values is None
        self._values = {**before, **values}
        if first:
            return 0.0
        return sum(_rise(before.get(series, 0.0), value) for series, value in values.items())


def _rise(before: float, now: float) -> float:
    return now - before if now >= before else now


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
