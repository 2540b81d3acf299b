"""Drills that a cluster carries out: handed to it, and watched until they have ended."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.kubernetes import drill_job
from gameday.targets.kubernetes.api import MERGE_PATCH
from gameday.targets.kubernetes.cluster import Cluster, ClusterAway, Conflict, Forbidden, NotThere
from gameday.targets.kubernetes.drill_job import ACCOUNT, CONTAINER, Submission, scenarios_of

_INDEX = "batch.kubernetes.io/job-completion-index"
_OF_JOB = "batch.kubernetes.io/job-name"
_LOOK_EVERY_S = 1.0
_ENDED = ("Succeeded", "Failed")
_ATTEMPTS = 5
_EVENTS_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """One drill that a cluster carried out, as its pod said it; without `exit_code` it never ran to its end."""

    scenario: str
    exit_code: int | None
    duration_s: float | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    """What the drill said of itself: see `commands.inside`."""
    why: str = ""
    """What ended it, where it says nothing itself."""


@dataclass(slots=True)
class Watched:
    """A job now: what is over, what is going on, and what is wrong with it."""

    ended: dict[int, Ended]
    running: dict[int, str]
    troubles: dict[str, str]
    """What keeps a pod, or the job, from going on; by who it is."""
    over: str | None = None
    """How the job itself ended."""


def submit(cluster: Cluster, one: Submission, name: str) -> None:
    """Make the ConfigMap and the job.

    Raises:
        UsageError: the namespace allows no drills, has no service account for them, or the files are too big.
        TargetError: the cluster does not take it.
    """
    files = drill_job.config_map(one)
    body = drill_job.job(one, name)
    cluster.check_allowed()
    _check_account(cluster)
    _provide(cluster, files)
    with cluster.writing(f"create job {name}"):
        made = cluster.batch.create_namespaced_job(cluster.namespace, body, field_manager="gameday")
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": made.metadata.uid}
    for _ in range(_ATTEMPTS):
        try:
            _own(cluster, one.config_map, owner)
        except Conflict:
            continue
        except NotThere:  # the last job that had it was removed meanwhile
            _provide(cluster, files)
        else:
            return
    raise TargetError(f"ConfigMap {one.config_map}: others change it all the time")


def _check_account(cluster: Cluster) -> None:
    try:
        with cluster.translated(f"service account {ACCOUNT}"):
            cluster.core.read_namespaced_service_account(ACCOUNT, cluster.namespace)
    except NotThere as error:
        raise UsageError(
            f"namespace {cluster.namespace} has no service account {ACCOUNT}, as which drills are carried out there; "
            f"`gameday rbac --environment E --scenario NAME | kubectl --context {cluster.context} apply -f -` makes it"
        ) from error
    except Forbidden:
        return  # whoever submits need not see it; the job will say what it lacks


def _provide(cluster: Cluster, files: Mapping[str, Any]) -> None:
    """Its name is its content, so one that is there is the same."""
    with contextlib.suppress(Conflict), cluster.writing(f"create ConfigMap {files['metadata']['name']}"):
        cluster.core.create_namespaced_config_map(cluster.namespace, files, field_manager="gameday")


def _own(cluster: Cluster, config_map: str, owner: Mapping[str, Any]) -> None:
    """It goes with the last of its jobs."""
    with cluster.translated(f"ConfigMap {config_map}"):
        found = cluster.core.read_namespaced_config_map(config_map, cluster.namespace)
    owners = [
        {"apiVersion": one.api_version, "kind": one.kind, "name": one.name, "uid": one.uid}
        for one in found.metadata.owner_references or []
    ]
    version = found.metadata.resource_version
    body = {"metadata": {"resourceVersion": version, "ownerReferences": [*owners, owner]}}
    with cluster.writing(f"change ConfigMap {config_map}"):
        cluster.core.patch_namespaced_config_map(
            config_map, cluster.namespace, body, _content_type=MERGE_PATCH, field_manager="gameday"
        )


def scenarios(cluster: Cluster, name: str) -> tuple[str, ...]:
    """Of a job, by index.

    Raises:
        UsageError: it is none of drills, or there is none.
    """
    try:
        with cluster.translated(f"job {name}"):
            found = cluster.batch.read_namespaced_job(name, cluster.namespace)
    except NotThere as error:
        raise UsageError(f"namespace {cluster.namespace} has no job {name}") from error
    named = tuple(scenarios_of(found.metadata.annotations or {}))
    if not named:
        raise UsageError(f"job {name} is none of `gameday submit`")
    return named


def follow(cluster: Cluster, name: str, named: Sequence[str]) -> Iterator[Watched]:
    """The job each second, until it has ended. While the API server is away, what was seen last."""
    seen = Watched({}, {}, {})
    begun = time.monotonic()
    while True:
        try:
            seen = look(cluster, name, named, events=time.monotonic() - begun > _EVENTS_AFTER_S)
        except (ClusterAway, OperationTimedOut) as error:
            seen.troubles["the API server"] = str(error)
        yield seen
        if seen.over is not None:
            return
        time.sleep(_LOOK_EVERY_S)


def look(cluster: Cluster, name: str, named: Sequence[str], *, events: bool = False) -> Watched:
    """The job now. Two requests, or three with `events`, which say why it has no pods.

    Raises:
        UsageError: it is gone.
    """
    try:
        with cluster.translated(f"job {name}"):
            found = cluster.batch.read_namespaced_job(name, cluster.namespace)
    except NotThere as error:
        raise UsageError(f"job {name} was removed; its drills put everything back as they end") from error
    with cluster.translated(f"pods of job {name}"):
        pods = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=f"{_OF_JOB}={name}").items
    seen = Watched({}, {}, {})
    for pod in sorted(pods, key=lambda one: one.metadata.creation_timestamp):
        index = int((pod.metadata.labels or {}).get(_INDEX, "-1"))
        if not 0 <= index < len(named):
            continue
        if pod.status.phase in _ENDED:
            seen.ended[index] = _ended(named[index], pod)
            continue
        seen.running[index] = pod.metadata.name
        if trouble := _trouble(pod):
            seen.troubles[f"{named[index]} (pod {pod.metadata.name})"] = trouble
    over = _over(found)
    if over is not None and not seen.running:
        seen.over = over
        for index in range(len(named)):
            seen.ended.setdefault(index, Ended(named[index], None, why=f"its pod is gone; the job: {over}"))
    elif events and not pods:
        seen.troubles[f"job {name}"] = _no_pods(cluster, name)
    return seen


def _ended(scenario: str, pod: Any) -> Ended:
    states = [
        one.state.terminated
        for one in pod.status.container_statuses or []
        if one.name == CONTAINER and one.state
    ]
    state = states[0] if states else None
    if state is None:
        why = ": ".join(filter(None, [pod.status.reason, pod.status.message])) or "its pod never ran"
        return Ended(scenario, None, why=why)
    took_s = None
    if state.started_at and state.finished_at:
        took_s = (state.finished_at - state.started_at).total_seconds()
    try:
        said = json.loads(state.message or "")
    except ValueError:
        said = {}
    why = "" if said else f"its runner ended with exit code {state.exit_code} ({state.reason})"
    return Ended(scenario, state.exit_code, took_s, said if isinstance(said, dict) else {}, why)


def _trouble(pod: Any) -> str | None:
    """What keeps it from running."""
    for one in pod.status.container_statuses or []:
        waiting = one.state.waiting if one.state else None
        if waiting is not None and waiting.reason not in (None, "ContainerCreating", "PodInitializing"):
            return ": ".join(filter(None, [waiting.reason, waiting.message]))
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"not scheduled: {condition.message}"
    return None


def _over(found: Any) -> str | None:
    for condition in found.status.conditions or []:
        if condition.type in ("Complete", "Failed") and condition.status == "True":
            return ": ".join(filter(None, [condition.type, condition.reason, condition.message]))
    return None


def _no_pods(cluster: Cluster, name: str) -> str:
    """What the cluster says of a job that gets none."""
    selector = f"involvedObject.kind=Job,involvedObject.name={name}"
    try:
        with cluster.translated(f"events of job {name}"):
            found = cluster.core.list_namespaced_event(cluster.namespace, field_selector=selector).items
    except TargetError:
        found = []
    said = [str(one.message) for one in found if one.type == "Warning"]
    return said[-1] if said else "no pod yet"


def new_name() -> str:
    """Of a job: the time, for people, and enough of it for nobody else to have it."""
    now = datetime.now(UTC)
    return f"gameday-{now:%Y%m%dt%H%M%S}-{now.microsecond // 16:04x}"
