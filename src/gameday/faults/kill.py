"""Kill a component: every process of it ends at once and nothing starts it again until somebody does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gameday.faults.base import APPLY_TIMEOUT_S, some_of
from gameday.journal import Undo


class Kills(Protocol):
    """What this fault needs of a target."""

    def kill(self, component: str, signal: str, timeout_s: float, count: int | None = None) -> str: ...


@dataclass(frozen=True, slots=True)
class Kill:
    target: Kills
    component: str
    signal: str
    count: int | None = None

    def describe(self) -> str:
        return f"kill {some_of(self.component, self.count)} with {self.signal}"

    def prepare(self) -> Undo:
        return Undo("start", self.component)

    def apply(self) -> str:
        return self.target.kill(self.component, self.signal, APPLY_TIMEOUT_S, self.count)
