"""Fill the disk of a component to the last byte."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.faults.base import APPLY_TIMEOUT_S
from gameday.journal import Undo
from gameday.targets.base import Disks


@dataclass(frozen=True, slots=True)
class Fill:
    target: Disks
    component: str

    def describe(self) -> str:
        return f"fill the disk of {self.component}"

    def prepare(self) -> Undo:
        self.target.check_disk(self.component)
        return Undo("unfill", self.component)

    def apply(self) -> str:
        return self.target.fill(self.component, APPLY_TIMEOUT_S)
