"""PostgreSQL in a pod: its data destroyed, and restored from its base backup and archive.

Its workload is held at zero replicas while a helper works in its claims; `database_script` is what it does there. What
is destroyed, and what is being restored, says so in an annotation of the workload, written before anything is done: the
next `start`, restore or undo, of any runner, puts in order what an earlier one left.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gameday.docker_spec import ContainerPostgresql
from gameday.errors import GamedayError, OperationTimedOut, TargetError, UsageError
from gameday.targets.apart import check_apart
from gameday.targets.base import Execution
from gameday.targets.database_script import FORGET, arguments, configuration
from gameday.targets.database_words import (
    backup_words,
    check_point,
    database_spec,
    restored_words,
    taken_at,
)
from gameday.targets.kubernetes.cluster import ClusterAway
from gameday.targets.kubernetes.crash_scripts import CRASH, DESTROY, FREEZE
from gameday.targets.kubernetes.helper import Wanted, end_helpers, run_helper
from gameday.targets.kubernetes.own_pod import OwnPod, Templates
from gameday.targets.kubernetes.pods import Pod, Workload, look_at_pods, named
from gameday.targets.kubernetes.psql import ask
from gameday.targets.waiting import Deadline, wait_until

DESTROYED = "gameday.dev/destroyed"
"""Annotation of a workload whose data were destroyed: JSON with `since`, an instant."""
RESTORING = "gameday.dev/restoring"
"""Annotation of a workload whose data are being replaced: JSON with `since`."""
DATA_PURPOSE = "data"
_LOOK_TIMEOUT_S = 30.0
_PUT_BACK_TIMEOUT_S = 60.0
_KILL_TIMEOUT_S = 10.0
_POLL_S = 0.1
_NO_LOG = "unable to retrieve container logs"
_ADVICE = "a claim, with `mountPath: {path}`"


class PodDatabases(Templates):
    """Implements `Destroyable`, and the part of `Target` that restores."""

    def check_backup(self, component: str) -> str:
        """What it could be restored from, asked in its pod where one runs."""
        spec = self._database_spec(component)
        deadline = Deadline.after(_LOOK_TIMEOUT_S)
        self.cluster.await_cluster(deadline)
        own = self._own_single(component, spec)
        taken = self._look_at_backup(component, own, spec, deadline)
        return backup_words(taken, spec)

    def destroy(self, component: str, timeout_s: float) -> str:
        """Kill it and remove what is in its data directory. Recorded first: an interrupted destroy stays one, and no
        start may make an empty database in its place."""
        spec = self._database_spec(component)
        with self._operation(component, timeout_s) as deadline:
            own = self._own_single(component, spec)
            self._look_at_backup(component, own, spec, deadline)
            self._end_data_helpers(component, deadline)
            self._note_data(own.workload, **{DESTROYED: True})
            pod = self._data_pod(component)
            if pod is not None:
                self._while_it_runs(component, pod, DESTROY, spec, deadline)
            hit = self._end(component, deadline, at_once=True)
            self._in_data_volumes(component, own, spec, deadline, "destroy")
            ended = f"SIGKILL ended {named(hit)}" if hit else f"{own.workload} was down already"
            return f"destroyed the data of {component}: {ended}; {spec.data} is empty"

    def restore(self, component: str, to: str, timeout_s: float) -> str:
        """Stop it, put its base backup in place of its data, recover, and wait until it takes writes.

        `latest`: with all that was archived, and what the old data still have of the log beyond it. `backup`: exactly
        the base backup. Either way PostgreSQL begins a new timeline. If it fails, the old data are put back, and
        started if they ran; what was destroyed stays so.
        """
        check_point(component, to)
        begun = time.monotonic()
        spec = self._database_spec(component)
        with self._operation(component, timeout_s) as deadline:
            self._end_data_helpers(component, deadline)
            own = self._own_single(component, spec)
            if self._data_pod(component) is not None:  # else the helper looks, before it touches anything
                self._look_at_backup(component, own, spec, deadline)
            destroyed = DESTROYED in own.workload.annotations
            self._note_data(own.workload, **{RESTORING: True})
            try:
                self._put_server_down(component, own, spec, deadline, orderly=not destroyed)
                self._replace_data(component, own, spec, to, deadline, destroyed=destroyed)
                self._release(own.workload)
                self._wait_recovered(component, own, spec, deadline)
                self._wait_ready(component, deadline)
            except BaseException as error:
                self._put_data_back(component, own, spec, error, destroyed=destroyed)
                raise
            self._note_data(own.workload, **{DESTROYED: False})
            self._tidy_data(component, own, spec, deadline)
            return restored_words(component, to, spec, begun)

    def _before_start(self, component: str, workloads: Sequence[Workload], deadline: Deadline) -> None:
        """Nothing starts in destroyed data; what an interrupted restore left is put in order: the old data are back,
        or the new ones have recovered."""
        if any(DESTROYED in one.annotations for one in workloads):
            raise TargetError(
                f"{component}: its data were destroyed; restore it from its backup, that starts it too"
            )
        if not any(RESTORING in one.annotations for one in workloads):
            return
        spec = self._database_spec(component)
        own = self._own_single(component, spec)
        self._end_data_helpers(component, deadline)
        if own.workload.held is None:  # its server is at work on them
            self._wait_recovered(component, own, spec, deadline)
            self._tidy_data(component, own, spec, deadline)
            return
        self._in_data_volumes(component, own, spec, deadline, "settle")
        self._note_data(own.workload, **{RESTORING: False})

    def _data_details(self, workloads: Sequence[Workload]) -> list[str]:
        """Why its data are not what it should run on, for people; none where they are."""
        noted = {name for one in workloads for name in one.annotations}
        said = ["its data were destroyed"] if DESTROYED in noted else []
        return [*said, *(["its data are being restored"] if RESTORING in noted else [])]

    # --- what there is -------------------------------------------------------------------------------------

    def _database_spec(self, component: str) -> ContainerPostgresql:
        return database_spec(component, self._spec(component))

    def _own_single(self, component: str, spec: ContainerPostgresql) -> OwnPod:
        """Of a component that is a single pod, whose backup would outlive its data.

        Raises:
            UsageError: it is not so.
        """
        workloads = self._workloads(component)
        counts = [one.replicas if one.held is None else one.held for one in workloads]
        if counts != [1]:
            raise UsageError(
                f"{component} is {sum(counts)} pods of {named(workloads)}; only data of a single one can be destroyed "
                f"and restored"
            )
        own = self._own(component, workloads[0])
        check_apart(component, spec, own.mounts(), _ADVICE)
        return own

    def _data_pod(self, component: str) -> Pod | None:
        """The one that runs, ready or not."""
        running = self._pods(component)
        return running[0] if running else None

    def _look_at_backup(
        self, component: str, own: OwnPod, spec: ContainerPostgresql, deadline: Deadline
    ) -> float:
        """When it was taken, in seconds since 1970. Quick where its container runs.

        Raises:
            UsageError: there is none.
        """
        pod, done = self._data_pod(component), None
        if pod is not None:
            with contextlib.suppress(OperationTimedOut, TargetError):  # it ended just now
                done = self._in_server(
                    pod, own, arguments("check", spec), deadline.at_most(_LOOK_TIMEOUT_S / 3)
                )
        if done is None or done.exit_code not in (0, 1):
            done = self._in_data_volumes(component, own, spec, deadline, "check", check=False)
        return taken_at(component, done)

    # --- steps ---------------------------------------------------------------------------------------------

    def _in_server(self, pod: Pod, own: OwnPod, argv: Sequence[str], deadline: Deadline) -> Execution:
        return self.cluster.execute(pod.name, own.container["name"], argv, deadline)

    def _in_data_volumes(
        self,
        component: str,
        own: OwnPod,
        spec: ContainerPostgresql,
        deadline: Deadline,
        mode: str,
        *more: str,
        check: bool = True,
    ) -> Execution:
        """By a helper that has its claims mounted."""
        wanted = Wanted(
            environment=self.instance,
            component=component,
            purpose=DATA_PURPOSE,
            argv=tuple(arguments(mode, spec, *more)),
            lives_s=deadline.left_s() + _PUT_BACK_TIMEOUT_S,
            mounts=own.lasting_mounts(),
        )
        done = run_helper(self.cluster, own, wanted, deadline)
        if check and done.exit_code != 0:
            raise TargetError(
                f"{mode} the data of {component}: a helper ended with exit code {done.exit_code}: {done.output.strip()}"
            )
        return done

    def _end_data_helpers(self, component: str, deadline: Deadline) -> None:
        """Those of an operation that was interrupted go on by themselves."""
        end_helpers(self.cluster, self.instance, component, DATA_PURPOSE, deadline)

    def _freeze(self, component: str, pods: Sequence[Pod], deadline: Deadline) -> bool:
        spec = self._spec(component).database
        if spec is None:
            return False
        for pod in pods:
            self._while_it_runs(component, pod, FREEZE, spec, deadline)
        return True

    def _crash(self, component: str, pods: Sequence[Pod], deadline: Deadline) -> None:
        spec = self._database_spec(component)
        for pod in pods:
            with contextlib.suppress(TargetError, OperationTimedOut):  # it ends with the container
                self._in_pod(component, pod, CRASH, spec, deadline)

    def _while_it_runs(
        self, component: str, pod: Pod, script: str, spec: ContainerPostgresql, deadline: Deadline
    ) -> None:
        """A script in its pod. Where the container can run none, no server runs in it either.

        Raises:
            TargetError: it is ready, and yet the script failed.
        """
        failed = ""

        def done() -> bool:
            nonlocal failed
            try:
                said = self._in_pod(component, pod, script, spec, deadline)
                failed = "" if said.exit_code == 0 else said.output.strip() or f"exit code {said.exit_code}"
            except TargetError as error:
                failed = str(error)
            if failed and not any(one.ready for one in look_at_pods(self.cluster) if one.uid == pod.uid):
                failed = ""
            return not failed

        if not wait_until(done, deadline.at_most(_KILL_TIMEOUT_S), _POLL_S):
            raise TargetError(f"{component}: {pod} would stop in an orderly way, and not crash: {failed}")

    def _in_pod(
        self, component: str, pod: Pod, script: str, spec: ContainerPostgresql, deadline: Deadline
    ) -> Execution:
        argv = ["sh", "-c", script, "gameday", spec.data, str(math.ceil(deadline.left_s()))]
        within = deadline.at_most(_KILL_TIMEOUT_S)
        return self.cluster.execute(pod.name, self._container(component, pod), argv, within)

    def _put_server_down(
        self, component: str, own: OwnPod, spec: ContainerPostgresql, deadline: Deadline, *, orderly: bool
    ) -> None:
        """A server in destroyed data would archive what was to be lost if it were stopped in an orderly way."""
        pod = self._data_pod(component)
        if orderly and pod is not None and spec.archive is not None:
            # a server archives a finished segment before it stops, so nothing written so far is missing; one that
            # gives no answer is stopped all the same
            with contextlib.suppress(TargetError, OperationTimedOut):
                self._ask(pod, own, spec, ["select pg_switch_wal()"], deadline)
        self._end(component, deadline, at_once=not orderly)

    def _replace_data(
        self,
        component: str,
        own: OwnPod,
        spec: ContainerPostgresql,
        to: str,
        deadline: Deadline,
        *,
        destroyed: bool,
    ) -> None:
        had = "destroyed" if destroyed else "kept"
        wal = "with-wal" if to == "latest" else "without-wal"
        self._in_data_volumes(component, own, spec, deadline, "restore", had, wal, configuration(spec, to))

    def _ask(
        self,
        pod: Pod,
        own: OwnPod,
        spec: ContainerPostgresql,
        statements: Sequence[str],
        deadline: Deadline,
    ) -> Execution:
        return ask(self.cluster, pod.name, own.container["name"], spec.superuser, statements, deadline)

    def _wait_recovered(
        self, component: str, own: OwnPod, spec: ContainerPostgresql, deadline: Deadline
    ) -> None:
        def recovered() -> bool:
            try:
                pod = self._data_pod(component)
                if pod is None:
                    return False
                if pod.restarts:
                    raise TargetError(
                        f"restore {component}: it ended during recovery; its last log lines:\n"
                        f"{self._last_words(component, pod)}"
                    )
                done = self._ask(pod, own, spec, ["select pg_is_in_recovery()"], deadline)
            except (ClusterAway, OperationTimedOut):
                return False
            return (done.exit_code, done.output.strip()) == (0, "f")

        def asked() -> bool:
            try:
                return recovered()
            except TargetError as error:
                if str(error).startswith("restore "):
                    raise
                return False  # its container ended, or has not begun: the cluster says how when it is asked again

        if not wait_until(asked, deadline, _POLL_S):
            raise OperationTimedOut(
                f"restore {component}: still in recovery after {deadline.timeout_s:g} s: {self._why_not(component)}"
            )

    def _last_words(self, component: str, pod: Pod) -> str:
        """Of the container before the one that runs, or waits to."""
        with contextlib.suppress(TargetError), self.cluster.translated(f"log of {pod}"):
            text = self.cluster.core.read_namespaced_pod_log(
                pod.name,
                self.cluster.namespace,
                container=self._container(component, pod),
                previous=True,
                tail_lines=15,
            )
            if not str(text).startswith(_NO_LOG):
                return "\n".join(f"    {line}" for line in self._secrets.redact(str(text)).splitlines())
        return self._log_of(component, pod, 15)

    def _put_data_back(
        self,
        component: str,
        own: OwnPod,
        spec: ContainerPostgresql,
        error: BaseException,
        *,
        destroyed: bool,
    ) -> None:
        deadline = Deadline.after(_PUT_BACK_TIMEOUT_S)
        ran = own.workload.held is None
        try:
            self._end_data_helpers(component, deadline)
            self._end(component, deadline, at_once=True)
            self._in_data_volumes(component, own, spec, deadline, "destroy" if destroyed else "undo")
            self._note_data(own.workload, **{RESTORING: False})
            if ran and not destroyed:
                self._release(own.workload)
                self._wait_ready(component, deadline)
        except GamedayError as again:
            raise TargetError(
                f"{error}; and putting back what was there failed: {again}; repeat the restore"
            ) from error

    def _tidy_data(self, component: str, own: OwnPod, spec: ContainerPostgresql, deadline: Deadline) -> None:
        """What the recovery needed goes: its settings, and the old data, beside the server that runs."""
        pod = self._a_pod(component)
        self._ask(pod, own, spec, FORGET, deadline)
        done = self._in_server(pod, own, arguments("tidy", spec), deadline)
        if done.exit_code != 0:
            raise TargetError(f"tidy the data of {component}: {done.output.strip()}")
        self._note_data(own.workload, **{RESTORING: False})

    def _note_data(self, one: Workload, **notes: bool) -> None:
        """Write annotations, or remove them; those that are there already stay as they are."""
        since = json.dumps({"since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})

        def noted(now: Workload) -> dict[str, Any] | None:
            changed = {
                name: since if wanted else None
                for name, wanted in notes.items()
                if (name in now.annotations) is not wanted
            }
            return {"metadata": {"annotations": changed}} if changed else None

        self._patch(one, f"note what is done to the data of {one}", noted)
