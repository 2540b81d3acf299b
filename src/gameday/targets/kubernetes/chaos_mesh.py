"""NetworkChaos resources of Chaos Mesh: what is asked for, and whether it is in force. Decides, and touches nothing.

Its daemon filters what a pod sends by the address that the pod itself sends to. That is the Service's where it goes by
way of one, so the addresses of the server's Service are targets beside its pods. Those may be named only for packets
that leave the selected pods (`direction: to`); what has to act in both directions is two resources.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.fault_spec import DelayFault, LoseFault, NetworkFault
from gameday.targets.kubernetes.policies import Document, End

GROUP, VERSION, PLURAL = "chaos-mesh.org", "v1alpha1", "networkchaos"
CRD = f"{PLURAL}.{GROUP}"
BY_FORCE = "chaos-mesh.chaos-mesh.org/cleanFinalizer=forced"
"""The annotation by which its operators give a resource up that it cannot revert."""
_IN_FORCE, _SELECTED = "AllInjected", "."
_INJECTED = "Injected"
_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class OneWay:
    """Packets from one end to another. `addresses`: others that the receiver is reached by, such as its Service's."""

    sender: End
    receiver: End
    addresses: tuple[str, ...] = ()


def can_slow(fault: NetworkFault) -> bool:
    """Whether it is a fault that NetworkChaos is used for here, where it is between two components."""
    return isinstance(fault, DelayFault | LoseFault)


def ways(fault: NetworkFault, server: End, client: End, addresses: Iterable[str]) -> tuple[OneWay, ...]:
    """In which directions it acts: a delay on what is sent to the component, a loss on both."""
    there = OneWay(client, server, tuple(addresses))
    return (there, OneWay(server, client)) if isinstance(fault, LoseFault) else (there,)


def resource(
    metadata: Mapping[str, Any], fault: NetworkFault, way: OneWay, namespace: str, ttl_s: float
) -> dict[str, Any]:
    """One way of a fault. Chaos Mesh reverts it after `duration`, and leaves the resource."""
    spec: dict[str, Any] = {
        **_action(fault),
        "mode": "all",
        "selector": _pods(way.sender, namespace),
        "direction": "to",
        "target": {"mode": "all", "selector": _pods(way.receiver, namespace)},
        "duration": f"{math.ceil(ttl_s)}s",
    }
    if way.addresses:
        spec["externalTargets"] = [str(ipaddress.ip_network(one)) for one in way.addresses]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "NetworkChaos",
        "metadata": dict(metadata),
        "spec": spec,
    }


def why_not(found: Document, pods: Iterable[str]) -> str:
    """Why a resource is not in force in all of these pods, for people; empty when it is.

    Its own word is not enough: where it selected nothing, nothing is missing.
    """
    status = found.get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    if not conditions:
        return (
            "nobody has taken it up; Chaos Mesh's controller does not run, or does not look at this namespace"
        )
    records: Sequence[Mapping[str, Any]] = (status.get("experiment") or {}).get("containerRecords") or ()
    acting = {_pod(one) for one in records if (one["selectorKey"], one["phase"]) == (_SELECTED, _INJECTED)}
    missing = [name for name in pods if name not in acting]
    if conditions.get(_IN_FORCE) == "True" and acting and not missing:
        return ""
    said = [f"{kind} is {value}" for kind, value in sorted(conditions.items())]
    said += [f"not in {', '.join(missing)}"] if missing else []
    return "; ".join([", ".join(said), *_troubles(records)])


def _action(fault: NetworkFault) -> dict[str, Any]:
    match fault:
        case DelayFault():
            delay = {"latency": _time(fault.by), "jitter": _time(fault.jitter), "correlation": "0"}
            return {"action": "delay", "delay": delay}
        case LoseFault():
            return {"action": "loss", "loss": {"loss": str(fault.percent), "correlation": "0"}}
    raise TypeError(f"{fault.verb} is no fault of Chaos Mesh here")


def _time(seconds: float) -> str:
    """As Go reads it: a whole number of milliseconds where it is one."""
    whole, rest = divmod(round(seconds * 1e6), 1000)
    return f"{whole}ms" if not rest else f"{whole * 1000 + rest}us"


def _pods(end: End, namespace: str) -> dict[str, Any]:
    return {"namespaces": [namespace], "labelSelectors": dict(end.selector)}


def _pod(record: Mapping[str, Any]) -> str:
    """Of `NAMESPACE/POD`."""
    return str(record["id"]).split("/")[1]


def _troubles(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """What it says itself of the pods in which it is not in force; older releases say nothing."""
    last = [one["events"][-1] for one in records if one["phase"] != _INJECTED and one.get("events")]
    return list(dict.fromkeys(str(one["message"])[:_MESSAGE] for one in last if one.get("message")))
