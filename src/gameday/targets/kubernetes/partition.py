"""Which ends a partition isolates, given what other policies do already. Decides, and touches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gameday.errors import ComponentNotFound, UsageError
from gameday.kubernetes_spec import PodSelector
from gameday.targets.kubernetes.pods import HELPER_LABEL, Pod, Seen, Workload, named
from gameday.targets.kubernetes.policies import (
    DIRECTIONS,
    Direction,
    End,
    Point,
    Policies,
    Sight,
    Way,
    rules_for,
    rules_for_nobody,
    sight,
)

Rules = dict[Direction, list[dict[str, Any]]]
Cut = dict[str, Rules]
"""By component: in which directions its pods are isolated, and what they may still do there."""
_HELPERS = {HELPER_LABEL: "true"}
_ENDED = ("Succeeded", "Failed")


def end_of(component: str, selector: PodSelector, seen: Seen) -> End:
    """A component as policies can name it.

    Raises:
        ComponentNotFound: there is nothing of it.
        UsageError: no label tells its pods from those of others; or they have no network of their own.
    """
    pods, workloads = seen.pods_of(selector), seen.workloads_of(selector)
    if not pods and not workloads:
        raise ComponentNotFound(f"{component}: nothing in the namespace is it")
    for pod in pods:
        if pod.host_network:
            raise UsageError(
                f"{pod.name} of {component} has its node's network (hostNetwork); what is done to it would hit others"
            )
    points = [Point(pod.labels, pod.addresses) for pod in pods if pod.phase not in _ENDED]
    points += [Point(one.labels) for one in workloads]
    if selector.workload is None:
        return End(component, selector.labels, tuple(points))
    own = {pod.uid for pod in pods} | {one.uid for one in workloads}
    others: Sequence[str] = ()
    for labels in (workloads[0].selector, workloads[0].labels):
        there: list[Pod | Workload] = [*seen.pods, *seen.workloads]
        others = [str(one) for one in there if one.uid not in own and labels.items() <= one.labels.items()]
        if labels and not others:
            return End(component, labels, tuple(points))
    raise UsageError(
        f"{component}: the labels of {named(workloads)} are also those of {', '.join(others) or 'nothing'}, and a "
        f"NetworkPolicy knows pods by labels only; give its pods one of their own"
    )


def cut_pair(policies: Policies, server: End, client: End) -> Cut:
    """The two from each other, and from nobody else: each way at both ends, as far as others do not isolate them.

    Raises:
        UsageError: they are cut already, or others isolate both ends and allow it.
    """
    found: Cut = {}
    for sender, receiver in ((client, server), (server, client)):
        ends = _ends(policies, sender, receiver)
        closed = [seen for *_, seen in ends if seen.way is Way.CLOSED]
        if closed and sender is client:
            raise UsageError(
                f"{client.component} -> {server.component}: nothing to cut, as {named(closed[0].policies)} allows none "
                f"of it already"
            )
        free = [(end, direction, other) for end, direction, other, seen in ends if seen.way is Way.FREE]
        if not closed and not free:
            raise UsageError(_impossible(sender, receiver, [seen for *_, seen in ends]))
        for end, direction, other in () if closed else free:
            found.setdefault(end.component, {})[direction] = rules_for(
                direction, end, other, policies.namespace
            )
    return found


def is_cut(policies: Policies, server: End, client: End) -> bool:
    """Whether these policies let nothing pass between the two."""
    return all(
        any(seen.way is Way.CLOSED for *_, seen in _ends(policies, sender, receiver))
        for sender, receiver in ((client, server), (server, client))
    )


def cut_off(policies: Policies, end: End, nodes: Sequence[str], *, names: bool) -> Cut:
    """One from everybody, but for who watches the drill and, with `names`, the DNS.

    Raises:
        UsageError: others isolate it and allow something, or nothing is left to cut.
    """
    rules: Rules = {}
    for direction, seen in _sights(policies, end, names=not names).items():
        if seen.way is Way.FREE:
            rules[direction] = rules_for_nobody(direction, _HELPERS, nodes, names=names)
    if not rules:
        raise UsageError(f"{end.component}: nothing to cut, as other policies allow it nothing already")
    return {end.component: rules}


def cut_all(policies: Policies, end: End) -> Rules:
    """One from everything, as if it had no network.

    Raises:
        UsageError: as above.
    """
    sights = _sights(policies, end, names=True)
    rules: Rules = {direction: [] for direction, seen in sights.items() if seen.way is Way.FREE}
    if not rules:
        raise UsageError(f"{end.component}: nothing to cut, as other policies allow it nothing already")
    return rules


def _sights(policies: Policies, end: End, *, names: bool) -> Mapping[Direction, Sight]:
    found = {direction: sight(policies, end, direction, None, names=names) for direction in DIRECTIONS}
    for direction, seen in found.items():
        if seen.way is Way.OPEN:
            raise UsageError(
                f"{end.component} cannot be cut off: its {direction.lower()} is isolated by {named(seen.policies)}, "
                f"which allow some of it; policies add up, so another one takes nothing away from that"
            )
    return found


def _ends(policies: Policies, sender: End, receiver: End) -> list[tuple[End, Direction, End, Sight]]:
    """Where packets one way can be stopped."""
    places: list[tuple[End, Direction, End]] = [
        (receiver, "Ingress", sender),
        (sender, "Egress", receiver),
    ]
    return [
        (end, direction, other, sight(policies, end, direction, other, names=False))
        for end, direction, other in places
    ]


def _impossible(sender: End, receiver: End, sights: Sequence[Sight]) -> str:
    arriving, leaving = (named(seen.policies) for seen in sights)
    return (
        f"{sender.component} -> {receiver.component} cannot be cut by a NetworkPolicy: ingress of {receiver.component} "
        f"is isolated by {arriving}, egress of {sender.component} by {leaving}, which allow it; policies add up, so "
        f"another one takes nothing away from that. It needs a link through a fault proxy (`via`)"
    )
