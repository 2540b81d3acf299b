"""Faults, one family a file. `build` turns a scenario's fault into one that can be applied to a target."""

from __future__ import annotations

from gameday.faults.base import Fault
from gameday.faults.kill import Kill
from gameday.faults.pause import Pause
from gameday.scenario import KillFault, PauseFault
from gameday.targets.base import Target

__all__ = ["Fault", "build"]


def build(fault: KillFault | PauseFault, target: Target) -> Fault:
    """The fault of a scenario, bound to the target that it will hit."""
    match fault:
        case KillFault():
            return Kill(target, fault.kill, fault.signal)
        case PauseFault():
            return Pause(target, fault.pause)
