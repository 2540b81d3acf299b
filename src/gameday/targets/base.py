"""What a drill needs of a target. Each target implements these; faults and runbooks know nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from gameday.environment import Environment
from gameday.fault_spec import NetworkFault


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
ClientKind = Literal["exhaust", "flush"]
"""`exhaust`: takes every connection of a database; `flush`: empties a cache every `every_s` seconds."""


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

    def stop(self, component: str, timeout_s: float, count: int | None = None) -> str:
        """Stop it in an orderly way. Stopping what is down is no error. `count`, here and below, limits how many of
        its targets are hit: the first so many that `status` names; None: all."""
        ...

    def kill(self, component: str, signal: str, timeout_s: float, count: int | None = None) -> str:
        """Send `signal` to every process of it and wait until none is left."""
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


# --- what some targets can do beside that; faults and undos look for it with isinstance ---------------------


@runtime_checkable
class Freezable(Protocol):
    """Components whose processes can be frozen."""

    def pause(self, component: str, timeout_s: float, count: int | None = None) -> str:
        """Freeze every process of it."""
        ...


@runtime_checkable
class Networked(Protocol):
    """Paths between components that can be impaired."""

    def paths(self, component: str, client: str | None, fault: NetworkFault | None = None) -> tuple[str, ...]:
        """The paths to `component`, from one client or from all, such as `api -> database`. Touches nothing.

        Raises:
            UsageError: there is none that can be impaired, or none by this fault; says what the environment would need.
        """
        ...

    def impair(self, fault: NetworkFault, name: str, ttl_s: float, timeout_s: float) -> str:
        """Bring the fault into force on its paths, on open connections too; it ends by itself after `ttl_s`.
        `name` tells impairments of one path apart; one of the same name is replaced."""
        ...

    def heal(self, component: str, client: str | None, name: str | None, timeout_s: float) -> str:
        """End one impairment, or all of these paths. Healing what is well is no error."""
        ...


@runtime_checkable
class Requestable(Protocol):
    """Components that take an operator's HTTP requests."""

    def request(self, component: str, http: str, body: Mapping[str, Any] | None, timeout_s: float) -> str:
        """Send `PUT /path` with `body` as JSON and the environment's operator headers. Returns status and the
        beginning of the answer, redacted; raises TargetError for 400 and above, or no answer."""
        ...


@runtime_checkable
class Deployable(Protocol):
    """Components of which other versions can be rolled out. The version `""` is the environment's own."""

    def version(self, component: str) -> str: ...

    def check_version(self, component: str, version: str) -> None:
        """Raises UsageError where the environment names no such version. Touches nothing."""
        ...

    def deploy(self, component: str, version: str, timeout_s: float) -> str:
        """Replace what runs by that version. Does not wait for it to be ready: a bad one never is."""
        ...

    def rollback(self, component: str, timeout_s: float) -> str:
        """Back to the version before the last deployment; it runs and is ready afterwards. Raises TargetError
        where nothing was deployed."""
        ...


@runtime_checkable
class Disks(Protocol):
    """Components with a bounded disk of their own."""

    def check_disk(self, component: str) -> str:
        """What its disk is. Raises UsageError where it has none. Touches nothing."""
        ...

    def fill(self, component: str, timeout_s: float) -> str:
        """Fill it to the last byte with a file of known name that counts as a core dump."""
        ...

    def unfill(self, component: str, timeout_s: float) -> str:
        """Delete that file. No file is no error."""
        ...

    def reclaim(self, component: str, timeout_s: float) -> str:
        """Delete what the environment calls disposable on it."""
        ...


@runtime_checkable
class Clients(Protocol):
    """Databases and caches that strange clients can trouble."""

    def check_client(self, component: str, kind: ClientKind) -> None:
        """Raises UsageError where this kind of component cannot be troubled so. Touches nothing."""
        ...

    def attach(
        self, component: str, kind: ClientKind, settings: Mapping[str, Any], ttl_s: float, timeout_s: float
    ) -> str:
        """Start the client; it ends by itself after `ttl_s`, and when its sessions are ended by an operator."""
        ...

    def detach(self, component: str, kind: ClientKind, timeout_s: float) -> str:
        """End the client. None there is no error."""
        ...

    def disconnect(self, component: str, keep: Sequence[str], timeout_s: float) -> str:
        """End the sessions of all clients but those that call themselves one of `keep`."""
        ...


@runtime_checkable
class Destroyable(Protocol):
    """Databases whose data can be destroyed, because a backup is there."""

    def check_backup(self, component: str) -> str:
        """What it could be restored from. Raises UsageError where there is none. Touches nothing."""
        ...

    def destroy(self, component: str, timeout_s: float) -> str:
        """Kill it and remove its data directory; backup and archive stay."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """Targets that need something of their own before a drill, such as an image for what helps."""

    def prepare(self) -> None:
        """Have it there. May take minutes the first time; touches nothing of the environment."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """Targets whose components could be removed for good: what they are is kept before anything is touched."""

    def remember(self, timeout_s: float) -> str:
        """Keep what every component is now, to make again what is missing later. Changes nothing."""
        ...


@runtime_checkable
class Removable(Protocol):
    """Components that can be removed, and made again by `start` from what was remembered."""

    def remove(self, component: str, timeout_s: float, count: int | None = None) -> str:
        """Kill and remove them. Their volumes stay."""
        ...


@runtime_checkable
class Connectable(Protocol):
    """Components that can be taken off a network."""

    def connections(self, component: str, network: str | None, count: int | None) -> Mapping[str, Any]:
        """What `connect` needs to undo a `disconnect_network` of these: plain data without secrets. Touches nothing.

        Raises:
            UsageError: they are on no such network.
        """
        ...

    def disconnect_network(
        self, component: str, network: str | None, timeout_s: float, count: int | None = None
    ) -> str:
        """Take them off that network, or off all; open connections end."""
        ...

    def connect(self, component: str, connections: Mapping[str, Any], timeout_s: float) -> str:
        """Back onto what `connections` said, with the same aliases and addresses. Being there is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a component may use at most; None: not to be changed."""

    memory: int | None = None
    """Bytes, swap included."""
    cpus: float | None = None
    pids: int | None = None


@runtime_checkable
class Counting(Protocol):
    """What asks something that is not to be asked too much."""

    def asked(self) -> Mapping[str, int]:
        """Requests of this target object so far, by kind: the runner and the engine's activities have one each."""
        ...


@runtime_checkable
class Limitable(Protocol):
    """Components whose resources can be limited while they run."""

    def limits(self, component: str, count: int | None) -> Mapping[str, Any]:
        """What `unlimit` needs to put back what holds now: plain data. Touches nothing.

        Raises:
            UsageError: this engine or kernel cannot limit that.
        """
        ...

    def limit(self, component: str, limits: Limits, timeout_s: float, count: int | None = None) -> str: ...

    def unlimit(self, component: str, before: Mapping[str, Any], timeout_s: float) -> str:
        """Back to exactly what `limits` said. Doing it again is no error."""
        ...


@runtime_checkable
class Drainable(Protocol):
    """Components that run on nodes, which can be drained."""

    def nodes(self, component: str) -> tuple[str, ...]:
        """The nodes that `drain` would cordon now, for `uncordon`: those it runs on that are not cordoned already.
        Touches nothing.

        Raises:
            UsageError: something there would be lost for good, or another drill drains one of them.
        """
        ...

    def evicted(self, component: str) -> tuple[str, ...]:
        """What `drain` would evict now, the component's own pods among them, for people. Touches nothing."""
        ...

    def drain(self, component: str, ttl_s: float, timeout_s: float) -> str:
        """Cordon the nodes it runs on, and evict the environment's pods there. `ttl_s` is noted on the nodes only."""
        ...

    def uncordon(self, component: str, nodes: Sequence[str] | None, timeout_s: float) -> str:
        """Let pods onto the nodes again that `drain` of this component cordoned: these, and what it cordoned beside
        them. Doing it again is no error."""
        ...


@runtime_checkable
class Floodable(Protocol):
    """Components into whose log somebody else can write."""

    def check_flood(self, component: str) -> str:
        """How it would be done. Raises UsageError where it cannot. Touches nothing."""
        ...

    def flood(self, component: str, lines_per_s: int, lines: int, ttl_s: float, timeout_s: float) -> str:
        """Begin to write, evenly; ends by itself at the total and after `ttl_s`."""
        ...

    def unflood(self, component: str, timeout_s: float) -> str:
        """End it. No writer is no error."""
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
