"""Pods and workloads of a namespace as the API server shows them, and which are a component's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gameday.errors import TargetError
from gameday.kubernetes_spec import PodSelector
from gameday.targets.kubernetes.cluster import Cluster

HELPER_LABEL = "gameday.dev/helper"
"""Carried by gameday's own pods, which are nobody's component."""
ENVIRONMENT_LABEL = "gameday.dev/environment"
"""Carried by all that gameday makes for an environment: its name."""
HELD = "gameday.dev/held"
"""Annotation of a workload that a fault keeps at zero replicas: JSON with its own count, `{"replicas": 2}`."""
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod. `running`: its containers run, ready or not."""

    name: str
    uid: str
    labels: Mapping[str, str]
    node: str
    phase: str
    ready: bool
    deleting: bool
    owner: str
    """Uid of what controls it; empty where nothing does."""
    containers: tuple[str, ...]
    default_container: str
    restarts: int
    waiting: str
    """Why a container of it does not run, such as `CrashLoopBackOff`; empty where all do."""
    addresses: tuple[str, ...] = ()
    node_addresses: tuple[str, ...] = ()
    host_network: bool = False
    """Whether it has its node's network, and none of its own."""

    @property
    def running(self) -> bool:
        return self.phase == "Running" and not self.deleting

    def __str__(self) -> str:
        return f"pod {self.name}"


@dataclass(frozen=True, slots=True)
class Workload:
    """One deployment or stateful set."""

    kind: str
    name: str
    uid: str
    labels: Mapping[str, str]
    """Those that its pods carry."""
    selector: Mapping[str, str]
    replicas: int
    ready: int
    updated: int
    total: int
    """Pods that it has, those of an earlier version too."""
    observed: bool
    """Whether its controller has seen its latest specification."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    generation: int = 0

    @property
    def settled(self) -> bool:
        """It has exactly the pods that it should have, all of its latest version and ready."""
        return self.observed and self.ready == self.updated == self.total == self.replicas

    @property
    def held(self) -> int | None:
        """How many replicas it has by right, while a fault holds it at zero; None while none does. The annotation alone
        says nothing: a `kubectl rollout undo` brings an old one back.

        Raises:
            TargetError: somebody else wrote something else there.
        """
        text = self.annotations.get(HELD)
        if text is None or self.replicas:
            return None
        try:
            return int(json.loads(text)["replicas"])
        except (ValueError, KeyError, TypeError) as error:
            raise TargetError(
                f"{self}: its annotation {HELD} is {text!r}, which says no count; set its replicas by hand and remove "
                "the annotation"
            ) from error

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The namespace at one moment."""

    pods: tuple[Pod, ...]
    workloads: tuple[Workload, ...]
    replica_sets: Mapping[str, str]
    """Uid of each replica set's owner, by the replica set's own."""

    def workloads_of(self, selector: PodSelector) -> tuple[Workload, ...]:
        """What makes a component's pods, by name."""
        if selector.workload is not None:
            return tuple(one for one in self.workloads if str(one) == selector.workload)
        return tuple(one for one in self.workloads if selector.labels.items() <= one.labels.items())

    def pods_of(self, selector: PodSelector) -> tuple[Pod, ...]:
        """A component's pods, by name; those too that are being deleted."""
        if selector.workload is None:
            return tuple(pod for pod in self.pods if selector.labels.items() <= pod.labels.items())
        own = {one.uid for one in self.workloads_of(selector)}
        return tuple(pod for pod in self.pods if self.replica_sets.get(pod.owner, pod.owner) in own)


def look_at_pods(cluster: Cluster) -> tuple[Pod, ...]:
    """All pods of the namespace now, gameday's own aside, by name: one request."""
    with cluster.translated(f"list pods of {cluster.namespace}"):
        found = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=f"!{HELPER_LABEL}").items
    return tuple(sorted(map(_pod, found), key=lambda pod: pod.name))


def pods_there(cluster: Cluster) -> frozenset[str]:
    """Uids of all pods of the namespace: one request, and nothing of the answer is made into objects."""
    with cluster.translated(f"list pods of {cluster.namespace}"):
        found = cluster.raw(cluster.core.list_namespaced_pod, cluster.namespace)
    return frozenset(one["metadata"]["uid"] for one in found["items"])


def look(cluster: Cluster) -> Seen:
    """The namespace now, gameday's own pods aside: four requests, however many pods there are."""
    pods = look_at_pods(cluster)
    with cluster.translated(f"list what is in {cluster.namespace}"):
        deployments = cluster.apps.list_namespaced_deployment(cluster.namespace).items
        sets = cluster.apps.list_namespaced_stateful_set(cluster.namespace).items
        replica_sets = cluster.apps.list_namespaced_replica_set(cluster.namespace).items
    workloads = [workload("deployment", one) for one in deployments]
    workloads += [workload("statefulset", one) for one in sets]
    return Seen(
        pods,
        tuple(sorted(workloads, key=str)),
        {one.metadata.uid: _owner(one) for one in replica_sets},
    )


def workload(kind: str, found: Any) -> Workload:
    """Of what the client gives for one deployment or stateful set."""
    status = found.status
    updated = status.updated_replicas or 0
    return Workload(
        kind=kind,
        name=found.metadata.name,
        uid=found.metadata.uid,
        labels=found.spec.template.metadata.labels or {},
        selector=found.spec.selector.match_labels or {},
        replicas=1 if found.spec.replicas is None else found.spec.replicas,
        ready=status.ready_replicas or 0,
        updated=updated,
        total=status.replicas or 0,
        observed=(status.observed_generation or 0) >= (found.metadata.generation or 0),
        annotations=found.metadata.annotations or {},
        generation=found.metadata.generation or 0,
    )


def _pod(found: Any) -> Pod:
    states = found.status.container_statuses or []
    waiting = [one.state.waiting.reason for one in states if one.state and one.state.waiting]
    names = tuple(one.name for one in found.spec.containers)
    return Pod(
        name=found.metadata.name,
        uid=found.metadata.uid,
        labels=found.metadata.labels or {},
        node=found.spec.node_name or "",
        phase=found.status.phase or "",
        ready=any(one.type == "Ready" and one.status == "True" for one in found.status.conditions or []),
        deleting=found.metadata.deletion_timestamp is not None,
        owner=_owner(found),
        containers=names,
        default_container=(found.metadata.annotations or {}).get(_DEFAULT_CONTAINER, names[0]),
        restarts=sum(one.restart_count for one in states),
        waiting=", ".join(reason for reason in waiting if reason),
        addresses=tuple(one.ip for one in found.status.pod_ips or [] if one.ip),
        node_addresses=tuple(one.ip for one in found.status.host_ips or [] if one.ip),
        host_network=bool(found.spec.host_network),
    )


def _owner(found: Any) -> str:
    owners = [one for one in found.metadata.owner_references or [] if one.controller]
    return owners[0].uid if owners else ""


def named(things: Iterable[Any]) -> str:
    """For people."""
    return ", ".join(map(str, things))


def pod_names(pods: Sequence[Pod]) -> str:
    return ", ".join(pod.name for pod in pods)
