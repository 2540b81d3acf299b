"""Which packets suffer, and how: iptables rules for one container's network namespace. Decides, and touches nothing.

Every impairment has a chain of its own in a namespace. The chain's name says of which environment, path and fault it
is, so that it can be found and removed exactly, also when the helper that made it is gone.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gameday.fault_spec import DelayFault, LoseFault, NetworkFault, PartitionFault, ThrottleFault

PREFIX = "GAMEDAY-"
CHAIN = "@"
"""Stands for the chain in the documents below: the helper in the namespace completes its name."""
ROOT = "6da0"
"""Handle of the queue discipline that impairments of traffic hang from."""
_PART = 6
_TCP, _FILTER, _MANGLE = "-p tcp", "filter", "mangle"
_NEIGHBOURS = ("133", "134", "135", "136")  # without these nobody finds a gateway over IPv6


@dataclass(frozen=True, slots=True)
class Peer:
    """Another container, as packets name it. `port`: only TCP with this port is meant: the peer's own, or with `mine`
    that of the namespace's side."""

    addresses: tuple[str, ...]
    port: int | None = None
    mine: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """What packets of a namespace are meant: those of some peers, or all but those of the gateways and loopback."""

    peers: tuple[Peer, ...] = ()
    all_but: tuple[str, ...] | None = None
    """Addresses of gateways."""
    has_ipv6: bool = False


def base_of(environment: str, component: str, client: str | None, name: str) -> str:
    """A chain's name but for its last letter, by which the helper knows whether the table was there before."""
    return _chain(environment, component, client or "", name)


def pattern_of(environment: str, component: str | None, client: str | None, name: str | None) -> str:
    """Of the chains of these, for a shell's `case`; None: any."""
    return _chain(environment, component, client, name) + "?"


def _chain(environment: str, component: str | None, client: str | None, name: str | None) -> str:
    parts = (("component", component), ("client", client), ("name", name))
    return PREFIX + "".join(
        "?" * _PART if text is None else _short(f"{environment}/{kind}/{text}") for kind, text in parts
    )


def class_of(base: str) -> str:
    """Of the queue discipline's class in which its packets wait."""
    return f"{ROOT}:{int(_short(base), 16) % 0xFFFE + 1:x}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_PART]


def addresses(endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    """Of one container on one network; none while it does not run."""
    return tuple(endpoint[key] for key in ("IPAddress", "GlobalIPv6Address") if endpoint.get(key))


def gateways(endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    """Where this machine stands on that network."""
    return tuple(endpoint[key] for key in ("Gateway", "IPv6Gateway") if endpoint.get(key))


def documents(fault: NetworkFault, reach: Reach, base: str) -> tuple[str, str]:
    """Input for iptables-restore and for ip6tables-restore; empty where there is nothing for it."""
    found = []
    for version in (4, 6):
        lines = list(_rules(fault, reach, base, version))
        if not lines:
            found.append("")
            continue
        shapes = isinstance(fault, DelayFault | ThrottleFault)
        hooks = ("POSTROUTING",) if shapes else ("INPUT", "OUTPUT")
        jumps = [f"-I {hook} 1 -j {CHAIN}" for hook in hooks]  # first: nothing may accept them earlier
        table = _MANGLE if shapes else _FILTER
        found.append("\n".join([f"*{table}", f":{CHAIN} - [0:0]", *lines, *jumps, "COMMIT"]))
    return found[0], found[1]


def _rules(fault: NetworkFault, reach: Reach, base: str, version: int) -> Iterable[str]:
    shapes = isinstance(fault, DelayFault | ThrottleFault)
    matches = list(_matches(reach, version, outgoing_only=shapes))
    if not matches:
        return
    yield from _spared(reach, version)
    if isinstance(fault, PartitionFault) and fault.how != "blackhole":
        yield from _passing(fault)
    for match in matches:
        for protocol, action in _actions(fault, base):
            if match.startswith(_TCP):
                yield _line(match, action)
                break  # what follows is for other protocols
            yield _line(protocol, match, action)


def _spared(reach: Reach, version: int) -> Iterable[str]:
    if reach.all_but is None:
        return
    yield _line("-i lo", "-j RETURN")
    yield _line("-o lo", "-j RETURN")
    for gateway in _of_version(reach.all_but, version):
        yield _line(f"-s {gateway}", "-j RETURN")
        yield _line(f"-d {gateway}", "-j RETURN")
    if version == 6:
        for kind in _NEIGHBOURS:
            yield _line(f"-p ipv6-icmp --icmpv6-type {kind}", "-j RETURN")


def _passing(fault: PartitionFault) -> Iterable[str]:
    """A reset must arrive at both ends. With `reset`, connections come about, and break with what is said first."""
    yield _line(f"{_TCP} --tcp-flags RST RST", "-j RETURN")
    if fault.how == "reset":
        yield _line(f"{_TCP} --tcp-flags SYN SYN", "-j RETURN")


def _matches(reach: Reach, version: int, *, outgoing_only: bool) -> Iterable[str]:
    if reach.all_but is not None:
        if version == 4 or reach.has_ipv6:
            yield ""
        return
    for peer in reach.peers:
        for address in _of_version(peer.addresses, version):
            there, here = ("--sport", "--dport") if peer.mine else ("--dport", "--sport")
            tcp = "" if peer.port is None else f"{_TCP} "
            yield f"{tcp}-d {address}" + (f" {there} {peer.port}" if peer.port is not None else "")
            if not outgoing_only:
                yield f"{tcp}-s {address}" + (f" {here} {peer.port}" if peer.port is not None else "")


def _actions(fault: NetworkFault, base: str) -> tuple[tuple[str, str], ...]:
    """Protocol and what happens to it, in their order."""
    match fault:
        case PartitionFault(how="blackhole"):
            return (("", "-j DROP"),)
        case PartitionFault():
            return ((_TCP, "-j REJECT --reject-with tcp-reset"), ("", "-j REJECT"))
        case LoseFault():
            return (("", f"-m statistic --mode random --probability {fault.percent / 100:.2f} -j DROP"),)
        case DelayFault() | ThrottleFault():
            return (("", f"-j CLASSIFY --set-class {class_of(base)}"),)


def _of_version(found: Iterable[str], version: int) -> Iterable[str]:
    return (address for address in found if ipaddress.ip_address(address).version == version)


def _line(*parts: str) -> str:
    return " ".join(part for part in (f"-A {CHAIN}", *parts) if part)
