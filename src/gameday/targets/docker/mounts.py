"""What is mounted in a container, and where: whether a database's data can be destroyed without its backup, and which
volume or tmpfs a component's disk is.

Decides, and touches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from gameday.docker_spec import ContainerPostgresql
from gameday.errors import UsageError


@dataclass(frozen=True, slots=True)
class Mounted:
    """`kind` is volume, bind or tmpfs; `source` is a volume's name or a folder of the engine's machine, or empty."""

    kind: str
    source: str
    writable: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.source}".strip()


def mounted_at(made: Mapping[str, Any], path: str) -> Mounted | None:
    """What a container, given by its recipe, has mounted at exactly this path; None: nothing."""
    host = made["host"]
    for place, options in (host.get("Tmpfs") or {}).items():
        if _same(place, path):
            return Mounted("tmpfs", "", "ro" not in str(options).split(","))
    for mount in host.get("Mounts") or []:
        if _same(mount["Target"], path):
            source = "" if mount["Type"] == "tmpfs" else str(mount.get("Source") or "")
            return Mounted(mount["Type"], source, not mount.get("ReadOnly", False))
    for bind in host.get("Binds") or []:
        source, place, *options = bind.split(":")
        if _same(place, path):
            kind = "bind" if source.startswith("/") else "volume"
            return Mounted(kind, source, "ro" not in ",".join(options).split(","))
    return None


def _same(one: str, other: str) -> bool:
    return PurePosixPath(one) == PurePosixPath(other)


def check_apart(component: str, spec: ContainerPostgresql, mounts: Sequence[Mapping[str, Any]]) -> None:
    """`mounts` as an inspection of the container has them.

    Raises:
        UsageError: data, backup or archive would not outlive what is done to another of them; says what to do.
    """
    kept = {"backup": spec.backup, **({"archive": spec.archive} if spec.archive else {})}
    data = _mount_of(component, "data", spec.data, mounts)
    if not data.get("RW", True):
        raise UsageError(f"{component}: its data directory {spec.data} is mounted read-only")
    for what, path in kept.items():
        mount = _mount_of(component, what, path, mounts)
        if _identity(mount) == _identity(data) or _overlap(_place(mount, path), _place(data, spec.data)):
            raise UsageError(
                f"{component}: its {what} {path} is on the same volume as its data directory {spec.data}, and would be "
                f"destroyed with it; mount another volume there"
            )
    below = sorted(
        str(mount["Destination"]) for mount in mounts if _is_below(str(mount["Destination"]), spec.data)
    )
    if below:
        raise UsageError(
            f"{component}: {', '.join(below)} is mounted in its data directory {spec.data}, and what is there would be "
            f"destroyed with it; mount it elsewhere"
        )


def _mount_of(component: str, what: str, path: str, mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The innermost one that holds the path."""
    holding = [
        mount
        for mount in mounts
        if PurePosixPath(path).is_relative_to(mount["Destination"]) and mount["Type"] != "tmpfs"
    ]
    if not holding:
        raise UsageError(
            f"{component}: its {what} {path} is not on a volume, so it would not outlive the container; mount one "
            f"there, such as `volumes: ['{what}:{path}']`"
        )
    return max(holding, key=lambda mount: len(PurePosixPath(mount["Destination"]).parts))


def _identity(mount: Mapping[str, Any]) -> str:
    return str(mount.get("Name") or mount.get("Source"))


def _place(mount: Mapping[str, Any], path: str) -> PurePosixPath:
    """On the engine's machine."""
    return PurePosixPath(mount.get("Source") or mount.get("Name") or "/") / PurePosixPath(path).relative_to(
        mount["Destination"]
    )


def _overlap(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _is_below(path: str, folder: str) -> bool:
    return path != folder and PurePosixPath(path).is_relative_to(folder)
