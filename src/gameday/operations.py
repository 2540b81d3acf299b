"""What a runbook does, carried out on a target: `Operations` of the executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.errors import GamedayError
from gameday.targets.ability import able
from gameday.targets.base import (
    Clients,
    Deployable,
    Disks,
    Drainable,
    Execution,
    Freezable,
    Networked,
    Requestable,
    Target,
)


@dataclass(frozen=True, slots=True)
class TargetOperations:
    """`wait` answers whether a probe succeeds within so many seconds from now, and goes on for as many more."""

    target: Target
    wait: Callable[[str, float, float], tuple[bool, str]]

    def perform(self, operation: str, component: str, arguments: Mapping[str, Any], timeout_s: float) -> str:
        """Carry out one verb of a runbook; returns what was done.

        Raises:
            GamedayError: it failed, or this target cannot do that.
        """
        target = self.target
        match operation:
            case "start":
                return target.start(component, timeout_s)
            case "stop":
                return target.stop(component, timeout_s)
            case "restart":
                return f"{target.stop(component, timeout_s)}; {target.start(component, timeout_s)}"
            case "kill":
                return target.kill(component, str(arguments["signal"]), timeout_s)
            case "resume":
                return target.resume(component, timeout_s)
            case "restore":
                return target.restore(component, str(arguments["to"]), timeout_s)
            case "status":
                return self._status(component)
            case "logs":
                return target.logs(component, int(arguments["lines"]), timeout_s)
            case _:
                return self._perform_special(operation, component, arguments, timeout_s)

    def _perform_special(
        self, operation: str, component: str, arguments: Mapping[str, Any], timeout_s: float
    ) -> str:
        """What some targets cannot do."""
        match operation:
            case "pause":
                return able(self.target, Freezable, operation).pause(component, timeout_s)
            case "rollback":
                return able(self.target, Deployable, operation).rollback(component, timeout_s)
            case "reconnect":
                return able(self.target, Networked, operation).heal(component, None, None, timeout_s)
            case "uncordon":
                return able(self.target, Drainable, operation).uncordon(component, None, timeout_s)
            case "disconnect":
                return able(self.target, Clients, operation).disconnect(
                    component, arguments["keep"], timeout_s
                )
            case "reclaim":
                return able(self.target, Disks, operation).reclaim(component, timeout_s)
            case "request":
                requestable = able(self.target, Requestable, operation)
                return requestable.request(component, str(arguments["http"]), arguments["body"], timeout_s)
            case _:
                raise GamedayError(f"{operation} {component}: this version cannot do that")

    def _status(self, component: str) -> str:
        found = self.target.status()[component]
        targets = f": {', '.join(found.targets)}" if found.targets else ""
        return f"{component} is {found.running.value} at {found.address}{targets}"

    def run(self, component: str, argv: Sequence[str], timeout_s: float) -> Execution:
        """Run a command where the component lives."""
        return self.target.execute(component, argv, timeout_s)

    def wait_for_probe(self, probe: str, within_s: float, steady_s: float) -> tuple[bool, str]:
        """Whether samples taken from now on succeed within that time, and what the last one said."""
        return self.wait(probe, within_s, steady_s)
