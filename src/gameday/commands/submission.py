"""What is handed to a cluster: scenarios, read and checked, and the files that they need there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gameday.errors import InvalidFile, UsageError
from gameday.plan import plan
from gameday.project import Project
from gameday.targets.kubernetes.cluster import IN_CLUSTER, Cluster, referred
from gameday.targets.kubernetes.drill_job import Submission

if TYPE_CHECKING:
    from gameday.drill import Request
    from gameday.environment import Environment
    from gameday.kubernetes_spec import ClusterSpec

SETUP_S = 120.0
"""Of each drill, beyond its plan: its pod, and the Lease."""
ANSWERS = "answers.yaml"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says."""

    scenarios: tuple[str, ...]
    environment: str
    parallel: int = 1
    history_secret: str | None = None
    env_secret: str | None = None
    image: str | None = None
    answers: Path | None = None
    deadline_s: float | None = None
    speed: float = 1.0


def prepare(project: Project, wish: Wish) -> tuple[Submission, ClusterSpec]:
    """Everything read and checked, and where it is to go; the cluster is not asked.

    Raises:
        UsageError: every problem of every file.
    """
    requests = _requests(project, wish)
    environment = requests[0].environment
    spec = environment.kubernetes
    if environment.target != "kubernetes" or spec is None:
        raise UsageError(
            f"environment {environment.environment} has target {environment.target}; only drills of an environment in "
            "Kubernetes run inside a cluster"
        )
    if environment.drills != "allowed":
        raise UsageError(f"environment {environment.environment} does not allow drills")
    deadline_s = wish.deadline_s if wish.deadline_s is not None else _deadline_s(requests)
    submission = Submission(
        environment=environment.environment,
        image=wish.image or spec.runner_image,
        scenarios=tuple(request.scenario.scenario for request in requests),
        parallel=wish.parallel,
        deadline_s=deadline_s,
        files=_files(project, wish, requests),
        history_secret=wish.history_secret,
        env_secret=wish.env_secret,
        speed=wish.speed,
    )
    return submission, spec


def cluster_of(spec: ClusterSpec, environment: str) -> Cluster:
    """Raises UsageError where the environment does not say which cluster it is in."""
    return Cluster(referred(spec.context, f"kubernetes.context of {environment}"), spec.namespace)


def _requests(project: Project, wish: Wish) -> list[Request]:
    from gameday.drill import Request

    found: list[Request] = []
    problems: list[str] = []
    for scenario in wish.scenarios:
        try:
            found.append(Request.load(project, scenario, wish.environment, wish.speed, part=True))
        except (InvalidFile, UsageError) as error:
            problems += [line for line in str(error).splitlines() if line not in problems]
    names = [request.scenario.scenario for request in found]
    problems += [f"scenario {name} is named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += _unanswered(project, wish, found)
    if problems:
        raise UsageError("\n".join([*problems, "nothing was submitted"]))
    return found


def _unanswered(project: Project, wish: Wish, requests: Sequence[Request]) -> list[str]:
    """Nobody can be asked inside a cluster."""
    from gameday.runbook.manual import AnsweredManual, load_answers
    from gameday.runbook.parse import load_runbook

    runbooks = {
        request.scenario.scenario: load_runbook(project.runbook_file(request.scenario.runbook))
        for request in requests
        if request.scenario.runbook
    }
    answers = load_answers(wish.answers, list(runbooks.values())) if wish.answers else {}
    manual = AnsweredManual(answers, wish.speed)
    return [
        f"scenario {scenario}: {runbook.path}: nobody is there to answer step {step.heading!r}; see --answers"
        for scenario, runbook in runbooks.items()
        for step in runbook.main_path
        if step.kind == "manual" and not manual.can_answer(step.heading)
    ]


def _deadline_s(requests: Sequence[Request]) -> float:
    """Of the job: as if each had to wait for all others, which they do where they concern the same components."""
    return math.ceil(
        sum(plan(request.scenario.at_speed(request.speed)).deadline_s + SETUP_S for request in requests)
    )


# --- files ------------------------------------------------------------------------------------------------------


def _files(project: Project, wish: Wish, requests: Sequence[Request]) -> dict[str, str]:
    """The project, as far as these drills need it. Secrets are no part of it: files say only where they are."""
    environment = requests[0].environment
    reference = wish.environment.partition("@")[0]
    found = {
        f"environments/{environment.environment}.yaml": _environment_file(
            project.environment_file(reference), environment, wish.image
        )
    }
    for given, request in zip(wish.scenarios, requests, strict=True):
        scenario = request.scenario
        found[f"scenarios/{scenario.scenario}.yaml"] = _text(project.scenario_file(given))
        if scenario.runbook:
            found[f"runbooks/{scenario.runbook}.md"] = _text(project.runbook_file(scenario.runbook))
    for path in _rules(environment):
        found[path] = _text(project.root / path)
    if wish.answers is not None:
        found[ANSWERS] = _text(wish.answers)
    return found


def _environment_file(path: Path, environment: Environment, image: str | None) -> str:
    """As it is, unless it names a context outright, which means nothing inside the cluster."""
    import yaml

    spec = environment.kubernetes
    if spec is None or (image is None and (spec.context == IN_CLUSTER or "${env:CONTEXT}" in spec.context)):
        return _text(path)
    document: dict[str, Any] = yaml.safe_load(_text(path))
    document["kubernetes"]["context"] = IN_CLUSTER
    if image is not None:
        document["kubernetes"]["runner_image"] = image
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _rules(environment: Environment) -> tuple[str, ...]:
    """Rules files that the detector reads, relative to the project.

    Raises:
        UsageError: one lies elsewhere.
    """
    rules = getattr(environment.detector, "rules", ())
    paths = (rules,) if isinstance(rules, str) else tuple(rules)
    for path in paths:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise UsageError(
                f"the rules file {path} lies outside of the project; inside the cluster it would be absent"
            )
    return paths


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
