"""Faults, one family a file. `build` turns a scenario's fault into one that can be applied to a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.counted import Counted
from gameday.errors import UsageError
from gameday.fault_spec import (
    AnyFault,
    BurnFault,
    DegradeFault,
    DelayFault,
    DeployFault,
    DestroyFault,
    DisconnectFault,
    DrainFault,
    ExhaustFault,
    FillFault,
    FloodFault,
    FlushFault,
    KillFault,
    LeakFault,
    LimitFault,
    LoseFault,
    PartitionFault,
    PauseFault,
    RemoveFault,
    StopFault,
    ThrottleFault,
)
from gameday.faults.base import Fault
from gameday.faults.clients import StrangeClient
from gameday.faults.data import Destroy
from gameday.faults.deployment import Deploy
from gameday.faults.disk import Fill
from gameday.faults.kill import Kill
from gameday.faults.network import Network
from gameday.faults.nodes import Drain
from gameday.faults.pause import Pause
from gameday.faults.resources import Disconnect, Flood, Limit
from gameday.faults.stop import Remove, Stop
from gameday.faults.switch import Switch, SwitchFault
from gameday.targets.ability import able
from gameday.targets.base import (
    Clients,
    Connectable,
    Deployable,
    Destroyable,
    Disks,
    Drainable,
    Floodable,
    Freezable,
    Limitable,
    Networked,
    OwnedTarget,
    Removable,
    Requestable,
)

__all__ = ["Fault", "build", "check_kind"]

SpecialFault = (
    RemoveFault
    | DisconnectFault
    | LimitFault
    | DrainFault
    | PartitionFault
    | DelayFault
    | ThrottleFault
    | LoseFault
    | FillFault
    | ExhaustFault
    | FlushFault
    | DestroyFault
    | DeployFault
)


_NEEDED: Mapping[str, type[Any]] = {
    "pause": Freezable,
    "remove": Removable,
    "disconnect": Connectable,
    "limit": Limitable,
    "drain": Drainable,
    "partition": Networked,
    "delay": Networked,
    "throttle": Networked,
    "lose": Networked,
    "fill": Disks,
    "exhaust": Clients,
    "flush": Clients,
    "destroy": Destroyable,
    "deploy": Deployable,
}
"""By verb, what a target must be able to do at all. Every target can do the others to some component."""


def check_kind(fault: AnyFault, kind: type[Any]) -> None:
    """Whether targets of this class can do that to anything, which needs none of them.

    Raises:
        UsageError: they cannot; in the words of `build`.
    """
    ability = _NEEDED.get(fault.verb)
    if ability is not None and not issubclass(kind, ability):
        raise UsageError(f"{fault.verb} {fault.component}: target {kind.kind} cannot do that")


def build(fault: AnyFault, target: OwnedTarget, ttl_s: float) -> Fault:
    """The fault of a scenario, bound to the target that it will hit; it ends after `ttl_s` at the latest.

    Raises:
        UsageError: a target of this kind cannot do that to anything.
    """
    if isinstance(fault, Counted) and fault.percent is not None:
        there = len(target.status()[fault.component].targets)
        fault = fault.model_copy(update={"count": fault.hits(there), "percent": None})
    match fault:
        case KillFault():
            return Kill(target, fault.kill, fault.signal, fault.count)
        case StopFault():
            return Stop(target, fault.stop, fault.count)
        case PauseFault():
            return Pause(able(target, Freezable, f"pause {fault.pause}"), fault.pause, fault.count)
        case DegradeFault() | LeakFault() | BurnFault() | FloodFault():
            return _inside(fault, target, ttl_s)
        case _:
            return _around(fault, target, f"{fault.verb} {fault.component}", ttl_s)


def _inside(fault: SwitchFault, target: OwnedTarget, ttl_s: float) -> Fault:
    """What a component does to itself, where it has a switch for it."""
    switch = getattr(target.environment.components.get(fault.component), "switch", None)
    if isinstance(fault, FloodFault) and switch is None and isinstance(target, Floodable):
        return Flood(target, fault, ttl_s)
    requestable = able(target, Requestable, f"{fault.verb} {fault.component}")
    return Switch(requestable, fault, switch, ttl_s)


def _around(fault: SpecialFault, target: OwnedTarget, what: str, ttl_s: float) -> Fault:
    """What only some targets can do to a component."""
    match fault:
        case RemoveFault():
            return Remove(able(target, Removable, what), fault.remove, fault.count)
        case DisconnectFault():
            return Disconnect(able(target, Connectable, what), fault)
        case LimitFault():
            return Limit(able(target, Limitable, what), fault)
        case DrainFault():
            return Drain(able(target, Drainable, what), fault.drain, ttl_s)
        case PartitionFault() | DelayFault() | ThrottleFault() | LoseFault():
            return Network(able(target, Networked, what), fault, ttl_s)
        case FillFault():
            return Fill(able(target, Disks, what), fault.fill)
        case ExhaustFault() | FlushFault():
            return StrangeClient(able(target, Clients, what), fault, ttl_s)
        case DestroyFault():
            return Destroy(able(target, Destroyable, what), fault.destroy)
        case DeployFault():
            return Deploy(able(target, Deployable, what), fault.deploy, fault.version)
