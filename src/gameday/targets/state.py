"""What is known of one instance of an environment between two commands: ports, processes, footing.

The file is written whole, to a temporary name, synced, and renamed; changes are made under a lock file, as
the runner, its engine, the watchdog and `gameday recover` may all be at it. Lock files are never removed:
removing one would let two waiters hold the same lock on two files.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import FileLock, Timeout

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.privilege import WAYS, Footing, Way
from gameday.targets.supervise import Identity
from gameday.targets.waiting import Deadline

FORMAT = 1
_STATE_LOCK_TIMEOUT_S = 10.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Record:
    """One component. `prepared` once it has been ready and its first-time work (database, backup) is done."""

    port: int
    process: Identity | None = None
    prepared: bool = False
    footing: Footing | None = None
    links: Mapping[str, int] = field(default_factory=dict)
    """Of the fault proxy: the port of each link, by the link's `client -> server`."""
    version: str = ""
    """What a start starts; empty for the environment's own."""
    previous: str | None = None
    """The version before the last deployment; None when nothing was deployed that could be rolled back."""
    destroyed: bool = False
    """Its data were destroyed, or are about to be; nothing may start before they are restored."""


@dataclass(frozen=True, slots=True)
class State:
    """One instance."""

    environment: str
    components: Mapping[str, Record] = field(default_factory=lambda: MappingProxyType({}))

    def with_component(self, name: str, record: Record) -> State:
        return replace(self, components=MappingProxyType({**self.components, name: record}))


def write_private(path: Path, value: object) -> None:
    """As JSON that only this user can read, whole or not at all, and on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class StateFile:
    """`state.json` in an instance's folder, and the instance's locks beside that folder."""

    def __init__(self, folder: Path, locks: Path) -> None:
        self.folder = folder
        self.path = folder / "state.json"
        self._locks = locks

    def read(self) -> State | None:
        """The state; None when the instance does not exist.

        Raises:
            TargetError: the file is there and cannot be understood.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return _parse(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TargetError(
                f"{self.path} cannot be understood ({error}); `gameday env down` removes the instance"
            ) from error

    def write(self, state: State) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"state.json.{os.getpid()}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(_dump(state), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)

    def update(self, component: str, change: Callable[[Record], Record]) -> Record:
        """Read, change one component's record and write, under the state's lock."""
        with self.lock("state", Deadline.after(_STATE_LOCK_TIMEOUT_S)):
            state = self.read()
            if state is None or component not in state.components:
                raise TargetError(f"{component}: the environment in {self.folder} was taken down meanwhile")
            record = change(state.components[component])
            if record != state.components[component]:
                self.write(state.with_component(component, record))
            return record

    @contextlib.contextmanager
    def lock(self, name: str, deadline: Deadline) -> Iterator[None]:
        """Hold the lock `name` of this instance; the kernel frees it if the holder dies.

        A child that was forked and has not yet become its program holds it too, so that whoever gets the lock
        after a holder's death sees all that the holder started.
        """
        self._locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(
            self._locks / f"{name}.lock", timeout=max(deadline.left_s(), 0.0), poll_interval=0.005
        )
        try:
            lock.acquire()
        except Timeout as error:
            raise OperationTimedOut(
                f"{name}: another gameday process has been working on it for {deadline.timeout_s:g} s "
                f"(lock {self._locks / name}.lock)"
            ) from error
        try:
            yield
        finally:
            lock.release()


def recorded_ports(environments: Path) -> set[int]:
    """Ports of all instances of a project: a component that is down keeps its port."""
    taken: set[int] = set()
    for path in environments.glob("*/state.json"):
        with contextlib.suppress(
            TargetError, OSError
        ):  # a broken state costs that instance its reservation only
            state = StateFile(path.parent, path.parent).read()
            for record in state.components.values() if state else ():
                taken |= {record.port, *record.links.values()}
    return taken


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _dump(state: State) -> dict[str, Any]:
    components = {}
    for name, record in state.components.items():
        components[name] = asdict(record)
        if record.footing is not None:
            components[name]["footing"] = {key: str(value) for key, value in asdict(record.footing).items()}
    return {"format": FORMAT, "environment": state.environment, "boot": _boot(), "components": components}


def _parse(value: Any) -> State:
    if value["format"] != FORMAT:
        raise ValueError(f"format {value['format']!r}, expected {FORMAT}")
    same_boot = value["boot"] == _boot()
    components = {name: _record(record, same_boot) for name, record in value["components"].items()}
    return State(str(value["environment"]), MappingProxyType(components))


def _record(value: Any, same_boot: bool) -> Record:
    process, footing = value["process"], value["footing"]
    return Record(
        port=int(value["port"]),
        process=Identity(int(process["pid"]), int(process["started"])) if process and same_boot else None,
        prepared=bool(value["prepared"]),
        footing=Footing(_way(footing["way"]), Path(footing["binaries"]), Path(footing["home"]))
        if footing
        else None,
        # absent in what earlier versions of gameday wrote
        links={str(link): int(port) for link, port in value.get("links", {}).items()},
        version=str(value.get("version", "")),
        previous=None if value.get("previous") is None else str(value["previous"]),
        destroyed=bool(value.get("destroyed", False)),
    )


def _way(value: object) -> Way:
    for way in WAYS:
        if value == way:
            return way
    raise ValueError(f"way {value!r}")
