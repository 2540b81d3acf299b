"""What NetworkPolicies let through, and which ones cut a path and nothing else. Decides, and touches nothing.

A policy isolates the pods that it selects, in one direction or both: they may talk with whom some policy allows, and
with nobody else. Policies add up, so one more cuts a path only where no other allows it. One that cuts a pair allows
everybody but the other one; where others isolate the pods already it would widen what they allow, and is not made.
A path is closed where one of its two ends is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

Direction = Literal["Ingress", "Egress"]
Document = Mapping[str, Any]
DIRECTIONS: tuple[Direction, ...] = ("Ingress", "Egress")
NAMESPACE_NAME = "kubernetes.io/metadata.name"
_NAMES = 53
_DNS_PORTS = [{"protocol": "UDP", "port": _NAMES}, {"protocol": "TCP", "port": _NAMES}]


@dataclass(frozen=True, slots=True)
class Point:
    """A pod, as policies see it; without addresses one that could be."""

    labels: Mapping[str, str]
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """A component as one end of paths. `selector`: labels that its pods carry, and no others."""

    component: str
    selector: Mapping[str, str]
    points: tuple[Point, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address for point in self.points for address in point.addresses)


@dataclass(frozen=True, slots=True)
class Policies:
    """Those of a namespace, which has these labels itself."""

    namespace: str
    labels: Mapping[str, str]
    documents: tuple[Document, ...]


class Way(StrEnum):
    """How one end stands to packets of one direction, to or from another end."""

    FREE = "free"
    """No policy isolates it."""
    OPEN = "open"
    """Policies isolate it, and one of them allows the other end."""
    CLOSED = "closed"
    """Policies isolate it, and none of them does."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How one end stands, and the names of the policies that say so."""

    way: Way
    policies: tuple[str, ...] = ()


# --- what is allowed ----------------------------------------------------------------------------------------


def sight(policies: Policies, end: End, direction: Direction, other: End | None, *, names: bool) -> Sight:
    """How `end` stands to `other`; None: to anybody. `names`: whether rules for DNS alone count."""
    selecting = [
        [
            one
            for one in policies.documents
            if _isolates(one, direction) and selects(_pods_of(one), point.labels)
        ]
        for point in end.points
    ]
    if not any(selecting):
        return Sight(Way.FREE)
    found = {one["metadata"]["name"]: one for ones in selecting for one in ones}
    allowing = tuple(
        name
        for name, one in found.items()
        if any(
            (names or not _only_names(rule)) and _lets(policies, rule, direction, other)
            for rule in one["spec"].get(direction.lower()) or ()
        )
    )
    if allowing:
        return Sight(Way.OPEN, allowing)
    if not all(
        selecting
    ):  # some pods of it are isolated and some are not: no policy for all of them fits both
        return Sight(Way.OPEN, tuple(found))
    return Sight(Way.CLOSED, tuple(found))


def selects(selector: Document, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_fits(one, labels) for one in selector.get("matchExpressions") or ())


def _fits(expression: Document, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _isolates(policy: Document, direction: Direction) -> bool:
    return direction in (policy["spec"].get("policyTypes") or ())


def _pods_of(policy: Document) -> Document:
    selector: Document = policy["spec"].get("podSelector") or {}
    return selector


def _only_names(rule: Document) -> bool:
    ports = rule.get("ports") or ()
    return bool(ports) and all(one.get("port") == _NAMES and not one.get("endPort") for one in ports)


def _lets(policies: Policies, rule: Document, direction: Direction, other: End | None) -> bool:
    peers = rule.get("from" if direction == "Ingress" else "to") or ()
    if other is None or not peers:
        return True
    return any(_is_peer(policies, peer, point) for peer in peers for point in other.points)


def _is_peer(policies: Policies, peer: Document, point: Point) -> bool:
    block = peer.get("ipBlock")
    if block is not None:
        return any(_in_block(block, address) for address in point.addresses)
    there = peer.get("namespaceSelector")
    if there is not None and not selects(there, policies.labels):
        return False
    return selects(peer.get("podSelector") or {}, point.labels)


def _in_block(block: Document, address: str) -> bool:
    found = ipaddress.ip_address(address)
    inside = found in ipaddress.ip_network(block["cidr"], strict=False)
    return inside and not any(
        found in ipaddress.ip_network(one, strict=False) for one in block.get("except") or ()
    )


# --- what is made -------------------------------------------------------------------------------------------


def all_but(end: End, namespace: str, versions: Iterable[int]) -> list[dict[str, Any]]:
    """Peers: everybody but the pods of `end`.

    Pods of this namespace are told by labels, so that those are meant that come later; what is no pod (nodes, and
    whom they stand for, what is outside) by address. Enforcers take the addresses for those of pods too.
    """
    others = [
        {"podSelector": {"matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]}}
        for key, value in sorted(end.selector.items())
    ]
    elsewhere = {"key": NAMESPACE_NAME, "operator": "NotIn", "values": [namespace]}
    blocks = [{"ipBlock": {"cidr": cidr}} for cidr in complement(end.addresses, versions)]
    return [*others, {"namespaceSelector": {"matchExpressions": [elsewhere]}}, *blocks]


def complement(addresses: Iterable[str], versions: Iterable[int]) -> list[str]:
    """All addresses but these. As blocks without `except`, of which not every enforcer reads more than one."""
    known = {ipaddress.ip_address(address) for address in addresses}
    left = []
    for version in sorted(set(versions)):
        rest: list[Any] = [ipaddress.ip_network("0.0.0.0/0" if version == 4 else "::/0")]
        for address in sorted(one for one in known if one.version == version):
            single = ipaddress.ip_network(address)
            around = next(one for one in rest if address in one)
            rest.remove(around)
            rest += around.address_exclude(single)
        left += [str(one) for one in sorted(rest)]
    return left


def rules_for(direction: Direction, end: End, other: End, namespace: str) -> list[dict[str, Any]]:
    """Everybody but `other`."""
    versions = {ipaddress.ip_address(one).version for one in (*end.addresses, *other.addresses)}
    return [{"from" if direction == "Ingress" else "to": all_but(other, namespace, versions)}]


def rules_for_nobody(
    direction: Direction, helper: Mapping[str, str], nodes: Sequence[str], *, names: bool
) -> list[dict[str, Any]]:
    """Nobody but who watches the drill: nodes, through which node ports are asked, and gameday's own pods; and with
    `names` whoever answers at the ports of DNS."""
    if direction == "Egress":
        return [{"ports": _DNS_PORTS}] if names else []
    lengths = {4: 32, 6: 128}
    blocks = [f"{one}/{lengths[ipaddress.ip_address(one).version]}" for one in sorted(set(nodes))]
    own = {"namespaceSelector": {}, "podSelector": {"matchLabels": dict(helper)}}
    return [{"from": [own, *({"ipBlock": {"cidr": block}} for block in blocks)]}]


def document(
    metadata: Mapping[str, Any], selector: Mapping[str, str], rules: Mapping[Direction, Sequence[Document]]
) -> dict[str, Any]:
    """One policy for these pods, in the directions of which `rules` says what is still allowed."""
    spec: dict[str, Any] = {"podSelector": {"matchLabels": dict(selector)}, "policyTypes": list(rules)}
    spec |= {direction.lower(): list(allowed) for direction, allowed in rules.items()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": dict(metadata),
        "spec": spec,
    }
