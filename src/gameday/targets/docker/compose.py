"""Bringing a compose project up and down: by Compose's own plugin where the machine has it, else through the SDK.

Both leave containers of the same names and labels, so that either takes down what the other brought up.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Progress
from gameday.targets.docker.compose_failure import troubles
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline

BUILD_TIMEOUT_S = 1800.0
VERSIONS_PROFILE = "versions"
"""Services of this profile are built, not started: drills roll their images out."""
_ASK_TIMEOUT_S = 20.0
_KEPT_LINES = 30
_LINE_LIMIT = 500
_BUFFER_LIMIT = 65_536
_END_TIMEOUT_S = 5.0
_SETTLE_S = 15.0
# what would make Compose read other files, or start services of profiles, than what it is asked for
_NOT_PASSED_ON = ("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES")


@dataclass(frozen=True, slots=True)
class Project:
    """A compose file, the name that its containers get, and variables beyond those of this process."""

    file: Path
    name: str
    variables: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        return {**kept, **self.variables}


class Composer(Protocol):
    """Brings one project up and down."""

    def services(self) -> tuple[str, ...]:
        """The services that `up` starts, by name."""
        ...

    def build(self, say: Progress) -> None:
        """Make the images that the file builds, those of the profile `versions` too, where anything changed.

        Raises:
            TargetError: a build failed; the message has its last lines.
        """
        ...

    def up(self, say: Progress, timeout_s: float) -> None:
        """Start everything and wait: until services with a health check are healthy, those that others wait for
        to end have ended well, and the rest runs. What runs unchanged is left alone. Builds first, unless `build`
        was called.

        Raises:
            OperationTimedOut, TargetError: with what is wrong with which service, and its last lines.
        """
        ...

    def down(self, say: Progress, timeout_s: float) -> None:
        """Remove the project's containers, networks and named volumes. Nothing there is no error."""
        ...


def open_composer(project: Project, engine: Engine) -> Composer:
    """By the plugin where `docker compose` answers."""
    if has_plugin():
        return PluginComposer(project, engine)
    from gameday.targets.docker.compose_sdk import SdkComposer

    return SdkComposer(project, engine)


def has_plugin() -> bool:
    return _answers("docker", "compose", "version")


class PluginComposer:
    """Calls `docker compose`."""

    def __init__(self, project: Project, engine: Engine) -> None:
        self._project = project
        self._engine = engine
        self._built = False

    def services(self) -> tuple[str, ...]:
        lines: list[str] = []
        self._compose(lines.append, Deadline.after(_ASK_TIMEOUT_S), "config", "--services", errors=False)
        return tuple(sorted(line for line in lines if line))

    def build(self, say: Progress) -> None:
        deadline = Deadline.after(BUILD_TIMEOUT_S)
        self._compose(say, deadline, "--profile", VERSIONS_PROFILE, "build")
        self._built = True

    def up(self, say: Progress, timeout_s: float) -> None:
        if not self._built:
            self.build(say)
        # Compose's own time-out is the sooner one, so that it still says what it waited for
        wait_s = max(1, round(timeout_s))
        deadline = Deadline.after(timeout_s + _SETTLE_S)
        try:
            self._compose(say, deadline, "up", "--detach", "--wait", "--wait-timeout", str(wait_s))
        except TargetError as error:
            found = troubles(self._engine, self._project.name)
            late = isinstance(error, OperationTimedOut) or "timeout exceeded" in str(error)
            kind = OperationTimedOut if late else TargetError
            raise kind("\n".join([str(error), *found])) from error

    def down(self, say: Progress, timeout_s: float) -> None:
        self._compose(say, Deadline.after(timeout_s), "down", "--volumes", "--remove-orphans")

    def _compose(self, say: Progress, deadline: Deadline, *arguments: str, errors: bool = True) -> None:
        file = self._project.file.resolve()
        argv = ["docker", "compose", "--ansi", "never", "-f", str(file), "-p", self._project.name, *arguments]
        environment = self._project.environment()
        if not _answers("docker", "buildx", "version"):
            environment["DOCKER_BUILDKIT"] = "0"
        run_command(argv, environment, file.parent, deadline, say, errors=errors)


def _answers(*argv: str) -> bool:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_ASK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def run_command(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    deadline: Deadline,
    say: Progress,
    *,
    errors: bool = True,
) -> None:
    """Run a command to its end and pass its lines on; without `errors`, standard error is kept for messages only.

    Raises:
        OperationTimedOut: it did not end by the deadline; it and what it started were killed.
        TargetError: it failed, or is not there; the message has its last lines.
    """
    what = " ".join(argv)
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            argv,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else writing,
            start_new_session=True,
        )
    except OSError as error:
        os.close(reading)
        raise TargetError(f"`{what}` cannot be run: {error}") from error
    finally:
        os.close(writing)
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    channels = {process.stdout.fileno(): _Lines(say, last), reading: _Lines(_nothing, last)}
    try:
        in_time = _read(channels, deadline) and _ended(process, deadline)
    finally:
        _kill(process)
        process.stdout.close()
        os.close(reading)
    said = "\n".join(last) or "it said nothing"
    if not in_time:
        raise OperationTimedOut(f"`{what}` did not end within {deadline.timeout_s:g} s; its last lines:\n{said}")
    if process.returncode != 0:
        raise TargetError(f"`{what}` failed with exit code {process.returncode}; its last lines:\n{said}")


def _nothing(_: str) -> None:
    """For lines that nobody is told."""


class _Lines:
    """Bytes to lines; a line without an end is cut."""

    def __init__(self, say: Progress, last: deque[str]) -> None:
        self._say = say
        self._last = last
        self._rest = b""

    def add(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_BUFFER_LIMIT:]
        for line in lines:
            self._tell(line)

    def end(self) -> None:
        if self._rest:
            self._tell(self._rest)
        self._rest = b""

    def _tell(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()[:_LINE_LIMIT]
        if text:
            self._last.append(text)
            self._say(text)


def _read(channels: dict[int, _Lines], deadline: Deadline) -> bool:
    """Until all are closed; False when the deadline passes first."""
    open_ones = dict(channels)
    while open_ones:
        ready, _, _ = select.select(list(open_ones), [], [], deadline.left_s())
        if not ready:
            return False
        for number in ready:
            data = os.read(number, _BUFFER_LIMIT)
            if data:
                open_ones[number].add(data)
            else:
                open_ones.pop(number).end()
    return True


def _ended(process: subprocess.Popen[bytes], deadline: Deadline) -> bool:
    try:
        process.wait(max(deadline.left_s(), 0.1))
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what is left of it: asked first, as Compose then closes its connections, and killed with its group."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        until = time.monotonic() + _END_TIMEOUT_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
