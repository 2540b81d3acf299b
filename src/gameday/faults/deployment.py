"""Roll out a bad version."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.faults.base import APPLY_TIMEOUT_S
from gameday.journal import Undo
from gameday.targets.base import Deployable


@dataclass(frozen=True, slots=True)
class Deploy:
    target: Deployable
    component: str
    version: str

    def describe(self) -> str:
        return f"deploy version {self.version} of {self.component}"

    def prepare(self) -> Undo:
        self.target.check_version(self.component, self.version)
        return Undo("deploy", self.component, {"version": self.target.version(self.component)})

    def apply(self) -> str:
        return self.target.deploy(self.component, self.version, APPLY_TIMEOUT_S)
