"""`gameday submit` and `gameday follow`: drills that an environment's cluster carries out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gameday.commands.interrupts import Interrupts
from gameday.commands.submission import Wish, cluster_of, prepare
from gameday.errors import UsageError
from gameday.project import Project
from gameday.reporting.submitted_view import Submitted, SubmittedConsole, exit_code, submitted_json
from gameday.targets.kubernetes import drill_jobs
from gameday.targets.kubernetes.cluster import Cluster
from gameday.targets.kubernetes.drill_jobs import Ended, Watched

INCONCLUSIVE, ABORTED = 3, 4
_FROM_RUNNER = (0, 1, 2, 3, 4, 5)


def submit(wish: Wish, *, wait: bool, as_json: bool) -> int:
    """Hand drills to the cluster; with `wait`, the exit code is that of the worst of them."""
    submission, spec = prepare(Project.find(), wish)
    cluster = cluster_of(spec, submission.environment)
    name = drill_jobs.new_name()
    drill_jobs.submit(cluster, submission, name)
    console = SubmittedConsole(sys.stderr if as_json else sys.stdout)
    number = len(submission.scenarios)
    console.say(
        f"job {name} in namespace {cluster.namespace}: {number} drill{'s' if number > 1 else ''}, at most "
        f"{submission.parallel} at once"
    )
    if submission.history_secret is None:
        console.say(
            "without --history-secret the evidence of these drills ends with their pods; only their verdicts stay"
        )
    if wait:
        return _wait(cluster, name, submission.scenarios, submission.environment, console, as_json=as_json)
    for line in _how_to(cluster, name, submission.environment):
        console.say(line)
    return 0


def follow(name: str, environment: str, *, as_json: bool) -> int:
    """Wait for drills that were submitted before."""
    from gameday.environment import load_instance

    found, _ = load_instance(Project.find(), environment)
    if found.kubernetes is None:
        raise UsageError(f"environment {environment} is none in Kubernetes")
    cluster = cluster_of(found.kubernetes, environment)
    scenarios = drill_jobs.scenarios(cluster, name)
    console = SubmittedConsole(sys.stderr if as_json else sys.stdout)
    return _wait(cluster, name, scenarios, environment, console, as_json=as_json)


def _wait(
    cluster: Cluster,
    name: str,
    scenarios: Sequence[str],
    environment: str,
    console: SubmittedConsole,
    *,
    as_json: bool,
) -> int:
    told: set[str] = set()
    shown: dict[int, Submitted] = {}
    try:
        with Interrupts():
            for seen in drill_jobs.follow(cluster, name, scenarios):
                _show(seen, shown, told, scenarios, console)
    except KeyboardInterrupt:
        console.say(f"job {name} goes on")
        for line in _how_to(cluster, name, environment):
            console.say(line)
        return ABORTED
    drills = [shown[index] for index in sorted(shown)]
    if as_json:
        print(submitted_json(name, drills))
    else:
        console.finish(drills)
    return exit_code(drills)


def _show(
    seen: Watched,
    shown: dict[int, Submitted],
    told: set[str],
    scenarios: Sequence[str],
    console: SubmittedConsole,
) -> None:
    """What is new."""
    for index, pod in sorted(seen.running.items()):
        if pod not in told:
            told.add(pod)
            console.say(f"start  {scenarios[index]} in pod {pod}")
    for who, trouble in seen.troubles.items():
        if (line := f"{who}: {trouble}") not in told:
            told.add(line)
            console.say(line)
    for index, ended in sorted(seen.ended.items()):
        if index not in shown:
            shown[index] = _result(ended)
            console.ended(shown[index])


def _result(ended: Ended) -> Submitted:
    """A runner that was killed has no verdict, and its dead-man switch puts things back."""
    code = ended.exit_code if ended.exit_code in _FROM_RUNNER else INCONCLUSIVE
    return Submitted(ended.scenario, code, ended.duration_s, ended.said, ended.why)


def _how_to(cluster: Cluster, name: str, environment: str) -> tuple[str, str]:
    where = f"--context {cluster.context} --namespace {cluster.namespace}"
    return (
        f"follow it: gameday follow {name} --environment {environment}",
        f"end it, with everything put back: kubectl {where} delete job {name}",
    )
