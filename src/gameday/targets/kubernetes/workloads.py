"""Starting, stopping and killing components: what holds a workload at zero replicas, and puts its own count back.

What is held says so in an annotation that is written in the same request as the count, so a workload is never at zero
without its own count beside it, whoever is killed when.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.answers import answers
from gameday.targets.base import Execution
from gameday.targets.kubernetes.api import MERGE_PATCH
from gameday.targets.kubernetes.changing import until_nobody_interferes
from gameday.targets.kubernetes.cluster import Conflict, NotThere
from gameday.targets.kubernetes.instance import KubernetesInstance
from gameday.targets.kubernetes.pods import HELD, Pod, Workload, named, pod_names, pods_there
from gameday.targets.kubernetes.pods import workload as workload_of
from gameday.targets.waiting import Deadline, wait_until

_POLL_S = 0.2
_GONE_POLL_S = 0.1
_DELETES_AT_ONCE = 8
_LOG_LINES = 15
_SIGNALS = ("SIGKILL", "SIGTERM")
_AT_ONCE_S = 1
"""The shortest grace that a kubelet confirms; it makes two seconds of it. With zero the API server forgets a pod whose
processes still run, and a stateful set would start its successor beside it, on the same data."""


class Workloads(KubernetesInstance):
    """Implements start, stop, kill, execute and logs of `Target`."""

    def start(self, component: str, timeout_s: float) -> str:
        """Give its workloads their own counts back and wait until all of their pods are ready."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as deadline:
            self._before_start(component, self._workloads(component), deadline)
            workloads = self._workloads(component)
            released = [one for one in workloads if one.held is not None]
            stale = [one for one in workloads if HELD in one.annotations]
            for one in stale:
                self._release(one)
            empty = [one for one in workloads if one.held is None and not one.replicas]
            if empty:
                raise TargetError(
                    f"start {component}: {named(empty)} is to have no pods, and no fault of gameday's holds it there; "
                    f"scale it to what it should have"
                )
            was_up = not released and all(one.settled for one in workloads)
            self._wait_ready(component, deadline)
            if was_up:
                return f"{component} was up already"
            what = named(released or workloads)
            return f"started {component} ({what}) in {time.monotonic() - begun:.2f} s"

    def stop(self, component: str, timeout_s: float, count: int | None = None) -> str:
        """Hold it at zero replicas; its pods have the grace that they ask for. With `count`, delete so many pods."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as deadline:
            hit = self._end(component, deadline, count, at_once=False)
            if not hit:
                return f"{component} was down already"
            return f"stopped {pod_names(hit)} in {time.monotonic() - begun:.2f} s"

    def kill(self, component: str, signal: str, timeout_s: float, count: int | None = None) -> str:
        """Delete its pods and hold it at zero replicas: SIGKILL leaves those of a stateful set two seconds, SIGTERM
        leaves all their own grace; a database crashes by SIGKILL. With a `count` below all of them, so many are
        deleted, and their controller replaces them; SIGKILL leaves them two seconds, whatever controls them."""
        if signal not in _SIGNALS:
            raise UsageError(
                f"{signal} for {component}: target kubernetes sends {' or '.join(_SIGNALS)}, by deleting pods"
            )
        with self._operation(component, timeout_s) as deadline:
            hit = self._end(component, deadline, count, at_once=signal == "SIGKILL")
            if not hit:
                raise TargetError(f"{signal} for {component}: it is down, there is nothing to signal")
            return f"{signal} ended {', '.join(map(str, hit))}"

    def resume(self, component: str, timeout_s: float) -> str:  # noqa: ARG002 - nothing to wait for
        """Nothing can be frozen here, so nothing is."""
        self._spec(component)
        return f"{component} was not paused"

    def execute(self, component: str, argv: Sequence[str], timeout_s: float) -> Execution:
        """Run a command in its first pod that is ready. A command that fails is no error; its exit code says it."""
        if not argv:
            raise UsageError(f"execute on {component}: the command is empty")
        deadline = Deadline.after(timeout_s)
        self.cluster.await_cluster(deadline)
        pod = self._a_pod(component)
        done = self.cluster.execute(pod.name, self._container(component, pod), argv, deadline)
        return Execution(done.argv, done.exit_code, self._secrets.redact(done.output), done.duration_s)

    def logs(self, component: str, lines: int, timeout_s: float) -> str:
        """The last lines of each of its pods."""
        self.cluster.await_cluster(Deadline.after(timeout_s))
        return "\n".join(self._log_of(component, pod, lines) for pod in self._pods(component))

    def _before_start(self, component: str, workloads: Sequence[Workload], deadline: Deadline) -> None:
        """Raises TargetError where it must not be started. A place for what only some components need."""

    # --- ending ----------------------------------------------------------------------------------------------

    def _end(
        self, component: str, deadline: Deadline, count: int | None = None, *, at_once: bool
    ) -> tuple[Pod, ...]:
        """Delete pods, all or so many, and wait until they are gone; what runs without a workload is not touched."""
        seen = self._look()
        workloads = self._workloads(component, seen)
        there = seen.pods_of(self._spec(component).kubernetes)
        running = tuple(pod for pod in there if pod.running)
        some = count is not None and count < len(running)
        hit = running[:count] if some else running
        doomed = hit if some else there
        held = () if some else workloads
        if at_once:
            frozen = self._freeze(component, hit, deadline)
            # A deployment replaces at once what is deleted, so it is held first, or the service would be back for a
            # moment. Then its controller's own deletion comes first, with the grace that the pods ask for, and a
            # kubelet that has begun to wait waits no less when it hears of a shorter one (seen with Kubernetes 1.34).
            first = [one for one in held if frozen or one.kind == "deployment"]
            self._hold_all(first, deadline)
            self._delete(doomed, deadline, at_once=True)
            self._hold_all([one for one in held if one not in first], deadline)
            if frozen:
                self._crash(component, hit, deadline)
        else:
            self._hold_all(held, deadline)
            self._delete(doomed, deadline)
        self._wait_gone(component, doomed, deadline)
        return hit

    def _freeze(self, component: str, pods: Sequence[Pod], deadline: Deadline) -> bool:  # noqa: ARG002
        """Let what would do something on the stop signal, with which a deletion begins, do nothing any more; whether
        there is such. A place for what only some components need, as `_crash`."""
        return False

    def _crash(self, component: str, pods: Sequence[Pod], deadline: Deadline) -> None:
        """End what stands still, once its pod is being deleted."""

    def _hold_all(self, workloads: Sequence[Workload], deadline: Deadline) -> None:
        """And wait until their controllers have seen it: one that has not replaces the pods that are deleted then."""
        for one in workloads:
            self._hold(one)
        wait_until(lambda: all(self._now(one).observed for one in workloads), deadline, _GONE_POLL_S)

    def _hold(self, one: Workload) -> None:
        """At zero replicas, with its own count beside it."""

        def held(now: Workload) -> dict[str, Any] | None:
            if not now.replicas:
                return None
            return {
                "metadata": {"annotations": {HELD: json.dumps({"replicas": now.replicas})}},
                "spec": {"replicas": 0},
            }

        self._patch(one, f"hold {one} at zero replicas", held)

    def _release(self, one: Workload) -> None:
        def released(now: Workload) -> dict[str, Any] | None:
            if HELD not in now.annotations:
                return None
            count = {} if now.held is None else {"spec": {"replicas": now.held}}
            return {"metadata": {"annotations": {HELD: None}}, **count}

        self._patch(one, f"put the replicas of {one} back", released)

    def _patch(self, one: Workload, what: str, change: Callable[[Workload], dict[str, Any] | None]) -> None:
        """Change a workload as it is now; `change` is asked again when somebody else changed it meanwhile."""
        read, patch = self._calls(one)

        def changed() -> bool:
            with self.cluster.translated(f"read {one}"):
                found = read(one.name, self.cluster.namespace)
            body = change(workload_of(one.kind, found))
            if body is None:
                return False
            body["metadata"]["resourceVersion"] = found.metadata.resource_version
            with self.cluster.writing(what):
                patch(
                    one.name, self.cluster.namespace, body, field_manager="gameday", _content_type=MERGE_PATCH
                )
            return True

        until_nobody_interferes(changed)

    def _now(self, one: Workload) -> Workload:
        """The same workload as it is now: one request."""
        read, _ = self._calls(one)
        with self.cluster.translated(f"read {one}"):
            return workload_of(one.kind, read(one.name, self.cluster.namespace))

    def _calls(self, one: Workload) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """How a workload of its kind is read, and patched."""
        apps = self.cluster.apps
        if one.kind == "deployment":
            return apps.read_namespaced_deployment, apps.patch_namespaced_deployment
        return apps.read_namespaced_stateful_set, apps.patch_namespaced_stateful_set

    def _delete(self, pods: Sequence[Pod], deadline: Deadline, *, at_once: bool = False) -> None:
        """One request a pod, of exactly that pod: never of another that has its name since. Several at once."""
        # in the body: the API server does not look at the query where there is one
        grace = {"gracePeriodSeconds": _AT_ONCE_S} if at_once else {}

        def delete(pod: Pod) -> None:
            if deadline.passed():
                raise OperationTimedOut(
                    f"delete pods: {pod} and later ones were not deleted within {deadline.timeout_s:g} s"
                )
            # gone, or another of its name
            with contextlib.suppress(NotThere, Conflict), self.cluster.writing(f"delete {pod}"):
                wanted = {"preconditions": {"uid": pod.uid}, **grace}
                self.cluster.core.delete_namespaced_pod(pod.name, self.cluster.namespace, body=wanted)

        with ThreadPoolExecutor(_DELETES_AT_ONCE) as pool:
            for _ in pool.map(delete, pods):
                """What the first that failed raised is raised here."""

    def _wait_gone(self, component: str, pods: Sequence[Pod], deadline: Deadline) -> None:
        left = {pod.uid: pod for pod in pods}

        def gone() -> bool:
            there = pods_there(self.cluster)
            for uid in tuple(left):
                if uid not in there:
                    del left[uid]
            return not left

        if not wait_until(gone, deadline, _GONE_POLL_S):
            raise OperationTimedOut(
                f"{component}: still there after {deadline.timeout_s:g} s: {named(left.values())}"
            )

    # --- waiting ---------------------------------------------------------------------------------------------

    def _wait_ready(self, component: str, deadline: Deadline) -> None:
        """Every workload of it has exactly its pods, all ready, and the component answers."""
        spec = self._spec(component)
        within = deadline.at_most(spec.ready.within)

        waited_for = self._workloads(component)

        def ready() -> bool:
            if not all(self._now(one).settled for one in waited_for):
                return False
            address = self.address(component)
            return not address.host or answers(address.host, address.port, spec.ready.http)

        if not wait_until(ready, within, _POLL_S):
            raise OperationTimedOut(
                f"{component} was not ready within {within.timeout_s:g} s: {self._why_not(component)}"
            )

    def _why_not(self, component: str) -> str:
        """What can be seen of a component that does not become ready."""
        seen = self._look()
        selector = self._spec(component).kubernetes
        said = [f"{one} has {one.ready} of {one.replicas} ready" for one in seen.workloads_of(selector)]
        pods = seen.pods_of(selector)
        said += [f"{pod} is {pod.waiting or pod.phase}" for pod in pods if not pod.ready]
        logs = [self._log_of(component, pod, _LOG_LINES) for pod in pods if not pod.ready][:1]
        return "\n".join([", ".join(said) or self._nothing_matches(component), *logs])

    def _log_of(self, component: str, pod: Pod, lines: int) -> str:
        container = self._container(component, pod)
        try:
            with self.cluster.translated(f"log of {pod}"):
                text = self.cluster.core.read_namespaced_pod_log(
                    pod.name, self.cluster.namespace, container=container, tail_lines=lines
                )
        except TargetError as error:
            return f"    (no log of {pod}: {error})"
        shown = self._secrets.redact(str(text or "")).splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in shown) or "    (no output)"
