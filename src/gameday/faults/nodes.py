"""Drain the nodes below a component: what runs there has to go elsewhere, where there is an elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.journal import Undo
from gameday.targets.base import Drainable

DRAIN_TIMEOUT_S = 90.0
"""Longer than for other faults: pods have the time to end that they ask for, 30 s unless they say otherwise."""


@dataclass(frozen=True, slots=True)
class Drain:
    target: Drainable
    component: str
    ttl_s: float

    def describe(self) -> str:
        return f"drain the nodes of {self.component}"

    def prepare(self) -> Undo:
        return Undo("uncordon", self.component, {"nodes": list(self.target.nodes(self.component))})

    def apply(self) -> str:
        return self.target.drain(self.component, self.ttl_s, DRAIN_TIMEOUT_S)
