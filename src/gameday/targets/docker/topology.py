"""Who reaches whom, and by which addresses: what containers share networks, and which go through a fault proxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gameday.environment import Link
from gameday.fault_spec import DelayFault, NetworkFault, ThrottleFault
from gameday.targets.contained_proxy import proxied
from gameday.targets.docker.containers import Container
from gameday.targets.docker.partition import Peer, Reach, addresses, gateways


@dataclass(frozen=True, slots=True)
class Node:
    """One container, and how it is on each network, as an inspection says."""

    container: Container
    networks: Mapping[str, Mapping[str, Any]]
    mode: str

    @classmethod
    def of(cls, container: Container, inspected: Mapping[str, Any]) -> Node:
        networks = inspected["NetworkSettings"]["Networks"] or {}
        mode = str(inspected["HostConfig"].get("NetworkMode") or "")
        return cls(container, {} if alien(mode) else networks, mode)

    def addresses_for(self, other: Node) -> tuple[str, ...]:
        """Where `other` reaches this one."""
        shared = [endpoint for name, endpoint in self.networks.items() if name in other.networks]
        return tuple(address for endpoint in shared for address in addresses(endpoint))


def alien(mode: str) -> bool:
    """Whether a container with this network mode has no namespace of its own that could be impaired."""
    return mode in ("host", "none") or mode.startswith("container:")


@dataclass(frozen=True, slots=True)
class Topology:
    """The containers of an environment now, its links, and the networks on which components were that have none."""

    nodes: Mapping[str, tuple[Node, ...]]
    links: tuple[Link, ...]
    remembered: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def networks(self, component: str) -> frozenset[str]:
        """Those it is on now, and those it was on."""
        now = {name for node in self.nodes[component] for name in node.networks}
        return frozenset(now) | self.remembered.get(component, frozenset())

    def share(self, one: str, other: str) -> bool:
        return bool(self.networks(one) & self.networks(other))

    def link(self, client: str, server: str) -> Link | None:
        return next((link for link in self.links if (link.client, link.server) == (client, server)), None)

    def proxied(self, server: str, client: str | None) -> tuple[Link, ...]:
        """Links to `server` through a fault proxy: of one client, or of all."""
        return proxied(self.links, server, client)

    def next_hop(self, client: str, server: str) -> tuple[str, int | None]:
        """The component with which a client talks when it means `server`, and at which port if at one only."""
        link = self.link(client, server)
        return (server, None) if link is None or link.via is None else (link.via, link.port)

    def clients(self, server: str) -> tuple[str, ...]:
        """Components that can reach it. A proxy is a part of the path of others, and none of them."""
        proxies = {link.via for link in self.proxied(server, None)}
        others = (name for name in self.nodes if name != server and name not in proxies)
        return tuple(name for name in others if self.share(name, self.next_hop(name, server)[0]))

    def running(self, component: str) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes[component] if node.container.running and node.networks)

    # --- which packets of which container a fault is about ---------------------------------------------------

    def placements(self, fault: NetworkFault) -> tuple[tuple[Node, Reach], ...]:
        """Containers in whose namespaces it is put, and on what; those that do not run or reach nothing are not there.

        Packets are dropped at one end, in both directions; where everybody is meant, at the server's. They can wait
        on their way out only, so what slows is put at the end that sends.
        """
        server, client = fault.component, fault.client
        if not isinstance(fault, DelayFault | ThrottleFault):
            found = self._everything(server) if client is None else self._towards(client, server)
        else:
            clients = self.clients(server) if client is None else (client,)
            found = [placed for name in clients for placed in self._towards(name, server)]
            if isinstance(fault, ThrottleFault):
                found += self._everything(server) if client is None else self._back(client, server)
        return tuple((node, reach) for node, reach in found if reach.peers or reach.all_but is not None)

    def _everything(self, server: str) -> list[tuple[Node, Reach]]:
        return [(node, _all_but_gateways(node.networks.values())) for node in self.running(server)]

    def _towards(self, client: str, server: str) -> list[tuple[Node, Reach]]:
        hop, port = self.next_hop(client, server)
        return [(node, Reach(_peers(node, self.running(hop), port))) for node in self.running(client)]

    def _back(self, client: str, server: str) -> list[tuple[Node, Reach]]:
        hop, port = self.next_hop(client, server)
        return [
            (node, Reach(_peers(node, self.running(client), port, mine=port is not None)))
            for node in self.running(hop)
        ]


def _peers(node: Node, others: Iterable[Node], port: int | None, *, mine: bool = False) -> tuple[Peer, ...]:
    found = (Peer(other.addresses_for(node), port, mine) for other in others)
    return tuple(peer for peer in found if peer.addresses)


def _all_but_gateways(endpoints: Iterable[Mapping[str, Any]]) -> Reach:
    ends = list(endpoints)
    spared = tuple(gateway for end in ends for gateway in gateways(end))
    return Reach(all_but=spared, has_ipv6=any(end.get("GlobalIPv6Address") for end in ends))
