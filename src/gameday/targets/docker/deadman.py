"""The dead-man switch as a container: the runner's end of it.

It outlives whatever happens to the processes of this machine's users, and since an engine has each name once, it is
the environment's lock too: for every project and every user of the engine. Being made takes the lock; a drill waits
for its answer only before it touches anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from gameday.errors import GamedayError, LockHeld, TargetError, UndoError, UsageError
from gameday.targets.docker.containers import HELPER_LABEL, listed, matching
from gameday.targets.docker.engine import Engine, NotThere
from gameday.targets.docker.helper import ENVIRONMENT_LABEL
from gameday.targets.docker.image import helper_image
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.docker.switch_container import LABEL, Held, name_of, options
from gameday.targets.switch_lines import ARM, ARMED, DISARM, HELLO, READY, REFUSED
from gameday.targets.variables import referred_variables
from gameday.targets.waiting import Deadline, wait_until

_ENDS_WITHIN_S = 5.0
_ENGINE_WITHIN_S = 60.0
_STDOUT = 1
_AT_WORK = ("running", "paused", "restarting")
_TAKE_ATTEMPTS = 3
_GONE_POLL_S = 0.02


class ContainerSwitch:
    """Implements `Switch`, over the standard input and output of a container that was created."""

    def __init__(self, engine: Engine, container: str, name: str, hello: Mapping[str, Any]) -> None:
        """Start the container; that it answers is waited for by `confirm`.

        Raises:
            TargetError: it could not be started.
        """
        self._engine = engine
        self._container = container
        self._name = name
        self._hello = json.dumps(hello).encode()
        self._socket = self._attach()
        self._output = _Output()
        self._pid = 0
        self._problem: str | None = None
        self._deadline_ns: int | None = None
        self._disarmed = False
        try:
            with engine.translated(f"start {name}"):
                engine.api.start(container)
        except BaseException:
            self._socket.close()
            raise
        self._starting = threading.Thread(target=self._greet, name="dead-man-switch", daemon=True)
        self._starting.start()

    @property
    def pid(self) -> int:
        """Of the container's process, on the engine's machine."""
        return self._pid

    @property
    def where(self) -> str:
        return f"pid {self._pid}"

    def confirm(self, timeout_s: float = 30.0) -> None:
        self._starting.join(timeout_s)
        if self._starting.is_alive():
            raise UndoError(f"the dead-man switch {self._name} did not answer within {timeout_s:g} s")
        if self._problem is not None:
            raise UndoError(f"the dead-man switch {self._name}: {self._problem}")

    def arm(self, deadline_ns: int, timeout_s: float = 10.0) -> None:
        self.confirm(timeout_s)
        self._say(ARM + str(deadline_ns).encode())
        answer = self._answer(timeout_s)
        if answer != ARMED:
            raise UndoError(f"the dead-man switch {self._name}: {_reason(answer, timeout_s)}")
        self._deadline_ns = deadline_ns if self._deadline_ns is None else min(self._deadline_ns, deadline_ns)

    def lost(self) -> str | None:
        """Its connection ends with its process, with the container and with the engine."""
        if self._disarmed or self._starting.is_alive():
            return None
        if self._deadline_ns is not None and time.monotonic_ns() >= self._deadline_ns:
            return None
        if self._problem is not None:
            return self._problem
        if not select.select([self._socket], [], [], 0)[0]:
            return None
        try:
            gone = not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            gone = True
        return f"the connection to container {self._name} has ended" if gone else None

    def disarm(self) -> None:
        """Its container is gone afterwards, unless the engine stays away: then it finds nothing to revert later."""
        self._starting.join(_ENGINE_WITHIN_S)
        lost, self._disarmed = self.lost(), True
        try:
            if lost is None:
                with contextlib.suppress(UndoError):  # gone in this moment
                    self._say(DISARM)
                    self._output.next(self._socket, _ENDS_WITHIN_S)  # it removes itself: the connection ends
            self._engine.await_engine(Deadline.after(_ENGINE_WITHIN_S))
            _remove(self._engine, self._container)
        except TargetError as error:
            print(f"dead-man switch: {self._name} could not be removed: {error}", file=sys.stderr)
        finally:
            self._socket.close()

    def _attach(self) -> socket.socket:
        """Before it starts, so that its standard input is never without us."""
        with self._engine.translated(f"attach to {self._name}"):
            wanted = {"stdin": 1, "stdout": 1, "stream": 1}
            stream = self._engine.api.attach_socket(self._container, wanted)
            # a connection of its own: what the SDK's session still holds of it must not close it
            connection: socket.socket = stream._sock.dup()
            connection.setblocking(True)
            stream._sock.close()
            stream.close()
            return connection

    def _greet(self) -> None:
        """On a thread of its own: it takes as long as the start of an interpreter."""
        try:
            self._say(HELLO + self._hello)
            answer = self._answer(30.0)
            if answer != READY:
                self._problem = _reason(answer, 30.0)
                return
            self._pid = int(self._engine.inspect(self._container)["State"]["Pid"])
        except (GamedayError, OSError) as error:
            self._problem = str(error)
        finally:
            self._engine.close()

    def _say(self, line: bytes) -> None:
        try:
            self._socket.sendall(line + b"\n")
        except OSError as error:
            raise UndoError(f"the dead-man switch {self._name} is gone: {error}") from error

    def _answer(self, timeout_s: float) -> bytes | None:
        try:
            return self._output.next(self._socket, timeout_s)
        except OSError:
            return b""


class _Output:
    """Lines of a container's standard output, out of the frames in which an engine sends it."""

    _HEADER = struct.Struct(">BxxxL")

    def __init__(self) -> None:
        self._raw = b""
        self._text = b""

    def next(self, connection: socket.socket, timeout_s: float) -> bytes | None:
        """Without its end; None when none comes in time; empty when the connection has ended."""
        until = time.monotonic() + timeout_s
        while b"\n" not in self._text:
            if not select.select([connection], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            chunk = connection.recv(65_536)
            if not chunk:
                return b""
            self._raw += chunk
            self._unpack()
        line, _, self._text = self._text.partition(b"\n")
        return line

    def _unpack(self) -> None:
        while len(self._raw) >= self._HEADER.size:
            kind, length = self._HEADER.unpack_from(self._raw)
            whole = self._HEADER.size + length
            if len(self._raw) < whole:
                return
            if kind == _STDOUT:
                self._text += self._raw[self._HEADER.size : whole]
            self._raw = self._raw[whole:]


class SwitchInContainer(DockerInstance):
    """Implements `DeadMan`."""

    def check_switch(self) -> None:
        """Raises UsageError where the engine is another machine's."""
        control = self._engine.socket
        if control is None or not Path(control).is_socket():
            raise UsageError(
                f"{self.instance}: its Docker engine is not reached by a socket of this machine; the dead-man "
                "switch works beside the engine with this project's folders, so drills run on the engine's machine "
                "only: run gameday there, with DOCKER_HOST unset or unix://PATH"
            )

    def dead_man_switch(self, log: Path, output: Path, scenario: str) -> ContainerSwitch:
        """Create its container, which takes the lock of this environment on the engine, and begin to start it."""
        self.check_switch()
        names = tuple(sorted(self._container_names()))
        me = psutil.Process()
        log, output = log.resolve(), output.resolve()
        held = Held(
            drill=log.stem,
            scenario=scenario,
            pid=str(os.getpid()),
            created=repr(me.create_time()),
            host=socket.gethostname(),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            project=str(self.project.root.resolve()),
            log=str(log),
            containers=",".join(names),
        )
        name = name_of(self.engine_name)
        made = self._take(name, held, output, names)
        hello = {
            "environ": self._referred_variables(),
            "runner": {"pid": me.pid, "created": me.create_time()},
        }
        try:
            return ContainerSwitch(self._engine, made, name, hello)
        except BaseException:
            _remove(self._engine, made)
            raise

    def release(self, drill: str) -> None:
        """The drill is put back: its switch, if it has ended, need not stand for it any more."""
        for entry in self._switches():
            if Held.read(entry["Labels"]).drill == drill and entry["State"] not in _AT_WORK:
                _remove(self._engine, entry["Id"])

    # --- the lock ------------------------------------------------------------------------------------------

    def _take(self, name: str, held: Held, output: Path, names: Sequence[str]) -> str:
        for _ in range(_TAKE_ATTEMPTS):
            self._refuse_others(name, names)
            try:
                made = self._create(name, held, output)
            except TargetError:
                if not any(name in _names(entry) for entry in self._switches()):
                    raise
                continue  # somebody took the name in this moment: who says the next look
            try:
                # of two that take it in one moment under different names, at least one sees the other
                self._refuse_others(name, names, mine=made)
            except BaseException:
                _remove(self._engine, made)
                raise
            return made
        raise LockHeld(f"{self.instance} is being drilled: by a runner that has just begun ({name})")

    def _refuse_others(self, name: str, names: Sequence[str], mine: str | None = None) -> None:
        """Raises LockHeld when a switch is there that stands for a drill of these containers; one that stands for
        none any more is removed."""
        for entry in self._switches():
            held = Held.read(entry["Labels"])
            if entry["Id"] == mine or not (name in _names(entry) or held.touches(names)):
                continue
            reason = _stands_for(held, entry["State"])
            if reason is not None:
                raise LockHeld(f"{self.instance} is being drilled: {held}{reason}")
            _remove(self._engine, entry["Id"])

    def _switches(self) -> Iterator[Mapping[str, Any]]:
        with self._engine.translated("list dead-man switches"):
            found: list[Mapping[str, Any]] = self._engine.api.containers(all=True, filters={"label": LABEL})
        yield from found

    def _create(self, name: str, held: Held, output: Path) -> str:
        control = self._engine.socket
        log = Path(held.log)
        writable = [self.project.state.resolve(), output.parent.parent]
        for folder in (*writable, log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        known = options(str(control), [self.project.root.resolve()], writable)
        command = ["python3", "-m", "gameday.deadman", str(log), "--container", name, "--output", str(output)]
        with self._engine.translated(f"create {name}"):
            api = self._engine.api
            host = api.create_host_config(**known.pop("host"))
            labels = {HELPER_LABEL: "1", ENVIRONMENT_LABEL: self.engine_name, **held.labels()}
            made = api.create_container(
                helper_image(self._engine), command, name=name, labels=labels, host_config=host, **known
            )
        return str(made["Id"])

    # --- what it must know ---------------------------------------------------------------------------------

    def _container_names(self) -> set[str]:
        """All that the environment is, those too that are gone at the moment."""
        containers = listed(self._engine)
        found = set()
        for name, spec in self._specs.items():
            found |= {one.name for one in matching(containers, spec.docker, self.compose_project)}
            found |= set(self._remembered(name).recipes)
        return found

    def _referred_variables(self) -> dict[str, str]:
        """Those that the environment's file refers to."""
        return referred_variables(self.environment)


def _stands_for(held: Held, state: str) -> str | None:
    """What of its drill it still stands for, in words to add to its holder; None when for nothing."""
    if state in _AT_WORK:
        return (
            ""
            if held.runner_alive()
            else "; its runner is gone, and its dead-man switch is putting things back"
        )
    if state != "removing" and held.runner_alive():
        return ""
    try:
        left = Path(held.log).exists()
    except OSError:
        left = True
    return f"; it has not put everything back: run `gameday recover` in {held.project}" if left else None


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name.lstrip("/") for name in entry["Names"] or ())


def _reason(answer: bytes | None, timeout_s: float) -> str:
    if answer is None:
        return f"no answer within {timeout_s:g} s"
    if not answer:
        return "its container has ended; `gameday` has no switch to trust"
    return answer.removeprefix(REFUSED).decode(errors="replace")


def _remove(engine: Engine, container: str) -> None:
    """It is gone afterwards. That it was gone before, or is just being removed by itself, is no error."""
    try:
        with contextlib.suppress(NotThere), engine.translated(f"remove {container[:12]}"):
            engine.api.remove_container(container, force=True, v=True)
    except TargetError as error:
        if "already in progress" not in str(error):
            raise
    wait_until(lambda: _is_gone(engine, container), Deadline.after(_ENDS_WITHIN_S), _GONE_POLL_S)


def _is_gone(engine: Engine, container: str) -> bool:
    try:
        engine.inspect(container)
    except NotThere:
        return True
    return False
