"""What a component's own pod template says, as far as a pod that acts beside it takes it over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from gameday.errors import UsageError
from gameday.targets.apart import VolumeMount
from gameday.targets.kubernetes.pods import Workload
from gameday.targets.kubernetes.workloads import Workloads

_TRANSIENT = ("emptyDir", "configMap", "secret", "projected", "downwardAPI", "ephemeral", "image")
"""Volumes that end with their pod."""
_SCHEDULING = (
    "nodeSelector",
    "tolerations",
    "runtimeClassName",
    "hostUsers",
    "imagePullSecrets",
    "serviceAccountName",
)
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


@dataclass(frozen=True, slots=True)
class OwnPod:
    """The template of one workload, as the API server sent it, and the container of it that is meant."""

    workload: Workload
    spec: Mapping[str, Any]
    container: Mapping[str, Any]
    claims: Mapping[str, str]
    """Names of claims by those of volumes, of its first pod."""

    @property
    def volumes(self) -> Mapping[str, Mapping[str, Any]]:
        """By name; those of a stateful set's claims too."""
        named: dict[str, Mapping[str, Any]] = {one["name"]: one for one in self.spec.get("volumes") or []}
        for name, claim in self.claims.items():
            named.setdefault(name, {"name": name, "persistentVolumeClaim": {"claimName": claim}})
        return named

    def mounts(self) -> tuple[VolumeMount, ...]:
        """What its container has mounted, and what of it outlives the pod."""
        return tuple(
            _mounted(one, self.volumes[one["name"]]) for one in self.container.get("volumeMounts") or []
        )

    def lasting_mounts(self) -> list[Mapping[str, Any]]:
        """Those that outlive the pod, as a container says them."""
        lasting = {mount.path for mount in self.mounts() if mount.lasting}
        return [one for one in self.container.get("volumeMounts") or [] if one["mountPath"] in lasting]

    def is_root(self) -> bool:
        """Whether its container may run as root."""
        settings = {**_given(self.spec), **_given(self.container)}
        if settings.get("runAsUser") is not None:
            return int(settings["runAsUser"]) == 0
        return not settings.get("runAsNonRoot")

    def scheduling(self) -> dict[str, Any]:
        """Where its pods may run, and from where their images come."""
        taken = {name: self.spec[name] for name in _SCHEDULING if name in self.spec}
        nodes = (self.spec.get("affinity") or {}).get("nodeAffinity")
        return {**taken, **({"affinity": {"nodeAffinity": nodes}} if nodes else {})}

    def pod_security(self) -> dict[str, Any]:
        """User, group and volumes' group as its own."""
        return {"seccompProfile": {"type": "RuntimeDefault"}, **_given(self.spec)}

    def container_security(self) -> dict[str, Any]:
        """As its own, and no more: as restricted as Pod Security can ask for, where it is no root."""
        own = {**_given(self.container), "allowPrivilegeEscalation": False}
        own.pop("privileged", None)
        if not self.is_root():
            own["capabilities"] = {"drop": ["ALL"]}
        return own


def own_pod(component: str, one: Workload, found: Mapping[str, Any], container: str | None) -> OwnPod:
    """`found` is the workload as the API server sent it; `container` the one that the environment names.

    Raises:
        UsageError: it has no such container.
    """
    template = found["spec"]["template"]
    containers = {each["name"]: each for each in template["spec"]["containers"]}
    default = (template["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    name = container or default or next(iter(containers))
    if name not in containers:
        raise UsageError(
            f"{component}: {one} has no container {name}; containers there: {', '.join(containers)}"
        )
    first = (found["spec"].get("ordinals") or {}).get("start", 0)
    claims = {
        each["metadata"]["name"]: f"{each['metadata']['name']}-{one.name}-{first}"
        for each in found["spec"].get("volumeClaimTemplates") or []
    }
    return OwnPod(one, template["spec"], containers[name], claims)


def _mounted(mount: Mapping[str, Any], volume: Mapping[str, Any]) -> VolumeMount:
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    folder = (volume.get("hostPath") or {}).get("path")
    identity = f"claim {claim}" if claim else folder or f"volume {volume['name']}"
    place = PurePosixPath("/" if folder is None else folder, *([] if folder else [identity]))
    return VolumeMount(
        path=str(mount["mountPath"]),
        volume=identity,
        place=place / mount.get("subPath", ""),
        writable=not mount.get("readOnly", False),
        lasting=not any(kind in volume for kind in _TRANSIENT),
    )


def _given(part: Mapping[str, Any]) -> dict[str, Any]:
    return dict(part.get("securityContext") or {})


class Templates(Workloads):
    """What reads the pod templates of components."""

    def _own(self, component: str, one: Workload) -> OwnPod:
        read, _ = self._calls(one)
        with self.cluster.translated(f"read {one}"):
            found = self.cluster.raw(read, one.name, self.cluster.namespace)
        return own_pod(component, one, found, self._spec(component).kubernetes.container)
