"""Delay and loss by Chaos Mesh, where the cluster has it and the environment routes no link through a fault proxy.

A resource is made, and is the fault only once Chaos Mesh says of the pods themselves that it is in force there. Its
daemon reverts it when it is deleted: it is gone when that is done, not before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any

from gameday.errors import GamedayError, OperationTimedOut, TargetError, UsageError
from gameday.fault_spec import NetworkFault
from gameday.targets.contained_proxy import proxied, wanted
from gameday.targets.kubernetes.chaos_mesh import (
    BY_FORCE,
    CRD,
    GROUP,
    PLURAL,
    VERSION,
    can_slow,
    resource,
    ways,
    why_not,
)
from gameday.targets.kubernetes.cluster import Conflict, Forbidden, NotThere
from gameday.targets.kubernetes.connections import (
    CLIENT_LABEL,
    FAULT_LABEL,
    ClusterConnections,
    check_down,
    policy_name,
)
from gameday.targets.kubernetes.helper import COMPONENT_LABEL
from gameday.targets.kubernetes.pods import ENVIRONMENT_LABEL, named
from gameday.targets.kubernetes.policies import Document, End
from gameday.targets.waiting import Deadline, wait_until

_POLL_S = 0.1
_CLEAN_UP_S = 15.0
_VERBS = ("delay", "lose")


class ChaosMeshFaults(ClusterConnections):
    """Part of `Networked`: what neither a policy nor a fault proxy of the environment can do."""

    def _is_for_chaos_mesh(self, fault: NetworkFault) -> bool:
        """By what the files say alone: the Role that a drill needs follows from it."""
        links = self.environment.links
        return (
            can_slow(fault) and fault.client is not None and not proxied(links, fault.component, fault.client)
        )

    def _check_chaos(self, fault: NetworkFault, name: str, server: End, client: End) -> None:
        """Have the API server, and Chaos Mesh's own admission, judge what would be made. Makes nothing.

        Raises:
            UsageError: this cluster has no Chaos Mesh; says what else would do.
        """
        if not self._has_chaos_mesh:
            raise UsageError(
                f"{fault.verb} {fault.component}: a NetworkPolicy lets packets pass or vanish, and "
                f"{wanted(fault.component, fault.client)}; or Chaos Mesh in the cluster, which does not serve {CRD}"
            )
        for made in self._chaos_for(fault, name, 60.0, server, client):
            with contextlib.suppress(Conflict):  # what is there of an earlier one is replaced
                self._create_chaos(made, dry_run="All")

    def _put_chaos(
        self, fault: NetworkFault, name: str, ttl_s: float, server: End, client: End, deadline: Deadline
    ) -> str:
        """What was done, for people.

        Raises:
            TargetError: Chaos Mesh did not bring it into force by the deadline; it is removed again.
        """
        for end in (server, client):
            check_down(end.component, end)
        made = self._chaos_for(fault, name, ttl_s, server, client)
        names = [one["metadata"]["name"] for one in made]
        self._remove_chaos(self._ours_of(names), deadline)  # a specification of theirs cannot be changed
        try:
            for one in made:
                self._create_chaos(one)
            for one, way in zip(made, ways(fault, server, client, ()), strict=True):
                pods = [pod.name for pod in self._pods(way.sender.component)]
                self._await_in_force(one["metadata"]["name"], pods, deadline)
        except GamedayError as error:
            self._take_back(names, error)
            raise
        return f"by Chaos Mesh, NetworkChaos {', '.join(names)}"

    def _heal_chaos(
        self,
        component: str,
        client: str | None,
        name: str | None,
        meant: Callable[[Document], bool],
        deadline: Deadline,
    ) -> list[str]:
        """Delete ours for which `meant` is true, and wait until Chaos Mesh has reverted them; what was healed."""
        by_proxy = client is not None and bool(proxied(self.environment.links, component, client))
        of_others = name is not None and not name.endswith(_VERBS)
        if by_proxy or of_others:
            return []
        try:
            found = self._our_chaos() if self._has_chaos_mesh else ()
        except Forbidden:
            if name is not None:
                raise
            return []  # a drill that makes one may list them; in another one there is none to be reconnected
        return self._remove_chaos([one for one in found if meant(one)], deadline)

    # --- what is there ----------------------------------------------------------------------------------------

    @cached_property
    def _chaos_api(self) -> Any:
        from kubernetes import client

        return client.CustomObjectsApi(self.cluster.core.api_client)

    @cached_property
    def _has_chaos_mesh(self) -> bool:
        """Whether the API server serves its resources; whether its daemon runs is another question."""
        try:
            with self.cluster.translated(f"look for {CRD}"):
                found = self._chaos_api.get_api_resources(GROUP, VERSION)
        except NotThere:
            return False
        return any(one.name == PLURAL for one in found.resources)

    def _our_chaos(self) -> tuple[Document, ...]:
        """Those that gameday made in this environment."""
        selector = f"{ENVIRONMENT_LABEL}={self.instance},{FAULT_LABEL}"
        with self.cluster.translated(f"list {CRD} of {self.cluster.namespace}"):
            found = self._chaos_api.list_namespaced_custom_object(
                GROUP, VERSION, self.cluster.namespace, PLURAL, label_selector=selector
            )
        return tuple(found["items"])

    def _ours_of(self, names: Iterable[str]) -> list[Document]:
        wanted_ = set(names)
        return [one for one in self._our_chaos() if one["metadata"]["name"] in wanted_]

    def _service_addresses(self, component: str) -> tuple[str, ...]:
        """Of its Service in the cluster; none where it has none, or one without an address."""
        name = self._spec(component).service or component
        try:
            with self.cluster.translated(f"service {name}"):
                found = self.cluster.raw(
                    self.cluster.core.read_namespaced_service, name, self.cluster.namespace
                )
        except NotThere:
            return ()
        return tuple(one for one in found["spec"].get("clusterIPs") or () if one != "None")

    def _chaos_for(
        self, fault: NetworkFault, name: str, ttl_s: float, server: End, client: End
    ) -> list[dict[str, Any]]:
        addresses = self._service_addresses(server.component)
        made = []
        for way in ways(fault, server, client, addresses):
            own = policy_name(name, self.instance, fault.component, fault.client, way.sender.component)
            metadata = self._metadata(own, fault.component, fault.client, name, ttl_s)
            made.append(resource(metadata, fault, way, self.cluster.namespace, ttl_s))
        return made

    # --- what is made and removed -----------------------------------------------------------------------------

    def _create_chaos(self, made: Document, **more: str) -> None:
        """With every field known to the cluster's own release of it."""
        with self.cluster.writing(f"make NetworkChaos {made['metadata']['name']}"):
            self._chaos_api.create_namespaced_custom_object(
                GROUP, VERSION, self.cluster.namespace, PLURAL, made, field_validation="Strict", **more
            )

    def _await_in_force(self, name: str, pods: Sequence[str], deadline: Deadline) -> None:
        reason = ""

        def in_force() -> bool:
            nonlocal reason
            with self.cluster.translated(f"read NetworkChaos {name}"):
                found = self._chaos_api.get_namespaced_custom_object(
                    GROUP, VERSION, self.cluster.namespace, PLURAL, name
                )
            reason = why_not(found, pods)
            return not reason

        if not wait_until(in_force, deadline, _POLL_S):
            raise OperationTimedOut(
                f"NetworkChaos {name} did not take effect within {deadline.timeout_s:g} s: {reason}"
            )

    def _take_back(self, names: Sequence[str], error: GamedayError) -> None:
        """Of a fault that failed. Raises TargetError with both reasons where that fails too."""
        try:
            self._remove_chaos(self._ours_of(names), Deadline.after(_CLEAN_UP_S))
        except GamedayError as left:
            raise TargetError(f"{error}; and taking it back failed: {left}") from error

    def _remove_chaos(self, resources: Sequence[Document], deadline: Deadline) -> list[str]:
        left = {one["metadata"]["uid"]: one["metadata"]["name"] for one in resources}
        for uid, name in left.items():
            body = {"preconditions": {"uid": uid}}
            with contextlib.suppress(NotThere, Conflict), self.cluster.writing(f"delete NetworkChaos {name}"):
                self._chaos_api.delete_namespaced_custom_object(
                    GROUP, VERSION, self.cluster.namespace, PLURAL, name, body=body
                )
        if left and not wait_until(partial(self._chaos_gone, frozenset(left)), deadline, _POLL_S):
            raise OperationTimedOut(
                f"NetworkChaos {named(left.values())}: still there after {deadline.timeout_s:g} s, as Chaos Mesh has "
                "not reverted it; `kubectl describe` says why. Where the pods are well: "
                f"kubectl -n {self.cluster.namespace} annotate {CRD} NAME {BY_FORCE}"
            )
        return [_described(one) for one in resources]

    def _chaos_gone(self, uids: frozenset[str]) -> bool:
        return not any(one["metadata"]["uid"] in uids for one in self._our_chaos())


def _described(one: Document) -> str:
    labels = one["metadata"]["labels"]
    path = f"{labels.get(CLIENT_LABEL)} -> {labels.get(COMPONENT_LABEL)}"
    return f"{path}: {labels.get(FAULT_LABEL)} by Chaos Mesh"
