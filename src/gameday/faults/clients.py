"""Strange clients: one takes every connection of a database, one empties a cache again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gameday.fault_spec import ExhaustFault, FlushFault
from gameday.faults.base import APPLY_TIMEOUT_S
from gameday.fields import format_duration
from gameday.journal import Undo
from gameday.targets.base import ClientKind, Clients


@dataclass(frozen=True, slots=True)
class StrangeClient:
    target: Clients
    fault: ExhaustFault | FlushFault
    ttl_s: float

    @property
    def component(self) -> str:
        return self.fault.component

    @property
    def kind(self) -> ClientKind:
        return "exhaust" if isinstance(self.fault, ExhaustFault) else "flush"

    def describe(self) -> str:
        if isinstance(self.fault, ExhaustFault):
            return f"take every connection of {self.component}"
        return f"flush {self.component} every {format_duration(self.fault.every)}"

    def prepare(self) -> Undo:
        self.target.check_client(self.component, self.kind)
        return Undo("detach", self.component, {"kind": self.kind})

    def apply(self) -> str:
        return self.target.attach(self.component, self.kind, self._settings(), self.ttl_s, APPLY_TIMEOUT_S)

    def _settings(self) -> Mapping[str, Any]:
        return {"every_s": self.fault.every} if isinstance(self.fault, FlushFault) else {}
