"""`gameday rbac`: the least that drills may do in their namespace, as manifests."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from gameday import rbac
from gameday.environment import load_instance
from gameday.errors import UsageError
from gameday.project import Project
from gameday.runbook.parse import load_runbook
from gameday.runbook.verbs import verbs
from gameday.scenario import load_scenario


def render(project: Project, environment: str, scenarios: Iterable[str]) -> str:
    """YAML for `kubectl apply -f -`.

    Raises:
        UsageError: the environment is of another target.
    """
    where, instance = load_instance(project, environment)
    if where.kubernetes is None:
        raise UsageError(f"{instance} is of target {where.target}; only target kubernetes knows roles")
    runner: frozenset[rbac.Need] = frozenset()
    switch: frozenset[rbac.Need] = frozenset()
    for reference in scenarios:
        scenario = load_scenario(project.scenario_file(reference))
        steps = verbs(load_runbook(project.runbook_file(scenario.runbook))) if scenario.runbook else ()
        runner |= rbac.runner_needs(where, scenario.faults, steps)
        switch |= rbac.switch_needs(where, scenario.faults)
    accounts = {rbac.RUNNER: runner, rbac.SWITCH: switch}
    return yaml.safe_dump_all(rbac.manifests(where.kubernetes.namespace, accounts), sort_keys=False)
