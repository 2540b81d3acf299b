"""The dead-man switch as a job: the runner's end of it.

It outlives the runner, its machine and its network. What the two have to say to each other stands in annotations of the
environment's lease, which the runner renews as long as it lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gameday.errors import GamedayError, LockHeld, TargetError, UndoError, UsageError
from gameday.targets.kubernetes import deadman_job
from gameday.targets.kubernetes.api import MERGE_PATCH
from gameday.targets.kubernetes.cluster import Cluster, NotThere
from gameday.targets.kubernetes.deadman_job import ACCOUNT, SWITCH_LABEL, short
from gameday.targets.kubernetes.lease import EnvironmentLease, Holder, Keeper, State, leased
from gameday.targets.kubernetes.observed import LEASE_S, SWITCH, TOLD, Renewals
from gameday.targets.kubernetes.permissions import Permissions
from gameday.targets.kubernetes.pods import ENVIRONMENT_LABEL, HELPER_LABEL
from gameday.targets.kubernetes.records import (
    DRILL,
    IDENTITY_VARIABLE,
    UNDO_LABEL,
    WORKLOADS,
    name_of,
    records,
    records_of,
)
from gameday.targets.variables import referred_variables
from gameday.targets.waiting import Deadline, wait_until

_TIMEOUT_S = 5.0
_ASK_EVERY_S = 0.05
_REPLACED_WITHIN_S = 10.0
"""A pod that was lost has a successor by then."""
_ENDS_WITHIN_S = 15.0
_CLUSTER_WITHIN_S = 30.0


class JobSwitch:
    """Implements `Switch`."""

    def __init__(self, cluster: Cluster, lease: EnvironmentLease, drill: str) -> None:
        """The lease is held in the drill's name; from now on it is renewed."""
        self._cluster = cluster
        self._lease = lease
        self._drill = drill
        self._name = deadman_job.name_of(drill)
        self._deadline_ns: int | None = None
        self._disarmed = False
        self._seq = 0
        self._told_to = ""
        self._ready_pod = ""
        self._problem: str | None = None
        self._beats, self._absent = Renewals(), Renewals()
        self._telling = threading.Lock()
        self._keeper = Keeper(lease, drill, self._beat)

    @property
    def pid(self) -> int:
        """Of no process that anybody could see from here."""
        return 0

    @property
    def where(self) -> str:
        return f"pod {self._ready_pod}"

    def confirm(self, timeout_s: float = 30.0) -> None:
        note = self._await(lambda note: bool(note.get("instance")), timeout_s)
        if note is None:
            raise UndoError(
                f"the dead-man switch {self._name} did not answer within {timeout_s:g} s: {self._why()}"
            )
        self._ready_pod = str(note["instance"]).rpartition(".")[0]
        if note.get("problem"):
            raise UndoError(f"the dead-man switch {self._name}: {note['problem']}")

    def arm(self, deadline_ns: int, timeout_s: float = 10.0) -> None:
        self.confirm(timeout_s)
        with self._telling:
            self._deadline_ns = (
                deadline_ns if self._deadline_ns is None else min(self._deadline_ns, deadline_ns)
            )
        wanted = self._tell()
        note = self._await(lambda note: int(note.get("armed", 0)) >= wanted, timeout_s)
        if note is None:
            raise UndoError(
                f"the dead-man switch {self._name} did not confirm within {timeout_s:g} s: {self._why()}"
            )
        if note.get("problem"):
            raise UndoError(f"the dead-man switch {self._name}: {note['problem']}")

    def lost(self) -> str | None:
        """As the thread that renews the lease has last seen it, up to two seconds ago."""
        if self._disarmed or (self._deadline_ns is not None and time.monotonic_ns() >= self._deadline_ns):
            return None
        return self._keeper.lost or self._problem

    def disarm(self) -> None:
        """Its job is gone afterwards, and so is the lease. Where something is left to revert it stays, and does that as
        soon as the lease was not renewed for its time."""
        self._disarmed = True
        self._keeper.stop()
        try:
            self._cluster.await_cluster(Deadline.after(_CLUSTER_WITHIN_S))
            if records_of(self._cluster, self._drill) is not None:
                print(f"dead-man switch: {self._name} stays, and reverts what is left", file=sys.stderr)
                return
            self._lease.release(self._drill)  # then its pod ends by itself, whatever becomes of us
            remove(self._cluster, self._drill, Deadline.after(_ENDS_WITHIN_S))
        except GamedayError as error:
            print(f"dead-man switch: {self._name} could not be removed: {error}", file=sys.stderr)

    # --- talking to it -----------------------------------------------------------------------------------------

    def _tell(self) -> int:
        """Tell the earliest deadline; returns the number of what was told."""
        with self._telling:
            state = self._lease.read()
            note = self._note(state)
            self._seq, self._told_to = self._seq + 1, str(note.get("instance", ""))
            left_s = ((self._deadline_ns or 0) - time.monotonic_ns()) / 1e9
            told = {"seq": self._seq, "left_s": round(max(0.0, left_s), 3), "to": self._told_to}
            self._lease.note(TOLD, json.dumps(told))
            return self._seq

    def _note(self, state: State | None) -> Mapping[str, Any]:
        """What the switch of this drill last said; empty where it has said nothing yet."""
        note = {} if state is None else state.note(SWITCH)
        return note if note.get("drill") == self._drill else {}

    def _await(self, condition: Callable[[Any], bool], timeout_s: float) -> Any:
        """The switch's note as soon as it is so; None when it is not in time."""
        found: Any = None

        def so() -> bool:
            nonlocal found
            try:
                state = self._lease.read()
            except TargetError:
                return False
            found = self._note(state)
            return condition(found)

        return found if wait_until(so, Deadline.after(timeout_s), _ASK_EVERY_S) else None

    def _beat(self, state: State | None) -> None:
        """The lease was renewed, on the keeper's thread; None: nobody answered."""
        if state is None:
            self._beats.forget()
            self._absent.forget()
            return
        note = self._note(state)
        if self._deadline_ns is not None and note.get("instance") not in (None, "", self._told_to):
            self._tell()  # its successor
        if not self._ready_pod:
            return
        silent_s = self._beats.look((note.get("instance"), note.get("beat")))
        alive = any(
            one.status.phase == "Running" and not one.metadata.deletion_timestamp for one in self._pods()
        )
        absent_s = self._absent.look(None) if not alive else 0.0
        if alive:
            self._absent.forget()
        self._problem = None
        if absent_s >= _REPLACED_WITHIN_S:
            self._problem = f"job {self._name} has no pod that runs, for {absent_s:.0f} s"
        elif silent_s >= LEASE_S:
            self._problem = f"pod {self._ready_pod} has said nothing for {silent_s:.0f} s"

    def _pods(self) -> Sequence[Any]:
        return _pods(self._cluster, self._drill)

    def _why(self) -> str:
        """What can be seen of a switch that does not answer."""
        try:
            found = self._pods()
        except TargetError as error:
            return str(error)
        if not found:
            return f"job {self._name} has no pod; see `kubectl describe job {self._name}`"
        states = [state for one in found for state in one.status.container_statuses or []]
        waiting = [state.state.waiting for state in states if state.state and state.state.waiting]
        said = [f"{one.reason}: {one.message or ''}".strip(": ") for one in waiting]
        return "; ".join(said) or ", ".join(f"pod {one.metadata.name} is {one.status.phase}" for one in found)


class SwitchInCluster(Permissions):
    """Implements `DeadMan`."""

    def check_switch(self) -> None:
        """Raises UsageError where the namespace allows no drills, or has no service account for the switch."""
        self.cluster.check_allowed()
        try:
            with self.cluster.translated(f"service account {ACCOUNT}"):
                self.cluster.core.read_namespaced_service_account(ACCOUNT, self.cluster.namespace)
        except NotThere as error:
            raise UsageError(
                f"namespace {self.cluster.namespace} has no service account {ACCOUNT}, as which a dead-man switch "
                f"reverts; `gameday rbac --environment {self.instance} --scenario NAME | kubectl --context "
                f"{self.cluster.context} apply -f -` makes it"
            ) from error

    def dead_man_switch(self, log: Path, output: Path, scenario: str) -> JobSwitch:  # noqa: ARG002 - the mirror has it
        """Take the lease of this environment, and make the job."""
        self.check_switch()
        drill = log.stem
        workloads = self._names_of_all()
        own = Cluster(
            self.cluster.context, self.cluster.namespace, _TIMEOUT_S
        )  # of the thread that renews it
        lease = EnvironmentLease(own, self.instance)
        lease.take(drill, Holder.me(scenario, workloads), lambda: self._refuse_leftovers(workloads))
        try:
            self._sweep(drill)
            self._make(drill, lease.name)
        except BaseException:
            with contextlib.suppress(TargetError):
                remove(self.cluster, drill, Deadline.after(0))
            lease.release(drill)
            raise
        return JobSwitch(own, lease, drill)

    def release(self, drill: str) -> None:
        """The drill is put back: its job need not watch any more."""
        if IDENTITY_VARIABLE not in os.environ:  # else that job is who did it
            remove(self.cluster, drill, Deadline.after(_ENDS_WITHIN_S))
            lease = EnvironmentLease(self.cluster, self.instance)
            found = lease.read()
            if found is not None and found.drill == drill:
                lease.release(found.identity)

    def tidy(self) -> tuple[str, ...]:
        """Leases of this environment and its parts that nobody renews, whose drill has no records and no job. Takes as
        long as a lease lasts where there is one. One of a running drill is left alone."""
        return tuple(
            f"lease {one.name}, which drill {one.drill} left and nobody renewed" for one in self._orphans()
        )

    def _orphans(self) -> list[State]:
        removed = []
        for environment in leased(self.cluster, self.environment.environment):
            lease = EnvironmentLease(self.cluster, environment)
            found = lease.read()
            if (
                found is None
                or not found.identity
                or records_of(self.cluster, found.drill) is not None
                or _jobs(self.cluster, f"{SWITCH_LABEL}={short(found.drill)}")
            ):
                continue  # its switch, or whoever reverts it, removes it
            with contextlib.suppress(LockHeld):
                free = lease.await_free()
                if free is not None and free.identity:
                    lease.release(free.identity)
                    removed.append(free)
        return removed

    def _names_of_all(self) -> tuple[str, ...]:
        """What the environment is made of, and what it would be were it there."""
        seen = self._look()
        specs = [spec for name, spec in self._specs.items() if self.environment.concerns(name)]
        found = {str(one) for spec in specs for one in seen.workloads_of(spec.kubernetes)}
        found |= {spec.kubernetes.workload for spec in specs if spec.kubernetes.workload}
        return tuple(sorted(found))

    def _refuse_leftovers(self, workloads: Sequence[str]) -> None:
        """Raises LockHeld where a drill of one of these has not put everything back."""
        for one in records(self.cluster, f"{UNDO_LABEL}=true"):
            annotations, labels = one.metadata.annotations, one.metadata.labels or {}
            theirs = str(annotations.get(WORKLOADS, "")).split(",")
            environment = labels.get(ENVIRONMENT_LABEL, "")
            if environment == self.instance or not set(theirs).isdisjoint(workloads):
                found = EnvironmentLease(self.cluster, environment).read()
                holder = f": {found}" if found is not None and found.drill == annotations[DRILL] else ""
                raise LockHeld(
                    f"{self.instance}: drill {annotations[DRILL]} has not put everything back{holder}; its dead-man "
                    f"switch does, or `gameday recover --environment {environment.partition('.')[0]}`"
                )

    def _sweep(self, drill: str) -> None:
        """Jobs of drills that are over and whose runner could not remove them."""
        mine = f"{HELPER_LABEL}=true,{ENVIRONMENT_LABEL}={self.instance},{SWITCH_LABEL}"
        for one in _jobs(self.cluster, mine):
            if one.metadata.labels[SWITCH_LABEL] != short(drill):
                _delete_job(self.cluster, one.metadata.name)

    def _make(self, drill: str, lease: str) -> None:
        environment = self.instance
        # how the cluster is reached from here is nothing to its pods
        hidden = referred_variables(self.environment.model_copy(update={"kubernetes": None}))
        told = {
            "GAMEDAY_STANDS_BEHIND": drill,  # no mark of a drill's own processes: they are ended with it
            "GAMEDAY_ENVIRONMENT": environment,
            "GAMEDAY_LEASE": lease,
            "GAMEDAY_RECORDS": name_of(drill),
            "GAMEDAY_JOB": deadman_job.name_of(drill),
            "GAMEDAY_NEEDS": json.dumps(
                [[one.group, one.resource, one.verb] for one in sorted(self.switch_needs)]
            ),
        }
        name, namespace = told["GAMEDAY_JOB"], self.cluster.namespace
        if hidden:
            metadata = {"name": name, "labels": deadman_job.labels(drill, environment)}
            with self.cluster.writing(f"create Secret {name}"):
                self.cluster.core.create_namespaced_secret(
                    namespace, {"metadata": metadata, "stringData": hidden}
                )
        body = deadman_job.job(drill, environment, self.spec.runner_image, told, name if hidden else None)
        try:
            with self.cluster.writing(f"create job {name}"):
                made = self.cluster.batch.create_namespaced_job(namespace, body)
        except TargetError:
            if hidden:
                with self.cluster.writing(f"delete Secret {name}"):
                    self.cluster.core.delete_namespaced_secret(name, namespace)
            raise
        if hidden:
            owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": made.metadata.uid}
            with self.cluster.writing(f"let Secret {name} end with its job"):
                self.cluster.core.patch_namespaced_secret(
                    name, namespace, {"metadata": {"ownerReferences": [owner]}}, _content_type=MERGE_PATCH
                )


def remove(cluster: Cluster, drill: str, deadline: Deadline) -> None:
    """The job of a drill, with its pods, and with its Secret, which it owns. That nothing is there is no error."""
    _delete_job(cluster, deadman_job.name_of(drill))
    wait_until(lambda: not _pods(cluster, drill), deadline, 0.1)


def _delete_job(cluster: Cluster, name: str) -> None:
    with contextlib.suppress(NotThere), cluster.writing(f"delete job {name}"):
        cluster.batch.delete_namespaced_job(name, cluster.namespace, propagation_policy="Background")


def _jobs(cluster: Cluster, selector: str) -> Sequence[Any]:
    with cluster.translated("list jobs of gameday"):
        found: Sequence[Any] = cluster.batch.list_namespaced_job(
            cluster.namespace, label_selector=selector
        ).items
        return found


def _pods(cluster: Cluster, drill: str) -> Sequence[Any]:
    with cluster.translated("list pods of the dead-man switch"):
        found: Sequence[Any] = cluster.core.list_namespaced_pod(
            cluster.namespace, label_selector=f"{SWITCH_LABEL}={short(drill)}"
        ).items
        return found
