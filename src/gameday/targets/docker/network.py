"""Network faults between containers: by rules in their network namespaces, else by a fault proxy between them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial

from gameday.errors import GamedayError, TargetError, UsageError
from gameday.fault_spec import DelayFault, NetworkFault, ThrottleFault
from gameday.targets.ability import check_names_kept
from gameday.targets.contained_proxy import wanted
from gameday.targets.docker import proxied, sidecar
from gameday.targets.docker.connections import Connections
from gameday.targets.docker.containers import Container, discard, listed, matching
from gameday.targets.docker.engine import NotThere
from gameday.targets.docker.kernel import kernel_of
from gameday.targets.docker.partition import Reach, base_of, class_of, documents, pattern_of
from gameday.targets.docker.sidecar import Helper, Impairment, at_once
from gameday.targets.docker.topology import Node, Topology, alien
from gameday.targets.docker.traffic import leaf
from gameday.targets.waiting import Deadline

_PROBE_TIMEOUT_S = 30.0
_CLEAN_UP_S = 15.0


class Networks(Connections):
    """Implements `Networked`."""

    def paths(self, component: str, client: str | None, fault: NetworkFault | None = None) -> tuple[str, ...]:
        """The paths to `component`. With a fault, whether this engine's kernel or a fault proxy can have it there."""
        check_names_kept(fault, self.kind)
        deadline = Deadline.after(_PROBE_TIMEOUT_S)
        self._engine.await_engine(deadline)
        topology = self._topology()
        self._check(topology, component, client)
        if fault is None or not _slows(fault):
            found: tuple[str, ...] = (f"{client or 'everybody'} -> {component}",)
        else:
            clients = topology.clients(component) if client is None else (client,)
            found = tuple(f"{name} -> {component}" for name in clients)
        if fault is not None and self._by_proxy(topology, fault, deadline):
            return tuple(
                f"{link.client} -> {component} via {link.via}" for link in topology.proxied(component, client)
            )
        if not found:
            raise UsageError(
                f"{component} shares no network with any other component: nothing to {_verb(fault)}"
            )
        return found

    def impair(self, fault: NetworkFault, name: str, ttl_s: float, timeout_s: float) -> str:
        """Put the fault on its paths, on open connections too; helpers, or the proxy, end it after `ttl_s`."""
        deadline = Deadline.after(timeout_s)
        if ttl_s <= 0:
            raise UsageError(f"network fault {name!r}: a time-to-live of {ttl_s:g} s is none")
        with self._alone(deadline):
            topology = self._topology()
            self._check(topology, fault.component, fault.client)
            if self._better_by_proxy(topology, fault, name, deadline):
                acts = self._put_toxics(topology, fault, name, ttl_s, deadline)
            else:
                acts = self._put_rules(topology, fault, name, ttl_s, deadline)
        path = f"{fault.client or 'everybody'} -> {fault.component}"
        return f"{name}: {fault.verb} {path}, {acts}, for at most {ttl_s:g} s"

    def heal(self, component: str, client: str | None, name: str | None, timeout_s: float) -> str:
        """End one impairment, or all of these paths; without a name, also put the component back onto the networks on
        which it was. Without client and name (what `reconnect` is) what it suffers as a client of others ends too."""
        deadline = Deadline.after(timeout_s)
        for one in (component, *([client] if client else [])):
            self._spec(one)
        with self._alone(deadline):
            healed = self._end_network_faults(component, client, name, deadline)
        if name is None:
            for one in (component, *([client] if client else [])):
                healed += self._put_back_on_networks(one, deadline)
        path = f"{client or 'everybody'} -> {component}"
        return f"healed {', '.join(dict.fromkeys(healed))}" if healed else f"nothing to heal on {path}"

    # --- what is there ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self, deadline: Deadline) -> Iterator[None]:
        """One at a time in an instance: two paths may meet in one namespace. Not the component's own lock, as a start
        that waits for what is cut off holds that."""
        with self._store.lock("network", deadline):
            self._engine.await_engine(deadline)
            yield

    def _topology(self, containers: Sequence[Container] | None = None) -> Topology:
        containers = listed(self._engine) if containers is None else containers
        state = self._state.read()
        nodes = {}
        for name, spec in self._specs.items():
            found = matching(containers, spec.docker, self.compose_project)
            nodes[name] = tuple(node for one in found if (node := self._node(one)) is not None)
        remembered = {
            name: frozenset(
                network
                for kept in state.of(name).recipes.values()
                if not alien(str(kept["host"].get("NetworkMode") or ""))
                for network in kept["networks"]
            )
            for name in self._specs
        }
        return Topology(nodes, self.environment.links, remembered)

    def _node(self, container: Container) -> Node | None:
        try:
            return Node.of(container, self._engine.inspect(container.id))
        except NotThere:  # removed just now
            return None

    def _check(self, topology: Topology, component: str, client: str | None) -> None:
        """Raises UsageError where there is no such path, or one that would be this machine's own."""
        hop = component
        for name in (component, *([client] if client else [])):
            self._spec(name)
            for node in topology.nodes[name]:
                if alien(node.mode):
                    raise UsageError(
                        f"{node.container.name} of {name} has no network of its own (network mode {node.mode}); what "
                        f"is done to it would hit others"
                    )
        if client is None:
            return
        if client == component:
            raise UsageError(f"{client} -> {component}: a component reaches itself without a network")
        hop, _ = topology.next_hop(client, component)
        if not topology.share(client, hop):
            through = f", its fault proxy to {component}," if hop != component else ""
            raise UsageError(
                f"no network path from {client} to {component} can be impaired: {client} and {hop}{through} share no "
                f"network"
            )

    def _by_proxy(self, topology: Topology, fault: NetworkFault, deadline: Deadline) -> bool:
        """Whether a fault proxy is needed for it, and is there.

        Raises:
            UsageError: the kernel lacks something, and no proxy does it instead.
        """
        lacks = kernel_of(self._engine, self.engine_name, deadline).lacks(fault)
        what = f"{fault.verb} {fault.component}: the kernel of this engine has no {lacks}"
        if lacks and not _slows(fault):
            raise UsageError(what)
        if lacks and not topology.proxied(fault.component, fault.client):
            raise UsageError(f"{what} and {wanted(fault.component, fault.client)}")
        return bool(lacks)

    # --- putting ----------------------------------------------------------------------------------------------

    def _put_rules(
        self, topology: Topology, fault: NetworkFault, name: str, ttl_s: float, deadline: Deadline
    ) -> str:
        placements = topology.placements(fault)
        if not placements:
            raise TargetError(f"{fault.verb} {fault.component}: {_why_nowhere(topology, fault)}")
        if leaf(fault) and (other := self._slowed_by(fault, name)):
            raise TargetError(
                f"{fault.verb} {fault.component}: its path is slowed already ({other}); one at a time, or the second "
                f"by a fault proxy on the link"
            )
        base = base_of(self.engine_name, fault.component, fault.client, name)
        labels = {
            sidecar.COMPONENT_LABEL: fault.component,
            sidecar.CLIENT_LABEL: fault.client or "",
            sidecar.FAULT_LABEL: name,
            sidecar.KIND_LABEL: "slows" if leaf(fault) else "drops",
        }

        def put(node: Node, reach: Reach) -> None:
            rules4, rules6 = documents(fault, reach, base)
            one = Impairment(node.container, base, rules4, rules6, class_of(base), leaf(fault))
            sidecar.put(self._engine, self.engine_name, one, labels, ttl_s, deadline)

        try:
            at_once(self._engine, (partial(put, node, reach) for node, reach in placements))
        except GamedayError:
            with contextlib.suppress(GamedayError):  # the undo tries again; what failed first is what to say
                self._end_network_faults(fault.component, fault.client, name, Deadline.after(_CLEAN_UP_S))
            self._by_proxy(topology, fault, deadline)  # says so where the kernel is why
            raise
        return f"by rules in {', '.join(node.container.name for node, _ in placements)}"

    def _better_by_proxy(
        self, topology: Topology, fault: NetworkFault, name: str, deadline: Deadline
    ) -> bool:
        """Where there is a choice: only there is the kernel tried first, as the call must be quick."""
        if not _slows(fault) or not topology.proxied(fault.component, fault.client):
            return False
        if self._by_proxy(topology, fault, deadline):
            return True
        return fault.client is not None and bool(self._slowed_by(fault, name))

    def _slowed_by(self, fault: NetworkFault, name: str) -> str:
        """What slows its path by rules already: a packet waits in one queue only."""
        for helper in sidecar.find(self._engine, self.engine_name):
            same_path = helper.component == fault.component and (
                fault.client is None or helper.client in ("", fault.client)
            )
            replaced = (helper.client, helper.fault) == (fault.client or "", name)
            if helper.kind == "slows" and same_path and not replaced:
                return helper.fault
        return ""

    def _put_toxics(
        self, topology: Topology, fault: NetworkFault, name: str, ttl_s: float, deadline: Deadline
    ) -> str:
        acts = []
        for link in topology.proxied(fault.component, fault.client):
            proxies = topology.running(str(link.via))
            if not proxies:
                raise TargetError(f"{fault.verb} {fault.component}: its fault proxy {link.via} is down")
            for node in proxies:
                count = proxied.put(self._engine, node.container, link, fault, name, ttl_s, deadline)
                acts.append(f"by {node.container.name} for {link.client} ({count} open)")
        return ", ".join(acts)

    # --- ending -----------------------------------------------------------------------------------------------

    def _end_network_faults(
        self, component: str, client: str | None, name: str | None, deadline: Deadline
    ) -> list[str]:
        """What ended, for people. Looks into every namespace that may have rules of these, whoever made them."""
        containers = listed(self._engine)
        topology = self._topology(containers)
        everything = client is None and name is None
        patterns = [pattern_of(self.engine_name, component, client, name)]
        patterns += [pattern_of(self.engine_name, None, component, None)] if everything else []

        def meant(helper: Helper) -> bool:
            mine = helper.component == component and client in (None, helper.client)
            return (mine and name in (None, helper.fault)) or (everything and helper.client == component)

        present = sidecar.find(self._engine, self.engine_name)
        helpers = [helper for helper in present if meant(helper)]
        suspects = self._suspects(topology, component, client, helpers)
        heal = partial(sidecar.heal, self._engine, self.engine_name)
        cleaned = at_once(
            self._engine, (partial(heal, node.container, patterns, present, deadline) for node in suspects)
        )
        ended = (partial(discard, self._engine, helper.id, deadline) for helper in helpers)
        at_once(self._engine, ended)
        healed = [
            f"{helper.client or 'everybody'} -> {helper.component}: {helper.fault}" for helper in helpers
        ]
        if any(cleaned) and not helpers:
            healed.append(f"rules on paths to {component} that nobody was looking after")
        links = list(topology.proxied(component, client))
        if everything:
            links += [link for link in topology.links if link.client == component and link.via is not None]
        for link in links:
            for node in topology.nodes[str(link.via)]:
                healed += proxied.heal(self._engine, node.container, link, name, deadline)
        return healed

    def _suspects(
        self, topology: Topology, component: str, client: str | None, helpers: Sequence[Helper]
    ) -> list[Node]:
        """Containers in whose namespaces there may be such rules: both ends, what is between, and where helpers are."""
        names = {component}
        if client is not None:
            names |= {client, *(str(link.via) for link in topology.proxied(component, client))}
        else:
            names |= {name for name in topology.nodes if topology.share(name, component)}
            names |= set(topology.clients(component))
        victims = {helper.victim for helper in helpers}
        return [
            node
            for name, nodes in topology.nodes.items()
            for node in nodes
            if node.container.running
            and not alien(node.mode)
            and (name in names or node.container.id in victims)
        ]


def _slows(fault: NetworkFault) -> bool:
    """Whether packets wait, or are dropped."""
    return isinstance(fault, DelayFault | ThrottleFault)


def _verb(fault: NetworkFault | None) -> str:
    return "impair" if fault is None else fault.verb


def _why_nowhere(topology: Topology, fault: NetworkFault) -> str:
    for name in (fault.client, fault.component):
        if name is not None and not topology.running(name):
            return f"no container of {name} runs on a network, so there is no path"
    return "no two containers of this path are on the same network now"
