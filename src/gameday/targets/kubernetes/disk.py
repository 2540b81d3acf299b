"""Components with a disk of bounded size in their pods: a volume in memory or a claim, filled and cleared again.

Their own container does it; a claim of a component without pods is cleared by a helper. What is on the node's own disk
is refused: to fill that would have the node evict its pods, those of others too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

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
from gameday.targets.kubernetes.disk_script import arguments, understood
from gameday.targets.kubernetes.helper import Wanted, run_helper
from gameday.targets.kubernetes.own_pod import OwnPod, Templates
from gameday.targets.kubernetes.pods import Pod, Seen
from gameday.targets.waiting import Deadline, wait_until

DISK_PURPOSE = "disk"
_CHECK_TIMEOUT_S = 30.0
_RETRY_EVERY_S = 0.5
_RIGHT = "mount an emptyDir with `medium: Memory` and a `sizeLimit` there, or a claim on a disk of its own"


@dataclass(frozen=True, slots=True)
class _Disk:
    """Of a pod that runs; or, without a pod, a claim of a component that has none."""

    own: OwnPod
    pod: Pod | None
    path: str
    volume: str

    def __str__(self) -> str:
        return f"{self.volume} at {self.path} of {self.pod or self.own.workload}"


class PodDisks(Templates):
    """Implements `Disks`."""

    def check_disk(self, component: str) -> str:
        """What its disk is. Also refuses one that is the node's."""
        deadline = Deadline.after(_CHECK_TIMEOUT_S)
        disk_spec(component, self._spec(component))
        self.cluster.await_cluster(deadline)
        ask = partial(self._on_disk, component, deadline)
        return described(component, self._disks_in_use(component), ask, f"; {_RIGHT}")

    def fill(self, component: str, timeout_s: float) -> str:
        """Fill it to the last byte."""
        disk_spec(component, self._spec(component))
        with self._operation(component, timeout_s) as deadline:
            disks = self._disks_in_use(component)
            return filled(component, disks, partial(self._on_disk, component, deadline), "")

    def unfill(self, component: str, timeout_s: float) -> str:
        """Delete what filled it, on the claims of a component without pods too."""
        disk_spec(component, self._spec(component))
        with self._operation(component, timeout_s) as deadline:
            ask = partial(self._on_disk, component, deadline, again=True)
            return unfilled(component, self._disks_to_clear(component), ask)

    def reclaim(self, component: str, timeout_s: float) -> str:
        """Delete what the environment calls disposable."""
        patterns = disposable(component, disk_spec(component, self._spec(component)))
        with self._operation(component, timeout_s) as deadline:
            ask = partial(self._on_disk, component, deadline, patterns=patterns, again=True)
            return reclaimed(component, self._disks_to_clear(component), patterns, ask)

    # --- which disks ---------------------------------------------------------------------------------------

    def _disks_in_use(self, component: str) -> tuple[_Disk, ...]:
        """Of the pods that run. Raises UsageError where one of them has none that can be filled."""
        path = disk_spec(component, self._spec(component)).path
        found: list[_Disk] = []
        for own, pods in self._owns(component):
            volume = _volume_at(own, path)
            problem = _refusal(own, volume)
            if problem:
                raise UsageError(f"{component}: {path} of {own.workload} {problem}")
            found += [_Disk(own, pod, path, _named(own, volume or {})) for pod in pods]
        if not found:
            raise TargetError(f"{component} is down: its disk may not be there; start it first")
        return _once_each(found)

    def _disks_to_clear(self, component: str) -> tuple[_Disk, ...]:
        """Those that are there: of pods that run, and claims of workloads that have none."""
        path = disk_spec(component, self._spec(component)).path
        found: list[_Disk] = []
        for own, pods in self._owns(component):
            volume = _volume_at(own, path)
            if volume is None or _refusal(own, volume):
                continue
            found += [_Disk(own, pod, path, _named(own, volume)) for pod in pods]
            if not pods and "persistentVolumeClaim" in volume:
                found += [_Disk(one, None, path, _named(one, volume)) for one in _each_claim(own)]
        return _once_each(found)

    def _owns(self, component: str) -> list[tuple[OwnPod, Sequence[Pod]]]:
        """Its workloads, each with its pods that run."""
        seen = self._look()
        workloads = seen.workloads_of(self._spec(component).kubernetes)
        return [(self._own(component, one), _pods_of(seen, one.uid)) for one in workloads]

    # --- working on them -----------------------------------------------------------------------------------

    def _on_disk(
        self,
        component: str,
        deadline: Deadline,
        disk: _Disk,
        command: str,
        patterns: Sequence[str] = (),
        *,
        again: bool = False,
    ) -> DiskAnswer:
        """`again`: until it could be done, as what has no disk left may be starting again and again.

        Raises:
            TargetError: its container, or a helper, cannot run the script.
        """
        argv, pod = arguments(command, disk.path, patterns), disk.pod
        what = f"{command} the disk of {component}: {disk}"
        if pod is None:
            mounts = [one for one in disk.own.lasting_mounts() if _same(one["mountPath"], disk.path)]
            wanted = Wanted(
                self.instance, component, DISK_PURPOSE, argv, deadline.left_s(), mounts, resources={}
            )
            done = run_helper(self.cluster, disk.own, wanted, deadline)
            if done.exit_code != 0:
                raise TargetError(f"{what}: exit code {done.exit_code}: {done.output.strip()[-500:]}")
            return understood(done.output)
        problem: TargetError | None = None
        found = DiskAnswer()

        def ran() -> bool:
            nonlocal problem, found
            try:
                done = self.cluster.execute(pod.name, disk.own.container["name"], argv, deadline)
            except TargetError as error:
                problem = error
                return not again
            problem = None
            if done.exit_code != 0:
                problem = TargetError(f"exit code {done.exit_code}: {done.output.strip()[-500:]}")
            found = understood(done.output)
            return True

        wait_until(ran, deadline, _RETRY_EVERY_S)
        if problem is not None:
            raise TargetError(f"{what}: {problem}") from problem
        return found


def _pods_of(seen: Seen, workload: str) -> list[Pod]:
    return [
        pod for pod in seen.pods if pod.running and seen.replica_sets.get(pod.owner, pod.owner) == workload
    ]


def _volume_at(own: OwnPod, path: str) -> dict[str, Any] | None:
    """What is mounted at exactly this path, with `readOnly` of the mount."""
    for mount in own.container.get("volumeMounts") or []:
        if _same(mount["mountPath"], path):
            return {**own.volumes[mount["name"]], "readOnly": mount.get("readOnly", False)}
    return None


def _refusal(own: OwnPod, volume: dict[str, Any] | None) -> str:
    """Why it is no disk that may be filled, as far as its specification tells; empty where it may be."""
    if volume is None:
        mounted = ", ".join(mount["mountPath"] for mount in own.container.get("volumeMounts") or [])
        return f"is no mount (mounted are {mounted or 'none'}), so it is on the disk of the node; {_RIGHT}"
    if volume["readOnly"]:
        return "is mounted read-only"
    memory = volume.get("emptyDir")
    if "emptyDir" in volume:
        if (memory or {}).get("medium") != "Memory":
            return f"is an emptyDir on the disk of the node, which evicts the pod when it grows; {_RIGHT}"
        if not (memory or {}).get("sizeLimit"):
            return "is an emptyDir in memory without a `sizeLimit`; give it one"
        return ""
    if any(kind in volume for kind in ("configMap", "secret", "projected", "downwardAPI", "image")):
        return f"is no disk; {_RIGHT}"
    return ""


def _named(own: OwnPod, volume: dict[str, Any]) -> str:
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    claim = own.claims.get(volume.get("name", ""), claim)
    if claim:
        return f"claim {claim}"
    return "emptyDir in memory" if "emptyDir" in volume else f"volume {volume.get('name')}"


def _each_claim(own: OwnPod) -> list[OwnPod]:
    """Of a stateful set, each pod has claims of its own."""
    if not own.claims:
        return [own]
    workload = own.workload
    count = workload.replicas if workload.held is None else workload.held
    found = []
    for number in range(count):
        claims = {}
        for name, claim in own.claims.items():
            stem, _, first = claim.rpartition("-")
            claims[name] = f"{stem}-{int(first) + number}"
        found.append(replace(own, claims=claims))
    return found


def _once_each(disks: Iterable[_Disk]) -> tuple[_Disk, ...]:
    """Pods of a deployment share their claim; each pod of a stateful set has its own."""
    found = {}
    for disk in disks:
        shared = disk.volume.startswith("claim ") and not (disk.own.claims and disk.pod)
        found[disk.volume if shared or disk.pod is None else disk.pod.uid] = disk
    return tuple(found.values())


def _same(one: str, other: str) -> bool:
    return PurePosixPath(one) == PurePosixPath(other)
