"""One figure with everything that is needed to judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.arithmetic import Spread, ratios, spread

Judged = Literal["value", "ratio", "maximum"]


@dataclass(frozen=True, slots=True)
class Result:
    """A measurement. `bar` is the most that what is `judged` may be; without a bar it is for information."""

    name: str
    unit: str
    samples: tuple[float, ...]
    yardstick: str = ""
    yardstick_samples: tuple[float, ...] = ()
    bar: float | None = None
    judged: Judged = "value"
    note: str = ""

    @property
    def value(self) -> Spread:
        return spread(self.samples)

    @property
    def ratio(self) -> Spread | None:
        """Pair by pair where there are pairs, else of the medians."""
        if not self.yardstick_samples:
            return None
        if len(self.samples) == len(self.yardstick_samples):
            return spread(ratios(self.samples, self.yardstick_samples))
        return spread(ratios([self.value.median], [spread(self.yardstick_samples).median]))

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self._judged() <= self.bar

    def _judged(self) -> float:
        if self.judged == "maximum":
            return self.value.maximum
        if self.judged == "value":
            return self.value.median
        if self.ratio is None:
            raise ValueError(f"{self.name}: judged by its ratio, and has no yardstick")
        return self.ratio.median

    def to_json(self) -> dict[str, Any]:
        ratio = self.ratio
        return {
            "name": self.name,
            "value": self.value.median,
            "unit": self.unit,
            "yardstick": self.yardstick or None,
            "yardstick_value": spread(self.yardstick_samples).median if self.yardstick_samples else None,
            "ratio": ratio.median if ratio else None,
            "ratio_quartiles": [ratio.low, ratio.high] if ratio else None,
            "bar": self.bar,
            "judged": self.judged,
            "met": self.met,
            "note": self.note,
            "samples": list(self.samples),
            "yardstick_samples": list(self.yardstick_samples),
        }


def bars_missed(results: Sequence[Result]) -> list[str]:
    return [result.name for result in results if result.met is False]
