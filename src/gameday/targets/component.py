"""One component of one instance: find it, start it, wait for it, end it.

Whoever calls this may be killed at any moment. Hence the order: the port is recorded before the process
starts, the process carries its mark before anybody records its pid, and every change looks for what is really
there first. Callers hold the component's lock, except for looking.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gameday.component_spec import PostgresqlComponent, ProcessComponent
from gameday.errors import OperationTimedOut, TargetError
from gameday.targets import ports
from gameday.targets.base import ComponentStatus, Running
from gameday.targets.program import Place, Program
from gameday.targets.state import Record, StateFile
from gameday.targets.supervise import (
    CHILD_SUFFIX,
    HELPER_SUFFIX,
    Row,
    descendants,
    describe_exit,
    find_alive,
    kill_all,
    process_table,
    scan,
    send,
    spawn,
    wait_gone,
)
from gameday.targets.waiting import Deadline, wait_until

OUTPUT_LIMIT = 8 * 1024 * 1024
_READY_POLL_S = 0.01
_LEFTOVERS_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Found:
    """The processes of a component now. `members` has `main` first; without `main` they are leftovers."""

    main: Row | None
    members: tuple[Row, ...]

    @property
    def paused(self) -> bool:
        return self.main is not None and self.main.stopped


class Component:
    """One component of one instance."""

    def __init__(
        self,
        spec: ProcessComponent,
        place: Place,
        program: Program,
        store: StateFile,
        redact: Callable[[str], str],
        moved: Callable[[Deadline], None],
    ) -> None:
        """`redact` removes secrets from its output; `moved` is called when it got another port than the one that
        was reserved for it."""
        self.spec = spec
        self.place = place
        self.program = program
        self.name = place.name
        self._store = store
        self._redact = redact
        self._moved = moved

    # --- looking ------------------------------------------------------------------------------------------

    def record(self) -> Record:
        """What is recorded of it.

        Raises:
            TargetError: the instance does not exist.
        """
        state = self._store.read()
        if state is None or self.name not in state.components:
            raise TargetError(
                f"{self.name}: the environment is not up (nothing in {self._store.folder}); "
                f"`gameday env up {self._store.folder.name}` starts it"
            )
        return state.components[self.name]

    def status(self, record: Record, found: Found) -> ComponentStatus:
        """A fault hits one target: the main process with all that belongs to it."""
        url = self.program.url(record.port)
        if found.main is None:
            detail = _detail(record, "its main process is gone, others are left" if found.members else "")
            return ComponentStatus(self.name, Running.DOWN, tuple(map(str, found.members)), url, detail)
        running = Running.PAUSED if found.paused else Running.UP
        children = len(found.members) - 1
        target = f"{found.main} and its {children} children" if children else str(found.main)
        return ComponentStatus(self.name, running, (target,), url, _detail(record))

    def find(
        self,
        record: Record,
        table: Mapping[int, Row] | None = None,
        marked: Mapping[str, Sequence[Row]] | None = None,
    ) -> Found:
        """What runs of it. Without `marked`, marks are looked for only when the recorded process is gone."""
        table = process_table() if table is None else table
        main = table.get(record.process.pid) if record.process else None
        if main is not None and main.identity != record.process:
            main = None
        if marked is None:
            marked = {} if main is not None else self.scan(record, table)
        own = marked.get(self.name, ())
        if record.process is None:
            # started by somebody who died before recording it: it leads the session it was started in
            leaders = [row for row in own if row.session == row.pid]
            main = min(leaders, key=lambda row: row.started, default=None)
        members: dict[int, Row] = {}
        for root in (*([main] if main else []), *own, *marked.get(self.name + CHILD_SUFFIX, ())):
            for row in (root, *descendants(table, root)):
                members.setdefault(row.pid, row)
        return Found(main, tuple(members.values()))

    def scan(self, record: Record, table: Mapping[int, Row]) -> dict[str, list[Row]]:
        homes = {}
        if isinstance(self.spec, PostgresqlComponent):
            homes[self.name] = record.footing.home if record.footing else self.place.folder
        return scan(self.place.instance_folder, homes, table)

    def find_all(self) -> Found:
        """Everything of it, by mark as well as by record."""
        record = self.record()
        table = process_table()
        return self.find(record, table, self.scan(record, table))

    def last_lines(self, count: int = 15, offset: int = 0) -> str:
        """The end of its output."""
        try:
            with self.place.output.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(offset if offset <= size else 0, size - 8192))
                lines = self._redact(file.read().decode(errors="replace")).splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(f"    {line}" for line in lines[-count:]) or "    (no output)"

    # --- starting -----------------------------------------------------------------------------------------

    def start(self, deadline: Deadline, cancelled: threading.Event | None = None) -> bool:
        """Make it run and be ready. False when it was so already.

        Raises:
            OperationTimedOut: it runs, but is not ready in time. It is left running for a look at it.
            TargetError: it ended, or cannot be started; the message has the end of its output.
        """
        found = self.find_all()
        if found.paused:
            raise TargetError(f"{self.name} is paused ({found.main}); resume it instead of starting it")
        started = found.main is None
        record = self.record()
        if record.destroyed:
            raise TargetError(
                f"{self.name}: its data directory was destroyed; restore it from its backup, that starts it too"
            )
        offset = 0
        if found.main is None:
            record, offset = self.launch(deadline)
        elif record.process != found.main.identity:
            adopted = found.main.identity
            record = self._store.update(self.name, lambda r: replace(r, process=adopted))
        self._wait_ready(record, deadline, offset, cancelled)
        if not record.prepared:
            if record.footing is None:  # cannot be: it was recorded before the start
                raise TargetError(f"{self.name}: its record has no footing")
            self._end_all(self._helpers)
            self.program.finish(record.footing, record.port, deadline)
            self._store.update(self.name, lambda r: replace(r, prepared=True))
        return started

    def launch(self, deadline: Deadline) -> tuple[Record, int]:
        """Start what does not run, and do not wait for it. Returns where its output will begin, too."""
        self._end_all(self._members_and_helpers)
        offset = self._rotate_output()
        return self._launch(self.record(), deadline), offset

    def _launch(self, record: Record, deadline: Deadline) -> Record:
        self.place.folder.mkdir(parents=True, exist_ok=True)
        if record.footing is None:
            footing = self.program.choose_footing()
            record = self._store.update(self.name, lambda r: replace(r, footing=footing))
        footing = record.footing or self.program.choose_footing()
        record = self._claim_ports(record, deadline)
        self.program.prepare(footing, deadline)
        if record.process is not None:  # dead; without this, nobody would adopt what is started now
            record = self._store.update(self.name, lambda r: replace(r, process=None))
        launch = self.program.launch(footing, record.port)
        try:
            identity = spawn(
                launch.argv, env=launch.env, cwd=launch.cwd, output=self.place.output, footing=footing
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise TargetError(
                f"{self.name}: cannot run {launch.argv[0]!r} in {launch.cwd}: {reason}"
            ) from error
        return self._store.update(self.name, lambda r: replace(r, process=identity))

    def _claim_ports(self, record: Record, deadline: Deadline) -> Record:
        """The recorded ports; others if somebody took them before this component ever ran."""
        busy = [port for port in (record.port, *record.links.values()) if not ports.is_free(port)]
        if not busy:
            return record
        if record.prepared or self.spec.port != "auto":
            raise TargetError(
                f"{self.name}: port {busy[0]} on {ports.HOST} is taken by another program; "
                f"end that program (`ss -ltnp 'sport = :{busy[0]}'` names it) and try again"
            )
        kept = {record.port, *record.links.values()}
        new = dict(zip(busy, ports.find_free_ports(len(busy), taken=kept), strict=True))
        moved = self._store.update(
            self.name,
            lambda r: replace(
                r,
                port=new.get(r.port, r.port),
                links={link: new.get(port, port) for link, port in r.links.items()},
            ),
        )
        self._moved(deadline)
        return moved

    def _wait_ready(
        self, record: Record, deadline: Deadline, offset: int, cancelled: threading.Event | None
    ) -> None:
        process = record.process
        if process is None:  # cannot be: callers have recorded it
            raise TargetError(f"{self.name}: no process is recorded")
        within = deadline.at_most(self.spec.ready.within)

        def ready() -> bool:
            if cancelled is not None and cancelled.is_set():
                raise TargetError(f"{self.name}: start was cancelled")
            if find_alive(process) is None:
                raise TargetError(
                    f"{self.name} {describe_exit(process)} before it was ready; the end of its output "
                    f"({self.place.output}):\n{self.last_lines(offset=offset)}"
                )
            return self.program.is_ready(record.port)

        if not wait_until(ready, within, _READY_POLL_S):
            raise OperationTimedOut(
                f"{self.name} runs (pid {process.pid}) but was not ready within {within.timeout_s:g} s "
                f"on port {record.port}; the end of its output ({self.place.output}):\n"
                f"{self.last_lines(offset=offset)}"
            )

    def _end_all(self, find: Callable[[], list[Row]]) -> None:
        """Kill what an earlier main process or an interrupted helper left: it would be in the way."""
        left = kill_all(find, Deadline.after(_LEFTOVERS_TIMEOUT_S))
        if left:
            raise OperationTimedOut(f"{self.name}: leftovers survive SIGKILL: {', '.join(map(str, left))}")

    def _members_and_helpers(self) -> list[Row]:
        return [*self.find_all().members, *self._helpers()]

    def _helpers(self) -> list[Row]:
        return self.scan(self.record(), process_table()).get(self.name + HELPER_SUFFIX, [])

    def _rotate_output(self) -> int:
        """Begin a new output file when the old one is large; where the next run's output begins."""
        output = self.place.output
        size = output.stat().st_size if output.exists() else 0
        if size <= OUTPUT_LIMIT:
            return size
        output.replace(output.with_name("output.log.1"))
        return 0

    # --- ending -------------------------------------------------------------------------------------------

    def stop(self, deadline: Deadline) -> str:
        """End it in an orderly way; after its `stop_within`, or at the deadline, kill it."""
        found = self.find_all()
        if not found.members:
            return f"{self.name} was down already"
        begun = time.monotonic()
        if found.main is not None:
            send(found.main, self.program.stop_signal)
            for row in found.members:
                send(row, signal.SIGCONT)  # a paused process gets the signal only when it goes on
            wait_gone([found.main], deadline.at_most(self.spec.stop_within))
            wait_gone(found.members, deadline.at_most(0.5))
        survivors = self.find_all().members
        self._kill_members(Deadline.after(max(deadline.left_s(), 5.0)))
        took = f"{time.monotonic() - begun:.2f} s"
        self._forget()
        if survivors:
            return f"stopped {self.name} in {took}, with SIGKILL for {', '.join(map(str, survivors))}"
        return f"stopped {self.name} in {took}"

    def kill(self, number: signal.Signals, deadline: Deadline) -> str:
        """Send a signal and wait until nothing of it runs. SIGKILL goes to all of it, the main process first.

        Raises:
            TargetError: nothing runs, so nothing would be broken.
        """
        found = self.find_all()
        if not found.members:
            raise TargetError(f"{number.name} for {self.name}: it is down, there is nothing to signal")
        if number == signal.SIGKILL:
            self._kill_members(deadline)
        else:
            if found.main is None:
                raise TargetError(
                    f"{number.name} for {self.name}: its main process is down; SIGKILL ends the rest"
                )
            send(found.main, number)
            left = wait_gone(found.members, deadline)
            if left:
                raise OperationTimedOut(
                    f"{number.name} for {self.name}: still alive after {deadline.timeout_s:g} s: "
                    f"{', '.join(map(str, left))}"
                )
        self._forget()
        return f"{number.name} ended {', '.join(str(row) for row in found.members)}"

    def end(self, deadline: Deadline) -> str:
        """SIGKILL for all of it. What is down is no error."""
        found = self.find_all()
        self._kill_members(deadline)
        self._forget()
        names = ", ".join(map(str, found.members))
        return f"SIGKILL ended {names}" if names else "it was down already"

    def pause(self, deadline: Deadline) -> str:
        """SIGSTOP for all of it, until no process goes on."""
        found = self.find_all()
        if found.main is None:
            raise TargetError(f"pause {self.name}: it is down, there is nothing to pause")
        stopped: list[Row] = []

        def all_stopped() -> bool:
            stopped[:] = self.find_all().members
            for row in stopped:
                if not row.stopped:
                    send(row, signal.SIGSTOP)
            return all(row.stopped for row in stopped)

        if not wait_until(all_stopped, deadline):
            raise OperationTimedOut(
                f"pause {self.name}: not all of it stopped within {deadline.timeout_s:g} s"
            )
        return f"paused {', '.join(map(str, stopped))}"

    def resume(self, deadline: Deadline) -> str:
        """SIGCONT for all of it, until all goes on. What is down or was not paused is left alone."""
        frozen = [row for row in self.find_all().members if row.stopped]
        if not frozen:
            return f"{self.name} was not paused"

        def all_go_on() -> bool:
            left = [row for row in self.find_all().members if row.stopped]
            for row in left:
                send(row, signal.SIGCONT)
            return not left

        if not wait_until(all_go_on, deadline):
            raise OperationTimedOut(f"resume {self.name}: still stopped after {deadline.timeout_s:g} s")
        return f"resumed {', '.join(map(str, frozen))}"

    def _kill_members(self, deadline: Deadline) -> None:
        left = kill_all(lambda: self.find_all().members, deadline)
        if left:
            names = ", ".join(map(str, left))
            raise OperationTimedOut(
                f"SIGKILL for {self.name}: still alive after {deadline.timeout_s:g} s: {names}"
            )

    def mark_destroyed(self, *, destroyed: bool) -> None:
        """From now on it must not, or may again, be started on what is in its data directory."""
        self._store.update(self.name, lambda r: replace(r, destroyed=destroyed))

    def _forget(self) -> None:
        self._store.update(self.name, lambda r: replace(r, process=None))


def _detail(record: Record, more: str = "") -> str:
    version = f"version {record.version}" if record.version else ""
    destroyed = "its data were destroyed" if record.destroyed else ""
    return ", ".join(part for part in (more, version, destroyed) if part)
