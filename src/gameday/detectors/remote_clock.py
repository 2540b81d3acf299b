"""What another machine's clock shows, as bounds: no instant of a server is used without its uncertainty.

Each answer bounds the difference between the server's UTC and this machine's monotonic clock: the server read its
clock after the request was sent and before the answer came. Bounds are intersected over a minute; where they
contradict each other, the clock was set meanwhile and only the newest counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gameday.clock import Instant

KEPT_S = 60.0
# by how much two quartz clocks, one of them being slewed, may diverge; NTP slews by at most 500 ppm
DRIFT = 600e-6


@dataclass(frozen=True, slots=True)
class Span:
    """Two points of this machine's monotonic clock, in seconds, between which something happened."""

    low_s: float
    high_s: float

    def meets(self, other: Span) -> Span | None:
        """What both allow; None if they contradict each other."""
        both = Span(max(self.low_s, other.low_s), min(self.high_s, other.high_s))
        return both if both.low_s <= both.high_s else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Server's UTC minus this machine's monotonic clock, in seconds: between `low_s` and `high_s`."""

    low_s: float
    high_s: float

    def span(self, from_s: float, to_s: float) -> Span:
        """Where a stretch of the server's time lies on this machine's monotonic clock."""
        return Span(from_s - self.high_s, to_s - self.low_s)

    def server_s(self, at: Instant) -> tuple[float, float]:
        """The server's UTC at an instant: at least and at most."""
        return seconds(at) + self.low_s, seconds(at) + self.high_s

    def ahead_of(self, now: Instant) -> tuple[float, float]:
        """By how many seconds the server's clock is ahead of this machine's UTC, and ± how many."""
        here = now.utc.timestamp() - seconds(now)
        return (self.low_s + self.high_s) / 2 - here, (self.high_s - self.low_s) / 2


class RemoteClock:
    """Gathers bounds. Exact ones (to the millisecond) count for themselves; headers, to the second, without them."""

    def __init__(self) -> None:
        self._exact: deque[tuple[float, Difference]] = deque(maxlen=256)
        self._coarse: deque[tuple[float, Difference]] = deque(maxlen=1024)

    def told(self, server_s: float, resolution_s: float, sent: Instant, received: Instant) -> None:
        """The server read `server_s`, cut off to multiples of `resolution_s`, between the two instants."""
        bound = Difference(server_s - seconds(received), server_s + resolution_s - seconds(sent))
        kept = self._exact if resolution_s < 0.1 else self._coarse
        at_s = seconds(received)
        while kept and at_s - kept[0][0] > KEPT_S:
            kept.popleft()
        kept.append((at_s, bound))

    def difference(self, now: Instant) -> Difference | None:
        """The tightest bounds that all recent answers allow; None before the first."""
        at_s = seconds(now)
        for kept in (self._exact, self._coarse):
            recent = [(at_s - told_s, bound) for told_s, bound in kept if at_s - told_s <= KEPT_S]
            if recent:
                return _common(recent)
        return None


def _common(bounds: list[tuple[float, Difference]]) -> Difference:
    """Newest first, each widened by what the clocks may have drifted since."""
    low_s, high_s = float("-inf"), float("inf")
    for age_s, bound in reversed(bounds):
        slack_s = max(0.0, age_s) * DRIFT
        lower, upper = max(low_s, bound.low_s - slack_s), min(high_s, bound.high_s + slack_s)
        if lower > upper:
            break
        low_s, high_s = lower, upper
    return Difference(low_s, high_s)


def seconds(at: Instant) -> float:
    """The monotonic clock in seconds."""
    return at.mono_ns / 1e9
