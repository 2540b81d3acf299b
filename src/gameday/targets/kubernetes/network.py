"""Network faults between pods: partitions by NetworkPolicies, all else by a fault proxy beside the client, or by Chaos
Mesh where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from gameday.environment import Link
from gameday.errors import GamedayError, TargetError, UsageError
from gameday.fault_spec import NetworkFault, PartitionFault
from gameday.targets.contained_proxy import ContainedProxy, ProxyDown, proxied, wanted
from gameday.targets.kubernetes.chaos_mesh import can_slow
from gameday.targets.kubernetes.chaos_mesh_faults import ChaosMeshFaults
from gameday.targets.kubernetes.connections import (
    CLIENT_LABEL,
    DISCONNECT,
    FAULT_LABEL,
    View,
    check_down,
    policy_name,
)
from gameday.targets.kubernetes.helper import COMPONENT_LABEL
from gameday.targets.kubernetes.partition import Cut, cut_off, cut_pair, end_of, is_cut
from gameday.targets.kubernetes.pods import Pod
from gameday.targets.kubernetes.policies import Document, End, document
from gameday.targets.waiting import Deadline

_LOOK_TIMEOUT_S = 30.0
_CLEAN_UP_S = 15.0
_AT_ONCE = 8
T = TypeVar("T")


class ClusterNetworks(ChaosMeshFaults):
    """Implements `Networked`."""

    def paths(self, component: str, client: str | None, fault: NetworkFault | None = None) -> tuple[str, ...]:
        """The paths to `component`. With a fault, whether policies, as those of others are now, a fault proxy or Chaos
        Mesh can have it there."""
        self.cluster.await_cluster(Deadline.after(_LOOK_TIMEOUT_S))
        view = self._view()
        ends = self._ends(component, client, view)
        if fault is None:
            return (f"{client or 'everybody'} -> {component}",)
        if self._by_policy(fault, view):
            names = self._names(fault, f"gameday-{fault.verb}")
            try:
                self._cut(fault, view, names.values(), *ends)
            except UsageError:
                if client is None or not self._proxied(component, client):
                    raise
            else:
                return (f"{client or 'everybody'} -> {component}",)
        server, other = ends
        if other is not None and self._is_for_chaos_mesh(fault):
            self._check_chaos(fault, f"gameday-{fault.verb}", server, other)
            return (f"{client} -> {component} by Chaos Mesh",)
        return tuple(f"{link.client} -> {link.server} via {link.via}" for link in self._links_for(fault))

    def impair(self, fault: NetworkFault, name: str, ttl_s: float, timeout_s: float) -> str:
        """Put the fault on its paths. Whether a policy cuts open connections is up to the cluster's network: many let
        those go on. Those through a fault proxy are cut by it as well.

        A fault proxy ends it after `ttl_s`, and so does Chaos Mesh. A policy does not end by itself: it says in an
        annotation until when it is wanted, and the dead-man switch, or whoever reverts, removes it."""
        deadline = Deadline.after(timeout_s)
        if ttl_s <= 0:
            raise UsageError(f"network fault {name!r}: a time-to-live of {ttl_s:g} s is none")
        with self._alone(deadline):
            view = self._view()
            ends = self._ends(fault.component, fault.client, view)
            acts = ""
            if self._by_policy(fault, view):
                acts = self._put_policies(fault, name, ttl_s, view, ends)
            server, client = ends
            if client is not None and self._is_for_chaos_mesh(fault):
                acts = self._put_chaos(fault, name, ttl_s, server, client, deadline)
            elif not acts or self._proxied(fault.component, fault.client):
                toxics = self._put_toxics(fault, name, ttl_s, view, deadline, also=bool(acts))
                acts = ", ".join([*filter(None, [acts]), *toxics])
        path = f"{fault.client or 'everybody'} -> {fault.component}"
        return f"{name}: {fault.verb} {path}, {acts}, for at most {ttl_s:g} s"

    def heal(self, component: str, client: str | None, name: str | None, timeout_s: float) -> str:
        """End one impairment, or all of these paths; without a name, also put the component back onto its network.
        Without client and name (what `reconnect` is) what it suffers as a client of others ends too."""
        deadline = Deadline.after(timeout_s)
        asked = (component, *([client] if client else []))
        for one in asked:
            self._spec(one)
        with self._alone(deadline):
            meant = [one for one in self._our_policies() if _is_meant(one, component, client, name)]
            healed = self._remove_policies(meant, deadline)
            if name is None:
                for one in asked:
                    healed += self._unlabel_pods(one)
            healed += self._heal_toxics(component, client, name, deadline)
            is_meant = partial(_is_meant, component=component, client=client, name=name)
            healed += self._heal_chaos(component, client, name, is_meant, deadline)
        path = f"{client or 'everybody'} -> {component}"
        return f"healed {', '.join(dict.fromkeys(healed))}" if healed else f"nothing to heal on {path}"

    # --- what is there ----------------------------------------------------------------------------------------

    def _ends(self, component: str, client: str | None, view: View) -> tuple[End, End | None]:
        """Server and client.

        Raises:
            UsageError: there is no network path between them that could be impaired.
        """
        server = end_of(component, self._spec(component).kubernetes, view.seen)
        if client is None:
            return server, None
        if {pod.uid for pod in self._all(component, view)} & {pod.uid for pod in self._all(client, view)}:
            raise UsageError(f"{client} -> {component}: what is in one pod reaches itself without a network")
        return server, end_of(client, self._spec(client).kubernetes, view.seen)

    def _all(self, component: str, view: View) -> tuple[Pod, ...]:
        return view.seen.pods_of(self._spec(component).kubernetes)

    def _by_policy(self, fault: NetworkFault, view: View) -> bool:
        """Whether policies are the way: packets vanish, between the pods of the two."""
        if not isinstance(fault, PartitionFault) or fault.how != "blackhole":
            return False
        links = self._proxied(fault.component, fault.client) if fault.client else ()
        own = {pod.uid for pod in self._all(fault.client, view)} if fault.client else set()
        return all({pod.uid for pod in self._all(str(link.via), view)} <= own for link in links)

    def _proxied(self, component: str, client: str | None) -> tuple[Link, ...]:
        return proxied(self.environment.links, component, client)

    def _links_for(self, fault: NetworkFault) -> tuple[Link, ...]:
        """Raises UsageError where there is none, or none that could do it."""
        links = self._proxied(fault.component, fault.client)
        if not links:
            how = f", how: {fault.how}" if isinstance(fault, PartitionFault) else ""
            also = ", or a `client` of the fault and Chaos Mesh in the cluster" if can_slow(fault) else ""
            raise UsageError(
                f"{fault.verb} {fault.component}{how}: a NetworkPolicy lets packets pass or vanish, and "
                f"{wanted(fault.component, fault.client)}{also}"
            )
        return links

    # --- policies ---------------------------------------------------------------------------------------------

    def _cut(
        self, fault: NetworkFault, view: View, replaced: Iterable[str], server: End, client: End | None
    ) -> Cut:
        others = view.without(replaced)
        if client is not None:
            return cut_pair(others, server, client)
        nodes = [address for pod in view.seen.pods for address in pod.node_addresses]
        names = isinstance(fault, PartitionFault) and fault.dns == "kept"
        return cut_off(others, server, nodes, names=names)

    def _names(self, fault: NetworkFault, name: str) -> dict[str, str]:
        """Of the policies that it may have, by the component whose pods they select."""
        ends = (fault.component, *([fault.client] if fault.client else []))
        return {end: policy_name(name, self.instance, fault.component, fault.client, end) for end in ends}

    def _put_policies(
        self, fault: NetworkFault, name: str, ttl_s: float, view: View, ends: tuple[End, End | None]
    ) -> str:
        """What was done, for people; nothing where a fault proxy has to do it."""
        server, client = ends
        names = self._names(fault, name)
        try:
            cut = self._cut(fault, view, names.values(), server, client)
        except UsageError:
            if fault.client is None or not self._proxied(fault.component, fault.client):
                raise
            return ""
        for end in ends:
            if end is not None:
                check_down(end.component, end)
        try:
            for component, rules in cut.items():
                end = server if component == server.component else client or server
                metadata = self._metadata(names[component], fault.component, fault.client, name, ttl_s)
                self._put_policy(document(metadata, end.selector, rules))
            self._verify(fault, names, view, ends)
        except GamedayError:
            ours = [one for one in self._our_policies() if one["metadata"]["name"] in names.values()]
            self._remove_policies(ours, Deadline.after(_CLEAN_UP_S))
            raise
        return f"by policy {', '.join(names[component] for component in cut)}"

    def _verify(
        self, fault: NetworkFault, names: dict[str, str], view: View, ends: tuple[End, End | None]
    ) -> None:
        """Somebody else may have made a policy meanwhile that allows what this one cuts.

        Raises:
            TargetError, UsageError: so it is.
        """
        server, client = ends
        now = View(view.seen, self._policies())
        if client is None:
            self._cut(fault, now, names.values(), server, None)
        elif not is_cut(now.policies, server, client):
            raise TargetError(
                f"{fault.verb} {fault.component}: other policies, made just now, allow {fault.client} what it cuts"
            )

    # --- fault proxies ----------------------------------------------------------------------------------------

    def _put_toxics(
        self, fault: NetworkFault, name: str, ttl_s: float, view: View, deadline: Deadline, *, also: bool
    ) -> list[str]:
        """By every proxy on the way; `also`: policies do it already, and one that is down has no connections."""
        acts = []
        for link in self._links_for(fault):
            pods = self._pods(str(link.via), view.seen)
            if not pods and not also:
                raise TargetError(f"{fault.verb} {fault.component}: its fault proxy {link.via} is down")
            acts += [partial(self._put_toxic, link, pod, fault, name, ttl_s, deadline, also) for pod in pods]
        return [act for act in _at_once(acts) if act]

    def _put_toxic(
        self,
        link: Link,
        pod: Pod,
        fault: NetworkFault,
        name: str,
        ttl_s: float,
        deadline: Deadline,
        also: bool,
    ) -> str:
        try:
            count = self._proxy(link, pod, deadline).put(link, fault, name, ttl_s)
        except TargetError as error:
            down = isinstance(error, ProxyDown) or not self._container_runs(link, pod)
            if not also or not down:
                raise
            return ""
        return f"by the fault proxy in {pod.name} for {link.client} ({count} open)"

    def _heal_toxics(
        self, component: str, client: str | None, name: str | None, deadline: Deadline
    ) -> list[str]:
        links = list(self._proxied(component, client))
        if client is None and name is None:
            links += [one for one in self.environment.links if one.client == component and one.via]
        if not links:
            return []
        seen = self._look()
        acts = [
            partial(self._heal_toxic, link, pod, name, deadline)
            for link in links
            for pod in self._pods(str(link.via), seen)
        ]
        return [one for healed in _at_once(acts) for one in healed]

    def _heal_toxic(self, link: Link, pod: Pod, name: str | None, deadline: Deadline) -> tuple[str, ...]:
        """A proxy that is down, or gone meanwhile, has nothing in force."""
        try:
            return self._proxy(link, pod, deadline).heal(link, name)
        except TargetError:
            if self._container_runs(link, pod):
                raise
            return ()

    def _proxy(self, link: Link, pod: Pod, deadline: Deadline) -> ContainedProxy:
        container = self._container(str(link.via), pod)
        return ContainedProxy(
            f"{pod.name} ({container})",
            lambda argv: self.cluster.execute(pod.name, container, argv, deadline),
        )

    def _container_runs(self, link: Link, pod: Pod) -> bool:
        container = self._container(str(link.via), pod)
        now = next((one for one in self._look().pods if one.uid == pod.uid), None)
        if now is None or not now.running:
            return False
        with self.cluster.translated(f"read {pod}"):
            found = self.cluster.raw(self.cluster.core.read_namespaced_pod, pod.name, self.cluster.namespace)
        states: Sequence[dict[str, Any]] = found["status"].get("containerStatuses") or []
        return any(one["name"] == container and "running" in one["state"] for one in states)


def _is_meant(policy: Document, component: str, client: str | None, name: str | None) -> bool:
    labels = policy["metadata"]["labels"]
    its, of, fault = labels.get(COMPONENT_LABEL), labels.get(CLIENT_LABEL), labels.get(FAULT_LABEL)
    if fault == DISCONNECT:
        return name is None and its in (component, client)
    mine = its == component and client in (None, of) and name in (None, fault)
    return mine or (client is None and name is None and of == component)


def _at_once(acts: Sequence[Callable[[], T]]) -> list[T]:
    """All of them, side by side; the first failure is raised when all have ended."""
    if len(acts) < 2:
        return [act() for act in acts]
    with ThreadPoolExecutor(min(len(acts), _AT_ONCE)) as pool:
        running = [pool.submit(act) for act in acts]
    return [one.result() for one in running]
