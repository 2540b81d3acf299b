"""Impair the network path to a component: cut it, slow it down, narrow it, lose a share."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.fault_spec import DelayFault, LoseFault, NetworkFault, PartitionFault, ThrottleFault
from gameday.faults.base import APPLY_TIMEOUT_S
from gameday.fields import format_duration
from gameday.journal import Undo
from gameday.targets.base import Networked


@dataclass(frozen=True, slots=True)
class Network:
    target: Networked
    fault: NetworkFault
    ttl_s: float

    @property
    def component(self) -> str:
        return self.fault.component

    @property
    def name(self) -> str:
        """Tells impairments of one path apart."""
        return f"gameday-{self.fault.verb}"

    def describe(self) -> str:
        path = f"{self.fault.client or 'everybody'} to {self.component}"
        match self.fault:
            case PartitionFault():
                names = ", names cut too" if self.fault.dns == "cut" else ""
                return f"partition {path} ({self.fault.how}{names})"
            case DelayFault():
                jitter = f" ± {format_duration(self.fault.jitter)}" if self.fault.jitter else ""
                return f"delay {path} by {format_duration(self.fault.by)}{jitter}"
            case ThrottleFault():
                return f"throttle {path} to {self.fault.bytes_per_s} bytes a second"
            case LoseFault():
                return f"lose {self.fault.percent} % from {path}"

    def prepare(self) -> Undo:
        self.target.paths(self.component, self.fault.client, self.fault)
        return Undo("heal", self.component, {"client": self.fault.client, "name": self.name})

    def apply(self) -> str:
        return self.target.impair(self.fault, self.name, self.ttl_s, APPLY_TIMEOUT_S)
