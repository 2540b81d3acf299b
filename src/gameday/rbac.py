"""What drills may do in a cluster, at least: from faults, runbooks and what the target does with them to rules.

Pure: nothing is asked. What each operation asks of the API server stands in one table; a test runs operations under
exactly these rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gameday.environment import Environment
from gameday.fault_spec import AnyFault

RUNNER, SWITCH = "gameday", "gameday-deadman"
"""Service accounts: of a runner in the cluster, and of every dead-man switch."""
_RBAC = "rbac.authorization.k8s.io"
_EVERY_NODE = ("nodes",)
_BY_CHAOS_MESH = ("delay", "lose")
"""Verbs of faults for which Chaos Mesh is used, between two components."""


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """One verb on one kind of object."""

    group: str
    resource: str
    verb: str

    @property
    def of_cluster(self) -> bool:
        """Whether these are in no namespace."""
        return self.resource in _EVERY_NODE

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def _on(what: str, *verbs: str) -> frozenset[Need]:
    """`what` is `RESOURCE` or `RESOURCE.GROUP`."""
    resource, _, group = what.partition(".")
    return frozenset(Need(group, resource, verb) for verb in verbs)


_LOOK = (
    _on("pods", "list")
    | _on("deployments.apps", "list")
    | _on("statefulsets.apps", "list")
    | _on("replicasets.apps", "list")
)
_EXECUTE = _on("pods/exec", "get", "create")  # since 1.35 a connection needs the second too
_HELP = _on("pods", "get", "list", "create", "delete") | _on("pods/log", "get")
_POLICIES = _on("networkpolicies.networking.k8s.io", "list", "create", "update", "delete")
_NODES = _on("nodes", "get", "list", "patch")
_ALWAYS = _LOOK | _on("namespaces", "get")
GUARDED = (
    _on("leases.coordination.k8s.io", "get", "list", "create", "update", "patch", "delete")
    | _on("configmaps", "get", "list", "create", "patch", "delete")
    | _on("jobs.batch", "list", "create", "delete")
    | _on("serviceaccounts", "get")
    | _on("services", "get")
)
"""What the drill itself needs beside what it does: lock, records, dead-man switch, addresses."""
_GUARDING = (
    _on("leases.coordination.k8s.io", "get", "watch", "create", "patch", "delete")
    | _on("configmaps", "get", "patch", "delete")
    | _on("jobs.batch", "delete")
)
_SCALED = "scaled"
"""Stands for reading and changing the workload of the component, of whichever kind it is."""
_DOES: Mapping[str, tuple[frozenset[Need], ...]] = {
    "start": (_on(_SCALED, "get", "patch"),),
    "stop": (_on(_SCALED, "get", "patch"), _on("pods", "delete")),
    "restart": (_on(_SCALED, "get", "patch"), _on("pods", "delete")),
    "kill": (_on(_SCALED, "get", "patch"), _on("pods", "delete")),
    "deploy": (_on(_SCALED, "get", "patch"),),
    "rollback": (_on(_SCALED, "get", "patch"),),
    "logs": (_on("pods/log", "get"),),
    "run": (_EXECUTE,),
    "impair": (_POLICIES,),
    "heal": (_POLICIES, _on("pods", "patch")),
    "toxic": (_EXECUTE, _on("pods", "get")),
    "chaos": (_on("networkchaos.chaos-mesh.org", "get", "list", "create", "delete"),),
    "unchaos": (_on("networkchaos.chaos-mesh.org", "list", "delete"),),
    "disconnect_network": (_POLICIES, _on("pods", "patch")),
    "limit": (_on("pods", "get", "patch"), _on("pods/resize", "get", "patch")),
    "flood": (_EXECUTE, _on(_SCALED, "get")),
    "disk": (_HELP, _EXECUTE, _on(_SCALED, "get")),
    "client": (_HELP, _EXECUTE, _on(_SCALED, "get")),
    "sessions": (_EXECUTE, _on(_SCALED, "get")),
    "data": (_HELP, _EXECUTE, _on(_SCALED, "get", "patch")),
    "drain": (_NODES, _on("pods/eviction", "create")),
    "uncordon": (_NODES,),
}
"""What each does beyond looking."""
_FAULTS: Mapping[str, tuple[str, ...]] = {
    "kill": ("kill",),
    "stop": ("stop",),
    "partition": ("impair",),
    "delay": ("impair",),
    "throttle": ("impair",),
    "lose": ("impair",),
    "disconnect": ("disconnect_network",),
    "limit": ("limit",),
    "drain": ("drain",),
    "fill": ("disk",),
    "flood": ("flood",),
    "exhaust": ("client",),
    "flush": ("client",),
    "destroy": ("data", "kill"),
    "deploy": ("deploy",),
}
"""What a fault does to its component, by verb; the others ask over HTTP."""
_UNDOS: Mapping[str, tuple[str, ...]] = {
    "kill": ("start",),
    "stop": ("start",),
    "partition": ("heal",),
    "delay": ("heal",),
    "throttle": ("heal",),
    "lose": ("heal",),
    "disconnect": ("disconnect_network",),
    "limit": ("limit",),
    "drain": ("uncordon",),
    "fill": ("disk",),
    "flood": ("flood",),
    "exhaust": ("client",),
    "flush": ("client",),
    "destroy": ("data", "kill"),
    "deploy": ("deploy", "start"),
}
_STEPS: Mapping[str, tuple[str, ...]] = {
    "reconnect": ("heal", "disconnect_network"),
    "restore": ("data", "kill"),
    "reclaim": ("disk",),
    "disconnect": ("sessions",),
    "pause": (),
    "resume": (),
    "status": (),
    "request": (),
}
"""Verbs of runbooks that are not in the table of what is done by the same name."""


def runner_needs(
    environment: Environment, faults: Iterable[AnyFault], steps: Iterable[tuple[str, str]]
) -> frozenset[Need]:
    """Of who drills: `steps` are verbs of the runbook with their components, `run` for a command."""
    faults = tuple(faults)
    needs = _ALWAYS | GUARDED | _undoing(environment, faults) | _secrets(environment)
    for fault in faults:
        needs |= _done(environment, fault.component, _means(environment, fault, _FAULTS))
    for verb, component in steps:
        needs |= _done(environment, component, _STEPS.get(verb, (verb,)))
    return needs


def switch_needs(environment: Environment, faults: Iterable[AnyFault]) -> frozenset[Need]:
    """Of the dead-man switch, which reverts alone."""
    hidden = (
        _on("secrets", "get")
        if "${secret:" in environment.model_dump_json(exclude_unset=True)
        else frozenset()
    )
    return _ALWAYS | _GUARDING | _undoing(environment, tuple(faults)) | hidden


def rules(needs: Iterable[Need]) -> list[dict[str, Any]]:
    """As a Role has them: kinds of one group with the same verbs are one rule."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for need in sorted(needs):
        verbs.setdefault((need.group, need.resource), []).append(need.verb)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), allowed in verbs.items():
        alike.setdefault((group, tuple(allowed)), []).append(resource)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": list(allowed)}
        for (group, allowed), resources in alike.items()
    ]


def manifests(namespace: str, accounts: Mapping[str, frozenset[Need]]) -> list[dict[str, Any]]:
    """Service accounts that may do exactly what they need, by name."""
    made: list[dict[str, Any]] = []
    for name, needs in accounts.items():
        metadata = {"name": name, "namespace": namespace}
        subject = {"kind": "ServiceAccount", **metadata}
        made.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        inside = {need for need in needs if not need.of_cluster}
        made += _granted("Role", metadata, rules(inside), subject)
        outside = needs - inside
        if outside:
            made += _granted("ClusterRole", {"name": f"{name}-{namespace}"}, rules(outside), subject)
    return made


def _granted(
    kind: str, metadata: Mapping[str, str], allowed: list[dict[str, Any]], subject: Mapping[str, str]
) -> list[dict[str, Any]]:
    version = f"{_RBAC}/v1"
    reference = {"apiGroup": _RBAC, "kind": kind, "name": metadata["name"]}
    return [
        {"apiVersion": version, "kind": kind, "metadata": dict(metadata), "rules": allowed},
        {
            "apiVersion": version,
            "kind": f"{kind}Binding",
            "metadata": dict(metadata),
            "roleRef": reference,
            "subjects": [dict(subject)],
        },
    ]


def _undoing(environment: Environment, faults: tuple[AnyFault, ...]) -> frozenset[Need]:
    needs: frozenset[Need] = frozenset()
    for fault in faults:
        needs |= _done(environment, fault.component, _means(environment, fault, _UNDOS))
    return needs


def _means(
    environment: Environment, fault: AnyFault, table: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """What a fault, or its undo, is done by here."""
    component = environment.components.get(fault.component)
    if fault.verb == "flood" and getattr(component, "switch", None) is not None:
        return ()  # it floods its own log
    done = table.get(fault.verb, ())
    if not {"impair", "heal"} & set(done):
        return done
    if _is_for_chaos_mesh(environment, fault):
        done = (*done, "chaos" if "impair" in done else "unchaos")
    return (*done, "toxic") if any(one.via for one in environment.links) else done


def _is_for_chaos_mesh(environment: Environment, fault: AnyFault) -> bool:
    """Whether nothing but Chaos Mesh could do it, as no link between the two leads through a fault proxy."""
    client = getattr(fault, "client", None)
    links = [one for one in environment.links if (one.client, one.server) == (client, fault.component)]
    return fault.verb in _BY_CHAOS_MESH and client is not None and not any(one.via for one in links)


def _done(environment: Environment, component: str, operations: Iterable[str]) -> frozenset[Need]:
    operations = tuple(operations)
    needs: frozenset[Need] = frozenset()
    if "kill" in operations and getattr(environment.components.get(component), "database", None) is not None:
        needs |= _EXECUTE  # a server crashes before its pod is deleted
    for operation in operations:
        for need in frozenset().union(*_DOES.get(operation, ())):
            needs |= _of_kind(environment, component, need) if need.resource == _SCALED else frozenset({need})
    return needs


def _of_kind(environment: Environment, component: str, need: Need) -> frozenset[Need]:
    """On what makes the component's pods; where labels say which that is, it may be of either kind."""
    selector = getattr(environment.components.get(component), "kubernetes", None)
    kind = (selector.workload or "").partition("/")[0] if selector is not None else ""
    kinds = {"deployment": ("deployments",), "statefulset": ("statefulsets",)}.get(
        kind, ("deployments", "statefulsets")
    )
    return frozenset(Need("apps", resource, need.verb) for resource in kinds)


def _secrets(environment: Environment) -> frozenset[Need]:
    """What the environment's file refers to: secrets of the namespace; variables, which the switch is told by one."""
    written = environment.model_copy(update={"kubernetes": None}).model_dump_json(exclude_unset=True)
    needs = _on("secrets", "get") if "${secret:" in written else frozenset()
    return needs | (_on("secrets", "create", "patch", "delete") if "${env:" in written else frozenset())
