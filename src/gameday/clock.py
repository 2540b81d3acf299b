"""Instants: a monotonic reading for durations and a UTC stamp for people, taken together at the event.

Linux's monotonic clock is one for all processes of a boot, so instants of the runner, its engine process and
an outside observer can be subtracted from each other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time. Order and differences come from `mono_ns`; `utc` is for display only."""

    mono_ns: int
    utc: datetime

    @classmethod
    def now(cls) -> Instant:
        return cls(time.monotonic_ns(), datetime.now(UTC))

    def __sub__(self, other: Instant) -> float:
        """Seconds from `other` to this instant."""
        return (self.mono_ns - other.mono_ns) / 1e9

    def __lt__(self, other: Instant) -> bool:
        return self.mono_ns < other.mono_ns

    def __le__(self, other: Instant) -> bool:
        return self.mono_ns <= other.mono_ns

    def plus(self, seconds: float) -> Instant:
        return Instant(self.mono_ns + round(seconds * 1e9), self.utc + timedelta(seconds=seconds))

    def to_json(self) -> dict[str, object]:
        return {"utc": self.utc.isoformat(timespec="microseconds"), "mono_ns": self.mono_ns}

    @classmethod
    def from_json(cls, value: dict[str, object]) -> Instant:
        mono_ns, utc = value["mono_ns"], value["utc"]
        if not isinstance(mono_ns, int) or not isinstance(utc, str):
            raise ValueError(f"not an instant: {value!r}")
        return cls(mono_ns, datetime.fromisoformat(utc))


class Clock(Protocol):
    """Where code that must be testable without sleeping gets its time from."""

    def now(self) -> Instant: ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Instant:
        return Instant.now()
