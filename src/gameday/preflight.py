"""Checks that need no waiting: each returns what it found, or raises with the reason to refuse the drill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from gameday.detectors.base import RuleInfo
from gameday.environment import Environment
from gameday.errors import ComponentNotFound, Refused, UsageError
from gameday.plan import describe_fault
from gameday.project import Project
from gameday.runbook.lint import lint
from gameday.runbook.parse import load_runbook
from gameday.scenario import Scenario
from gameday.targets.base import ComponentStatus, Running

DEAD_END = "RB008"
"""Lint's code for a fallback that names no step: it would surface only when the service is down already."""


def check_names(scenario: Scenario, environment: Environment) -> None:
    """The scenario's components and probes exist in this environment.

    Raises:
        UsageError: names what is missing and what there is.
    """
    if scenario.fault.component not in environment.components:
        known = ", ".join(environment.components)
        raise UsageError(
            f"scenario {scenario.scenario}: no component {scenario.fault.component!r} in environment "
            f"{environment.environment}; components there: {known}"
        )
    missing = [name for name in scenario.probes if name not in environment.probes]
    if missing:
        known = ", ".join(environment.probes)
        raise UsageError(
            f"scenario {scenario.scenario}: no probe {', '.join(map(repr, missing))} in environment "
            f"{environment.environment}; probes there: {known}"
        )


def check_targets(scenario: Scenario, status: Mapping[str, ComponentStatus]) -> str:
    """Everything runs, and the fault hits at least one target and no more than allowed."""
    down = [
        f"{name} is {found.running.value}"
        for name, found in status.items()
        if found.running is not Running.UP
    ]
    if down:
        raise Refused(f"not everything runs before the drill: {', '.join(down)}")
    component = scenario.fault.component
    if component not in status:
        raise ComponentNotFound(f"no component {component!r}; components here: {', '.join(status)}")
    targets = status[component].targets
    if not targets:
        raise Refused(f"{describe_fault(scenario)} matches no target")
    if len(targets) > scenario.safety.max_targets:
        raise Refused(
            f"{describe_fault(scenario)} would hit {len(targets)} targets ({', '.join(targets)}); "
            f"safety.max_targets is {scenario.safety.max_targets}"
        )
    return f"{describe_fault(scenario)} hits {', '.join(targets)}"


def check_runbook(
    scenario: Scenario, environment: Environment, project: Project, rules: Iterable[RuleInfo]
) -> str:
    """The alert exists and names this runbook, and the runbook can be executed here."""
    name, alert = scenario.respond.runbook, scenario.expect.alert
    by_name = {rule.name: rule for rule in rules}
    if alert not in by_name:
        raise Refused(f"the detector has no rule {alert!r}; rules there: {', '.join(by_name)}")
    url = by_name[alert].runbook_url
    if url is not None and PurePosixPath(url).stem != name:
        raise Refused(f"{alert} names the runbook {url}, the scenario wants {name}")
    runbook = load_runbook(project.runbook_file(name))
    for step in runbook.steps:
        if step.component is not None and step.component not in environment.components:
            raise Refused(
                f"{runbook.path}:{step.line}: step {step.heading!r}: no component {step.component!r} here"
            )
        if step.check is not None and step.check.probe not in scenario.probes:
            raise Refused(
                f"{runbook.path}:{step.line}: step {step.heading!r}: probe {step.check.probe!r} is not sampled in "
                f"this drill; sampled: {', '.join(scenario.probes)}"
            )
    findings = lint([runbook], environment_components=None, probes=None, alerts=None, scenarios=None)
    dead_ends = [str(finding) for finding in findings if finding.code == DEAD_END]
    if dead_ends:
        raise Refused("; ".join(dead_ends))
    asking = [step.heading for step in runbook.main_path if step.kind == "manual"]
    if asking:
        raise Refused(f"{runbook.path}: nobody is there to answer step {', '.join(map(repr, asking))}")
    named = f"{alert} names it" if url is not None else f"{alert} names no runbook"
    return f"{name} has {len(runbook.steps)} steps that can be executed here; {named}"
