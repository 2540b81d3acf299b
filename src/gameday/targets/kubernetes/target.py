"""The target `kubernetes`: components are pods of one namespace of one cluster.

Each operation looks at the cluster first and changes only what is not so already: the runner, its engine process, the
dead-man switch and `gameday recover` may each use it at once, from different machines, and each may be killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gameday.targets.base import ComponentStatus, Running
from gameday.targets.kubernetes.clients import PodClients
from gameday.targets.kubernetes.databases import PodDatabases
from gameday.targets.kubernetes.deadman import SwitchInCluster
from gameday.targets.kubernetes.disk import PodDisks
from gameday.targets.kubernetes.flood import PodLogs
from gameday.targets.kubernetes.lifecycle import UpAndDown
from gameday.targets.kubernetes.limits import PodLimits
from gameday.targets.kubernetes.network import ClusterNetworks
from gameday.targets.kubernetes.nodes import ClusterNodes
from gameday.targets.kubernetes.permissions import Permissions
from gameday.targets.kubernetes.pods import Seen
from gameday.targets.kubernetes.records import RecordsInCluster
from gameday.targets.kubernetes.versions import PodVersions
from gameday.targets.request import request_by_operator


class KubernetesTarget(
    SwitchInCluster,
    RecordsInCluster,
    Permissions,
    PodDatabases,
    PodClients,
    PodDisks,
    PodLogs,
    PodLimits,
    PodVersions,
    ClusterNetworks,
    ClusterNodes,
    UpAndDown,
):
    """One environment in Kubernetes. What only some targets can do is a base class each, in a module of its own."""

    def status(self) -> Mapping[str, ComponentStatus]:
        """Every component now, as the API server shows it; of a part of the environment, those of the part."""
        seen = self._look()
        return MappingProxyType(
            {name: self._status_of(name, seen) for name in self._specs if self.environment.concerns(name)}
        )

    def asked(self) -> Mapping[str, int]:
        """Of the API server. What renews the lease is not counted: it goes by the clock, whatever the drill does."""
        return MappingProxyType(dict(self.cluster.requests))

    def _status_of(self, name: str, seen: Seen) -> ComponentStatus:
        workloads = seen.workloads_of(self._spec(name).kubernetes)
        pods = seen.pods_of(self._spec(name).kubernetes)
        details = [] if workloads or pods else [self._nothing_matches(name)]
        details += [f"{one} is held at zero replicas" for one in workloads if one.held is not None]
        details += [
            f"{one} has {one.ready} of {one.replicas} ready" for one in workloads if one.ready < one.replicas
        ]
        details += [f"{one} is to have no pods" for one in workloads if not one.replicas and one.held is None]
        details += [
            f"{pod.name} is {pod.waiting or pod.phase}" for pod in pods if pod.waiting or not pod.running
        ]
        running = [pod for pod in pods if pod.running]
        enough = all(one.observed and one.ready >= one.replicas > 0 for one in workloads)
        unsound = self._data_details(workloads)  # what runs in data that are not its own is not it
        up = bool(running) and enough and any(pod.ready for pod in running) and not unsound
        return ComponentStatus(
            name,
            Running.UP if up else Running.DOWN,
            tuple(str(pod) for pod in running),
            self.shown_address(name) if workloads or pods else "",
            ", ".join([*details, *unsound]),
        )

    def request(self, component: str, http: str, body: Mapping[str, Any] | None, timeout_s: float) -> str:
        """Send it with the operator's headers; status and the beginning of the answer, without any secret."""
        headers, address = self._spec(component).operator.headers, self.address(component)
        what = f"{http} of {component}"
        return request_by_operator(headers, address, http, body, timeout_s, what=what, secrets=self._secrets)
