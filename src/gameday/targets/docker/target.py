"""The target `docker`: components are containers, of a compose project or by themselves.

Each operation looks at the engine first and changes only what is not so already: the runner, its engine process, the
dead-man switch and `gameday recover` may each use it at once, each may be killed at any moment, and so may containers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from gameday.errors import TargetError, UsageError
from gameday.targets.base import ComponentStatus, Execution, Running
from gameday.targets.docker.clients import ContainerClients
from gameday.targets.docker.containers import Container, listed, make, matching, names
from gameday.targets.docker.databases import ContainerDatabases
from gameday.targets.docker.deadman import SwitchInContainer
from gameday.targets.docker.disk import ContainerDisks
from gameday.targets.docker.flood import ContainerLogs
from gameday.targets.docker.image import helper_image
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.docker.lifecycle import UpAndDown
from gameday.targets.docker.limits import ContainerLimits
from gameday.targets.docker.network import Networks
from gameday.targets.docker.readiness import Readiness
from gameday.targets.docker.state import Remembered
from gameday.targets.docker.versions import ContainerVersions
from gameday.targets.request import request_by_operator
from gameday.targets.waiting import Deadline, wait_until

_DEAD_POLL_S = 0.005
_LOG_LIMIT = 2000
_SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2")


class DockerTarget(
    SwitchInContainer,
    Networks,
    ContainerDatabases,
    ContainerVersions,
    ContainerClients,
    ContainerLimits,
    ContainerDisks,
    ContainerLogs,
    Readiness,
    UpAndDown,
    DockerInstance,
):
    """One environment in Docker. What only some targets can do is a base class each, in a module of its own."""

    # --- Target --------------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, ComponentStatus]:
        """Every component now, as the engine lists its containers."""
        containers = listed(self._engine)
        state = self._state.read()
        return MappingProxyType(
            {
                name: self._status_of(
                    name, matching(containers, spec.docker, self.compose_project), state.of(name)
                )
                for name, spec in self._specs.items()
            }
        )

    def _status_of(self, name: str, found: Sequence[Container], known: Remembered) -> ComponentStatus:
        missing = sorted(known.recipes.keys() - {container.name for container in found})
        down = [container for container in found if not container.running]
        targets = tuple(str(container) for container in found if container.running)
        details = [f"{container.name} is {container.state}" for container in down]
        details += [f"{gone} is gone" for gone in missing]
        details += [f"version {known.version}"] if known.version else []
        details += ["its data were destroyed"] if known.destroyed else []
        if down or missing or not found or known.destroyed:  # what runs in destroyed data is not it
            running = Running.DOWN
            details = details or [self._nothing_matches(name)]
        else:
            running = Running.PAUSED if any(container.paused for container in found) else Running.UP
        address = self.shown_address(name) if found else ""
        return ComponentStatus(name, running, targets, address, ", ".join(details))

    def start(self, component: str, timeout_s: float) -> str:
        """Start its containers, make again those that are gone, and wait until all are ready."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as deadline:
            started = self._start(component, deadline)
            if not started:
                return f"{component} was up already"
            return f"started {component} ({', '.join(started)}) in {time.monotonic() - begun:.2f} s"

    def _start(self, component: str, deadline: Deadline) -> list[str]:
        known = self._remembered(component)
        if known.destroyed:
            raise TargetError(
                f"{component}: its data were destroyed; restore it from its backup, that starts it too"
            )
        self._settle_restore(component, deadline)
        self._settle_version(component, deadline)
        found = self._find(component)
        paused = [container for container in found if container.paused]
        if paused:
            raise TargetError(f"{component} is paused ({names(paused)}); resume it instead of starting it")
        started = [container.name for container in found if not container.running]
        waiting = [container.id for container in found]
        for container in found:
            if not container.running:
                with self._engine.translated(f"start {container}"):
                    self._engine.api.start(container.id)
        for name in sorted(known.recipes.keys() - {container.name for container in found}):
            made = make(self._engine, known.recipes[name])
            with self._engine.translated(f"start container {name}, made again"):
                self._engine.api.start(made)
            started.append(f"{name}, made again")
            waiting.append(made)
        if not waiting:
            raise TargetError(
                f"start {component}: {self._nothing_matches(component)}, and none is remembered"
            )
        self._wait_ready(component, waiting, deadline)
        return started

    def stop(self, component: str, timeout_s: float, count: int | None = None) -> str:
        """Stop its containers in an orderly way, or by SIGKILL after its `stop_within`."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as deadline:
            running = [container for container in self._found(component) if container.running][:count]
            if not running:
                return f"{component} was down already"
            for container in running:
                self._stop_orderly(component, container.id, str(container), deadline, paused=container.paused)
            return f"stopped {names(running)} in {time.monotonic() - begun:.2f} s"

    def kill(self, component: str, signal: str, timeout_s: float, count: int | None = None) -> str:
        """Send a signal to the main process of each container and wait until none runs."""
        if signal not in _SIGNALS:
            raise UsageError(f"{signal!r} is not a signal; expected one of {', '.join(_SIGNALS)}")
        with self._operation(component, timeout_s) as deadline:
            running = [container for container in self._found(component) if container.running][:count]
            if not running:
                raise TargetError(f"{signal} for {component}: it is down, there is nothing to signal")
            for container in running:
                with self._engine.translated(f"{signal} for {container}"):
                    self._engine.api.kill(container.id, signal=signal)
            self._wait_dead(running, f"{signal} for {component}", deadline)
            return f"{signal} ended {', '.join(map(str, running))}"

    def _wait_dead(self, containers: Sequence[Container], what: str, deadline: Deadline) -> None:
        alive = {container.id for container in containers}

        def dead() -> bool:
            for one in tuple(alive):
                if not self._engine.inspect(one)["State"]["Running"]:
                    alive.discard(one)
            return not alive

        if not wait_until(dead, deadline, _DEAD_POLL_S):
            left = ", ".join(str(container) for container in containers if container.id in alive)
            raise TargetError(f"{what}: still running after {deadline.timeout_s:g} s: {left}")

    def pause(self, component: str, timeout_s: float, count: int | None = None) -> str:
        """Freeze every process of its containers."""
        with self._operation(component, timeout_s):
            running = [container for container in self._found(component) if container.running][:count]
            if not running:
                raise TargetError(f"pause {component}: it is down, there is nothing to pause")
            for container in running:
                if not container.paused:
                    with self._engine.translated(f"pause {container}"):
                        self._engine.api.pause(container.id)
            return f"paused {', '.join(map(str, running))}"

    def resume(self, component: str, timeout_s: float) -> str:
        """Let what is frozen go on."""
        with self._operation(component, timeout_s):
            paused = [container for container in self._found(component) if container.paused]
            for container in paused:
                with self._engine.translated(f"resume {container}"):
                    self._engine.api.unpause(container.id)
            return f"resumed {names(paused)}" if paused else f"{component} was not paused"

    def remove(self, component: str, timeout_s: float, count: int | None = None) -> str:
        """Kill and remove its containers; volumes stay, those without a name too."""
        with self._operation(component, timeout_s):
            known = self._remembered(component).recipes
            hit = self._found(component)[:count]
            strangers = [container for container in hit if container.name not in known]
            if strangers:
                raise TargetError(
                    f"remove {component}: {names(strangers)} could not be made again: not remembered"
                )
            for container in hit:
                with self._engine.translated(f"remove {container}"):
                    self._engine.api.remove_container(container.id, v=False, force=True)
            return f"removed {', '.join(map(str, hit))}"

    def execute(self, component: str, argv: Sequence[str], timeout_s: float) -> Execution:
        """Run a command in its first container. A command that fails is no error; its exit code says it."""
        if not argv:
            raise UsageError(f"execute on {component}: the command is empty")
        deadline = Deadline.after(timeout_s)
        self._engine.await_engine(deadline)
        done = self._engine.execute(self._found(component)[0].id, argv, deadline)
        return Execution(done.argv, done.exit_code, self._secrets.redact(done.output), done.duration_s)

    def logs(self, component: str, lines: int, timeout_s: float) -> str:
        """The last lines of each of its containers."""
        self._engine.await_engine(Deadline.after(timeout_s))
        return "\n".join(self._log_of(container.id, lines) for container in self._found(component))

    def request(self, component: str, http: str, body: Mapping[str, Any] | None, timeout_s: float) -> str:
        """Send it with the operator's headers; status and the beginning of the answer, without any secret."""
        headers, address = self._spec(component).operator.headers, self.address(component)
        what = f"{http} of {component}"
        return request_by_operator(headers, address, http, body, timeout_s, what=what, secrets=self._secrets)

    # --- Preparing, Remembering ---------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Have the image of the helper containers."""
        helper_image(self._engine)

    def remember(self, timeout_s: float) -> str:
        """Keep the recipe of every container, in place of what was kept before."""
        self._engine.await_engine(Deadline.after(timeout_s))
        containers, count = listed(self._engine), 0
        for name in self._specs:
            recipes = self._own_recipes(name, containers)
            count += len(recipes)
            self._state.change_component(name, partial(_with_recipes, recipes))
        return f"{count} containers can be made again"


def _with_recipes(recipes: Mapping[str, Mapping[str, Any]], known: Remembered) -> Remembered:
    return replace(known, recipes=recipes)
