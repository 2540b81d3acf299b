"""What a component runs: one class a kind, all with the same few questions, so that `component.py` knows no
kind.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gameday.component_spec import CommandComponent
from gameday.errors import TargetError
from gameday.targets import disk, ports
from gameday.targets.answers import answers
from gameday.targets.base import Address
from gameday.targets.privilege import Footing
from gameday.targets.references import resolve, secret_name
from gameday.targets.supervise import COMPONENT_VARIABLE, mark_of
from gameday.targets.waiting import Deadline

_PASSED_ON = ("PATH", "HOME", "LANG", "LANGUAGE", "USER", "LOGNAME", "TMPDIR", "TZ", "VIRTUAL_ENV")
_PASSED_ON_PREFIXES = ("LC_", "PYTHON", "XDG_")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one component of one instance lives."""

    name: str
    instance_folder: Path
    folder: Path
    """The component's own folder: output, and its data unless its footing has it elsewhere."""

    @property
    def mark(self) -> str:
        return mark_of(self.instance_folder, self.name)

    @property
    def output(self) -> Path:
        return self.folder / "output.log"


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a program."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


class Program(Protocol):
    """One kind of component."""

    stop_signal: signal.Signals
    """What asks it for an orderly end."""

    def choose_footing(self) -> Footing:
        """How to run it; asked once for each instance, then remembered."""
        ...

    def prepare(self, footing: Footing, deadline: Deadline) -> None:
        """Make its data ready to start on. Every start; nothing of it runs, none else is at its data, and its
        ports are settled."""
        ...

    def launch(self, footing: Footing, port: int) -> Launch: ...

    def is_ready(self, port: int) -> bool:
        """One question, answered soon."""
        ...

    def finish(self, footing: Footing, port: int, deadline: Deadline) -> None:
        """Work for once, after it was ready for the first time; may be repeated after an interruption."""
        ...

    def discard(self, footing: Footing) -> None:
        """Free what it holds outside its folder, before that is removed. It does not run."""
        ...

    def url(self, port: int) -> str: ...


def base_environment(mark: str) -> dict[str, str]:
    """What every process gets: little of the caller's environment, so that a drill is the same everywhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    return {**kept, "PYTHONUNBUFFERED": "1", COMPONENT_VARIABLE: mark}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command may ask for when it is started."""

    root: Path
    addresses: Callable[[str], Address]
    """Where it reaches a component, itself included: through the fault proxy where there is a link."""
    version: Callable[[], str]
    """The version that is to be started."""
    secret: Callable[[str], str]


class Command:
    """Any program that listens on one port."""

    stop_signal = signal.SIGTERM

    def __init__(self, spec: CommandComponent, place: Place, surroundings: Surroundings) -> None:
        self._spec = spec
        self._place = place
        self._surroundings = surroundings
        self.directory = surroundings.root / spec.directory

    def choose_footing(self) -> Footing:
        return Footing("same", Path(sys.executable).parent, self._place.folder)

    def prepare(self, footing: Footing, deadline: Deadline) -> None:  # noqa: ARG002
        if not self.directory.is_dir():
            raise TargetError(f"{self._place.name}: its directory {self.directory} does not exist")
        if self._spec.disk is not None:
            disk.make(self._place.folder, self._spec.disk.size, deadline)

    def launch(self, footing: Footing, port: int) -> Launch:  # noqa: ARG002
        command, env = self._spec.command, self._spec.env
        version = self._surroundings.version()
        if version:
            other = self._spec.versions.get(version)
            if other is None:
                raise TargetError(
                    f"{self._place.name}: the environment no longer names a version {version!r}"
                )
            command, env = other.command or command, {**env, **other.env}
        argv = tuple(resolve(argument, self._value) for argument in command)
        own = {key: resolve(value, self._value) for key, value in env.items()}
        return Launch(argv, {**base_environment(self._place.mark), **own}, self.directory)

    def _value(self, reference: str) -> str:
        secret = secret_name(reference)
        if secret is not None:
            return self._surroundings.secret(secret)
        if reference == "python":
            return sys.executable
        if reference == "disk":
            return str(disk.folder_of(self._place.folder))
        if reference == "disk.quota" and self._spec.disk is not None:
            return str(disk.quota_of(self._place.folder, self._spec.disk.size))
        component, _, part = reference.rpartition(".")
        return str(getattr(self._surroundings.addresses(component or self._place.name), part))

    def is_ready(self, port: int) -> bool:
        path = self._spec.ready.http
        return answers(ports.HOST, port, path)

    def finish(self, footing: Footing, port: int, deadline: Deadline) -> None:
        """Nothing: a command sets itself up."""

    def discard(self, footing: Footing) -> None:
        """Nothing: all it has is in its folder."""

    def url(self, port: int) -> str:
        return f"http://{ports.HOST}:{port}"
