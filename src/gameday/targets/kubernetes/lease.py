"""The lease of an environment in Kubernetes: one drill at a time, whoever runs it, from wherever.

Its holder is a drill (its runner), or a drill and who is putting it back. It is taken with optimistic concurrency,
renewed on a thread of its own, and taken over only when it was seen not to be renewed for its whole duration.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from gameday.errors import LockHeld, OperationTimedOut, TargetError, UsageError
from gameday.targets.kubernetes.api import MERGE_PATCH
from gameday.targets.kubernetes.cluster import Cluster, ClusterAway, Conflict, Forbidden, NotThere
from gameday.targets.kubernetes.observed import HOLDER, LEASE_S, PREFIX, RENEW_S, Renewals
from gameday.targets.kubernetes.pods import ENVIRONMENT_LABEL

LOCK_LABEL = f"{PREFIX}lock"
_ATTEMPTS = 10
_LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, for people and for those who come later."""

    scenario: str
    host: str
    pid: int
    since: str
    workloads: tuple[str, ...] = ()
    """What its environment is made of: environments that share something exclude each other."""

    @classmethod
    def me(cls, scenario: str, workloads: Sequence[str]) -> Holder:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(scenario, socket.gethostname(), os.getpid(), now, tuple(sorted(workloads)))

    @classmethod
    def read(cls, text: str | None) -> Holder:
        """Of what an annotation says, whoever wrote it."""
        try:
            found = json.loads(text or "")
            workloads = tuple(map(str, found["workloads"]))
            return cls(
                str(found["scenario"]), str(found["host"]), int(found["pid"]), str(found["since"]), workloads
            )
        except (ValueError, KeyError, TypeError):
            return cls("unknown", "unknown", 0, "unknown")

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class State:
    """A lease at one moment."""

    name: str
    identity: str
    """`DRILL`, or `DRILL/WHO` puts it back; empty: nobody's."""
    renewed: str
    version: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def drill(self) -> str:
        return self.identity.partition("/")[0]

    @property
    def holder(self) -> Holder:
        return Holder.read(self.annotations.get(HOLDER))

    @property
    def mark(self) -> tuple[str, str]:
        """What renewing it changes."""
        return self.identity, self.renewed

    def note(self, name: str) -> Mapping[str, Any]:
        """One of its annotations that is JSON; empty where it is absent, or another's."""
        try:
            found = json.loads(self.annotations.get(name, "{}"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def __str__(self) -> str:
        who, by = self.holder, self.identity.partition("/")[2]
        doing = f", which {by} is putting back" if by else ""
        return f"scenario {who.scenario}, drill {self.drill}{doing}, pid {who.pid} on {who.host}, since {who.since}"


class EnvironmentLease:
    """The lease `gameday-ENVIRONMENT` of a namespace."""

    def __init__(self, cluster: Cluster, environment: str) -> None:
        self._cluster = cluster
        self._environment = environment
        self.name = f"gameday-{environment}"

    def read(self) -> State | None:
        try:
            with self._cluster.translated(f"lease {self.name}"):
                return _state(
                    self._cluster.coordination.read_namespaced_lease(self.name, self._cluster.namespace)
                )
        except NotThere:
            return None

    def take(self, identity: str, holder: Holder, check: Callable[[], None] = lambda: None) -> None:
        """Have it, at once or, where nobody renews it any more, after its duration. `check` may raise when it is free.

        Raises:
            LockHeld: it is renewed by somebody, or that of an environment which shares a workload is.
        """
        for _ in range(_ATTEMPTS):
            self._refuse_others(holder)
            found = self.await_free()
            check()
            try:
                self._write(identity, holder, found)
            except Conflict:
                continue  # somebody else was quicker: who says the next look
            try:
                # of two that take theirs in one moment for a workload that both have, at least one sees the other
                self._refuse_others(holder)
            except BaseException:
                self.release(identity)
                raise
            return
        raise LockHeld(f"{self.name}: others take this lease all the time")

    def await_free(self) -> State | None:
        """The lease as it is when it may be taken.

        Raises:
            LockHeld: it is renewed.
        """
        seen = Renewals()
        while True:
            found = self.read()
            if found is None or not found.identity or seen.look(found.mark) >= LEASE_S:
                return found
            if seen.moved:
                raise LockHeld(f"{self._environment} is being drilled: {found}")
            time.sleep(_LOOK_EVERY_S)

    def renew(self, identity: str) -> State:
        """Say that it is still held.

        Raises:
            LockHeld: it is not, but by another, or nobody.
            ClusterAway, OperationTimedOut: nobody can be asked.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        change = [
            {"op": "test", "path": "/spec/holderIdentity", "value": identity},
            {"op": "replace", "path": "/spec/renewTime", "value": now},
        ]
        try:
            with self._cluster.writing(f"renew lease {self.name}"):
                return _state(
                    self._cluster.coordination.patch_namespaced_lease(
                        self.name, self._cluster.namespace, change
                    )
                )
        except (ClusterAway, OperationTimedOut):
            raise
        except TargetError as error:
            found = self.read()
            if found is not None and found.identity == identity:
                raise
            there = "it is gone" if found is None else f"it is held by {found}"
            raise LockHeld(f"lease {self.name}: {there}") from error

    def note(self, name: str, value: str | None) -> State:
        """Write one of its annotations, whoever holds it."""
        body = {"metadata": {"annotations": {name: value}}}
        with self._cluster.writing(f"annotate lease {self.name}"):
            return _state(
                self._cluster.coordination.patch_namespaced_lease(
                    self.name, self._cluster.namespace, body, _content_type=MERGE_PATCH
                )
            )

    def release(self, identity: str) -> None:
        """Nobody holds it afterwards: it is gone, unless it is another's."""
        for _ in range(_ATTEMPTS):
            found = self.read()
            if found is None or found.identity != identity:
                return
            only = {"preconditions": {"resourceVersion": found.version}}
            with contextlib.suppress(Conflict, NotThere), self._cluster.writing(f"delete lease {self.name}"):
                self._cluster.coordination.delete_namespaced_lease(
                    self.name, self._cluster.namespace, body=only
                )

    def _write(self, identity: str, holder: Holder, found: State | None) -> None:
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond or 1)  # the client leaves them out where they are zero
        metadata: dict[str, Any] = {
            "name": self.name,
            "labels": {LOCK_LABEL: "true", ENVIRONMENT_LABEL: self._environment},
            "annotations": {HOLDER: holder.to_json()},
        }
        spec = {
            "holderIdentity": identity,
            "leaseDurationSeconds": LEASE_S,
            "acquireTime": now,
            "renewTime": now,
        }
        api, namespace = self._cluster.coordination, self._cluster.namespace
        if found is None:
            with self._cluster.writing(f"create lease {self.name}"):
                api.create_namespaced_lease(namespace, {"metadata": metadata, "spec": spec})
            return
        metadata["resourceVersion"] = found.version
        with self._cluster.writing(f"take lease {self.name}"):
            api.replace_namespaced_lease(self.name, namespace, {"metadata": metadata, "spec": spec})

    def _refuse_others(self, holder: Holder) -> None:
        """Raises LockHeld when an environment that shares a workload with this one is being drilled."""
        with self._cluster.translated("list leases of gameday"):
            found = self._cluster.coordination.list_namespaced_lease(
                self._cluster.namespace, label_selector=f"{LOCK_LABEL}=true"
            ).items
        for one in map(_state, found):
            if (
                one.name == self.name
                or not one.identity
                or set(one.holder.workloads).isdisjoint(holder.workloads)
            ):
                continue
            environment = one.name.removeprefix("gameday-")
            EnvironmentLease(self._cluster, environment).await_free()


def leased(cluster: Cluster, environment: str) -> list[str]:
    """An environment and its parts, as far as a lease of them is there."""
    with cluster.translated("list leases of gameday"):
        found = cluster.coordination.list_namespaced_lease(
            cluster.namespace, label_selector=f"{LOCK_LABEL}=true,{ENVIRONMENT_LABEL}"
        ).items
    names = [str(one.metadata.labels[ENVIRONMENT_LABEL]) for one in found]
    return [name for name in names if name.partition(".")[0] == environment]


class Keeper:
    """Renews a lease until it is told to stop, on a thread of its own with a connection of its own."""

    def __init__(
        self,
        lease: EnvironmentLease,
        identity: str,
        on_beat: Callable[[State | None], None] = lambda _: None,
    ) -> None:
        """`on_beat` is called there, with the lease as it is now, or None when no API server answered."""
        self._lease = lease
        self._identity = identity
        self._on_beat = on_beat
        self._stop = threading.Event()
        self.lost: str | None = None
        """Why the lease is not held any more; None while it is."""
        self._thread = threading.Thread(target=self._renew, name="gameday-lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """It is not renewed any more when this returns."""
        self._stop.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            try:
                state = self._lease.renew(self._identity)
                self.lost = None
                self._on_beat(state)
            except (LockHeld, Forbidden, UsageError) as error:
                self.lost = str(error)
            except TargetError:
                self._on_beat(None)  # the API server is away for the dead-man switch too


def _state(found: Any) -> State:
    spec = found.spec
    renewed = spec.renew_time.isoformat() if spec.renew_time else ""
    return State(
        name=found.metadata.name,
        identity=spec.holder_identity or "",
        renewed=renewed,
        version=found.metadata.resource_version,
        annotations=found.metadata.annotations or {},
    )
