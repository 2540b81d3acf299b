"""Bringing an environment in Docker up and down, where its compose file is gameday's to bring up."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gameday.docker_spec import Compose
from gameday.errors import UsageError
from gameday.targets import ports
from gameday.targets.base import ComponentStatus, Progress, Running
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.docker.state import DockerState, recorded_docker_ports
from gameday.targets.reveal import revealed
from gameday.targets.state import recorded_ports
from gameday.targets.waiting import Deadline

if TYPE_CHECKING:
    from gameday.targets.docker.compose import Composer

_LIFECYCLE_TIMEOUT_S = 900.0
_LOCK_TIMEOUT_S = 30.0
_REMEMBER_TIMEOUT_S = 30.0


class UpAndDown(DockerInstance):
    """Implements `Lifecycle`."""

    def status(self) -> Mapping[str, ComponentStatus]:
        raise NotImplementedError

    def remember(self, timeout_s: float) -> str:
        raise NotImplementedError

    def up(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """Build and start what the compose file says, and wait until all is healthy. An environment that is up is left
        alone; what runs already of one that is partly up is kept."""
        say = on_progress or (lambda _: None)
        before = self.status()
        if before and all(found.running is Running.UP for found in before.values()):
            return ()
        with self._store.lock("lifecycle", Deadline.after(_LOCK_TIMEOUT_S)):
            composer = self._composer(self._compose(), say)
            composer.build(say)
            composer.up(say, _LIFECYCLE_TIMEOUT_S)
            self.remember(_REMEMBER_TIMEOUT_S)
        return tuple(name for name, found in before.items() if found.running is not Running.UP)

    def down(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """Stop and remove everything, its data too."""
        say = on_progress or (lambda _: None)
        compose = self._compose()
        stopped = tuple(name for name, found in self.status().items() if found.running is not Running.DOWN)
        with self._store.lock("lifecycle", Deadline.after(_LOCK_TIMEOUT_S)):
            self._composer(compose, say).down(say, _LIFECYCLE_TIMEOUT_S)
            if self.folder.exists():
                shutil.rmtree(self.folder)
        return stopped

    def _compose(self) -> Compose:
        compose = self.environment.compose
        if compose is None or compose.file is None:
            raise UsageError(
                f"{self.environment.environment} has no `compose.file`: others bring it up and down, gameday does not"
            )
        return compose

    def _composer(self, compose: Compose, say: Progress) -> Composer:
        from gameday.targets.docker.compose import Project, open_composer
        from gameday.targets.docker.image import helper_image

        file = self.project.root / str(compose.file)
        if not file.is_file():
            raise UsageError(f"compose.file of {self.environment.environment}: {file} does not exist")
        variables = {"GAMEDAY_IMAGE": helper_image(self._engine, say), **self._variables(compose)}
        return open_composer(Project(file, str(self.compose_project), variables), self._engine)

    def _variables(self, compose: Compose) -> dict[str, str]:
        """Ports and secrets for the compose file, made by the first who needs them."""
        reserved = self._reserve(compose)
        variables = {name: str(reserved[name]) for name in compose.ports}
        for name, text in compose.env.items():
            variables[name], _ = revealed(text, self._secrets.get, f"compose.env.{name}", "compose.env")
        return variables

    def _reserve(self, compose: Compose) -> Mapping[str, int]:
        with self._neighbours.lock("ports", Deadline.after(_LOCK_TIMEOUT_S)):

            def reserved(state: DockerState) -> DockerState:
                missing = [name for name in compose.ports if name not in state.ports]
                taken = recorded_ports(self.folder.parent) | recorded_docker_ports(self.folder.parent)
                found = ports.find_free_ports(len(missing), taken)
                return replace(state, ports={**state.ports, **dict(zip(missing, found, strict=True))})

            return self._state.change(reserved).ports
