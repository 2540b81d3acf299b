"""Small environments of real pods: a server that says its name, in as many pods as a test wants."""

from __future__ import annotations

import copy
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from containers.worlds import SERVER
from gameday.environment import Environment
from gameday.fields import parse
from gameday.project import Project
from gameday.targets.kubernetes.cluster import Cluster, NotThere
from gameday.targets.kubernetes.target import KubernetesTarget

IMAGE = "python:3.11-slim"
PORT = 8000
_BY_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "selfLink")
_BY_CONTROLLER = ("deployment.kubernetes.io/revision",)
_GONE_WITHIN_S = 90.0


class Place:
    """One namespace, what is in it and a target for it. `close` removes all of it."""

    def __init__(self, context: str, folder: Path, *, labels: Mapping[str, str] | None = None) -> None:
        self.context = context
        self.namespace = f"gdtest-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.cluster = Cluster(context, self.namespace)
        self.components: dict[str, Any] = {}
        self.links: list[dict[str, Any]] = []
        self.project = Project(folder, folder / ".gameday", folder / "reports")
        given = {"gameday.dev/allow": "true"} if labels is None else dict(labels)
        self.cluster.core.create_namespace({"metadata": {"name": self.namespace, "labels": given}})

    # --- what is there ---------------------------------------------------------------------------------------

    def run(self, component: str, *, replicas: int = 1, kind: str = "deployment", **changed: Any) -> None:
        """A workload of that name whose pods say it, and a Service with a node port. `changed`: of its container."""
        container = {
            "name": "server",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-u", "-c", SERVER],
            "env": [{"name": "SAYS", "value": component}],
            "ports": [{"containerPort": PORT}],
            "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
            **changed,
        }
        labels = {"app": component}
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 2, "containers": [container]},
            },
        }
        body = {"metadata": {"name": component, "labels": labels}, "spec": spec}
        apps = self.cluster.apps
        if kind == "statefulset":
            spec["serviceName"] = component
            apps.create_namespaced_stateful_set(self.namespace, body)
        else:
            apps.create_namespaced_deployment(self.namespace, body)
        service = {"type": "NodePort", "selector": labels, "ports": [{"port": PORT}]}
        self.cluster.core.create_namespaced_service(
            self.namespace, {"metadata": {"name": component}, "spec": service}
        )
        selector = {"workload": f"{kind}/{component}"}
        self.components[component] = {"kubernetes": selector, "port": PORT, "ready": {"within": "60s"}}

    def environment(self) -> Environment:
        first = next(iter(self.components))
        return parse(
            Environment,
            {
                "environment": "small",
                "target": "kubernetes",
                "kubernetes": {"context": self.context, "namespace": self.namespace},
                "drills": "allowed",
                "components": self.components,
                "links": self.links,
                "probes": {"answers": {"http": "GET /", "component": first}},
                "detector": {
                    "kind": "embedded",
                    "rules": "rules.yaml",
                    "scrape": [{"job": "one", "component": first}],
                },
            },
        )

    def target(self) -> KubernetesTarget:
        return KubernetesTarget(self.environment(), "small", self.project)

    def ready(self) -> KubernetesTarget:
        """The target, once all that it consists of is ready."""
        target = self.target()
        for name in self.components:
            target.start(name, 90)
        return target

    # --- what is seen ----------------------------------------------------------------------------------------

    def objects(self) -> dict[str, Any]:
        return objects(self.cluster)

    def pods(self, component: str) -> dict[str, str]:
        """Uids of its pods that are not being deleted, by name; read here, not by the code under test."""
        listed = self.cluster.core.list_namespaced_pod(
            self.namespace, label_selector=f"app={component}"
        ).items
        return {one.metadata.name: one.metadata.uid for one in listed if not one.metadata.deletion_timestamp}

    def close(self) -> None:
        """Remove the namespace, and wait until it is gone."""
        with self.cluster.translated("remove a test's namespace"):
            self.cluster.core.delete_namespace(self.namespace, grace_period_seconds=0)
        deadline = time.monotonic() + _GONE_WITHIN_S
        while time.monotonic() < deadline:
            try:
                with self.cluster.translated("namespace"):
                    self.cluster.core.read_namespace(self.namespace)
            except NotThere:
                return
            time.sleep(0.3)
        raise AssertionError(f"namespace {self.namespace} is still there after {_GONE_WITHIN_S} s")


def objects(cluster: Cluster) -> dict[str, Any]:
    """What people and controllers may notice of a namespace: all but what the server writes into every object, the
    status, and pods, which come and go."""
    found: dict[str, Any] = {}
    lists: dict[str, Callable[..., Any]] = {
        "deployment": cluster.apps.list_namespaced_deployment,
        "statefulset": cluster.apps.list_namespaced_stateful_set,
        "service": cluster.core.list_namespaced_service,
        "configmap": cluster.core.list_namespaced_config_map,
        "secret": cluster.core.list_namespaced_secret,
        "claim": cluster.core.list_namespaced_persistent_volume_claim,
        "policy": cluster.networking.list_namespaced_network_policy,
        "lease": cluster.coordination.list_namespaced_lease,
        "job": cluster.batch.list_namespaced_job,
    }
    for kind, listed in lists.items():
        for item in cluster.raw(listed, cluster.namespace)["items"]:
            found[f"{kind}/{item['metadata']['name']}"] = _shown(item)
    return found


def _shown(item: Mapping[str, Any]) -> dict[str, Any]:
    kept = copy.deepcopy({name: value for name, value in item.items() if name != "status"})
    metadata = kept["metadata"]
    for name in _BY_SERVER:
        metadata.pop(name, None)
    annotations = {
        name: value
        for name, value in (metadata.pop("annotations", None) or {}).items()
        if name not in _BY_CONTROLLER
    }
    if annotations:
        metadata["annotations"] = annotations
    shown: dict[str, Any] = json.loads(json.dumps(kept))
    return shown


@contextmanager
def place(context: str, folder: Path, **options: Any) -> Iterator[Place]:
    made = Place(context, folder, **options)
    try:
        yield made
    finally:
        made.close()
