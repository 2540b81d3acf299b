"""Components with a disk of bounded size in their containers: a volume or a tmpfs, filled and cleared again.

A helper does it, so that neither the container's image nor its user needs anything. It has the one volume mounted, so
that a volume can be cleared while its container is down or gone; a tmpfs of the container's own it finds from inside.
The helper refuses what is no file system of its own: to fill that would fill the engine's disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gameday.agents.disk_files import CORE
from gameday.errors import TargetError, UsageError
from gameday.targets.disk_words import (
    DiskAnswer,
    described,
    disk_spec,
    disposable,
    filled,
    reclaimed,
    unfilled,
)
from gameday.targets.docker.containers import recipe
from gameday.targets.docker.engine import NotThere
from gameday.targets.docker.helper import answer, run_helper
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.docker.mounts import Mounted, mounted_at
from gameday.targets.waiting import Deadline

_AGENT = ("python3", "-m", "gameday.agents.disk_files")
_MOUNTED = "/gameday/disk"
_CHECK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Disk:
    """One disk: of a container that runs, or a volume of one that does not. `container` is its id, empty if gone."""

    container: str
    path: str
    mounted: Mounted

    def __str__(self) -> str:
        return f"{self.mounted} at {self.path}"


class ContainerDisks(DockerInstance):
    """Implements `Disks`."""

    def check_disk(self, component: str) -> str:
        """What its disk is. Also refuses one that is the engine's."""
        deadline = Deadline.after(_CHECK_TIMEOUT_S)
        disk_spec(component, self._spec(component))
        self._engine.await_engine(deadline)
        return described(component, self._disks_in_use(component), partial(self._on_disk, deadline))

    def fill(self, component: str, timeout_s: float) -> str:
        """Fill it to the last byte."""
        disk_spec(component, self._spec(component))
        with self._operation(component, timeout_s) as deadline:
            within = f" and {deadline.timeout_s:g} s"
            return filled(component, self._disks_in_use(component), partial(self._on_disk, deadline), within)

    def unfill(self, component: str, timeout_s: float) -> str:
        """Delete what filled it, on the volumes of containers that are gone too."""
        disk_spec(component, self._spec(component))
        with self._operation(component, timeout_s) as deadline:
            return unfilled(component, self._disks_to_clear(component), partial(self._on_disk, deadline))

    def reclaim(self, component: str, timeout_s: float) -> str:
        """Delete what the environment calls disposable."""
        patterns = disposable(component, disk_spec(component, self._spec(component)))
        with self._operation(component, timeout_s) as deadline:
            ask = partial(self._on_disk, deadline, patterns=patterns)
            return reclaimed(component, self._disks_to_clear(component), patterns, ask)

    # --- which disks ---------------------------------------------------------------------------------------

    def _disks_in_use(self, component: str) -> tuple[_Disk, ...]:
        """Of the containers that run. Raises UsageError where one of them has none that can be filled."""
        path = disk_spec(component, self._spec(component)).path
        found = []
        for one in self._found(component):
            if one.running:
                mounted = mounted_at(recipe(self._engine.inspect(one.id)), path)
                if mounted is None:
                    raise UsageError(
                        f"{component}: {path} of {one} is no mount, so it is on the disk of the Docker engine; "
                        f"mount a volume or tmpfs of bounded size there"
                    )
                if not mounted.writable:
                    raise UsageError(f"{component}: {path} of {one} is mounted read-only")
                found.append(_Disk(one.id, path, mounted))
        if not found:
            raise TargetError(f"{component} is down: its disk may not be there; start it first")
        return _once_each(found)

    def _disks_to_clear(self, component: str) -> tuple[_Disk, ...]:
        """Those that are there: of containers that run, and volumes of those that are down or gone."""
        path = disk_spec(component, self._spec(component)).path
        known = {name: ("", kept) for name, kept in self._remembered(component).recipes.items()}
        for one in self._find(component):
            try:
                inspected = self._engine.inspect(one.id)
            except NotThere:
                continue
            known[one.name] = (one.id if inspected["State"]["Running"] else "", recipe(inspected))
        found = []
        for running, made in known.values():
            mounted = mounted_at(made, path)
            if mounted is None or not mounted.writable:
                continue
            if running or (mounted.source and self._volume_is_there(mounted)):
                found.append(_Disk(running, path, mounted))
        return _once_each(found)

    def _volume_is_there(self, mounted: Mounted) -> bool:
        """Mounting one that is not there would make it."""
        if mounted.kind != "volume":
            return True
        try:
            with self._engine.translated(f"inspect volume {mounted.source}"):
                self._engine.api.inspect_volume(mounted.source)
        except NotThere:
            return False
        return True

    def _on_disk(
        self, deadline: Deadline, disk: _Disk, command: str, patterns: Sequence[str] = ()
    ) -> DiskAnswer:
        more = [part for pattern in patterns for part in ("--pattern", pattern)]
        within = f"{max(1.0, deadline.left_s() * 0.8):.1f}"
        if disk.mounted.source:
            where, host = _MOUNTED, _with_volume(disk.mounted)
        else:
            # /proc/1/root leads to what is mounted in the container; to follow it takes this capability
            where, host = (
                disk.path,
                {"pid_mode": f"container:{disk.container}", "cap_add": ["SYS_PTRACE"]},
            )
            more.append("--inside")
        argv = (*_AGENT, command, "--path", where, "--within", within, *more)
        done = run_helper(
            self._engine, argv, deadline, environment=self.engine_name, network_mode="none", **host
        )
        found = answer(done, f"{command} {disk}")
        if command == "unfill":  # which says whether there was anything
            return DiskAnswer(deleted=[CORE] if found["deleted"] else [])
        return DiskAnswer(**found)


def _with_volume(mounted: Mounted) -> dict[str, Any]:
    mount = {"Type": mounted.kind, "Source": mounted.source, "Target": _MOUNTED, "ReadOnly": False}
    return {"mounts": [mount]}


def _once_each(disks: Iterable[_Disk]) -> tuple[_Disk, ...]:
    """Containers may share a volume."""
    found = {disk.mounted.source or disk.container: disk for disk in disks}
    return tuple(found.values())
