"""The objects that `gameday env up` applies: in which order, what they need, and whether they may be applied at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.errors import UsageError
from gameday.targets.kubernetes.cluster import ALLOW_LABEL
from gameday.targets.kubernetes.kustomize import CLUSTER_SCOPED
from gameday.targets.kubernetes.secrets import SECRET

MANIFESTS_LABEL = "gameday.dev/manifests"
"""Of every object that was applied: the name of the environment."""
RUN = "gameday.dev/run"
"""Annotation of a suspended Job: `down` if `gameday env down` lets it run, when the environment's namespace is gone."""
_FIRST = (
    "Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "ServiceAccount", "ClusterRole", "Role",
    "ClusterRoleBinding", "RoleBinding", "ResourceQuota", "LimitRange", "ConfigMap", "Secret", "PersistentVolume",
    "PersistentVolumeClaim", "Service", "NetworkPolicy",
)  # fmt: skip
_OF_THE_CLUSTER = ("Namespace", "PersistentVolume")
"""Kinds outside of namespaces that an environment may bring: what it needs to be up, and nothing that gives rights."""
_SYSTEM = "kube-"


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """One object as its file has it. Two are equal when they are the same one."""

    body: dict[str, Any]

    @property
    def api_version(self) -> str:
        return str(self.body["apiVersion"])

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Empty where it is in none."""
        return "" if self.kind in CLUSTER_SCOPED else str(self.body["metadata"].get("namespace") or "")

    @property
    def runs_at_down(self) -> bool:
        annotations = self.body["metadata"].get("annotations") or {}
        return self.kind == "Job" and annotations.get(RUN) == "down"

    def labelled(self, environment: str) -> dict[str, Any]:
        """The object, marked as this environment's."""
        metadata = self.body["metadata"]
        labels = {**(metadata.get("labels") or {}), MANIFESTS_LABEL: environment}
        return {**self.body, "metadata": {**metadata, "labels": labels}}

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


def manifests_of(bodies: Sequence[dict[str, Any]], namespace: str, where: str) -> tuple[Manifest, ...]:
    """In the order in which they are applied. `where` is their kustomization, for messages.

    Raises:
        UsageError: one that no environment may have: outside of the namespaces that may be drilled, or of a kind that
            is the whole cluster's.
    """
    found = [Manifest(body) for body in bodies]
    brought = {one.name for one in found if one.kind == "Namespace"}
    problems = [problem for one in found for problem in _problems(one, brought | {namespace}, namespace)]
    if problems:
        raise UsageError(f"{where}: " + "; ".join(problems))
    last = len(_FIRST)
    return tuple(
        sorted(found, key=lambda one: _FIRST.index(one.kind) if one.kind in _FIRST else last)
    )  # sorted keeps the files' order within a kind


def _problems(one: Manifest, namespaces: set[str], own: str) -> Iterator[str]:
    if one.kind == "Namespace":
        labels = one.body["metadata"].get("labels") or {}
        if labels.get(ALLOW_LABEL) != "true":
            yield f'{one} does not carry {ALLOW_LABEL}: "true"'
        if one.name.startswith(_SYSTEM):
            yield f"{one} belongs to the cluster itself"
    elif one.kind in CLUSTER_SCOPED:
        if one.kind not in _OF_THE_CLUSTER:
            yield f"{one} is of a kind that is the whole cluster's; gameday applies none of these but volumes"
    elif one.namespace not in namespaces:
        there = f"in namespace {one.namespace}" if one.namespace else "in no namespace"
        yield f"{one} is {there}; expected {own}, or one that these manifests bring themselves"
    if one.kind == "Secret" and one.name == SECRET:
        yield f"{one} is made by gameday, with secrets made by chance; take it out"


def images(manifests: Sequence[Manifest]) -> frozenset[str]:
    """Every image that their pods name."""
    return frozenset(
        str(container["image"])
        for one in manifests
        for pod in _pods(one.body)
        for key in ("initContainers", "containers")
        for container in pod.get(key) or []
        if "image" in container
    )


def secret_keys(manifests: Sequence[Manifest]) -> tuple[str, ...]:
    """The keys of the Secret of gameday's own to which they refer."""
    found: set[str] = set()
    for one in manifests:
        _find_keys(one.body, found)
    return tuple(sorted(found))


def _find_keys(value: Any, found: set[str]) -> None:
    if isinstance(value, list):
        for inner in value:
            _find_keys(inner, found)
    elif isinstance(value, dict):
        reference = value.get("secretKeyRef")
        if isinstance(reference, dict) and reference.get("name") == SECRET:
            found.add(str(reference.get("key")))
        for inner in value.values():
            _find_keys(inner, found)


def _pods(value: Any) -> Iterator[dict[str, Any]]:
    """Specifications of pods, wherever they stand."""
    if isinstance(value, list):
        for inner in value:
            yield from _pods(inner)
    elif isinstance(value, dict):
        if isinstance(value.get("containers"), list):
            yield value
        for inner in value.values():
            yield from _pods(inner)
