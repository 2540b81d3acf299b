"""Destroy a database: its data directory is gone; what is left is the backup and the archive."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.faults.base import APPLY_TIMEOUT_S
from gameday.journal import Undo
from gameday.targets.base import Destroyable


@dataclass(frozen=True, slots=True)
class Destroy:
    target: Destroyable
    component: str

    def describe(self) -> str:
        return f"destroy the data of {self.component}"

    def prepare(self) -> Undo:
        """What the fault destroys cannot be put back to the row; as much as backup and archive have can."""
        self.target.check_backup(self.component)
        return Undo("restore", self.component)

    def apply(self) -> str:
        return self.target.destroy(self.component, APPLY_TIMEOUT_S)
