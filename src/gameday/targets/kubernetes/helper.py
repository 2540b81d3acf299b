"""Gameday's own pods: they act beside a component, with its image, its user and its claims, so that the cluster needs
no other image and its rules for pods are kept.

They carry a label by which they are found and never taken for a component, and have a deadline of their own, after
which the cluster ends them whether or not a runner is there.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Execution
from gameday.targets.kubernetes.cluster import Cluster, ClusterAway, NotThere
from gameday.targets.kubernetes.execution import OUTPUT_LIMIT
from gameday.targets.kubernetes.own_pod import OwnPod
from gameday.targets.kubernetes.pods import ENVIRONMENT_LABEL, HELPER_LABEL
from gameday.targets.waiting import Deadline, wait_until

COMPONENT_LABEL = "gameday.dev/component"
"""The component that it helps with."""
PURPOSE_LABEL = "gameday.dev/purpose"
CONTAINER = "gameday"
_POLL_S = 0.1
_GRACE_S = 1
_AFTERWARDS_S = 30
_ENDED = ("Succeeded", "Failed")
_HOPELESS = (
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A helper: what it is for, and what it needs beside what it takes of the component's own pod."""

    environment: str
    component: str
    purpose: str
    argv: tuple[str, ...]
    lives_s: float
    """After so many seconds the cluster ends it."""
    mounts: Sequence[Mapping[str, Any]] = ()
    """Of the component's volumes, as its container says them."""
    scratch: bool = False
    """Whether it has a folder /tmp, in memory."""
    resources: Mapping[str, Any] | None = None
    """Absent: as the component's own."""
    labels: Mapping[str, str] = field(default_factory=dict)


def run_helper(cluster: Cluster, own: OwnPod, wanted: Wanted, deadline: Deadline) -> Execution:
    """To its end; it is removed afterwards, whatever happens. That its command failed is no error.

    Raises:
        OperationTimedOut: it did not end by the deadline.
        TargetError: it could not be run.
    """
    begun = time.monotonic()
    with created(cluster, own, wanted) as pod:
        what = f"{wanted.purpose} helper {pod} for {wanted.component}"
        found = wait_for(cluster, pod, ended, what, deadline)
        said = said_by(cluster, pod)
        discard(cluster, [pod], deadline, grace_s=0)  # nothing runs in it any more
    result = _terminated(found)
    if "exitCode" not in result:
        raise TargetError(f"{what}: it did not run: {_why(found)}")
    return Execution(wanted.argv, int(result["exitCode"]), said, time.monotonic() - begun)


@contextlib.contextmanager
def created(cluster: Cluster, own: OwnPod, wanted: Wanted) -> Iterator[str]:
    """The name of a helper that is removed afterwards."""
    pod = start_helper(cluster, own, wanted)
    try:
        yield pod
    finally:
        discard(cluster, [pod], Deadline.after(_AFTERWARDS_S))


def start_helper(cluster: Cluster, own: OwnPod, wanted: Wanted) -> str:
    """Have it made; its name. It goes on by itself until its deadline.

    Raises:
        TargetError: the cluster does not take it.
    """
    with cluster.writing(f"create a {wanted.purpose} helper for {wanted.component}"):
        made = cluster.core.create_namespaced_pod(
            cluster.namespace, body(own, wanted), field_manager="gameday"
        )
    return str(made.metadata.name)


def body(own: OwnPod, wanted: Wanted) -> dict[str, Any]:
    """The pod."""
    container = own.container
    used = {mount["name"] for mount in wanted.mounts}
    volumes = [dict(volume) for name, volume in own.volumes.items() if name in used]
    mounts = [dict(mount) for mount in wanted.mounts]
    if wanted.scratch:
        volumes.append({"name": "gameday-scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}})
        mounts.append({"name": "gameday-scratch", "mountPath": "/tmp"})  # noqa: S108 - in the helper
    resources = container.get("resources") if wanted.resources is None else wanted.resources
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"gameday-{wanted.purpose}-",
            "labels": {
                HELPER_LABEL: "true",
                ENVIRONMENT_LABEL: wanted.environment,
                COMPONENT_LABEL: wanted.component,
                PURPOSE_LABEL: wanted.purpose,
                **wanted.labels,
            },
        },
        "spec": {
            **own.scheduling(),
            "restartPolicy": "Never",
            "activeDeadlineSeconds": max(1, math.ceil(wanted.lives_s)),
            "terminationGracePeriodSeconds": _GRACE_S,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": own.pod_security(),
            "volumes": volumes,
            "containers": [
                {
                    "name": CONTAINER,
                    "image": container["image"],
                    "imagePullPolicy": container.get("imagePullPolicy", "IfNotPresent"),
                    "command": list(wanted.argv),
                    "securityContext": own.container_security(),
                    "resources": resources or {},
                    "volumeMounts": mounts,
                }
            ],
        },
    }


def wait_for(
    cluster: Cluster, pod: str, until: Callable[[Mapping[str, Any]], bool], what: str, deadline: Deadline
) -> Mapping[str, Any]:
    """The pod as it is when `until` is true of it. An API server that is away is waited for.

    Raises:
        OperationTimedOut: not by the deadline.
        TargetError: it is gone, or can never run.
    """
    found: Mapping[str, Any] = {}

    def so() -> bool:
        nonlocal found
        try:
            with cluster.translated(what):
                found = cluster.raw(cluster.core.read_namespaced_pod, pod, cluster.namespace)
        except (ClusterAway, OperationTimedOut):
            return False
        if until(found):
            return True
        if _waiting(found) in _HOPELESS:
            raise TargetError(f"{what}: {_why(found)}")
        return False

    if not wait_until(so, deadline, _POLL_S):
        raise OperationTimedOut(f"{what}: not within {deadline.timeout_s:g} s: {_why(found)}")
    return found


def running(found: Mapping[str, Any]) -> bool:
    """Whether its command runs, or has."""
    return found["status"].get("phase") == "Running" or ended(found)


def ended(found: Mapping[str, Any]) -> bool:
    """Whether its command has ended, or never will begin."""
    return found["status"].get("phase") in _ENDED


def said_by(cluster: Cluster, pod: str) -> str:
    """What it wrote, within a bound."""
    with cluster.translated(f"log of {pod}"):
        text = cluster.core.read_namespaced_pod_log(
            pod, cluster.namespace, container=CONTAINER, limit_bytes=OUTPUT_LIMIT
        )
    return str(text or "")


def helpers(cluster: Cluster, environment: str, component: str, purpose: str) -> tuple[str, ...]:
    """Names of those that are there, whatever they do."""
    wanted = {
        HELPER_LABEL: "true",
        ENVIRONMENT_LABEL: environment,
        COMPONENT_LABEL: component,
        PURPOSE_LABEL: purpose,
    }
    selector = ",".join(f"{name}={value}" for name, value in wanted.items())
    with cluster.translated("list helpers"):
        found = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=selector).items
    return tuple(one.metadata.name for one in found)


def end_helpers(
    cluster: Cluster, environment: str, component: str, purpose: str, deadline: Deadline
) -> tuple[str, ...]:
    """Remove those of a purpose, and wait until they have ended; their names.

    Raises:
        OperationTimedOut: one is still there at the deadline.
    """
    found = helpers(cluster, environment, component, purpose)
    discard(cluster, found, deadline)
    return found


def discard(cluster: Cluster, pods: Sequence[str], deadline: Deadline, *, grace_s: int = _GRACE_S) -> None:
    """Remove pods, and wait until what runs in them has ended."""
    for pod in pods:
        with contextlib.suppress(NotThere), cluster.writing(f"remove {pod}"):
            cluster.core.delete_namespaced_pod(pod, cluster.namespace, grace_period_seconds=grace_s)
    left = set(pods)

    def gone() -> bool:
        for pod in tuple(left):
            try:
                with cluster.translated(f"read {pod}"):
                    cluster.core.read_namespaced_pod(pod, cluster.namespace)
            except NotThere:
                left.discard(pod)
            except (ClusterAway, OperationTimedOut):
                return False
        return not left

    if not wait_until(gone, deadline, _POLL_S):
        raise OperationTimedOut(f"still there after {deadline.timeout_s:g} s: {', '.join(sorted(left))}")


def _state(found: Mapping[str, Any]) -> Mapping[str, Any]:
    states = (found.get("status") or {}).get("containerStatuses") or []
    return states[0].get("state") or {} if states else {}


def _terminated(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return _state(found).get("terminated") or {}


def _waiting(found: Mapping[str, Any]) -> str:
    return str((_state(found).get("waiting") or {}).get("reason") or "")


def _why(found: Mapping[str, Any]) -> str:
    """What keeps it from running, or what ended it, for people."""
    status = found.get("status") or {}
    waiting = _state(found).get("waiting") or {}
    refused = [one.get("message") for one in status.get("conditions") or [] if one.get("status") == "False"]
    said = [
        status.get("phase"),
        status.get("reason"),
        status.get("message"),
        waiting.get("reason"),
        waiting.get("message"),
    ]
    return ", ".join(dict.fromkeys(str(one) for one in (*said, *refused) if one)) or "it was not seen"
