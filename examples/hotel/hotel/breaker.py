"""A circuit breaker as a pure state machine: time comes in as an argument, nothing sleeps, nothing is called.

    closed ── N failures in a row ──> open ── recovery time over, next caller ──> half-open
      ^                                ^                                             │  │
      └────── M successes in a row ────┼─────────────────────────────────────────────┘  │
                                       └───────────────────── one failure ──────────────┘

An operator can close it at any time; a drill can stick it open, and then nothing but `reset` closes it.

A call's outcome counts only in the state in which the call began: an answer that was under way when the
breaker opened neither closes it nor opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class BreakerState(IntEnum):
    """The values are those of the series `pms_circuit_breaker_state`."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`recovery_s` None: once open it stays open until `reset`."""

    failures_to_open: int = 5
    successes_to_close: int = 2
    recovery_s: float | None = 10.0


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to make one call, valid for the state in which it was given."""

    period: int


class CircuitBreaker:
    """Not thread-safe: it belongs to one event loop. All instants are monotonic seconds."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._state = BreakerState.CLOSED
        self._period = 0
        self._failures = 0
        self._successes = 0
        self._trial_under_way = False
        self._opened_at = 0.0
        self._stuck = False

    @property
    def state(self) -> BreakerState:
        return self._state

    @property
    def stuck(self) -> bool:
        """Whether it is open for no other reason than `stick_open`."""
        return self._stuck

    def acquire(self, now: float) -> Permit | None:
        """A permit for one call, or None where the caller must do without. Half-open: one call at a time."""
        if self._state is BreakerState.OPEN and self._recovery_is_due(now):
            self._enter(BreakerState.HALF_OPEN)
        if self._state is BreakerState.OPEN:
            return None
        if self._state is BreakerState.HALF_OPEN:
            if self._trial_under_way:
                return None
            self._trial_under_way = True
        return Permit(self._period)

    def succeeded(self, permit: Permit) -> None:
        if permit.period != self._period:
            return
        self._failures = 0
        if self._state is BreakerState.HALF_OPEN:
            self._trial_under_way = False
            self._successes += 1
            if self._successes >= self._policy.successes_to_close:
                self._enter(BreakerState.CLOSED)

    def failed(self, permit: Permit, now: float) -> None:
        """Errors and time-outs alike."""
        if permit.period != self._period:
            return
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN or self._failures >= self._policy.failures_to_open:
            self._enter(BreakerState.OPEN)
            self._opened_at = now

    def abandoned(self, permit: Permit) -> None:
        """The call was cancelled: nothing was learned, and the next caller may try."""
        if permit.period == self._period:
            self._trial_under_way = False

    def reset(self) -> None:
        """An operator closes the breaker whatever it counted."""
        self._stuck = False
        self._enter(BreakerState.CLOSED)

    def stick_open(self) -> None:
        """Open it, with a recovery time that never ends."""
        self._stuck = True
        self._enter(BreakerState.OPEN)

    def retry_after_s(self, now: float) -> float | None:
        """Seconds until a call is let through again; None where only `reset` helps; 0 when not open."""
        if self._state is not BreakerState.OPEN:
            return 0.0
        if self._policy.recovery_s is None or self._stuck:
            return None
        return max(0.0, self._opened_at + self._policy.recovery_s - now)

    def _recovery_is_due(self, now: float) -> bool:
        if self._policy.recovery_s is None or self._stuck:
            return False
        return now - self._opened_at >= self._policy.recovery_s

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._period += 1
        self._failures = 0
        self._successes = 0
        self._trial_under_way = False
