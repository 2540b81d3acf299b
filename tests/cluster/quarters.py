"""A namespace of a test's own on a real cluster: restricted as Pod Security can be, with volumes in folders of this
machine, and everything in it removed at the end. What is looked at is looked at by kubectl, not by gameday.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gameday.environment import Environment
from gameday.fields import parse
from gameday.project import Project
from gameday.targets.kubernetes.target import KubernetesTarget

CONTEXT = os.environ.get("CONTEXT", "testbed")
SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_LASTING = (
    "deployments,statefulsets,services,configmaps,secrets,persistentvolumeclaims,networkpolicies,leases,jobs"
)
_KINDS = (
    "pods,deployments,statefulsets,replicasets,services,configmaps,secrets,persistentvolumeclaims,jobs,"
    "networkpolicies"
)
_OF_THE_SERVER = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
)


def kubectl(*words: str, stdin: str | None = None, check: bool = True) -> str:
    """What it said."""
    done = subprocess.run(
        ["kubectl", "--context", CONTEXT, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def config_of(account: str, namespace: str, folder: Path, context: str = "runner") -> Path:
    """A kubeconfig of a service account, for an hour."""
    token = kubectl("create", "token", account, "-n", namespace, "--duration=1h").strip()
    return write_config(token, folder, context)


def write_config(token: str, folder: Path, context: str) -> Path:
    """A kubeconfig that shows this token to the cluster of the tests, as the context of that name."""
    known = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    known["users"] = [{"name": "runner", "user": {"token": token}}]
    known["contexts"] = [
        {"name": context, "context": {"cluster": known["clusters"][0]["name"], "user": "runner"}}
    ]
    known["current-context"] = context
    path = folder / "kubeconfig"
    path.write_text(json.dumps(known), encoding="utf-8")
    return path


class Quarters:
    """One namespace, the components of an environment in it, and its target."""

    def __init__(
        self, folder: Path, prefix: str = "kd", level: str = "restricted", *, allow: bool = True
    ) -> None:
        self.namespace = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.components: dict[str, Any] = {}
        self.volumes: list[str] = []
        self.project = Project(folder, folder / ".gameday", folder / "reports")
        labels = {"pod-security.kubernetes.io/enforce": level}
        if allow:
            labels["gameday.dev/allow"] = "true"
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}}
        )

    def apply(self, *objects: Mapping[str, Any]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        kubectl("apply", "-f", "-", stdin=json.dumps(document))

    def do(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        return kubectl("-n", self.namespace, *words, stdin=stdin, check=check)

    def shell(self, pod: str, script: str, *, check: bool = True) -> str:
        """Run in a pod, by another client than gameday's."""
        return self.do("exec", pod, "--", "sh", "-c", script, check=check)

    def get(self, what: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.do("get", what, name, "-o", "json"))
        return found

    def listed(self, what: str, selector: str = "") -> list[dict[str, Any]]:
        words = ["get", what, "-o", "json", *(["-l", selector] if selector else [])]
        found: list[dict[str, Any]] = json.loads(self.do(*words))["items"]
        return found

    def pods_of(self, component: str) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.listed("pods", f"app={component}")]

    def uids_of(self, component: str) -> dict[str, str]:
        """Of its pods that are not being deleted, by name."""
        found = [pod["metadata"] for pod in self.listed("pods", f"app={component}")]
        return {one["name"]: one["uid"] for one in found if "deletionTimestamp" not in one}

    def helpers(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.listed("pods", "gameday.dev/helper=true")]

    def claim(self, name: str, path: Path | None = None) -> dict[str, Any]:
        """A claim and its volume: a folder of this machine. To be applied with the rest."""
        folder = path or self.folder / "volumes" / name
        folder.mkdir(parents=True, exist_ok=True)
        volume = f"{self.namespace}-{name}"
        self.volumes.append(volume)
        node = json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        size, modes = {"storage": "64Mi"}, ["ReadWriteOnce"]
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": volume, "labels": {"gameday.test": self.namespace}},
                "spec": {
                    "capacity": size,
                    "accessModes": modes,
                    "persistentVolumeReclaimPolicy": "Retain",
                    "storageClassName": "",
                    "local": {"path": str(folder)},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                },
            }
        )
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "accessModes": modes,
                "storageClassName": "",
                "volumeName": volume,
                "resources": {"requests": size},
            },
        }

    def workload(
        self,
        component: str,
        container: Mapping[str, Any],
        *,
        kind: str = "Deployment",
        port: int | None = None,
        user: int = 10001,
        group: int = 10001,
        replicas: int = 1,
        **pod: Any,
    ) -> list[dict[str, Any]]:
        """A workload of one container, and a Service with a node port for `port`; `pod` is more of the pod's
        specification."""
        labels = {"app": component}
        made: list[dict[str, Any]] = [
            {
                "apiVersion": "apps/v1",
                "kind": kind,
                "metadata": {"name": component, "namespace": self.namespace},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    **({"serviceName": component} if kind == "StatefulSet" else {}),
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "terminationGracePeriodSeconds": 5,
                            "automountServiceAccountToken": False,
                            "enableServiceLinks": False,
                            "securityContext": {
                                "runAsNonRoot": True,
                                "runAsUser": user,
                                "runAsGroup": group,
                                "fsGroup": group,
                                # not each time: a server's own permissions would be widened
                                "fsGroupChangePolicy": "OnRootMismatch",
                                "seccompProfile": {"type": "RuntimeDefault"},
                            },
                            "containers": [
                                {
                                    "name": component,
                                    "imagePullPolicy": "IfNotPresent",
                                    "securityContext": SECURITY,
                                    **container,
                                }
                            ],
                            **pod,
                        },
                    },
                },
            }
        ]
        spec: dict[str, Any] = {"kubernetes": {"workload": f"{kind.lower()}/{component}"}}
        if port is not None:
            made.append(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": component, "namespace": self.namespace},
                    "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": port}]},
                }
            )
            spec["port"] = port
        self.components.setdefault(component, spec)
        return made

    def ready(self, *components: str, within_s: int = 90) -> None:
        for component in components:
            what = self.components[component]["kubernetes"]["workload"]
            self.do("rollout", "status", what, f"--timeout={within_s}s")

    def environment(self) -> Environment:
        components = dict(self.components)
        asked = next((name for name, one in components.items() if "port" in one), "nobody")
        if asked == "nobody":  # a probe asks something; tests of what has no port do not
            components["nobody"] = {"kubernetes": {"workload": "deployment/nobody"}, "port": 80}
        document = {
            "environment": "quarters",
            "target": "kubernetes",
            "drills": "allowed",
            "kubernetes": {"context": CONTEXT, "namespace": self.namespace},
            "probes": {"open": {"tcp": "", "component": asked}},
            "detector": {"kind": "prometheus", "url": "http://127.0.0.1:1"},
            "components": components,
        }
        return parse(Environment, document)

    def target(self) -> KubernetesTarget:
        """Another one each time, as another runner would have it."""
        return KubernetesTarget(self.environment(), "quarters", self.project)

    def everything(self) -> dict[str, Any]:
        """All objects by kind and name, without what the server itself manages."""
        seen = {}
        for one in json.loads(self.do("get", _KINDS, "-o", "json"))["items"]:
            seen[f"{one['kind']} {one['metadata']['name']}"] = comparable(one)
        return seen

    def close(self) -> None:
        """Not waited for: a cluster looks at a namespace that ends only every so many seconds."""
        self.do("delete", "pods", "--all", "--grace-period=1", "--wait=false", check=False)
        kubectl("delete", "namespace", self.namespace, "--wait=false", check=False)
        for volume in self.volumes:
            kubectl("delete", "persistentvolume", volume, "--ignore-not-found", "--wait=false", check=False)
        shutil.rmtree(self.folder / "volumes", ignore_errors=True)


def lasting(namespace: str) -> dict[str, Any]:
    """All that stays in a namespace when pods come and go, by kind and name, without what server and controllers manage
    themselves."""
    seen = {}
    for one in json.loads(kubectl("-n", namespace, "get", _LASTING, "-o", "json"))["items"]:
        (one["metadata"].get("annotations") or {}).pop("deployment.kubernetes.io/revision", None)
        seen[f"{one['kind']} {one['metadata']['name']}"] = comparable(one)
    return seen


def comparable(found: Mapping[str, Any]) -> dict[str, Any]:
    """One object without what the server manages by itself; of a pod also without where it runs."""
    one = copy.deepcopy(dict(found))
    one.pop("status", None)
    for name in _OF_THE_SERVER:
        one["metadata"].pop(name, None)
    if one["kind"] == "Pod":
        one["spec"].pop("nodeName", None)
    if not one["metadata"].get("annotations"):
        one["metadata"].pop("annotations", None)
    return one


@contextmanager
def quarters_in(folder: Path, **more: Any) -> Iterator[Quarters]:
    made = Quarters(folder, **more)
    try:
        yield made
    finally:
        made.close()
