"""Make a component behave badly while it runs, by the switch that its environment names.

Third parties have stand-ins with a switch; a service that is made for drills has one for what only it can do to
itself: leak, burn, flood its log, fail a share of its requests. The component ends it by itself after the
time-to-live.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gameday.errors import UsageError
from gameday.fault_spec import BurnFault, DegradeFault, FloodFault, LeakFault
from gameday.faults.base import APPLY_TIMEOUT_S
from gameday.fields import format_duration
from gameday.journal import Undo
from gameday.targets.base import Requestable

SwitchFault = DegradeFault | LeakFault | BurnFault | FloodFault


@dataclass(frozen=True, slots=True)
class Switch:
    target: Requestable
    fault: SwitchFault
    path: str | None
    """Of the switch; None where the environment names none."""
    ttl_s: float

    @property
    def component(self) -> str:
        return self.fault.component

    def describe(self) -> str:
        match self.fault:
            case DegradeFault():
                delay = f" {format_duration(self.fault.by)}" if self.fault.by else ""
                share = f" for {self.fault.percent} %" if self.fault.percent < 100 else ""
                return f"degrade {self.component}: {self.fault.mode}{delay}{share}"
            case LeakFault():
                pace = f"{self.fault.bytes_per_s} bytes a second"
                return f"leak {pace} in {self.component}, up to {self.fault.up_to_bytes}"
            case BurnFault():
                return f"burn {self.fault.threads} cores in {self.component}"
            case FloodFault():
                pace = f"{self.fault.lines_per_s} lines a second, {self.fault.lines} in all"
                return f"flood the log of {self.component}: {pace}"

    def prepare(self) -> Undo:
        return Undo("request", self.component, {"http": f"DELETE {self._path()}"})

    def apply(self) -> str:
        body = {**self._settings(), "ttl_s": self.ttl_s}
        return self.target.request(self.component, f"PUT {self._path()}", body, APPLY_TIMEOUT_S)

    def _path(self) -> str:
        if self.path is None:
            raise UsageError(
                f"{self.describe()}: {self.component} has no switch; its component in the environment needs "
                "`switch: /path` and a program that implements it (docs/faults.md)"
            )
        return self.path

    def _settings(self) -> Mapping[str, Any]:
        match self.fault:
            case DegradeFault(mode="breaker-stuck" | "no-receipts"):
                return {"mode": self.fault.mode}
            case DegradeFault():
                delay = {"delay_s": self.fault.by} if self.fault.by is not None else {}
                return {"mode": self.fault.mode, "share": self.fault.percent / 100, **delay}
            case LeakFault():
                amounts = {"bytes_per_s": self.fault.bytes_per_s, "up_to_bytes": self.fault.up_to_bytes}
                return {"mode": "memory-leak", **amounts}
            case BurnFault():
                return {"mode": "cpu-burn", "threads": self.fault.threads}
            case FloodFault():
                amounts = {"lines_per_s": self.fault.lines_per_s, "lines": self.fault.lines}
                return {"mode": "log-flood", **amounts}
