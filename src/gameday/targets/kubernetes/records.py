"""Logs of undos in the cluster: what a drill is about to change, known to whoever may use its namespace.

A ConfigMap a drill, with the lines of the log on the runner's machine, the header first. It is there before the change
is made, and gone when everything in it is reverted.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gameday.errors import LockHeld, Refused, TargetError, UndoError
from gameday.targets.kubernetes.api import MERGE_PATCH
from gameday.targets.kubernetes.cluster import Cluster, Conflict, NotThere
from gameday.targets.kubernetes.instance import KubernetesInstance
from gameday.targets.kubernetes.lease import EnvironmentLease, Holder, Keeper
from gameday.targets.kubernetes.observed import LEASE_S, LOG, PREFIX, SAID, Renewals
from gameday.targets.kubernetes.pods import ENVIRONMENT_LABEL
from gameday.targets.waiting import Deadline

UNDO_LABEL = f"{PREFIX}undo"
DRILL = f"{PREFIX}drill"
"""Annotation: a drill's own name; the names of objects have no capitals."""
WORKLOADS = f"{PREFIX}workloads"
"""Annotation: what the drill's environment is made of, separated by commas."""
IDENTITY_VARIABLE = "GAMEDAY_LEASE_IDENTITY"
"""As whom a child of the dead-man switch reverts: its parent holds the lease, and renews it."""
_CLUSTER_WITHIN_S = 60.0
_ATTEMPTS = 10
_LOOK_EVERY_S = 0.25


def name_of(drill: str) -> str:
    """Of a drill's ConfigMap."""
    return f"gameday-undo-{drill.lower()}"


class ClusterRecords:
    """Implements `Mirror`."""

    def __init__(self, cluster: Cluster, environment: str, drill: str, output: Path | None = None) -> None:
        """With `output` of the drill's own runner, which holds the lease already."""
        self._cluster = cluster
        self._environment = environment
        self._drill = drill
        self._output = output
        self._lease = EnvironmentLease(cluster, environment)
        self._mine = os.environ.get(IDENTITY_VARIABLE, drill if output is not None else "")
        self._depth = 0
        self._lock = threading.Lock()
        self.name = name_of(drill)

    def merge(self, lines: Sequence[str], *, create: bool = False) -> tuple[str, ...] | None:
        for _ in range(_ATTEMPTS):
            found = self._read()
            try:
                if found is None:
                    if not create:
                        return None
                    self._create(lines)
                    return tuple(lines)
                there = str((found.data or {}).get(LOG, "")).splitlines()
                known = set(there)
                more = [line for line in lines[1 if there else 0 :] if line not in known]
                if more:
                    self._write(found.metadata.resource_version, [*there, *more])
            except Conflict:
                continue  # somebody else has just marked an undo
            return (*there, *more)
        raise TargetError(f"ConfigMap {self.name}: others change it all the time")

    def remove(self) -> None:
        if self._output is not None:
            self._keep_what_was_said(self._output)
        with contextlib.suppress(NotThere), self._cluster.writing(f"delete ConfigMap {self.name}"):
            self._cluster.core.delete_namespaced_config_map(self.name, self._cluster.namespace)

    @contextlib.contextmanager
    def exclusive(self, timeout_s: float) -> Iterator[bool]:
        """Whoever holds the environment's lease in the name of this drill reverts it."""
        with self._lock:
            first, self._depth = self._depth == 0, self._depth + 1
        try:
            if not first:
                yield True
                return
            with self._held(timeout_s) as ours:
                yield ours
        finally:
            with self._lock:
                self._depth -= 1

    @contextlib.contextmanager
    def _held(self, timeout_s: float) -> Iterator[bool]:
        identity = f"{self._drill}/pid {os.getpid()} on {socket.gethostname()}"
        try:
            deadline = Deadline.after(timeout_s)
            self._cluster.await_cluster(Deadline.after(min(timeout_s, _CLUSTER_WITHIN_S)))
            ours = self._await_turn(deadline)
            while ours is None and not self._take(identity, deadline):
                ours = self._await_turn(deadline)
        except LockHeld as error:
            raise UndoError(f"{self._drill}: {error}") from error
        except TargetError as error:
            raise UndoError(f"{self._drill}: who else reverts it cannot be known: {error}") from error
        if ours is not None:
            yield ours
            return
        keeper = Keeper(self._lease, identity)
        try:
            yield True
        finally:
            keeper.stop()
            with contextlib.suppress(TargetError):  # then it is free when it was not renewed for its time
                self._lease.release(identity)

    def _take(self, identity: str, deadline: Deadline) -> bool:
        """False: another was quicker, such as this drill's switch that began again.

        Raises:
            LockHeld: so, and it is too late to wait once more.
        """
        try:
            self._lease.take(identity, Holder.me("put back", ()))
        except LockHeld:
            if deadline.passed():
                raise
            return False
        return True

    def _await_turn(self, deadline: Deadline) -> bool | None:
        """True: the lease is held in our name. None: it may be taken. False: another drill has it."""
        seen = Renewals()
        while True:
            found = self._lease.read()
            if found is None or not found.identity:
                return None
            if found.identity == self._mine:
                return True
            unchanged_s = seen.look(found.mark)
            if found.drill != self._drill and self._read() is None:
                return False
            if unchanged_s >= LEASE_S:
                return None
            if seen.moved and found.identity == self._drill:
                raise Refused(f"drill {self._drill} is running: {found}; `gameday stop` ends it there")
            if deadline.passed():
                raise UndoError(f"{self._drill}: for over {deadline.timeout_s:g} s it is with {found}")
            time.sleep(_LOOK_EVERY_S)

    # --- the ConfigMap ---------------------------------------------------------------------------------------

    def _read(self) -> Any:
        return records_of(self._cluster, self._drill)

    def _create(self, lines: Sequence[str]) -> None:
        header, lease = json.loads(lines[0]), self._lease.read()
        workloads = () if lease is None else lease.holder.workloads
        metadata = {
            "name": self.name,
            "labels": {UNDO_LABEL: "true", ENVIRONMENT_LABEL: self._environment},
            "annotations": {
                DRILL: self._drill,
                WORKLOADS: ",".join(workloads),
                f"{PREFIX}identity": str(header.get("identity", "")),
            },
        }
        body = {"metadata": metadata, "data": {LOG: _text(lines)}}
        with self._cluster.writing(f"create ConfigMap {self.name}"):
            self._cluster.core.create_namespaced_config_map(self._cluster.namespace, body)

    def _write(self, version: str, lines: Sequence[str]) -> None:
        body = {"metadata": {"resourceVersion": version}, "data": {LOG: _text(lines)}}
        with self._cluster.writing(f"change ConfigMap {self.name}"):
            self._cluster.core.patch_namespaced_config_map(
                self.name, self._cluster.namespace, body, _content_type=MERGE_PATCH
            )

    def _keep_what_was_said(self, output: Path) -> None:
        found = self._read()
        said = "" if found is None else str((found.data or {}).get(SAID, ""))
        if said:
            with (
                contextlib.suppress(OSError),
                output.open("a", encoding="utf-8") as file,
            ):  # what it is about is done
                file.write(said)


class RecordsInCluster(KubernetesInstance):
    """Implements `Mirroring`."""

    def identity(self) -> str:
        return self.cluster.identity()

    def mirror(self, drill: str, output: Path | None = None) -> ClusterRecords:
        return ClusterRecords(self.cluster, self.instance, drill, output)

    def mirrored(self) -> Mapping[str, tuple[str, ...]]:
        """Those of its parts too, which drills side by side are of."""
        mine = self.environment.environment
        return {
            one.metadata.annotations[DRILL]: tuple(str((one.data or {}).get(LOG, "")).splitlines())
            for one in records(self.cluster, f"{UNDO_LABEL}=true,{ENVIRONMENT_LABEL}")
            if one.metadata.labels[ENVIRONMENT_LABEL].partition(".")[0] == mine
        }


def records_of(cluster: Cluster, drill: str) -> Any:
    """A drill's ConfigMap; None where there is none."""
    name = name_of(drill)
    try:
        with cluster.translated(f"ConfigMap {name}"):
            return cluster.core.read_namespaced_config_map(name, cluster.namespace)
    except NotThere:
        return None


def records(cluster: Cluster, selector: str) -> list[Any]:
    """ConfigMaps of undos, the oldest first; what somebody else made in their likeness aside."""
    with cluster.translated("list records of undos"):
        found = cluster.core.list_namespaced_config_map(cluster.namespace, label_selector=selector).items
    ours = [one for one in found if DRILL in (one.metadata.annotations or {})]
    return sorted(ours, key=lambda one: str(one.metadata.creation_timestamp))


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
