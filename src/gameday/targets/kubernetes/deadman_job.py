"""The job of a dead-man switch: what it may use, and how its pod begins again when it was lost."""

from __future__ import annotations

import hashlib
from typing import Any

from gameday.targets.kubernetes.observed import PREFIX
from gameday.targets.kubernetes.pods import ENVIRONMENT_LABEL, HELPER_LABEL
from gameday.targets.kubernetes.runner_pod import runner_container, runner_pod

ACCOUNT = "gameday-deadman"
"""The service account of a dead-man switch."""
SWITCH_LABEL = f"{PREFIX}deadman"
"""Of the job, its pods and its Secret: a short name of the drill."""
_DEADLINE_S = 24 * 3600
_KEPT_S = 60
_ATTEMPTS = 20


def short(drill: str) -> str:
    """A drill's name may be too long for a label."""
    return hashlib.sha256(drill.encode()).hexdigest()[:10]


def name_of(drill: str) -> str:
    """Of its job."""
    return f"gameday-deadman-{short(drill)}"


def labels(drill: str, environment: str) -> dict[str, str]:
    return {HELPER_LABEL: "true", ENVIRONMENT_LABEL: environment, SWITCH_LABEL: short(drill)}


def job(
    drill: str, environment: str, image: str, variables: dict[str, str], secret: str | None
) -> dict[str, Any]:
    """The manifest. `variables` are told in the open, those of the Secret of that name are not."""
    own = labels(drill, environment)
    return {
        "metadata": {"name": name_of(drill), "labels": own},
        "spec": {
            "backoffLimit": _ATTEMPTS,
            "activeDeadlineSeconds": _DEADLINE_S,
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {"metadata": {"labels": own}, "spec": _pod(image, variables, secret)},
        },
    }


def _pod(image: str, variables: dict[str, str], secret: str | None) -> dict[str, Any]:
    environ: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in variables.items()]
    environ.append({"name": "GAMEDAY_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
    container = runner_container(
        name="deadman",
        image=image,
        command=("python3", "-m", "gameday.targets.kubernetes.deadman_pod"),
        env=environ,
        secret=secret,
        resources={"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}},
    )
    return runner_pod(container, account=ACCOUNT, restart="OnFailure", grace_s=1)
