"""The objects of drills that run inside a cluster: pure manifests.

An Indexed Job with one index a scenario. A drill is never repeated by itself: an index that fails is over, whatever
ended its pod. The files are in a ConfigMap whose name is a hash of its content, so the same files are there once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.errors import UsageError
from gameday.plan import GRACE_S, UNDO_S
from gameday.targets.kubernetes.cluster import IN_CLUSTER
from gameday.targets.kubernetes.observed import PREFIX
from gameday.targets.kubernetes.pods import ENVIRONMENT_LABEL, HELPER_LABEL
from gameday.targets.kubernetes.runner_pod import runner_container, runner_pod

ACCOUNT = "gameday"
"""The service account as which drills are carried out."""
CONTAINER = "gameday"
SUBMISSION = "submission.json"
"""The file that says to a pod what its index means."""
SCENARIOS = f"{PREFIX}scenarios"
"""Annotation of a job: JSON, the scenario of each index."""
DRILLS_LABEL = f"{PREFIX}drills"
"""Of everything that is made to carry out drills; of a job and its pods, the job's name."""
PROJECT, WORK = "/gameday/project", "/gameday/work"
FILES_LIMIT = 1024 * 1024
"""What a ConfigMap may hold, by the API server."""
KEPT_S = 24 * 3600
_EXIT_CODES = [1, 2, 3, 4, 5]


@dataclass(frozen=True, slots=True)
class Submission:
    """Drills of one environment that are handed to its cluster."""

    environment: str
    image: str
    scenarios: tuple[str, ...]
    parallel: int
    deadline_s: float
    """Of the whole job."""
    files: Mapping[str, str]
    """The project as the drills need it: text by relative path."""
    history_secret: str | None = None
    """A Secret whose key `url` is the history's URL."""
    env_secret: str | None = None
    """A Secret whose keys are variables of the drills."""
    speed: float = 1.0

    @property
    def config_map(self) -> str:
        """Its name."""
        return f"gameday-drills-{_digest(self.content)}"

    @property
    def content(self) -> dict[str, str]:
        """The data of the ConfigMap, by key."""
        said = {
            "environment": self.environment,
            "scenarios": list(self.scenarios),
            "wait_s": self.deadline_s,
            "speed": self.speed,
        }
        return {key_of(path): text for path, text in self.files.items()} | {SUBMISSION: json.dumps(said)}


def key_of(path: str) -> str:
    """Of a file in a ConfigMap, whose keys have no slashes."""
    return path.replace("/", "__")


def config_map(one: Submission) -> dict[str, Any]:
    """The files.

    Raises:
        UsageError: a ConfigMap cannot hold them.
    """
    content = one.content
    size = sum(len(key.encode()) + len(text.encode()) for key, text in content.items())
    if size > FILES_LIMIT:
        biggest = sorted(one.files, key=lambda path: len(one.files[path].encode()), reverse=True)[:3]
        raise UsageError(
            f"the files of these drills have {size:,} bytes, and a ConfigMap holds {FILES_LIMIT:,}: submit fewer "
            f"scenarios at once; the biggest files are {', '.join(biggest)}"
        )
    if len(content) != len(one.files) + 1:
        raise UsageError("two files of these drills have the same name when their slashes are underscores")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": one.config_map, "labels": _labels(one, one.config_map)},
        "immutable": True,
        "data": content,
    }


def job(one: Submission, name: str) -> dict[str, Any]:
    """A job that begins at once."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **_metadata(one, name)},
        "spec": {**_job_spec(one, name), "ttlSecondsAfterFinished": KEPT_S},
    }


def cron_job(
    one: Submission,
    name: str,
    cron: str,
    time_zone: str,
    starting_deadline_s: float,
    *,
    suspended: bool = False,
) -> dict[str, Any]:
    """A job at each time that `cron` names: never beside itself, and not at all when it cannot begin in time."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, **_metadata(one, name)},
        "spec": {
            "schedule": cron,
            "timeZone": time_zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": math.ceil(starting_deadline_s),
            "suspend": suspended,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": _metadata(one, name), "spec": _job_spec(one, name)},
        },
    }


def _job_spec(one: Submission, name: str) -> dict[str, Any]:
    return {
        "completionMode": "Indexed",
        "completions": len(one.scenarios),
        "parallelism": min(one.parallel, len(one.scenarios)),
        "backoffLimitPerIndex": 0,
        "podReplacementPolicy": "Failed",
        "activeDeadlineSeconds": math.ceil(one.deadline_s),
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailIndex",
                    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": _EXIT_CODES},
                },
                # whoever evicts the pod has ended the drill: its dead-man switch puts things back, nobody begins again
                {"action": "FailIndex", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            ]
        },
        "template": {"metadata": {"labels": _labels(one, name)}, "spec": _pod(one)},
    }


def _pod(one: Submission) -> dict[str, Any]:
    return runner_pod(
        _container(one),
        account=ACCOUNT,
        restart="Never",
        grace_s=math.ceil(UNDO_S + GRACE_S),  # an ended drill puts everything back first
        volumes=[
            {"name": "work", "emptyDir": {}},
            {"name": "project", "configMap": {"name": one.config_map, "items": _items(one)}},
        ],
    )


def _container(one: Submission) -> dict[str, Any]:
    told = {
        "CONTEXT": IN_CLUSTER,
        "GAMEDAY_PROJECT": PROJECT,
        "GAMEDAY_STATE": f"{WORK}/state",
        "GAMEDAY_REPORTS": f"{WORK}/reports",
    }
    environ: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in told.items()]
    if one.history_secret is not None:
        key = {"secretKeyRef": {"name": one.history_secret, "key": "url"}}
        environ.append({"name": "GAMEDAY_HISTORY_URL", "valueFrom": key})
    return runner_container(
        name=CONTAINER,
        image=one.image,
        command=("python3", "-m", "gameday", "inside"),
        env=environ,
        secret=one.env_secret,
        resources={"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "1Gi"}},
        mounts=[
            {"name": "project", "mountPath": PROJECT, "readOnly": True},
            {"name": "work", "mountPath": WORK},
        ],
    )


def _items(one: Submission) -> list[dict[str, str]]:
    """The files at their own paths again."""
    return [{"key": key_of(path), "path": path} for path in sorted([*one.files, SUBMISSION])]


def _metadata(one: Submission, name: str) -> dict[str, Any]:
    return {"labels": _labels(one, name), "annotations": {SCENARIOS: json.dumps(one.scenarios)}}


def _labels(one: Submission, name: str) -> dict[str, str]:
    return {HELPER_LABEL: "true", ENVIRONMENT_LABEL: one.environment, DRILLS_LABEL: name}


def _digest(content: Mapping[str, str]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def scenarios_of(annotations: Mapping[str, str]) -> Sequence[str]:
    """Of a job that somebody submitted. Empty where it is none."""
    try:
        found = json.loads(annotations[SCENARIOS])
    except (KeyError, ValueError):
        return ()
    return [str(one) for one in found] if isinstance(found, list) else ()
