"""Bringing a compose project up and down: by Compose's own plugin where the machine has it, else through the SDK.

Both leave containers of the same names and labels, so that either takes down what the other brought up.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Progress
from gameday.targets.docker.compose_failure import troubles
from gameday.targets.docker.compose_file import VERSIONS_PROFILE
from gameday.targets.docker.compose_wait import COMPLETED, await_all
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline

BUILD_TIMEOUT_S = 1800.0
_ASK_TIMEOUT_S = 20.0
_KEPT_LINES = 30
_LINE_LIMIT = 500
_BUFFER_LIMIT = 65_536
_END_TIMEOUT_S = 5.0
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
        return tuple(sorted(self._asked()))

    def _asked(self) -> dict[str, Any]:
        """Services that `up` starts, as Compose understands the file."""
        argv = self._command("config", "--format", "json")
        what = f"`{' '.join(argv)}`"
        try:
            done = subprocess.run(
                argv,
                env=self._project.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_ASK_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise OperationTimedOut(f"{what} did not end within {_ASK_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise TargetError(f"{what} cannot be run: {error}") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-_KEPT_LINES * _LINE_LIMIT :]
            raise TargetError(f"{what} failed with exit code {done.returncode}: {said}")
        services: dict[str, Any] = json.loads(done.stdout).get("services") or {}
        return services

    def build(self, say: Progress) -> None:
        deadline = Deadline.after(BUILD_TIMEOUT_S)
        self._compose(say, deadline, "--profile", VERSIONS_PROFILE, "build")
        self._built = True

    def up(self, say: Progress, timeout_s: float) -> None:
        if not self._built:
            self.build(say)
        deadline = Deadline.after(timeout_s)
        services = self._asked()
        # not `--wait`: it fails where a health check is disabled, and older ones where a service has done its work
        try:
            self._compose(say, deadline, "up", "--detach")
        except TargetError as error:
            found = troubles(self._engine, self._project.name)
            raise type(error)("\n".join([str(error), *found])) from error
        conditions = [
            (other, dependency["condition"])
            for service in services.values()
            for other, dependency in (service.get("depends_on") or {}).items()
        ]
        ends = {name: (name, COMPLETED) in conditions for name in services}
        await_all(self._engine, self._project.name, ends, deadline, say)

    def down(self, say: Progress, timeout_s: float) -> None:
        self._compose(say, Deadline.after(timeout_s), "down", "--volumes", "--remove-orphans")

    def _compose(self, say: Progress, deadline: Deadline, *arguments: str) -> None:
        environment = self._project.environment()
        if not _answers("docker", "buildx", "version"):
            environment["DOCKER_BUILDKIT"] = "0"
            if arguments[-1] == "build":
                # Of equal builds at once the classic builder makes an image each, and next time finds another of them
                # in its cache: a container would be made anew though nothing has changed.
                environment["COMPOSE_PARALLEL_LIMIT"] = "1"
        run_command(self._command(*arguments), environment, deadline, say)

    def _command(self, *arguments: str) -> list[str]:
        file = str(self._project.file.resolve())
        return ["docker", "compose", "--ansi", "never", "-f", file, "-p", self._project.name, *arguments]


def _answers(*argv: str) -> bool:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_ASK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def run_command(
    argv: Sequence[str], environment: Mapping[str, str], deadline: Deadline, say: Progress
) -> None:
    """Run a command to its end and pass the lines of its output on.

    Raises:
        OperationTimedOut: it did not end by the deadline; it and what it started were killed.
        TargetError: it failed, or is not there; the message has its last lines.
    """
    what = " ".join(argv)
    lines = _Lines(say)
    try:
        process = subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise TargetError(f"`{what}` cannot be run: {error}") from error
    with process:
        try:
            in_time = _read(process, lines, deadline) and _ended(process, deadline)
        finally:
            _kill(process)
    said = "\n".join(lines.last) or "it said nothing"
    if not in_time:
        raise OperationTimedOut(
            f"`{what}` did not end within {deadline.timeout_s:g} s; its last lines:\n{said}"
        )
    if process.returncode != 0:
        raise TargetError(f"`{what}` failed with exit code {process.returncode}; its last lines:\n{said}")


class _Lines:
    """Bytes to lines; a line without an end is cut."""

    def __init__(self, say: Progress) -> None:
        self.last: deque[str] = deque(maxlen=_KEPT_LINES)
        self._say = say
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
            self.last.append(text)
            self._say(text)


def _read(process: subprocess.Popen[bytes], lines: _Lines, deadline: Deadline) -> bool:
    """Until its output ends; False when the deadline passes first."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    number = process.stdout.fileno()
    while True:
        if not select.select([number], [], [], deadline.left_s())[0]:
            return False
        data = os.read(number, _BUFFER_LIMIT)
        if not data:
            lines.end()
            return True
        lines.add(data)


def _ended(process: subprocess.Popen[bytes], deadline: Deadline) -> bool:
    try:
        process.wait(max(deadline.left_s(), 0.1))
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what is left of it: asked first, as Compose then closes its connections, and killed with its group."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
