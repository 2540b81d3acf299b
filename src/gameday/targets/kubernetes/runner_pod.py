"""Pods in which gameday itself runs: nobody's, under restricted Pod Security, with nothing of the image to write to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_USER = 65532
_TMP = "tmp"


def runner_container(
    *,
    name: str,
    image: str,
    command: Sequence[str],
    env: Sequence[Mapping[str, Any]],
    secret: str | None,
    resources: Mapping[str, Any],
    mounts: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """`secret`: one whose keys are variables of it too."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": list(env),
        "envFrom": [{"secretRef": {"name": secret}}] if secret else [],
        "resources": dict(resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [*mounts, {"name": _TMP, "mountPath": "/tmp"}],  # noqa: S108 - its own
    }


def runner_pod(
    container: Mapping[str, Any],
    *,
    account: str,
    restart: str,
    grace_s: int,
    volumes: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The specification of such a pod, with one container by `runner_container`."""
    return {
        "serviceAccountName": account,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": grace_s,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # a drill may cordon every node: whoever uncordons them, or begins the next drill, must find a place
        "tolerations": [
            {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
        ],
        "containers": [dict(container)],
        "volumes": [*volumes, {"name": _TMP, "emptyDir": {}}],
    }
