"""What every operation on an environment in Docker begins with: its containers, its locks, its addresses."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from gameday.component_spec import ContainerComponent
from gameday.environment import Environment
from gameday.errors import ComponentNotFound, TargetError, UsageError
from gameday.project import Project
from gameday.targets.base import Address
from gameday.targets.docker.containers import Container, listed, matching, recipe
from gameday.targets.docker.engine import Engine, NotThere
from gameday.targets.docker.state import DockerStateFile, Remembered
from gameday.targets.naming import check_instance
from gameday.targets.reveal import revealed
from gameday.targets.secret import SecretFile
from gameday.targets.state import StateFile
from gameday.targets.waiting import Deadline

_LOOPBACK = "127.0.0.1"
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - what the engine says of a port that is published everywhere
_PASSWORD = re.compile(r"(?<=//)([^:/@\s]*):[^@/\s]*@")


class DockerInstance:
    """One environment whose components are containers of an engine."""

    kind = "docker"

    def __init__(self, environment: Environment, instance: str, project: Project) -> None:
        """Nothing is contacted. Raises UsageError for what is no instance's name."""
        check_instance(instance)
        self.environment = environment
        self.instance = instance
        self.project = project
        self.folder = project.state.resolve() / "environments" / instance
        self._store = StateFile(self.folder, project.state.resolve() / "locks" / instance)
        self._neighbours = StateFile(self.folder.parent, project.state.resolve() / "locks")
        self._secrets = SecretFile(self._store)
        self._state = DockerStateFile(self._store, environment.environment)
        self._engine = Engine()
        self._specs = {
            name: spec
            for name, spec in environment.components.items()
            if isinstance(spec, ContainerComponent)
        }

    @property
    def compose_project(self) -> str | None:
        """The name of the compose project; None where the environment is none."""
        compose = self.environment.compose
        if compose is None:
            return None
        return compose.project or f"gameday-{self.instance.replace('@', '-')}"

    @property
    def engine_name(self) -> str:
        """What this environment is called on the engine: the same for every folder that drills these containers, and
        another one for an environment that only has the same name."""
        if self.compose_project is not None:
            return self.compose_project
        selectors = json.dumps([str(spec.docker) for spec in self._specs.values()], sort_keys=True)
        return f"{self.instance}-{hashlib.sha256(selectors.encode()).hexdigest()[:8]}"

    def secret(self, name: str) -> str:
        """A secret of this instance; the first who asks makes it."""
        return self._secrets.get(name)

    def reserved_port(self, name: str) -> int:
        """The port of this machine that `compose.ports` names.

        Raises:
            UsageError: it is not among them.
            TargetError: the environment has not been brought up.
        """
        compose = self.environment.compose
        known = compose.ports if compose is not None else ()
        if name not in known:
            raise UsageError(
                f"{self.environment.environment} reserves no port {name}; there: {', '.join(known) or 'none'}"
            )
        reserved = self._state.read().ports
        if name not in reserved:
            raise TargetError(
                f"port {name} of {self.instance} is not reserved yet; `gameday env up {self.instance}` does"
            )
        return reserved[name]

    # --- addresses -----------------------------------------------------------------------------------------

    def address(self, component: str) -> Address:
        """Where it answers on this machine, whether or not it runs now. Without a host where it has no port.

        Raises:
            UsageError: its port is not published, or at a port that changes with each start.
            TargetError: there is no such container, and none is remembered.
        """
        if self._spec(component).port is None:
            return Address("", 0, "")
        return self._address_by(component, self._a_recipe(component))

    def shown_address(self, component: str) -> str:
        """The same for people, as it is remembered, without any password."""
        for kept in self._remembered(component).recipes.values():
            with contextlib.suppress(UsageError):
                return _PASSWORD.sub(r"\1@", self._secrets.redact(self._address_by(component, kept).url))
        return ""

    def _address_by(self, component: str, made: Mapping[str, Any]) -> Address:
        spec = self._spec(component)
        if spec.port is None:
            return Address("", 0, "")
        host, port = self._published(component, spec.port, made)
        text = spec.url or "http://${host}:${port}"
        known = {"host": host, "port": str(port)}
        url, _ = revealed(text, self._secrets.get, f"url of {component}", "url", known)
        return Address(host, port, url)

    def _published(self, component: str, port: int, made: Mapping[str, Any]) -> tuple[str, int]:
        bindings = (made["host"].get("PortBindings") or {}).get(f"{port}/tcp") or []
        if not bindings:
            raise UsageError(
                f"{component}: port {port} is not published on this machine, so nothing can ask it; publish it, "
                f"such as `ports: ['127.0.0.1:{port}:{port}']`"
            )
        host, published = bindings[0].get("HostIp") or "", bindings[0].get("HostPort") or ""
        if published in ("", "0"):
            raise UsageError(
                f"{component}: port {port} is published at a port that changes with each start; publish it at a "
                f"fixed one, such as `127.0.0.1:{port}:{port}`"
            )
        return (self._engine_host() if host in _ANYWHERE else host), int(published)

    def _a_recipe(self, component: str) -> Mapping[str, Any]:
        """Of one of its containers, or as it is remembered where none is there."""
        for container in self._find(component):
            with contextlib.suppress(NotThere):  # removed a moment ago
                return recipe(self._engine.inspect(container.id))
        for _, kept in sorted(self._remembered(component).recipes.items()):
            return kept
        raise TargetError(
            f"{component}: {self._nothing_matches(component)}; bring the environment up first: "
            f"`gameday env up {self.instance}`"
        )

    def _engine_host(self) -> str:
        if self._engine.socket is not None:
            return _LOOPBACK
        with self._engine.translated("Docker engine"):
            return urlsplit(self._engine.api.base_url).hostname or _LOOPBACK

    # --- containers ----------------------------------------------------------------------------------------

    def _spec(self, component: str) -> ContainerComponent:
        if component not in self._specs:
            known = ", ".join(self._specs)
            raise ComponentNotFound(
                f"{self.instance} has no component {component!r}; components here: {known}"
            )
        return self._specs[component]

    def _find(self, component: str, *, aside: bool = False) -> tuple[Container, ...]:
        """The containers of a component, by name; none is no error."""
        return matching(listed(self._engine), self._spec(component).docker, self.compose_project, aside=aside)

    def _found(self, component: str) -> tuple[Container, ...]:
        """Raises ComponentNotFound when there is none."""
        found = self._find(component)
        if not found:
            raise ComponentNotFound(f"{component}: {self._nothing_matches(component)}")
        return found

    def _nothing_matches(self, component: str) -> str:
        selector = self._spec(component).docker
        if selector.service is not None:
            what = f"of service {selector.service} of compose project {self.compose_project}"
        elif selector.container is not None:
            what = f"named {selector.container}"
        else:
            what = "with labels " + ", ".join(f"{name}={value}" for name, value in selector.labels.items())
        return f"no container {what}"

    def _remembered(self, component: str) -> Remembered:
        return self._state.read().of(component)

    # --- working on them -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _operation(self, component: str, timeout_s: float) -> Iterator[Deadline]:
        """One component, alone, with an engine that answers: nobody else of this project changes it meanwhile."""
        self._spec(component)
        deadline = Deadline.after(timeout_s)
        with self._store.lock(component, deadline):
            self._engine.await_engine(deadline)
            yield deadline

    def _stop_orderly(
        self, component: str, container: str, what: str, deadline: Deadline, *, paused: bool
    ) -> None:
        """Stop one container, `what` to people, by SIGKILL after the component's `stop_within`."""
        within_s = max(0, round(min(self._spec(component).stop_within, deadline.left_s() - 1)))
        with self._engine.translated(f"stop {what}"):
            if paused:  # the signal reaches a paused process only when it goes on
                self._engine.api.unpause(container)
            self._engine.api.stop(container, timeout=within_s)
