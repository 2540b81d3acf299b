"""Waiting with a bound: every wait of the process target ends, by the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Deadline:
    """The instant by which an operation must have ended, and the time it was given, for messages."""

    at: float
    timeout_s: float

    @classmethod
    def after(cls, timeout_s: float) -> Deadline:
        return cls(time.monotonic() + timeout_s, timeout_s)

    def left_s(self) -> float:
        return max(0.0, self.at - time.monotonic())

    def passed(self) -> bool:
        return time.monotonic() >= self.at

    def at_most(self, timeout_s: float) -> Deadline:
        """The earlier of this deadline and `timeout_s` from now."""
        other = Deadline.after(timeout_s)
        return other if other.at < self.at else self


def wait_until(condition: Callable[[], bool], deadline: Deadline, every_s: float = POLL_S) -> bool:
    """Ask until `condition` holds; False when the deadline passes first. It is asked at least once."""
    while not condition():
        if deadline.passed():
            return False
        time.sleep(min(every_s, max(deadline.left_s(), 0.0005)))
    return True
