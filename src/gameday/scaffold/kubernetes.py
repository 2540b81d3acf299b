"""What is in a namespace of a cluster: deployments and stateful sets, as components of an environment."""

from __future__ import annotations

import contextlib
import shlex
import socket
from collections.abc import Mapping
from typing import Any

from gameday.errors import TargetError, UsageError
from gameday.kubernetes_spec import ClusterSpec
from gameday.scaffold.place import Part, Place, name_of
from gameday.targets.kubernetes.cluster import ALLOW_LABEL, Cluster
from gameday.targets.kubernetes.pods import Workload, look

_TIMEOUT_S = 2.0
_INTERNAL = "InternalIP"


def contexts() -> tuple[str, ...]:
    """Of the kubeconfig; none where there is none."""
    from kubernetes import config as sdk_config

    config: Any = sdk_config  # it has no types
    with contextlib.suppress(config.ConfigException):
        return tuple(sorted(one["name"] for one in config.list_kube_config_contexts()[0]))
    return ()


def namespaces(context: str) -> tuple[str, ...]:
    """Those that could be drilled. Raises TargetError where they are not told."""
    cluster = Cluster(context, "default")
    with cluster.translated("list namespaces"):
        found = cluster.raw(cluster.core.list_namespace)["items"]
    return tuple(name for one in found if not (name := str(one["metadata"]["name"])).startswith("kube-"))


def look_at_namespace(context: str, namespace: str) -> Place:
    """Asks the API server, and each node port once.

    Raises:
        UsageError: no such context, or nothing that could be a component.
        TargetError: the API server does not answer, or there is no such namespace.
    """
    try:
        ClusterSpec(context=context, namespace=namespace)
    except ValueError as error:
        raise UsageError(f"--namespace {namespace}: {error.errors()[0]['msg']}") from None  # type: ignore[attr-defined]
    cluster = Cluster(context, namespace)
    with cluster.translated(f"namespace {namespace} of context {context}"):
        labels = cluster.raw(cluster.core.read_namespace, namespace)["metadata"].get("labels") or {}
    workloads = look(cluster).workloads
    if not workloads:
        raise UsageError(
            f"namespace {namespace} of context {context} has neither deployments nor stateful sets"
        )
    with cluster.translated(f"list services of {namespace}"):
        services = cluster.raw(cluster.core.list_namespaced_service, namespace)["items"]
    images = _images(cluster)
    host = _host(cluster, services)
    parts: list[Part] = []
    for one in workloads:
        name = name_of(one.name, [part.name for part in parts])
        parts.append(_part(name, one, images.get(str(one), ""), services, host))
    spec: dict[str, str] = {"context": context, "namespace": namespace}
    if host != cluster.host:
        spec["node_host"] = host
    header = {"kubernetes": spec}
    what = f"namespace {namespace} of context {context}"
    return Place(
        "kubernetes", name_of(namespace), what, tuple(parts), header, _steps(context, namespace, labels)
    )


def _steps(context: str, namespace: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    if labels.get(ALLOW_LABEL) == "true":
        return ()
    words = ["kubectl", "--context", context, "label", "namespace", namespace, f"{ALLOW_LABEL}=true"]
    return (f"the namespace does not allow drills yet; who answers for it says: {shlex.join(words)}",)


def _images(cluster: Cluster) -> dict[str, str]:
    """Of the first container of each workload."""
    found = {}
    with cluster.translated(f"list workloads of {cluster.namespace}"):
        for kind, call in (
            ("deployment", cluster.apps.list_namespaced_deployment),
            ("statefulset", cluster.apps.list_namespaced_stateful_set),
        ):
            for one in cluster.raw(call, cluster.namespace)["items"]:
                containers = one["spec"]["template"]["spec"]["containers"]
                found[f"{kind}/{one['metadata']['name']}"] = str(containers[0]["image"])
    return found


def _part(name: str, workload: Workload, image: str, services: list[dict[str, Any]], host: str) -> Part:
    selecting = [
        one
        for one in services
        if (selector := one["spec"].get("selector")) and selector.items() <= workload.labels.items()
    ]
    offers = [
        (one["metadata"]["name"], port)
        for one in selecting
        for port in one["spec"].get("ports") or []
        if port.get("protocol", "TCP") == "TCP"
    ]
    offers.sort(key=lambda offer: not offer[1].get("nodePort"))
    service, port = offers[0] if offers else (None, None)
    published = port.get("nodePort") if port else None
    return Part(
        name,
        {"workload": str(workload)},
        image,
        workload.replicas,
        workload.ready,
        port=int(port["port"]) if port else None,
        service=service if service != name else None,
        host=host if published else None,
        published=published,
        unreachable=_why(service, published),
    )


def _why(service: str | None, published: int | None) -> str:
    if service is None:
        return "no Service selects its pods, so nothing can ask it; give it one"
    if published is None:
        return f"Service {service} has no node port, so nothing outside can ask it; make it of type NodePort"
    return ""


def _host(cluster: Cluster, services: list[dict[str, Any]]) -> str:
    """Where node ports answer: the API server's host, or a node's own address where only that does."""
    ports = [
        port["nodePort"]
        for one in services
        for port in one["spec"].get("ports") or []
        if port.get("nodePort")
    ]
    if not ports or _connects(cluster.host, ports):
        return cluster.host
    with contextlib.suppress(TargetError):  # who may not ask for nodes stays with the API server's host
        with cluster.translated("list nodes"):
            nodes = cluster.raw(cluster.core.list_node)["items"]
        found = [
            str(address["address"])
            for node in nodes
            for address in node["status"].get("addresses") or []
            if address["type"] == _INTERNAL
        ]
        return next((address for address in found if _connects(address, ports)), cluster.host)
    return cluster.host


def _connects(host: str, ports: list[int]) -> bool:
    for port in ports:
        with contextlib.suppress(OSError), socket.create_connection((host, port), _TIMEOUT_S):
            return True
    return False
