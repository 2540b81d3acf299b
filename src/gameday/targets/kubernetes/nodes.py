"""Draining the nodes of a component: cordoned first, then the environment's pods there are evicted, and no others.

A node says in an annotation who cordoned it, written in the same request as the cordon itself, so that exactly what was
done is undone, by whomever, and a node that others cordoned stays so.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from gameday import strays
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.kubernetes.api import MERGE_PATCH
from gameday.targets.kubernetes.changing import until_nobody_interferes
from gameday.targets.kubernetes.cluster import Conflict, NotThere
from gameday.targets.kubernetes.instance import KubernetesInstance
from gameday.targets.kubernetes.pods import HELPER_LABEL, Seen, named
from gameday.targets.waiting import Deadline, wait_until

CORDONED = "gameday.dev/cordoned"
"""Annotation of a node: JSON, for which environment, component and drill it is cordoned, and until when at most."""
_TAINT = "node.kubernetes.io/unschedulable"
_MIRROR = "kubernetes.io/config.mirror"
_ENDED = ("Succeeded", "Failed")
_POLL_S = 0.1
_AGAIN_S = 0.5
_BUDGET = 429
_BACK_S = 30.0


@dataclass(frozen=True, slots=True)
class Evicted:
    """A pod that has to go. `controlled`: something will make another one."""

    name: str
    uid: str
    controlled: bool

    def __str__(self) -> str:
        return f"pod {self.name}"


class ClusterNodes(KubernetesInstance):
    """Implements `Drainable`."""

    def nodes(self, component: str) -> tuple[str, ...]:
        """Those that `drain` would cordon. What the detector asks is left alone there, as a drill without eyes proves
        nothing; so are the pods of daemon sets, mirror pods, gameday's own, and those of other namespaces."""
        self.cluster.await_cluster(Deadline.after(10.0))
        seen = self._look()
        below = self._below(component, seen)
        if not below:
            raise UsageError(f"drain {component}: it is down, so it is on no node")
        for name in below:
            by = _cordoned_by(self._read_node(name))
            if by and not self._is_ours(by, component):
                raise UsageError(
                    f"drain {component}: node {name} is drained by another drill: {json.dumps(by)}"
                )
        lost = [pod for name in below for pod in self._to_evict(name, seen) if not pod.controlled]
        if lost:
            raise UsageError(
                f"drain {component}: {named(lost)} would be gone for good, as nothing controls it; a deployment would"
            )
        return tuple(name for name in below if not self._is_cordoned_by_others(name))

    def evicted(self, component: str) -> tuple[str, ...]:
        """All pods of the environment on the nodes below this component that a drain evicts."""
        seen = self._look()
        return tuple(str(pod) for name in self._below(component, seen) for pod in self._to_evict(name, seen))

    def drain(self, component: str, ttl_s: float, timeout_s: float) -> str:
        """Cordon and evict, within what disruption budgets allow, and wait until these pods are gone. With nowhere to
        go they stay pending until `uncordon`. A node does not uncordon itself: until when it is wanted so is in its
        annotation."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as deadline:
            seen = self._look()
            below = self._below(component, seen)
            if not below:
                raise TargetError(f"drain {component}: it is down, so it is on no node")
            until = datetime.now(UTC) + timedelta(seconds=ttl_s)
            note = {
                "environment": self.instance,
                "component": component,
                "drill": os.environ.get(strays.VARIABLE, ""),
                "until": until.isoformat(timespec="seconds"),
            }
            for name in below:
                self._change_node(name, f"cordon node {name}", partial(_cordon, note))
            evicted = [pod for name in below for pod in self._to_evict(name, seen)]
            self._evict(evicted, deadline)
            return (
                f"cordoned {named(below)} and evicted {named(pod.name for pod in evicted)} in "
                f"{time.monotonic() - begun:.2f} s"
            )

    def uncordon(self, component: str, nodes: Sequence[str] | None, timeout_s: float) -> str:
        """Only what `drain` of this component cordoned, by the note on each node, and wait until pods may come there.
        Its pods may have been elsewhere when `nodes` was recorded, so others are looked for too. Then wait for half
        a minute at most until all workloads are ready again; one that is not is no failure of this."""
        self._spec(component)
        deadline = Deadline.after(timeout_s)
        with self._store.lock(
            "nodes", deadline
        ):  # a start that waits for a pod without a node holds the component's
            self.cluster.await_cluster(deadline)
            self.cluster.check_allowed()
            asked = dict.fromkeys([*(nodes or ()), *self._cordoned_for(component)])
            done = [name for name in asked if self._uncordon(component, name, deadline)]
        if not done:
            return f"nothing is cordoned for {component}"
        return f"uncordoned {named(done)}{self._await_workloads(deadline.at_most(_BACK_S))}"

    # --- nodes -------------------------------------------------------------------------------------------------

    def _below(self, component: str, seen: Seen) -> tuple[str, ...]:
        return tuple(sorted({pod.node for pod in self._pods(component, seen) if pod.node}))

    def _read_node(self, name: str) -> dict[str, Any]:
        with self.cluster.translated(f"node {name}"):
            return self.cluster.raw(self.cluster.core.read_node, name)

    def _is_ours(self, note: Mapping[str, Any], component: str) -> bool:
        return (note.get("environment"), note.get("component")) == (self.instance, component)

    def _is_cordoned_by_others(self, name: str) -> bool:
        node = self._read_node(name)
        return bool(node["spec"].get("unschedulable")) and not _cordoned_by(node)

    def _cordoned_for(self, component: str) -> list[str]:
        with self.cluster.translated("list nodes"):
            found = self.cluster.raw(self.cluster.core.list_node)["items"]
        return [node["metadata"]["name"] for node in found if self._is_ours(_cordoned_by(node), component)]

    def _uncordon(self, component: str, name: str, deadline: Deadline) -> bool:
        """Whether it was cordoned for this. A node that is gone is no error."""

        def uncordoned(node: Mapping[str, Any]) -> dict[str, Any] | None:
            if not self._is_ours(_cordoned_by(node), component):
                return None
            return {"metadata": {"annotations": {CORDONED: None}}, "spec": {"unschedulable": None}}

        def free() -> bool:
            taints = self._read_node(name)["spec"].get("taints") or ()
            return not any(one["key"] == _TAINT for one in taints)

        try:
            if not self._change_node(name, f"uncordon node {name}", uncordoned):
                return False
            if not wait_until(free, deadline, _POLL_S):
                raise OperationTimedOut(
                    f"node {name} is uncordoned and still has the taint {_TAINT} after {deadline.timeout_s:g} s"
                )
        except NotThere:
            return False
        return True

    def _change_node(
        self, name: str, what: str, change: Callable[[Mapping[str, Any]], dict[str, Any] | None]
    ) -> bool:
        """Change a node as it is now; `change` is asked again when somebody else changed it meanwhile."""

        def changed() -> bool:
            node = self._read_node(name)
            body = change(node)
            if body is None:
                return False
            body["metadata"]["resourceVersion"] = node["metadata"]["resourceVersion"]
            with self.cluster.writing(what):
                self.cluster.core.patch_node(name, body, _content_type=MERGE_PATCH)
            return True

        return until_nobody_interferes(changed)

    # --- pods --------------------------------------------------------------------------------------------------

    def _to_evict(self, node: str, seen: Seen) -> tuple[Evicted, ...]:
        """The environment's pods on a node, but for those that a drain leaves alone."""
        cluster = self.cluster
        with cluster.translated(f"list pods on node {node}"):
            found = cluster.raw(
                cluster.core.list_namespaced_pod,
                cluster.namespace,
                field_selector=f"spec.nodeName={node}",
                label_selector=f"!{HELPER_LABEL}",
            )["items"]
        eyes = self._watching(seen)
        return tuple(
            Evicted(pod["metadata"]["name"], pod["metadata"]["uid"], bool(_controller(pod)))
            for pod in found
            if not _stays(pod) and pod["metadata"]["uid"] not in eyes
        )

    def _watching(self, seen: Seen) -> set[str]:
        """Pods of the components that the detector asks."""
        detector = self.environment.detector
        if detector.kind == "fake" or detector.kind == "embedded":  # noqa: PLR1714 - mypy narrows this way only
            return set()
        asked = {one.component for one in detector.endpoints.values() if one.component}
        return {
            pod.uid
            for name in asked
            if name in self._specs
            for pod in seen.pods_of(self._specs[name].kubernetes)
        }

    def _evict(self, pods: Sequence[Evicted], deadline: Deadline) -> None:
        """Ask again and again while a budget refuses, as a pod elsewhere may become ready meanwhile.

        Raises:
            OperationTimedOut: some are still there; says what the budgets said.
        """
        asked: dict[str, Evicted] = {pod.uid: pod for pod in pods}
        refused: dict[str, str] = {}
        left = dict(asked)
        last = 0.0

        def gone() -> bool:
            nonlocal last
            if asked and time.monotonic() - last >= _AGAIN_S:
                last = time.monotonic()
                for uid, pod in tuple(asked.items()):
                    refusal = self._try_to_evict(pod)
                    if refusal is None:
                        del asked[uid]
                    else:
                        refused[uid] = refusal
            there = self._uids()
            for uid in [uid for uid in left if uid not in there]:
                del left[uid]
                asked.pop(uid, None)
            return not left

        if not wait_until(gone, deadline, _POLL_S):
            reasons = "; ".join(dict.fromkeys(refused[uid] for uid in asked if uid in refused))
            raise OperationTimedOut(
                f"still there after {deadline.timeout_s:g} s: {named(left.values())}"
                + (f"; refused: {reasons}" if reasons else "")
            )

    def _try_to_evict(self, pod: Evicted) -> str | None:
        """None when it goes, or is gone; else why a disruption budget keeps it."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": self.cluster.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        try:
            with self.cluster.writing(f"evict {pod}"):
                self.cluster.core.create_namespaced_pod_eviction(pod.name, self.cluster.namespace, body)
        except (NotThere, Conflict):  # gone, or another of its name
            return None
        except TargetError as error:
            if getattr(error.__cause__, "status", None) != _BUDGET:
                raise
            return f"{error}{_causes(error.__cause__)}"
        return None

    def _uids(self) -> set[str]:
        cluster = self.cluster
        with cluster.translated("list pods"):
            found = cluster.raw(cluster.core.list_namespaced_pod, cluster.namespace)["items"]
        return {one["metadata"]["uid"] for one in found}

    def _await_workloads(self, deadline: Deadline) -> str:
        """What is not ready again, for people."""
        waiting: list[str] = []

        def back() -> bool:
            waiting[:] = [str(one) for one in self._look().workloads if one.held is None and not one.settled]
            return not waiting

        return "" if wait_until(back, deadline, _POLL_S) else f"; not ready yet: {', '.join(waiting)}"


def _cordon(note: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any] | None:
    """What to change to cordon a node, unless it is.

    Raises:
        TargetError: another drill cordoned it meanwhile.
    """
    by = _cordoned_by(node)
    if by and any(by.get(key) != note[key] for key in ("environment", "component")):
        raise TargetError(f"node {node['metadata']['name']} is drained by another drill: {json.dumps(by)}")
    if node["spec"].get("unschedulable"):
        return None
    return {"metadata": {"annotations": {CORDONED: json.dumps(note)}}, "spec": {"unschedulable": True}}


def _cordoned_by(node: Mapping[str, Any]) -> dict[str, Any]:
    """The note of the drill that cordoned it; empty where none did."""
    text = (node["metadata"].get("annotations") or {}).get(CORDONED)
    if text is None:
        return {}
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        return {"written by somebody else": text}


def _causes(error: Any) -> str:
    """Which budget refuses, and why: not in the message itself."""
    try:
        found = json.loads(error.body)["details"]["causes"]
        return "".join(f" {one['message']}" for one in found)
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""


def _controller(pod: Mapping[str, Any]) -> str:
    """The kind of what controls it; empty where nothing does."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(one["kind"]) for one in owners if one.get("controller")), "")


def _stays(pod: Mapping[str, Any]) -> bool:
    """Whether a drain leaves it alone: it would come back at once, or it has ended."""
    mirror = _MIRROR in (pod["metadata"].get("annotations") or {})
    return mirror or _controller(pod) == "DaemonSet" or pod["status"].get("phase") in _ENDED
