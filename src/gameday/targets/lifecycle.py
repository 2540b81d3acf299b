"""Bringing a whole instance up and down."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from gameday.errors import TargetError
from gameday.targets import disk, fault_proxy, ports, privilege
from gameday.targets.base import Progress
from gameday.targets.instance import Instance
from gameday.targets.privilege import Footing
from gameday.targets.state import Record, State, recorded_ports
from gameday.targets.supervise import Row, kill_all, process_table
from gameday.targets.waiting import Deadline

_LIFECYCLE_TIMEOUT_S = 120.0
_SETUP_TIMEOUT_S = 60.0  # beyond `ready.within`: initdb, database, base backup on a slow machine
_SWEEP_TIMEOUT_S = 15.0


class UpAndDown(Instance):
    """Implements `Lifecycle`."""

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
            # the proxy's last, as whoever holds a component's may wait for the proxy's
            for name in ("lifecycle", *sorted(self.environment.components), fault_proxy.NAME):
                locks.enter_context(self._store.lock(name, deadline))
            stopped = self._stop_all(say)
            survivors = kill_all(self._everything, Deadline.after(_SWEEP_TIMEOUT_S))
            if survivors:
                raise TargetError(f"down {self.instance}: survive SIGKILL: {', '.join(map(str, survivors))}")
            self._discard(say)
        return tuple(stopped)

    # --- inside --------------------------------------------------------------------------------------------

    def stop(self, component: str, timeout_s: float, count: int | None = None) -> str:  # noqa: ARG002
        """Stop it in an orderly way, or by SIGKILL when it does not end within its `stop_within`."""
        with self._operation(component, timeout_s) as (found, deadline):
            return found.stop(deadline)

    def _levels(self) -> Iterator[list[str]]:
        """Components in start order, those that wait for none of each other together; the fault proxy first."""
        done: set[str] = set()
        if fault_proxy.NAME in self._components:
            done.add(fault_proxy.NAME)
            yield [fault_proxy.NAME]
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
                if self.environment.links:
                    fault_proxy.check_links(self.environment, state.components[fault_proxy.NAME].links)
                return
            taken = recorded_ports(self.folder.parent)
            fixed = {
                name: port for name in missing if isinstance(port := self._components[name].spec.port, int)
            }
            searching = [name for name in missing if name not in fixed and name != fault_proxy.NAME]
            paths = self._paths() if fault_proxy.NAME in missing else []
            found = ports.find_free_ports(len(searching) + len(paths), taken | set(fixed.values()))
            for name, port in {**fixed, **dict(zip(searching, found, strict=False))}.items():
                state = state.with_component(name, Record(port))
            if paths:
                links = dict(zip(paths, found[len(searching) :], strict=True))
                state = state.with_component(fault_proxy.NAME, Record(0, links=links))
            self._store.write(state)

    def _paths(self) -> list[str]:
        return list(dict.fromkeys(fault_proxy.path_of(link) for link in self.environment.links))

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
            where = f" on port {port}" if port else ""
            if name in started:
                say(f"{name}: ready{where} after {time.monotonic() - begun:.1f} s")

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

    def _everything(self) -> list[Row]:
        table = process_table()
        return [row for rows in self._scan(None, table).values() for row in rows]

    def _discard(self, say: Progress) -> None:
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
        for message in disk.release_below(self.folder):
            say(message)
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _serialised(on_progress: Progress | None) -> Progress:
    """Components start in threads; their progress is told one at a time."""
    lock = threading.Lock()

    def say(message: str) -> None:
        if on_progress is not None:
            with lock:
                on_progress(message)

    return say
