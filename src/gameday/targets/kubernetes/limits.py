"""Less memory or processor time for pods that run, and back to exactly what they had: by resizing them in place.

That takes Kubernetes 1.33. It can change a limit and cannot take one away, so what has none is refused. What a pod had
is kept in an annotation of it, written before it is resized. A pod that its controller makes anew has its own limits.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gameday.errors import GamedayError, OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Limits
from gameday.targets.kubernetes.api import MERGE_PATCH
from gameday.targets.kubernetes.cluster import ClusterAway, NotThere
from gameday.targets.kubernetes.pods import Pod, pod_names
from gameday.targets.kubernetes.workloads import Workloads
from gameday.targets.waiting import Deadline, wait_until

LIMITED = "gameday.dev/limited"
"""Annotation of a pod whose limits were lowered: JSON with `container` and `resources`, its own."""
_STRATEGIC = "application/strategic-merge-patch+json"
_READ_TIMEOUT_S = 30.0
_PUT_BACK_TIMEOUT_S = 30.0
_POLL_S = 0.2
_RESIZES = ("PodResizePending", "PodResizeInProgress")

Resources = dict[str, dict[str, str]]


class PodLimits(Workloads):
    """Implements `Limitable`."""

    def limits(self, component: str, count: int | None) -> Mapping[str, Any]:
        """What its pods may use now, by name: uid, container and resources."""
        deadline = Deadline.after(_READ_TIMEOUT_S)
        self.cluster.await_cluster(deadline)
        running = self._to_limit(component, count)
        found = {}
        for pod in running:
            raw = self._raw_pod(pod.name)
            self._check_resize(component, pod)
            name = self._container(component, pod)
            own = _own_resources(raw, name)
            if not own.get("limits"):
                raise UsageError(
                    f"limit {component}: container {name} of {pod} has no limits, and Kubernetes could not take away "
                    f"again what it is given; give it `resources.limits`"
                )
            found[pod.name] = {"uid": pod.uid, "container": name, "resources": own}
        return found

    def limit(self, component: str, limits: Limits, timeout_s: float, count: int | None = None) -> str:
        """In force when this returns: the kubelet has said so."""
        wanted = _wanted(component, limits)
        with self._operation(component, timeout_s) as deadline:
            running = self._to_limit(component, count)
            changes = {}
            for pod in running:
                raw, name = self._raw_pod(pod.name), self._container(component, pod)
                changes[pod.name] = _lowered(
                    f"limit {component}: container {name} of {pod}", raw, name, wanted
                )
            for pod in running:
                name = self._container(component, pod)
                before = {
                    "uid": pod.uid,
                    "container": name,
                    "resources": _own_resources(self._raw_pod(pod.name), name),
                }
                self._annotate(pod.name, json.dumps({"container": name, "resources": before["resources"]}))
                try:
                    self._resize(pod.name, name, changes[pod.name], f"limit {component}", deadline)
                except GamedayError:
                    with contextlib.suppress(GamedayError):  # the undo does it again
                        self._put_back(component, pod.name, before, Deadline.after(_PUT_BACK_TIMEOUT_S))
                    raise
            shown = ", ".join(f"{name} {value}" for name, value in wanted.items())
            return f"limited {pod_names(running)} to {shown}"

    def unlimit(self, component: str, before: Mapping[str, Any], timeout_s: float) -> str:
        """Pods that are gone, or others of their names, need nothing: they have their own limits."""
        with self._operation(component, timeout_s) as deadline:
            back = [name for name in before if self._put_back(component, name, before[name], deadline)]
            return f"limits of {', '.join(back)} are back" if back else f"no pod of {component} is limited"

    # --- what there is -------------------------------------------------------------------------------------

    def _to_limit(self, component: str, count: int | None) -> Sequence[Pod]:
        running = self._pods(component)[:count]
        if not running:
            raise TargetError(f"limit {component}: it is down, there is nothing to limit")
        return running

    def _raw_pod(self, name: str) -> dict[str, Any]:
        with self.cluster.translated(f"read pod {name}"):
            return self.cluster.raw(self.cluster.core.read_namespaced_pod, name, self.cluster.namespace)

    def _check_resize(self, component: str, pod: Pod) -> None:
        """Raises UsageError where pods cannot be resized in place."""
        try:
            with self.cluster.translated(f"resize of {pod}"):
                self.cluster.raw(
                    self.cluster.core.read_namespaced_pod_resize, pod.name, self.cluster.namespace
                )
        except NotThere as error:
            raise UsageError(
                f"limit {component}: this cluster cannot resize pods in place, which takes Kubernetes 1.33 ({error})"
            ) from error

    # --- steps ---------------------------------------------------------------------------------------------

    def _annotate(self, pod: str, text: str | None) -> None:
        body = {"metadata": {"annotations": {LIMITED: text}}}
        with self.cluster.writing(f"note the limits of pod {pod}"):
            self.cluster.core.patch_namespaced_pod(
                pod, self.cluster.namespace, body, field_manager="gameday", _content_type=MERGE_PATCH
            )

    def _resize(self, pod: str, container: str, resources: Resources, what: str, deadline: Deadline) -> None:
        body = {"spec": {"containers": [{"name": container, "resources": resources}]}}
        with self.cluster.writing(f"{what}: resize pod {pod}"):
            self.cluster.core.patch_namespaced_pod_resize(
                pod, self.cluster.namespace, body, field_manager="gameday", _content_type=_STRATEGIC
            )
        raw: dict[str, Any] = {}

        def done() -> bool:
            nonlocal raw
            try:
                raw = self._raw_pod(pod)
            except (ClusterAway, OperationTimedOut):
                return False
            return _in_force(raw, container, resources)

        if not wait_until(done, deadline, _POLL_S):
            raise OperationTimedOut(
                f"{what}: pod {pod} was not resized within {deadline.timeout_s:g} s: {_why_not(raw)}"
            )

    def _put_back(self, component: str, name: str, before: Mapping[str, Any], deadline: Deadline) -> bool:
        """Whether that pod is still there, and was limited."""
        try:
            raw = self._raw_pod(name)
            if raw["metadata"]["uid"] != before["uid"] or "deletionTimestamp" in raw["metadata"]:
                return False
            noted = LIMITED in (raw["metadata"].get("annotations") or {})
            container, own = str(before["container"]), copy.deepcopy(dict(before["resources"]))
            if raw["status"].get("phase") == "Running" and _resources(raw, container) != own:
                self._resize(name, container, own, f"unlimit {component}", deadline)
            if noted:
                self._annotate(name, None)
            return noted
        except NotThere:
            return False


def _wanted(component: str, limits: Limits) -> dict[str, str]:
    """As Kubernetes writes them."""
    if limits.pids is not None:
        raise UsageError(
            f"limit {component}: Kubernetes has no limit of processes for one container; limit memory or cpus"
        )
    found = {}
    if limits.memory is not None:
        found["memory"] = str(limits.memory)
    if limits.cpus is not None:
        found["cpu"] = f"{max(1, round(limits.cpus * 1000))}m"
    return found


def _container_of(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(one for one in raw["spec"]["containers"] if one["name"] == name)


def _resources(raw: Mapping[str, Any], name: str) -> Resources:
    found = _container_of(raw, name).get("resources") or {}
    return {part: dict(found[part]) for part in ("limits", "requests") if found.get(part)}


def _own_resources(raw: Mapping[str, Any], name: str) -> Resources:
    """Those from before, where it is limited already."""
    text = (raw["metadata"].get("annotations") or {}).get(LIMITED)
    if text is not None:
        with contextlib.suppress(ValueError, KeyError):
            noted = json.loads(text)
            if noted["container"] == name:
                return dict(noted["resources"])
    return _resources(raw, name)


def _lowered(what: str, raw: Mapping[str, Any], name: str, wanted: Mapping[str, str]) -> Resources:
    """Its resources with lower limits, and requests that are no more, of the same quality of service.

    Raises:
        UsageError: Kubernetes could not do it, or could not undo it.
    """
    own = _own_resources(raw, name)
    changed = copy.deepcopy(own)
    restarts = {
        one["resourceName"]
        for one in _container_of(raw, name).get("resizePolicy") or []
        if one.get("restartPolicy") == "RestartContainer"
    }
    for resource, value in wanted.items():
        had = own.get("limits", {}).get(resource)
        if had is None:
            raise UsageError(
                f"{what} has no limit of {resource}, and Kubernetes could not take away again what it is given; give "
                f"it one in `resources.limits`"
            )
        if _amount(value) > _amount(had):
            raise UsageError(f"{what} has a limit of {resource} of {had}; {value} would be more")
        if resource in restarts:
            raise UsageError(f"{what} is restarted when its {resource} is resized (`resizePolicy`)")
        changed["limits"][resource] = value
        asked = own.get("requests", {}).get(resource)
        if asked is None:
            continue
        if _guaranteed(raw):
            changed["requests"][resource] = value
        elif _amount(asked) >= _amount(value):  # equal ones might make it a guaranteed pod
            changed["requests"][resource] = _just_below(value)
    return changed


def _guaranteed(raw: Mapping[str, Any]) -> bool:
    return bool(raw["status"].get("qosClass") == "Guaranteed")


def _just_below(value: str) -> str:
    """Of a number of bytes, or of thousandths of a processor."""
    return f"{int(value[:-1]) - 1}m" if value.endswith("m") else str(int(value) - 1)


def _amount(quantity: str) -> Any:
    from kubernetes.utils.quantity import parse_quantity

    return parse_quantity(quantity)  # type: ignore[no-untyped-call]


def _in_force(raw: Mapping[str, Any], name: str, wanted: Resources) -> bool:
    """As the kubelet says, which knows no more of a resize then."""
    conditions = {one["type"] for one in raw["status"].get("conditions") or []}
    if conditions & set(_RESIZES):
        return False
    if raw["status"].get("observedGeneration", 0) < raw["metadata"].get("generation", 0):
        return False
    for one in raw["status"].get("containerStatuses") or []:
        if one["name"] == name:
            actual = (one.get("resources") or {}).get("limits") or {}
            return all(
                key in actual and _amount(actual[key]) == _amount(value)
                for key, value in wanted.get("limits", {}).items()
            )
    return False


def _why_not(raw: Mapping[str, Any]) -> str:
    said = [
        f"{one['type']}: {one.get('reason', '')} {one.get('message', '')}".strip()
        for one in (raw.get("status") or {}).get("conditions") or []
        if one["type"] in _RESIZES
    ]
    return ", ".join(said) or "the kubelet says nothing of it"
