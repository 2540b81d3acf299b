"""Freeze a component: its connections stay open and nothing answers, which time-outs must find out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gameday.faults.base import APPLY_TIMEOUT_S
from gameday.journal import Undo


class Pauses(Protocol):
    """What this fault needs of a target."""

    def pause(self, component: str, timeout_s: float) -> str: ...


@dataclass(frozen=True, slots=True)
class Pause:
    target: Pauses
    component: str

    def describe(self) -> str:
        return f"pause {self.component}"

    def prepare(self) -> Undo:
        return Undo("resume", self.component)

    def apply(self) -> str:
        return self.target.pause(self.component, APPLY_TIMEOUT_S)
