"""A small service in memory: components that are up or down, probes that follow, time that steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gameday.clock import Instant
from gameday.errors import ComponentNotFound, OperationTimedOut, TargetError
from gameday.targets.base import Execution


@dataclass
class World:
    """Implements both `Operations` and `Clock`: what takes time moves its clock, by no more than allowed."""

    up: dict[str, bool]
    probes: dict[str, str]
    """Probe to the component that must be up for it to succeed."""
    takes_s: dict[str, float] = field(default_factory=dict)
    """Verb or program to the time that it needs."""
    broken: set[str] = field(default_factory=set)
    """Verbs that fail at once."""
    exit_code: int = 0
    output: str = "as told"
    late: bool = False
    """Ignore time-outs, as a system call that cannot be interrupted does."""
    answer_s: float = 1.0
    """Time that a probe takes to succeed."""
    seen: list[tuple[str, float]] = field(default_factory=list)
    """What was asked for, with the time that was allowed."""
    steady: list[float] = field(default_factory=list)
    """For how long each probe was asked to go on succeeding."""
    during: Callable[[str], None] = lambda _: None
    time_s: float = 0.0

    def now(self) -> Instant:
        return Instant(round(self.time_s * 1e9), datetime(2024, 10, 15, tzinfo=UTC))

    def perform(
        self,
        operation: str,
        component: str,
        arguments: Mapping[str, Any],  # noqa: ARG002
        timeout_s: float,
    ) -> str:
        self._spend(operation, f"{operation} {component}", timeout_s)
        if component not in self.up:
            raise ComponentNotFound(f"no component {component!r}")
        if operation in self.broken:
            raise TargetError(f"{operation} {component}: exit code 1")
        if operation in ("start", "restart", "restore"):
            self.up[component] = True
        elif operation in ("stop", "kill"):
            self.up[component] = False
        return self.output

    def run(self, component: str, argv: Sequence[str], timeout_s: float) -> Execution:
        if component not in self.up:
            raise ComponentNotFound(f"no component {component!r}")
        self._spend(argv[0], " ".join(argv), timeout_s)
        return Execution(tuple(argv), self.exit_code, self.output, self.takes_s.get(argv[0], 0.0))

    def wait_for_probe(self, probe: str, within_s: float, steady_s: float) -> tuple[bool, str]:
        self.seen.append((probe, within_s))
        self.steady.append(steady_s)
        self.during(probe)
        met = self.up[self.probes[probe]] and self.answer_s <= within_s
        self.time_s += self.answer_s + steady_s if met else within_s
        return met, "answered" if met else "connection refused"

    def _spend(self, name: str, what: str, timeout_s: float) -> None:
        self.seen.append((what, timeout_s))
        self.during(what)
        needed_s = self.takes_s.get(name, 0.5)
        if needed_s > timeout_s and not self.late:
            self.time_s += timeout_s
            raise OperationTimedOut(f"{what}: still not done")
        self.time_s += needed_s
