"""Whether a database's data can be destroyed without its backup: what is on which volume.

Decides, and touches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gameday.docker_spec import ContainerPostgresql
from gameday.errors import UsageError


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """What is mounted at `path` in a container: the folder `place` of the volume `volume`."""

    path: str
    volume: str
    place: PurePosixPath
    writable: bool = True
    lasting: bool = True
    """Whether what is there outlives the container."""


def check_apart(
    component: str, spec: ContainerPostgresql, mounts: Sequence[VolumeMount], advice: str
) -> None:
    """`advice` says how a volume is mounted at `{path}` for a `{what}`.

    Raises:
        UsageError: data, backup or archive would not outlive what is done to another of them; says what to do.
    """
    kept = {"backup": spec.backup, **({"archive": spec.archive} if spec.archive else {})}
    data = _mount_of(component, "data", spec.data, mounts, advice)
    if not data.writable:
        raise UsageError(f"{component}: its data directory {spec.data} is mounted read-only")
    for what, path in kept.items():
        mount = _mount_of(component, what, path, mounts, advice)
        if mount.volume == data.volume or _overlap(_place(mount, path), _place(data, spec.data)):
            raise UsageError(
                f"{component}: its {what} {path} is on the same volume as its data directory {spec.data}, and would be "
                f"destroyed with it; mount another volume there"
            )
    below = sorted(mount.path for mount in mounts if _is_below(mount.path, spec.data))
    if below:
        raise UsageError(
            f"{component}: {', '.join(below)} is mounted in its data directory {spec.data}, and what is there would be "
            f"destroyed with it; mount it elsewhere"
        )


def _mount_of(
    component: str, what: str, path: str, mounts: Sequence[VolumeMount], advice: str
) -> VolumeMount:
    """The innermost one that holds the path."""
    holding = [mount for mount in mounts if PurePosixPath(path).is_relative_to(mount.path) and mount.lasting]
    if not holding:
        raise UsageError(
            f"{component}: its {what} {path} is not on a volume, so it would not outlive the container; mount one "
            f"there, such as {advice.format(what=what, path=path)}"
        )
    return max(holding, key=lambda mount: len(PurePosixPath(mount.path).parts))


def _place(mount: VolumeMount, path: str) -> PurePosixPath:
    """Where the volume is."""
    return mount.place / PurePosixPath(path).relative_to(mount.path)


def _overlap(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _is_below(path: str, folder: str) -> bool:
    return path != folder and PurePosixPath(path).is_relative_to(folder)
