"""The target `process`: real PostgreSQL and Valkey from wheels and the service itself, as local processes.

It needs no root and no Docker. Several instances of one environment live side by side, each in its own
folder. State survives between commands; the runner, its engine, the watchdog and `gameday recover` may each
use it at once, and each may be killed at any moment without a process being lost.
"""

from __future__ import annotations

import signal as signals
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from gameday.errors import UsageError
from gameday.targets import helpers
from gameday.targets.base import ComponentStatus, Execution, Running
from gameday.targets.clients import StrangeClients
from gameday.targets.databases import Databases
from gameday.targets.disks import BoundedDisks
from gameday.targets.lifecycle import UpAndDown
from gameday.targets.links import Links
from gameday.targets.operator_requests import Requests
from gameday.targets.privilege import Footing
from gameday.targets.program import Command, base_environment
from gameday.targets.supervise import COMMAND_SUFFIX, Row, process_table
from gameday.targets.versions import Versions
from gameday.targets.waiting import Deadline


class ProcessTarget(Links, Requests, Versions, BoundedDisks, StrangeClients, Databases, UpAndDown):
    """One instance of an environment whose components are processes on this machine.

    What only some targets can do is a base class each, in a module of its own.
    """

    # --- Target --------------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, ComponentStatus]:
        """Every component now, from the processes themselves."""
        with self._translated("status"):
            state = self._store.read()
            table = process_table()
            marked: dict[str, list[Row]] | None = None
            result: dict[str, ComponentStatus] = {}
            for name, component in self._components.items():
                record = state.components.get(name) if state else None
                if record is None:
                    result[name] = ComponentStatus(name, Running.DOWN, (), "", "never started")
                    continue
                recorded = table.get(record.process.pid) if record.process else None
                if (recorded is None or recorded.identity != record.process) and marked is None:
                    marked = self._scan(state, table)
                result[name] = component.status(record, component.find(record, table, marked or {}))
            return MappingProxyType(result)

    def start(self, component: str, timeout_s: float) -> str:
        """Start it, unless it is up already, and wait until it is ready."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as (found, deadline):
            if not found.start(deadline):
                return f"{component} was up already"
            return f"started {component} in {time.monotonic() - begun:.2f} s"

    # a component is one target here, so there is nothing for `count` to choose from
    def kill(self, component: str, signal: str, timeout_s: float, count: int | None = None) -> str:  # noqa: ARG002
        """Signal it and wait until nothing of it is left: SIGKILL hits every process, others the main one."""
        number = _signal(signal)
        with self._operation(component, timeout_s) as (found, deadline):
            return found.kill(number, deadline)

    def pause(self, component: str, timeout_s: float, count: int | None = None) -> str:  # noqa: ARG002
        """Freeze every process of it."""
        with self._operation(component, timeout_s) as (found, deadline):
            return found.pause(deadline)

    def resume(self, component: str, timeout_s: float) -> str:
        """Let frozen processes go on."""
        with self._operation(component, timeout_s) as (found, deadline):
            return found.resume(deadline)

    def execute(self, component: str, argv: Sequence[str], timeout_s: float) -> Execution:
        """Run a command in the component's folder, with `DATABASE_URL`, `DATABASE_HOST`, `DATABASE_PORT` and
        so on for every component. A command that fails is no error of this method; its exit code says it.
        """
        found = self._component(component)
        if not argv:
            raise UsageError(f"execute on {component}: the command is empty")
        with self._translated(f"execute on {component}"):
            program = found.program
            cwd = program.directory if isinstance(program, Command) else found.place.folder
            env = base_environment(found.place.mark)
            for name in self.environment.components:
                address = self.address(name)
                prefix = name.upper().replace("-", "_")
                env[f"{prefix}_URL"] = address.url
                env[f"{prefix}_HOST"] = address.host
                env[f"{prefix}_PORT"] = str(address.port)
            mark, deadline = found.place.mark + COMMAND_SUFFIX, Deadline.after(timeout_s)
            done = helpers.execute(argv, mark=mark, env=env, cwd=cwd, footing=Footing(), deadline=deadline)
            return replace(done, output=self._secrets.redact(done.output))

    def logs(self, component: str, lines: int, timeout_s: float) -> str:
        """The last lines of the component's output."""
        del timeout_s  # a local file
        with self._translated(f"logs of {component}"):
            return self._component(component).last_lines(lines)


def _signal(name: str) -> signals.Signals:
    try:
        return signals.Signals[name]
    except KeyError as error:
        raise UsageError(f"{name!r} is not a signal; expected a name such as SIGKILL or SIGTERM") from error
