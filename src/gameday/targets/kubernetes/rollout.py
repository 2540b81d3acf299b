"""Waiting until everything that was applied runs; and when it does not, what the cluster knows of the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Progress
from gameday.targets.kubernetes.cluster import Cluster
from gameday.targets.kubernetes.manifests import Manifest
from gameday.targets.kubernetes.patience import wait_patiently
from gameday.targets.waiting import Deadline

_POLL_S = 0.5
_HOPELESS_AFTER_S = 15.0
_HOPELESS = (
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
)
"""Why a container waits that will not come about by waiting: the image is not there, or a Secret or ConfigMap."""
_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
_EVENTS = 4
_LOG_LINES = 15
_TEXT_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Progressing:
    """One workload as its controller shows it. `reason`: why it is not ready; empty when it is. `hopeless`: by waiting
    it will not become so."""

    reason: str
    hopeless: bool = False


def await_all(cluster: Cluster, manifests: Sequence[Manifest], deadline: Deadline, say: Progress) -> None:
    """Until every deployment, stateful set and daemon set is ready, and every Job has done its work, but for those that
    are suspended.

    Raises:
        TargetError: one failed, or waits for what will not come.
        OperationTimedOut: one is not ready by the deadline.
            Both say of it what its pods wait for, their last events and their last lines.
    """
    waiting = {one: Progressing("not asked yet") for one in manifests if _is_awaited(one)}
    hopeless_since: dict[Manifest, Deadline] = {}

    def ready() -> bool:
        for one in tuple(waiting):
            waiting[one] = progress = _progress(cluster, one)
            if not progress.reason:
                del waiting[one]
                say(f"{one.name} is ready" if one.kind != "Job" else f"{one.name} has ended")
            elif not progress.hopeless:
                hopeless_since.pop(one, None)
            elif hopeless_since.setdefault(one, Deadline.after(_HOPELESS_AFTER_S)).passed():
                raise TargetError(f"{one} {progress.reason}\n{trouble(cluster, one)}")
        return not waiting

    if not wait_patiently(ready, deadline, _POLL_S):
        said = "\n".join(f"{one} {why.reason}\n{trouble(cluster, one)}" for one, why in waiting.items())
        raise OperationTimedOut(f"not everything is ready after {deadline.timeout_s:g} s:\n{said}")


def _is_awaited(one: Manifest) -> bool:
    return one.kind in _KINDS and not (one.body.get("spec") or {}).get("suspend")


def _progress(cluster: Cluster, one: Manifest) -> Progressing:
    with cluster.translated(str(one)):
        resource = cluster.dynamic.resources.get(api_version=one.api_version, kind=one.kind)
        found = resource.get(name=one.name, namespace=one.namespace).to_dict()
    spec, status = found.get("spec") or {}, found.get("status") or {}
    conditions = {entry["type"]: entry for entry in status.get("conditions") or []}
    if one.kind == "Job":
        return _of_job(conditions)
    failed = conditions.get("ReplicaFailure") or {}
    if failed.get("status") == "True":
        return Progressing(f"cannot make its pods: {failed.get('message')}", hopeless=True)
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return Progressing("has not been looked at by its controller yet")
    if one.kind == "DaemonSet":
        wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
        updated = status.get("updatedNumberScheduled", 0)
    else:
        wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
        updated = status.get("updatedReplicas", 0)
    if ready >= wanted and updated >= wanted and status.get("replicas", wanted) == wanted:
        return Progressing("")
    return Progressing(f"has {min(ready, updated)} of {wanted} ready", _is_hopeless(cluster, one))


def _of_job(conditions: Mapping[str, Any]) -> Progressing:
    if (conditions.get("Complete") or {}).get("status") == "True":
        return Progressing("")
    failed = conditions.get("Failed") or {}
    if failed.get("status") == "True":
        return Progressing(f"failed: {failed.get('message')}", hopeless=True)
    return Progressing("has not ended")


def _is_hopeless(cluster: Cluster, one: Manifest) -> bool:
    waits = [
        state.state.waiting.reason
        for pod in _pods(cluster, one)
        for state in _states(pod)
        if state.state.waiting is not None
    ]
    return any(reason in _HOPELESS for reason in waits)


# --- reasons ------------------------------------------------------------------------------------------------


def trouble(cluster: Cluster, one: Manifest) -> str:
    """Of each pod that is not ready: its state, its last events and the last lines of its containers. The cluster's
    failure to tell is one line of it."""
    try:
        lines = list(_events(cluster, one.namespace, one.kind, one.name))
        for pod in _pods(cluster, one):
            ready = {entry.type: entry.status for entry in pod.status.conditions or []}.get("Ready")
            if ready != "True" and pod.status.phase != "Succeeded":
                lines += _of_pod(cluster, one.namespace, pod)
    except TargetError as error:
        return f"  ({error})"
    return "\n".join(f"  {line}" for line in lines) or "  (it has no pods, and no events)"


def _of_pod(cluster: Cluster, namespace: str, pod: Any) -> Iterator[str]:
    name = pod.metadata.name
    why = [entry.message for entry in pod.status.conditions or [] if entry.status != "True" and entry.message]
    yield f"pod {name} is {pod.status.phase}" + (f": {why[0]}" if why else "")
    yield from _events(cluster, namespace, "Pod", name)
    for state in _states(pod):
        if state.ready or (state.state.terminated is not None and state.state.terminated.exit_code == 0):
            continue
        yield f"container {state.name}: {_described(state)}"
        yield from _last_lines(cluster, namespace, name, state)


def _described(state: Any) -> str:
    waiting, ended = state.state.waiting, state.state.terminated or state.last_state.terminated
    said = []
    if waiting is not None:
        said.append(f"waits ({waiting.reason}{f': {waiting.message}' if waiting.message else ''})")
    if ended is not None:
        said.append(
            f"ended with exit code {ended.exit_code} ({ended.reason}), {state.restart_count} restarts"
        )
    return ", ".join(said) or "runs and is not ready"


def _last_lines(cluster: Cluster, namespace: str, pod: str, state: Any) -> Iterator[str]:
    """Of the process that ended where one did, else of the one that runs."""
    if state.state.running is None and state.state.terminated is None and not state.restart_count:
        return  # it never ran
    previous = state.state.waiting is not None
    try:
        with cluster.translated(f"log of {pod}"):
            text = cluster.core.read_namespaced_pod_log(
                pod, namespace, container=state.name, tail_lines=_LOG_LINES, previous=previous
            )
    except TargetError as error:
        yield f"  ({error})"
        return
    for line in str(text or "").strip()[-_TEXT_LIMIT:].splitlines():
        yield f"  {line}"


def _events(cluster: Cluster, namespace: str, kind: str, name: str) -> Iterator[str]:
    """The last warnings about one object."""
    selector = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
    with cluster.translated(f"events of {name}"):
        found = cluster.core.list_namespaced_event(namespace, field_selector=selector).items
    found.sort(key=lambda one: str(one.last_timestamp or one.event_time or ""))
    for one in found[-_EVENTS:]:
        yield f"{one.reason}: {' '.join((one.message or '').split())[:_TEXT_LIMIT]}"


def _pods(cluster: Cluster, one: Manifest) -> list[Any]:
    """By the labels of its pods: good enough to tell a person what is wrong."""
    labels = (one.body["spec"]["template"].get("metadata") or {}).get("labels") or {}
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    with cluster.translated(f"pods of {one}"):
        return list(cluster.core.list_namespaced_pod(one.namespace, label_selector=selector).items)


def _states(pod: Any) -> list[Any]:
    return [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
