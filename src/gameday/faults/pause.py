"""Freeze a component: its connections stay open and nothing answers, which time-outs must find out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gameday.faults.base import APPLY_TIMEOUT_S, some_of
from gameday.journal import Undo


class Pauses(Protocol):
    """What this fault needs of a target."""

    def pause(self, component: str, timeout_s: float, count: int | None = None) -> str: ...


@dataclass(frozen=True, slots=True)
class Pause:
    target: Pauses
    component: str
    count: int | None = None

    def describe(self) -> str:
        return f"pause {some_of(self.component, self.count)}"

    def prepare(self) -> Undo:
        return Undo("resume", self.component)

    def apply(self) -> str:
        return self.target.pause(self.component, APPLY_TIMEOUT_S, self.count)
