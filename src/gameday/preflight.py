"""Checks that need no waiting: each returns what it found, or raises with the reason to refuse the drill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from gameday.counted import Counted
from gameday.detectors.base import RuleInfo
from gameday.detectors.promql import Expression
from gameday.environment import Environment
from gameday.errors import ComponentNotFound, Refused, UsageError
from gameday.fault_spec import AnyFault, DrainFault
from gameday.faults import build, check_kind
from gameday.files import dotted
from gameday.plan import describe_during, describe_fault
from gameday.project import Project
from gameday.runbook.lint import lint
from gameday.runbook.manual import Manual
from gameday.runbook.parse import load_runbook
from gameday.scenario import Scenario
from gameday.stop_spec import QueryStop, stop_misfits
from gameday.targets import target_class
from gameday.targets.base import ComponentStatus, Drainable, OwnedTarget, Running

DEAD_END = "RB008"
"""Lint's code for a fallback that names no step: it would surface only when the service is down already."""


def check_names(scenario: Scenario, environment: Environment) -> None:
    """The scenario's components and probes exist in this environment.

    Raises:
        UsageError: names what is missing and what there is.
    """
    named = [fault.component for fault in scenario.faults]
    named += [client for fault in scenario.faults if (client := getattr(fault, "client", None)) is not None]
    strangers = [name for name in dict.fromkeys(named) if name not in environment.components]
    if strangers:
        known = ", ".join(environment.components)
        raise UsageError(
            f"scenario {scenario.scenario}: no component {', '.join(map(repr, strangers))} in environment "
            f"{environment.environment}; components there: {known}"
        )
    missing = [name for name in scenario.probes if name not in environment.probes]
    if missing:
        known = ", ".join(environment.probes)
        raise UsageError(
            f"scenario {scenario.scenario}: no probe {', '.join(map(repr, missing))} in environment "
            f"{environment.environment}; probes there: {known}"
        )

    _check_stop_conditions(scenario, environment)


def check_possible(scenario: Scenario, environment: Environment) -> None:
    """The environment's target can do what the scenario does, to some component at least. Contacts nothing: whether it
    can be done here is asked when it is to be done.

    Raises:
        UsageError: a scenario for another target.
    """
    kind = target_class(environment.target)
    for fault in scenario.faults:
        try:
            check_kind(fault, kind)
        except UsageError as error:
            name, where = scenario.scenario, environment.environment
            raise UsageError(
                f"scenario {name} is for another target than environment {where}: {error}"
            ) from None


def is_possible(scenario: Scenario, environment: Environment) -> bool:
    try:
        check_possible(scenario, environment)
    except UsageError:
        return False
    return True


def _check_stop_conditions(scenario: Scenario, environment: Environment) -> None:
    stops = scenario.safety.stop_when
    for location, message in stop_misfits(stops, environment.probes, environment.detector.kind):
        where = dotted(("safety", "stop_when", *location))
        raise UsageError(
            f"scenario {scenario.scenario}: {where}: {message} (environment {environment.environment})"
        )
    if environment.detector.kind != "embedded":
        return
    for stop in (*stops, *environment.stop_when):
        if isinstance(stop, QueryStop):
            try:
                Expression.parse(stop.promql)
            except UsageError as error:
                raise UsageError(f"stop condition {stop.describe()}: {error}") from None


def check_targets(scenario: Scenario, status: Mapping[str, ComponentStatus], target: object = None) -> str:
    """Everything runs, and the fault hits at least one target and no more than allowed."""
    down = [
        f"{name} is {found.running.value}"
        for name, found in status.items()
        if found.running is not Running.UP
    ]
    if down:
        raise Refused(f"not everything runs before the drill: {', '.join(down)}")
    components = tuple(dict.fromkeys(fault.component for fault in scenario.faults))
    unknown = [name for name in components if name not in status]
    if unknown:
        raise ComponentNotFound(f"no component {unknown[0]!r}; components here: {', '.join(status)}")
    hit = list(dict.fromkeys(one for fault in scenario.faults for one in hit_by(fault, status, target)))
    what = "; ".join(part for part in (describe_during(scenario), describe_fault(scenario)) if part)
    if scenario.faults and not hit:
        raise Refused(f"{what} matches no target")
    if len(hit) > scenario.safety.max_targets:
        raise Refused(
            f"{what} would hit {len(hit)} targets ({', '.join(hit)}); "
            f"safety.max_targets is {scenario.safety.max_targets}"
        )
    return f"{what} hits {', '.join(hit)}" if hit else "everything runs; nothing will be touched"


def hit_by(fault: AnyFault, status: Mapping[str, ComponentStatus], target: object = None) -> tuple[str, ...]:
    """What a fault would hit: all that the component is, or so many of it; what goes with a drained node too."""
    if isinstance(fault, DrainFault) and isinstance(target, Drainable):
        return target.evicted(fault.component)
    targets = status[fault.component].targets
    return targets[: fault.hits(len(targets))] if isinstance(fault, Counted) else targets


def check_fault(scenario: Scenario, target: OwnedTarget) -> str:
    """Every fault can be applied here, and what would put it back is known. Touches nothing."""
    parts = [build(fault, target, scenario.safety.ttl) for fault in scenario.faults]
    undos = [part.prepare() for part in parts]
    put_back = ", ".join(f"{undo.operation} {undo.component}" for undo in undos)
    described = "; ".join(part.describe() for part in parts)
    return f"{described}: put back by {put_back}" if parts else "no fault"


def check_runbook(
    scenario: Scenario,
    environment: Environment,
    project: Project,
    rules: Iterable[RuleInfo],
    manual: Manual,
) -> str:
    """The alert exists and names this runbook, and the runbook can be executed here."""
    name, alert = str(scenario.runbook), scenario.expected.alert
    by_name = {rule.name: rule for rule in rules}
    if alert not in by_name:
        raise Refused(f"the detector has no rule {alert!r}; rules there: {', '.join(by_name)}")
    url = by_name[alert].runbook_url
    named = url is not None and PurePosixPath(url).stem == name
    runbook = load_runbook(project.runbook_file(name))
    if not named and alert not in runbook.alerts:
        what = f"the runbook {url}" if url is not None else "no runbook"
        raise Refused(
            f"{alert} names {what}, the scenario wants {name}, whose front matter does not list {alert}"
        )
    for step in runbook.steps:
        if step.component is not None and step.component not in environment.components:
            raise Refused(
                f"{runbook.path}:{step.line}: step {step.heading!r}: no component {step.component!r} here"
            )
        if step.check is not None and step.check.probe not in environment.probes:
            raise Refused(
                f"{runbook.path}:{step.line}: step {step.heading!r}: no probe {step.check.probe!r} in environment "
                f"{environment.environment}; probes there: {', '.join(environment.probes)}"
            )
    findings = lint([runbook], environment_components=None, probes=None, alerts=None, scenarios=None)
    dead_ends = [str(finding) for finding in findings if finding.code == DEAD_END]
    if dead_ends:
        raise Refused("; ".join(dead_ends))
    questions = [step.heading for step in runbook.main_path if step.kind == "manual"]
    asking = [heading for heading in questions if not manual.can_answer(heading)]
    if asking:
        raise Refused(f"{runbook.path}: nobody is there to answer step {', '.join(map(repr, asking))}")
    how = f"{alert} names it" if named else f"it lists {alert}"
    return f"{name} has {len(runbook.steps)} steps that can be executed here; {how}"
