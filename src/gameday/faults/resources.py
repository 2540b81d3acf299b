"""Take from a component what it lives on: a network, memory, processor time, processes."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.fault_spec import DisconnectFault, FloodFault, LimitFault
from gameday.faults.base import APPLY_TIMEOUT_S, some_of
from gameday.journal import Undo
from gameday.targets.base import Connectable, Floodable, Limitable, Limits


@dataclass(frozen=True, slots=True)
class Disconnect:
    target: Connectable
    fault: DisconnectFault

    @property
    def component(self) -> str:
        return self.fault.component

    def describe(self) -> str:
        network = f"network {self.fault.network}" if self.fault.network else "its networks"
        return f"disconnect {some_of(self.component, self.fault.count)} from {network}"

    def prepare(self) -> Undo:
        before = self.target.connections(self.component, self.fault.network, self.fault.count)
        return Undo("connect", self.component, {"connections": before})

    def apply(self) -> str:
        fault = self.fault
        return self.target.disconnect_network(self.component, fault.network, APPLY_TIMEOUT_S, fault.count)


@dataclass(frozen=True, slots=True)
class Limit:
    target: Limitable
    fault: LimitFault

    @property
    def component(self) -> str:
        return self.fault.component

    def describe(self) -> str:
        named = {"memory": self.fault.memory, "cpus": self.fault.cpus, "pids": self.fault.pids}
        limits = ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)
        return f"limit {some_of(self.component, self.fault.count)} to {limits}"

    def prepare(self) -> Undo:
        return Undo(
            "unlimit", self.component, {"before": self.target.limits(self.component, self.fault.count)}
        )

    def apply(self) -> str:
        limits = Limits(self.fault.memory, self.fault.cpus, self.fault.pids)
        return self.target.limit(self.component, limits, APPLY_TIMEOUT_S, self.fault.count)


@dataclass(frozen=True, slots=True)
class Flood:
    """For components without a switch of their own: somebody else writes into their log."""

    target: Floodable
    fault: FloodFault
    ttl_s: float

    @property
    def component(self) -> str:
        return self.fault.component

    def describe(self) -> str:
        pace = f"{self.fault.lines_per_s} lines a second, {self.fault.lines} in all"
        return f"flood the log of {self.component} from outside: {pace}"

    def prepare(self) -> Undo:
        self.target.check_flood(self.component)
        return Undo("unflood", self.component)

    def apply(self) -> str:
        fault = self.fault
        return self.target.flood(self.component, fault.lines_per_s, fault.lines, self.ttl_s, APPLY_TIMEOUT_S)
