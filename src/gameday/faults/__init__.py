"""Faults, one family a file. `build` turns a scenario's fault into one that can be applied to a target."""

from __future__ import annotations

from gameday.fault_spec import (
    AnyFault,
    BurnFault,
    DegradeFault,
    DelayFault,
    DeployFault,
    DestroyFault,
    ExhaustFault,
    FillFault,
    FloodFault,
    FlushFault,
    KillFault,
    LeakFault,
    LoseFault,
    PartitionFault,
    PauseFault,
    ThrottleFault,
)
from gameday.faults.base import Fault
from gameday.faults.clients import StrangeClient
from gameday.faults.data import Destroy
from gameday.faults.deployment import Deploy
from gameday.faults.disk import Fill
from gameday.faults.kill import Kill
from gameday.faults.network import Network
from gameday.faults.pause import Pause
from gameday.faults.switch import Switch
from gameday.targets.ability import able
from gameday.targets.base import Clients, Deployable, Destroyable, Disks, Networked, OwnedTarget, Requestable

__all__ = ["Fault", "build"]


def build(fault: AnyFault, target: OwnedTarget, ttl_s: float) -> Fault:
    """The fault of a scenario, bound to the target that it will hit; it ends after `ttl_s` at the latest.

    Raises:
        UsageError: a target of this kind cannot do that to anything.
    """
    what = f"{fault.verb} {fault.component}"
    match fault:
        case KillFault():
            return Kill(target, fault.kill, fault.signal)
        case PauseFault():
            return Pause(target, fault.pause)
        case PartitionFault() | DelayFault() | ThrottleFault() | LoseFault():
            return Network(able(target, Networked, what), fault, ttl_s)
        case DegradeFault() | LeakFault() | BurnFault() | FloodFault():
            return Switch(able(target, Requestable, what), fault, _switch(target, fault.component), ttl_s)
        case FillFault():
            return Fill(able(target, Disks, what), fault.fill)
        case ExhaustFault() | FlushFault():
            return StrangeClient(able(target, Clients, what), fault, ttl_s)
        case DestroyFault():
            return Destroy(able(target, Destroyable, what), fault.destroy)
        case DeployFault():
            return Deploy(able(target, Deployable, what), fault.deploy, fault.version)


def _switch(target: OwnedTarget, component: str) -> str | None:
    found = target.environment.components.get(component)
    return getattr(found, "switch", None)
