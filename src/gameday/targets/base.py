"""What a drill needs of a target. Each target implements these; faults and runbooks know nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gameday.environment import Environment


class Running(StrEnum):
    """What a component is doing, as seen from outside."""

    UP = "up"
    DOWN = "down"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One component now. `targets` names what a fault on it would hit, such as `pid 4242 (postgres)`."""

    name: str
    running: Running
    targets: tuple[str, ...]
    address: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a component answers, from the runner's point of view."""

    host: str
    port: int
    url: str


@dataclass(frozen=True, slots=True)
class Execution:
    """A command that was run: exit code, and its output cut to a bound."""

    argv: tuple[str, ...]
    exit_code: int
    output: str
    duration_s: float


Progress = Callable[[str], None]


class Target(Protocol):
    """One environment's components and what can be done to them.

    Every method that changes something waits for its effect, within `timeout_s`, and raises
    `OperationTimedOut` beyond; all raise `ComponentNotFound` for a name the environment does not have, and
    `TargetError` saying what was tried on what and what came back.
    """

    kind: str

    def status(self) -> Mapping[str, ComponentStatus]: ...

    def address(self, component: str) -> Address: ...

    def start(self, component: str, timeout_s: float) -> str:
        """Start it, unless it is up already, and wait until it is ready. Returns what was done."""
        ...

    def stop(self, component: str, timeout_s: float) -> str:
        """Stop it in an orderly way. Stopping what is down is no error."""
        ...

    def kill(self, component: str, signal: str, timeout_s: float) -> str:
        """Send `signal` to every process of it and wait until none is left."""
        ...

    def pause(self, component: str, timeout_s: float) -> str:
        """Freeze every process of it."""
        ...

    def resume(self, component: str, timeout_s: float) -> str:
        """Let frozen processes go on. Resuming what runs is no error."""
        ...

    def execute(self, component: str, argv: Sequence[str], timeout_s: float) -> Execution:
        """Run a command where the component lives, with its address in the environment variables."""
        ...

    def restore(self, component: str, to: str, timeout_s: float) -> str:
        """Replace its data by the latest backup; it runs afterwards. `to` is `latest` to replay what was archived
        since, or `backup` for the backup alone, where the archive is lost too."""
        ...

    def logs(self, component: str, lines: int, timeout_s: float) -> str:
        """The last lines that it wrote to its log."""
        ...


class Lifecycle(Protocol):
    """Bringing a whole environment up and down, where gameday owns it."""

    def up(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """Start what is not running, in order, and wait until all is ready. Returns what was started."""
        ...

    def down(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """Stop everything and remove its data. Returns what was stopped."""
        ...


class OwnedTarget(Target, Lifecycle, Protocol):
    """A target whose environments gameday itself brings up."""

    environment: Environment
    instance: str
