"""What every operation on an instance begins with: its components, its locks, and errors in our words."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from gameday.component_spec import PostgresqlComponent, ProcessComponent, ValkeyComponent
from gameday.environment import Environment, Link
from gameday.errors import ComponentNotFound, TargetError
from gameday.project import Project
from gameday.targets import fault_proxy, ports
from gameday.targets.base import Address
from gameday.targets.component import Component
from gameday.targets.fault_proxy import FaultProxy, Upstream, path_of
from gameday.targets.naming import check_instance
from gameday.targets.postgresql import Postgresql
from gameday.targets.program import Command, Place, Program, Surroundings
from gameday.targets.references import check_references
from gameday.targets.secret import SecretFile
from gameday.targets.state import State, StateFile
from gameday.targets.supervise import Row, scan
from gameday.targets.valkey import Valkey
from gameday.targets.waiting import Deadline


class Instance:
    """One instance of an environment whose components are processes on this machine."""

    kind = "process"

    def __init__(self, environment: Environment, instance: str, project: Project) -> None:
        """`instance` is the environment's name, or `name@suffix` for another one beside it.

        Raises:
            UsageError: not an instance's name, a reference in the environment to nothing, or a component with a
                name that gameday needs itself.
        """
        check_instance(instance)
        fault_proxy.check_no_component(environment)
        check_references(environment)
        self.environment = environment
        self.instance = instance
        self.folder = project.state.resolve() / "environments" / instance
        self._store = StateFile(self.folder, project.state.resolve() / "locks" / instance)
        self._neighbours = StateFile(self.folder.parent, project.state.resolve() / "locks")
        self._secrets = SecretFile(self._store)
        self._root = project.root
        self._components = {
            name: self._build(name, spec)
            for name, spec in environment.components.items()
            if isinstance(spec, ProcessComponent)
        }
        if environment.links:
            self._components = {fault_proxy.NAME: self._build_proxy(), **self._components}

    def secret(self, name: str) -> str:
        """A secret of this instance; the first who asks makes it."""
        return self._secrets.get(name)

    def address(self, component: str) -> Address:
        """Where it answers, whether or not it runs now; never through the fault proxy."""
        found = self._component(component)
        port = found.record().port
        return Address(ports.HOST, port, found.program.url(port))

    # --- components ----------------------------------------------------------------------------------------

    def _build(self, name: str, spec: ProcessComponent) -> Component:
        place = Place(name, self.folder, self.folder / name)
        program: Program
        if isinstance(spec, PostgresqlComponent):
            program = Postgresql(spec, place)
        elif isinstance(spec, ValkeyComponent):
            program = Valkey(spec, place)
        else:
            surroundings = Surroundings(
                root=self._root,
                addresses=partial(self._address_for, name),
                version=lambda: self._component(name).record().version,
                secret=self._secrets.get,
            )
            program = Command(spec, place, surroundings)
        return Component(spec, place, program, self._store, self._secrets.redact, partial(self._moved, name))

    def _build_proxy(self) -> Component:
        name = fault_proxy.NAME
        place = Place(name, self.folder, self.folder / name)
        program = FaultProxy(place, self._upstreams)
        spec = fault_proxy.spec_of_proxy()
        return Component(spec, place, program, self._store, self._secrets.redact, lambda _: None)

    def _component(self, name: str) -> Component:
        if name not in self._components:
            known = ", ".join(self._components)
            raise ComponentNotFound(f"{self.instance} has no component {name!r}; components here: {known}")
        return self._components[name]

    # --- links ---------------------------------------------------------------------------------------------

    def _address_for(self, client: str, server: str) -> Address:
        """Where `client` reaches `server`: through the fault proxy where the environment has that link."""
        direct = self.address(server)
        if Link(client=client, server=server) not in self.environment.links:
            return direct
        port = self._link_ports()[f"{client} -> {server}"]
        return Address(ports.HOST, port, self._component(server).program.url(port))

    def _link_ports(self) -> Mapping[str, int]:
        recorded = self._component(fault_proxy.NAME).record().links
        fault_proxy.check_links(self.environment, recorded)
        return recorded

    def _upstreams(self) -> tuple[Upstream, ...]:
        listen = self._link_ports()
        servers = {path_of(link): link.server for link in self.environment.links}
        return tuple(
            Upstream(path, listen[path], self.address(server).port) for path, server in servers.items()
        )

    def _moved(self, name: str, deadline: Deadline) -> None:
        """A component got another port before it ever ran: the proxy must learn of it."""
        if all(link.server != name for link in self.environment.links):
            return
        with self._operation(fault_proxy.NAME, deadline.left_s()) as (proxy, _):
            proxy.stop(deadline)
            proxy.start(deadline)

    # --- working on them -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _operation(self, name: str, timeout_s: float) -> Iterator[tuple[Component, Deadline]]:
        """One component, alone: nobody else changes it meanwhile."""
        component = self._component(name)
        deadline = Deadline.after(timeout_s)
        with self._translated(name):
            component.record()
            with self._store.lock(name, deadline):
                yield component, deadline

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise TargetError(
                f"{what}: {error}; does {self.instance} belong to another user? Run gameday as that user"
            ) from error
        except (OSError, subprocess.SubprocessError) as error:
            raise TargetError(f"{what} in {self.instance}: {error}") from error

    def _scan(self, state: State | None, table: Mapping[int, Row]) -> dict[str, list[Row]]:
        homes: dict[str, Path] = {}
        for name, component in self._components.items():
            if isinstance(component.spec, PostgresqlComponent):
                record = state.components.get(name) if state else None
                homes[name] = record.footing.home if record and record.footing else component.place.folder
        return scan(self.folder, homes, table)
