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
from gameday.targets import apart

_ADVICE = "`volumes: ['{what}:{path}']`"


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
    apart.check_apart(component, spec, [_of_engine(mount) for mount in mounts], _ADVICE)


def _of_engine(mount: Mapping[str, Any]) -> apart.VolumeMount:
    return apart.VolumeMount(
        path=str(mount["Destination"]),
        volume=str(mount.get("Name") or mount.get("Source")),
        place=PurePosixPath(mount.get("Source") or mount.get("Name") or "/"),
        writable=bool(mount.get("RW", True)),
        lasting=mount["Type"] != "tmpfs",
    )
