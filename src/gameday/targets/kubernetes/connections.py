"""NetworkPolicies that gameday makes, and taking pods off their network by one that allows nothing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.kubernetes.cluster import Conflict, NotThere
from gameday.targets.kubernetes.helper import COMPONENT_LABEL
from gameday.targets.kubernetes.instance import KubernetesInstance
from gameday.targets.kubernetes.partition import cut_all, end_of
from gameday.targets.kubernetes.pods import ENVIRONMENT_LABEL, Pod, Seen, named, pod_names
from gameday.targets.kubernetes.policies import Document, End, Point, Policies, document
from gameday.targets.waiting import Deadline, wait_until

CLIENT_LABEL = "gameday.dev/client"
"""Empty where everybody is meant."""
FAULT_LABEL = "gameday.dev/fault"
WHY, UNTIL = "gameday.dev/why", "gameday.dev/until"
"""Annotations of a policy: what it is for, and after which UTC time nobody wants it any more."""
OFF_LABEL = "gameday.dev/disconnected"
"""Of single pods that a policy takes off the network: the name of their component."""
DISCONNECT = "gameday-disconnect"
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class View:
    """What is there now: pods, and the policies of the namespace."""

    seen: Seen
    policies: Policies

    def without(self, names: Iterable[str]) -> Policies:
        """The policies but those of these names."""
        gone = set(names)
        left = tuple(one for one in self.policies.documents if one["metadata"]["name"] not in gone)
        return Policies(self.policies.namespace, self.policies.labels, left)


class ClusterConnections(KubernetesInstance):
    """Implements `Connectable`. Pods have one network, which has no name."""

    def connections(self, component: str, network: str | None, count: int | None) -> Mapping[str, Any]:
        """The policy that would be made, and the pods that it would be for; none: all of the component."""
        self.cluster.await_cluster(Deadline.after(10.0))
        if network is not None:
            raise UsageError(
                f"disconnect {component}: pods have one network, which has no name; leave `network: {network}` out"
            )
        view = self._view()
        pods = self._hit(component, count, view.seen)
        name = policy_name(DISCONNECT, self.instance, component, None, component)
        cut_all(view.without([name]), self._off_end(component, pods, view.seen))
        return {"policy": name, "pods": [pod.name for pod in pods] if count is not None else []}

    def disconnect_network(
        self, component: str, network: str | None, timeout_s: float, count: int | None = None
    ) -> str:
        """Let nothing to them and nothing from them, DNS included, but what is on their own node; those too that
        come later, unless only some are meant. It stays until `connect`."""
        deadline = Deadline.after(timeout_s)
        connections = self.connections(component, network, count)
        with self._alone(deadline):
            view = self._view()
            pods = self._hit(component, count, view.seen)
            end = self._off_end(component, pods, view.seen)
            selector = dict(end.selector) if count is None else {OFF_LABEL: component}
            metadata = self._metadata(connections["policy"], component, None, DISCONNECT, None)
            rules = cut_all(view.without([connections["policy"]]), end)
            if count is not None:
                for pod in pods:
                    self._label_pod(pod.name, component)
            self._put_policy(document(metadata, selector, rules))
            return f"disconnected {pod_names(pods)} by policy {connections['policy']}"

    def connect(self, component: str, connections: Mapping[str, Any], timeout_s: float) -> str:
        """Remove that policy, and its label from pods."""
        del connections  # what carries our labels is found, whatever was meant to be made
        self._spec(component)
        with self._alone(deadline := Deadline.after(timeout_s)):
            ours = [one for one in self._our_policies() if _is_off(one, component)]
            done = self._remove_policies(ours, deadline) + self._unlabel_pods(component)
            return ", ".join(done) or f"{component} was on its network already"

    def _hit(self, component: str, count: int | None, seen: Seen) -> tuple[Pod, ...]:
        pods = self._pods(component, seen)[:count]
        if not pods:
            raise UsageError(f"{component} is down: nothing is on a network")
        return pods

    def _off_end(self, component: str, pods: Sequence[Pod], seen: Seen) -> End:
        end = end_of(component, self._spec(component).kubernetes, seen)
        return End(component, end.selector, tuple(Point(pod.labels, pod.addresses) for pod in pods))

    def _label_pod(self, name: str, value: str | None) -> None:
        body = {"metadata": {"labels": {OFF_LABEL: value}}}
        with self.cluster.writing(f"label pod {name}"):
            self.cluster.core.patch_namespaced_pod(
                name, self.cluster.namespace, body, _content_type="application/merge-patch+json"
            )

    def _unlabel_pods(self, component: str) -> list[str]:
        with self.cluster.translated("list pods"):
            found = self.cluster.raw(
                self.cluster.core.list_namespaced_pod,
                self.cluster.namespace,
                label_selector=f"{OFF_LABEL}={component}",
            )
        names = [one["metadata"]["name"] for one in found["items"]]
        for name in names:
            with contextlib.suppress(NotThere):
                self._label_pod(name, None)
        return [f"connected pod {name}" for name in names]

    # --- policies ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self, deadline: Deadline) -> Iterator[None]:
        """One at a time in an instance: policies add up. Not the component's own lock, as a start that waits for what
        is cut off holds that."""
        with self._store.lock("network", deadline):
            self.cluster.await_cluster(deadline)
            self.cluster.check_allowed()
            yield

    def _view(self) -> View:
        return View(self._look(), self._policies())

    def _policies(self) -> Policies:
        cluster = self.cluster
        with cluster.translated(f"list the policies of {cluster.namespace}"):
            found = cluster.raw(cluster.networking.list_namespaced_network_policy, cluster.namespace)["items"]
            labels = cluster.core.read_namespace(cluster.namespace).metadata.labels or {}
        return Policies(cluster.namespace, labels, tuple(found))

    def _our_policies(self) -> tuple[Document, ...]:
        """Those that gameday made in this environment."""
        cluster = self.cluster
        with cluster.translated(f"list the policies of {cluster.namespace}"):
            found = cluster.raw(
                cluster.networking.list_namespaced_network_policy,
                cluster.namespace,
                label_selector=f"{ENVIRONMENT_LABEL}={self.instance},{FAULT_LABEL}",
            )
        return tuple(found["items"])

    def _metadata(
        self, name: str, component: str, client: str | None, fault: str, ttl_s: float | None
    ) -> dict[str, Any]:
        path = f"{client or 'everybody'} -> {component}"
        notes = {WHY: f"{fault} of {path}, a drill in {self.instance}"}
        if ttl_s is not None:
            notes[UNTIL] = (datetime.now(UTC) + timedelta(seconds=ttl_s)).isoformat(timespec="seconds")
        labels = {
            ENVIRONMENT_LABEL: self.instance,
            COMPONENT_LABEL: component,
            CLIENT_LABEL: client or "",
            FAULT_LABEL: fault,
        }
        return {"name": name, "namespace": self.cluster.namespace, "labels": labels, "annotations": notes}

    def _put_policy(self, made: Document) -> None:
        """Make it, in place of our own one of its name."""
        cluster, name = self.cluster, made["metadata"]["name"]
        api, namespace = cluster.networking, cluster.namespace
        try:
            with cluster.writing(f"make policy {name}"):
                api.create_namespaced_network_policy(namespace, made)
        except Conflict:
            if name not in [one["metadata"]["name"] for one in self._our_policies()]:
                raise
            with cluster.writing(f"replace policy {name}"):
                api.replace_namespaced_network_policy(name, namespace, made)

    def _remove_policies(self, policies: Sequence[Document], deadline: Deadline) -> list[str]:
        """Delete exactly these, and wait until they are gone; what was healed, for people."""
        cluster, left = self.cluster, {one["metadata"]["uid"]: one for one in policies}
        for uid, one in left.items():
            name = one["metadata"]["name"]
            with contextlib.suppress(NotThere, Conflict), cluster.writing(f"delete policy {name}"):
                cluster.networking.delete_namespaced_network_policy(
                    name, cluster.namespace, body={"preconditions": {"uid": uid}}
                )
        if left and not wait_until(partial(self._gone, frozenset(left)), deadline, _POLL_S):
            raise OperationTimedOut(
                f"policies {named(one['metadata']['name'] for one in left.values())}: still there after "
                f"{deadline.timeout_s:g} s"
            )
        return list(dict.fromkeys(map(_described, policies)))

    def _gone(self, uids: frozenset[str]) -> bool:
        return not any(one["metadata"]["uid"] in uids for one in self._our_policies())


def policy_name(fault: str, environment: str, component: str, client: str | None, end: str) -> str:
    """Of the policy for one end; no other fault, path or environment has it."""
    whole = "/".join((environment, component, client or "", fault, end))
    prefix = "" if fault.startswith("gameday-") else "gameday-"
    readable = f"{prefix}{fault}-{end}"[:53].rstrip("-")
    return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _is_off(policy: Document, component: str) -> bool:
    labels = policy["metadata"]["labels"]
    return (labels.get(FAULT_LABEL), labels.get(COMPONENT_LABEL)) == (DISCONNECT, component)


def _described(policy: Document) -> str:
    labels = policy["metadata"]["labels"]
    component, fault = labels.get(COMPONENT_LABEL), labels.get(FAULT_LABEL)
    if fault == DISCONNECT:
        return f"{component}: off its network"
    return f"{labels.get(CLIENT_LABEL) or 'everybody'} -> {component}: {fault}"


def check_down(component: str, end: End) -> None:
    """Raises TargetError when no pod of it has an address, so that there is no path."""
    if not end.addresses:
        raise TargetError(f"no pod of {component} runs, so there is no path")
