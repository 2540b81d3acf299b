"""Stop a component in an orderly way, and remove one: it is away until somebody brings it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gameday.faults.base import APPLY_TIMEOUT_S, some_of
from gameday.journal import Undo
from gameday.targets.base import Removable


class Stops(Protocol):
    """What this fault needs of a target."""

    def stop(self, component: str, timeout_s: float, count: int | None = None) -> str: ...


@dataclass(frozen=True, slots=True)
class Stop:
    target: Stops
    component: str
    count: int | None = None

    def describe(self) -> str:
        return f"stop {some_of(self.component, self.count)}"

    def prepare(self) -> Undo:
        return Undo("start", self.component)

    def apply(self) -> str:
        return self.target.stop(self.component, APPLY_TIMEOUT_S, self.count)


@dataclass(frozen=True, slots=True)
class Remove:
    target: Removable
    component: str
    count: int | None = None

    def describe(self) -> str:
        return f"remove {some_of(self.component, self.count)}"

    def prepare(self) -> Undo:
        """Starting what is gone makes it again, from what the target remembers of it."""
        return Undo("start", self.component)

    def apply(self) -> str:
        return self.target.remove(self.component, APPLY_TIMEOUT_S, self.count)
