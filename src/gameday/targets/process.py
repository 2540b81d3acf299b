"""The target `process`: real PostgreSQL and Valkey from wheels and the service itself, as local processes.

It needs no root and no Docker. Several instances of one environment live side by side, each in its own
folder. State survives between commands; the runner, its engine, the watchdog and `gameday recover` may each
use it at once, and each may be killed at any moment without a process being lost.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal as signals
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from gameday.environment import (
    Environment,
    FakeComponent,
    PostgresqlComponent,
    ProcessComponent,
    ValkeyComponent,
)
from gameday.errors import ComponentNotFound, TargetError, UsageError
from gameday.project import Project
from gameday.targets import helpers, ports, privilege
from gameday.targets.base import Address, ComponentStatus, Execution, Progress, Running
from gameday.targets.component import Component
from gameday.targets.postgresql import Postgresql
from gameday.targets.privilege import Footing
from gameday.targets.program import Command, Place, Program, base_environment
from gameday.targets.references import check_references
from gameday.targets.restore import restore
from gameday.targets.state import Record, State, StateFile, recorded_ports
from gameday.targets.supervise import COMMAND_SUFFIX, Row, kill_all, process_table, scan
from gameday.targets.valkey import Valkey
from gameday.targets.waiting import Deadline

_INSTANCE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}(@[a-z0-9][a-z0-9-]{0,62})?")
_LIFECYCLE_TIMEOUT_S = 120.0
_SETUP_TIMEOUT_S = 60.0  # beyond `ready.within`: initdb, database, base backup on a slow machine
_SWEEP_TIMEOUT_S = 15.0


class ProcessTarget:
    """One instance of an environment whose components are processes on this machine."""

    kind = "process"

    def __init__(self, environment: Environment, instance: str, project: Project) -> None:
        """`instance` is the environment's name, or `name@suffix` for another one beside it.

        Raises:
            UsageError: not an instance's name, or a reference in the environment to nothing.
        """
        if not _INSTANCE.fullmatch(instance):
            raise UsageError(
                f"{instance!r} is not an instance; expected a name like hotel-local or hotel-local@blue"
            )
        check_references(environment)
        self.environment = environment
        self.instance = instance
        self.folder = project.state.resolve() / "environments" / instance
        self._store = StateFile(self.folder, project.state.resolve() / "locks" / instance)
        self._neighbours = StateFile(self.folder.parent, project.state.resolve() / "locks")
        self._root = project.root
        self._components = {
            name: self._build(name, spec)
            for name, spec in environment.components.items()
            if not isinstance(spec, FakeComponent)
        }

    # --- Lifecycle -----------------------------------------------------------------------------------------

    def up(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """Start what is not running, in order, what is independent at the same time; wait until all is ready.

        If one fails, what this call started is stopped again; outputs stay in the instance's folder.
        """
        say = _serialised(on_progress)
        with self._translated("up"), self._store.lock("lifecycle", Deadline.after(_LIFECYCLE_TIMEOUT_S)):
            self._reserve_ports()
            started: list[str] = []
            try:
                for level in self._levels():
                    self._start_level(level, started, say)
            except BaseException as error:
                self._stop_again(started, error, say)
                raise
        return tuple(started)

    def down(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """Stop everything in reverse order, then whatever else carries this instance's mark; remove its
        folder.
        """
        say = _serialised(on_progress)
        with self._translated("down"), contextlib.ExitStack() as locks:
            deadline = Deadline.after(_LIFECYCLE_TIMEOUT_S)
            for name in ("lifecycle", *sorted(self._components)):
                locks.enter_context(self._store.lock(name, deadline))
            stopped = self._stop_all(say)
            survivors = kill_all(self._everything, Deadline.after(_SWEEP_TIMEOUT_S))
            if survivors:
                raise TargetError(f"down {self.instance}: survive SIGKILL: {', '.join(map(str, survivors))}")
            self._discard()
        return tuple(stopped)

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

    def address(self, component: str) -> Address:
        """Where it answers, whether or not it runs now."""
        found = self._component(component)
        port = found.record().port
        return Address(ports.HOST, port, found.program.url(port))

    def start(self, component: str, timeout_s: float) -> str:
        """Start it, unless it is up already, and wait until it is ready."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as (found, deadline):
            if not found.start(deadline):
                return f"{component} was up already"
            return f"started {component} in {time.monotonic() - begun:.2f} s"

    def stop(self, component: str, timeout_s: float) -> str:
        """Stop it in an orderly way, or by SIGKILL when it does not end within its `stop_within`."""
        with self._operation(component, timeout_s) as (found, deadline):
            return found.stop(deadline)

    def kill(self, component: str, signal: str, timeout_s: float) -> str:
        """Signal it and wait until nothing of it is left: SIGKILL hits every process, others the main one."""
        number = _signal(signal)
        with self._operation(component, timeout_s) as (found, deadline):
            return found.kill(number, deadline)

    def pause(self, component: str, timeout_s: float) -> str:
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
            for name in self._components:
                address = self.address(name)
                prefix = name.upper().replace("-", "_")
                env[f"{prefix}_URL"] = address.url
                env[f"{prefix}_HOST"] = address.host
                env[f"{prefix}_PORT"] = str(address.port)
            mark, deadline = found.place.mark + COMMAND_SUFFIX, Deadline.after(timeout_s)
            return helpers.execute(argv, mark=mark, env=env, cwd=cwd, footing=Footing(), deadline=deadline)

    # --- databases -----------------------------------------------------------------------------------------

    def restore(self, component: str, to: str, timeout_s: float) -> str:
        """Replace a database by its base backup, with or without replaying what was archived since."""
        return self.restore_database(component, use_archive=to == "latest", timeout_s=timeout_s)

    def logs(self, component: str, lines: int, timeout_s: float) -> str:
        """The last lines of the component's output."""
        del timeout_s  # a local file
        with self._translated(f"logs of {component}"):
            return self._component(component).last_lines(lines)

    def restore_database(
        self,
        component: str,
        *,
        target_time: datetime | None = None,
        target_lsn: str | None = None,
        use_archive: bool = True,
        timeout_s: float = 120.0,
    ) -> str:
        """Replace a database by its base backup and replay the archive up to a point: see `restore`."""
        with self._operation(component, timeout_s) as (found, deadline):
            return restore(
                found,
                target_time=target_time,
                target_lsn=target_lsn,
                use_archive=use_archive,
                deadline=deadline,
            )

    def back_up_database(self, component: str, timeout_s: float = 60.0) -> str:
        """Take a new base backup in place of the one that `up` took."""
        with self._operation(component, timeout_s) as (found, deadline):
            record = found.record()
            if not isinstance(found.program, Postgresql) or record.footing is None:
                raise TargetError(f"back up {component}: it is not a PostgreSQL that has been started")
            found.program.back_up(record.footing, record.port, deadline)
            return f"took a base backup of {component}"

    # --- inside --------------------------------------------------------------------------------------------

    def _build(self, name: str, spec: ProcessComponent) -> Component:
        place = Place(name, self.folder, self.folder / name)
        program: Program
        if isinstance(spec, PostgresqlComponent):
            program = Postgresql(spec, place)
        elif isinstance(spec, ValkeyComponent):
            program = Valkey(spec, place)
        else:
            program = Command(spec, place, self._root, self.address)
        return Component(spec, place, program, self._store)

    def _component(self, name: str) -> Component:
        if name not in self._components:
            known = ", ".join(self._components)
            raise ComponentNotFound(f"{self.instance} has no component {name!r}; components here: {known}")
        return self._components[name]

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

    def _levels(self) -> Iterator[list[str]]:
        """Components in start order, those that wait for none of each other together."""
        done: set[str] = set()
        while len(done) < len(self._components):
            level = [
                name
                for name, component in self._components.items()
                if name not in done and done.issuperset(component.spec.after)
            ]
            yield level
            done.update(level)

    def _reserve_ports(self) -> None:
        """Give every component that has none a port, all held at once so that no two get the same."""
        deadline = Deadline.after(_LIFECYCLE_TIMEOUT_S)
        with self._neighbours.lock("ports", deadline), self._store.lock("state", deadline):
            state = self._store.read() or State(self.environment.environment)
            missing = [name for name in self._components if name not in state.components]
            if not missing and self._store.path.exists():
                return
            taken = {record.port for record in state.components.values()} | recorded_ports(self.folder.parent)
            fixed = {
                name: port for name in missing if isinstance(port := self._components[name].spec.port, int)
            }
            searching = [name for name in missing if name not in fixed]
            found = ports.find_free_ports(len(searching), taken | set(fixed.values()))
            for name, port in {**fixed, **dict(zip(searching, found, strict=True))}.items():
                state = state.with_component(name, Record(port))
            self._store.write(state)

    def _start_level(self, level: list[str], started: list[str], say: Progress) -> None:
        cancelled = threading.Event()

        def start(name: str) -> None:
            begun = time.monotonic()
            within = self._components[name].spec.ready.within + _SETUP_TIMEOUT_S
            with self._operation(name, within) as (component, deadline):
                if component.find_all().paused:
                    say(component.resume(deadline))
                if component.find_all().main is None:
                    started.append(name)  # before it is, so that a failure half-way is stopped too
                component.start(deadline, cancelled)
                port = component.record().port
            if name in started:
                say(f"{name}: ready on port {port} after {time.monotonic() - begun:.1f} s")

        with ThreadPoolExecutor(len(level), thread_name_prefix="up") as pool:
            running: list[Future[None]] = [pool.submit(start, name) for name in level]
            try:
                for future in running:
                    future.result()
            except BaseException:
                cancelled.set()
                raise

    def _stop_again(self, started: list[str], error: BaseException, say: Progress) -> None:
        """Undo a failed `up`. What cannot be stopped is told with the failure; the rest is stopped still."""
        for name in reversed(started):
            try:
                say(self.stop(name, self._components[name].spec.stop_within + _SWEEP_TIMEOUT_S))
            except TargetError as problem:
                error.add_note(f"{name} could not be stopped again: {problem}")

    def _stop_all(self, say: Progress) -> list[str]:
        """Orderly, in reverse order; an instance whose state cannot be read has only what the sweep finds."""
        try:
            state = self._store.read()
        except TargetError as error:
            say(str(error))
            return []
        stopped: list[str] = []

        def stop(name: str) -> None:
            component = self._components[name]
            if state is not None and name in state.components and component.find_all().members:
                say(component.stop(Deadline.after(component.spec.stop_within)))
                stopped.append(name)

        for level in reversed(list(self._levels())):
            with ThreadPoolExecutor(len(level), thread_name_prefix="down") as pool:
                list(pool.map(stop, level))
        return stopped

    def _scan(self, state: State | None, table: Mapping[int, Row]) -> dict[str, list[Row]]:
        homes: dict[str, Path] = {}
        for name, component in self._components.items():
            if isinstance(component.spec, PostgresqlComponent):
                record = state.components.get(name) if state else None
                homes[name] = record.footing.home if record and record.footing else component.place.folder
        return scan(self.folder, homes, table)

    def _everything(self) -> list[Row]:
        table = process_table()
        return [row for rows in self._scan(None, table).values() for row in rows]

    def _discard(self) -> None:
        try:
            state = self._store.read()
        except TargetError:
            state = None
        for name, component in self._components.items():
            record = state.components.get(name) if state else None
            component.program.discard(
                (record.footing if record else None) or Footing(home=component.place.folder)
            )
        privilege.remove_copies(self.folder)
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _signal(name: str) -> signals.Signals:
    try:
        return signals.Signals[name]
    except KeyError as error:
        raise UsageError(f"{name!r} is not a signal; expected a name such as SIGKILL or SIGTERM") from error


def _serialised(on_progress: Progress | None) -> Progress:
    """Components start in threads; their progress is told one at a time."""
    lock = threading.Lock()

    def say(message: str) -> None:
        if on_progress is not None:
            with lock:
                on_progress(message)

    return say
