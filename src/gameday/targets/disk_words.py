"""What targets do with disks, and say of them: how a disk is reached, each knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from gameday.agents.disk_files import CORE
from gameday.component_spec import ContainerComponent, PodComponent
from gameday.component_spec import Disk as ProcessDisk
from gameday.docker_spec import ContainerDisk
from gameday.errors import OperationTimedOut, TargetError, UsageError

_MOST_NAMES = 10


@dataclass
class DiskAnswer:
    """What was found on a disk, or done there. Sizes in bytes; `problem`: why it is none that may be filled."""

    problem: str = ""
    size: int = 0
    free: int = 0
    written: int = 0
    freed: int = 0
    full: bool = False
    deleted: list[str] = field(default_factory=list)


class Disk(Protocol):
    """One disk; as text, for people."""

    @property
    def path(self) -> str: ...


DiskT = TypeVar("DiskT", bound=Disk)
Ask = Callable[[DiskT, str], DiskAnswer]
"""Have a command carried out on a disk: describe, fill, unfill or reclaim."""


def disk_spec(component: str, spec: ContainerComponent | PodComponent) -> ContainerDisk:
    """Raises UsageError where the environment gives it none."""
    if spec.disk is None:
        raise UsageError(
            f"{component} has no disk of its own; give it one in the environment: `disk: {{path: /data}}`"
        )
    return spec.disk


def described(component: str, disks: Sequence[DiskT], ask: Ask[DiskT], advice: str = "") -> str:
    """Raises UsageError for one that is none of its own; `advice` says what would be right."""
    said = []
    for disk in disks:
        found = ask(disk, "describe")
        if found.problem:
            raise UsageError(f"{component}: {disk.path} {found.problem}{advice}")
        said.append(f"{disk} of {found.size} bytes, {found.free} free")
    return "; ".join(said)


def filled(component: str, disks: Sequence[DiskT], ask: Ask[DiskT], within: str) -> str:
    """Raises OperationTimedOut for one that was not full; `within` says how long was tried, where that is known."""
    said = []
    for disk in disks:
        found = ask(disk, "fill")
        if found.problem:
            raise TargetError(f"fill {component}: {disk.path} {found.problem}")
        if not found.full:
            raise OperationTimedOut(
                f"fill {component}: {disk} was not full after {found.written} bytes{within}"
            )
        said.append(f"{found.written} bytes in {CORE} on {disk}, {found.free} free")
    return f"filled the disk of {component}: {'; '.join(said)}"


def unfilled(component: str, disks: Sequence[DiskT], ask: Ask[DiskT]) -> str:
    found = [ask(disk, "unfill") for disk in disks]
    if not any(one.deleted for one in found):
        return f"no {CORE} on the disk of {component}"
    return f"deleted {CORE} on the disk of {component}"


def disposable(component: str, disk: ContainerDisk | ProcessDisk) -> tuple[str, ...]:
    """Patterns of what may be deleted. Raises UsageError where there are none."""
    if not disk.disposable:
        raise UsageError(f"reclaim {component}: its environment calls nothing disposable on its disk")
    return disk.disposable


def reclaimed(component: str, disks: Sequence[DiskT], patterns: Sequence[str], ask: Ask[DiskT]) -> str:
    if not disks:
        raise TargetError(f"reclaim {component}: its disk is not there; start it first")
    deleted: list[str] = []
    freed = 0
    for disk in disks:
        found = ask(disk, "reclaim")
        if found.problem:
            raise TargetError(f"reclaim {component}: {disk.path} {found.problem}")
        deleted += found.deleted
        freed += found.freed
    return freed_words(component, patterns, deleted, freed)


def freed_words(component: str, patterns: Sequence[str], deleted: Sequence[str], freed: int) -> str:
    if not deleted:
        return f"nothing disposable on the disk of {component} ({', '.join(patterns)})"
    return f"deleted {len(deleted)} files ({freed} bytes) on the disk of {component}: {_some_of(deleted)}"


def _some_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
