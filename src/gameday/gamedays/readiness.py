"""The automatic part of the go/no-go checklist: what can be looked at without touching anything.

Each drill looks again for itself, in its preflight. Here all drills are looked at before the first, so that nobody
finds out in the third hour that the fifth drill has no runbook.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gameday.detectors import given_by, open_detector
from gameday.detectors.base import Alert, AlertState, Detector, RuleInfo
from gameday.environment import Environment
from gameday.errors import GamedayError, Refused
from gameday.gamedays.entries import Checked
from gameday.gamedays.model import ROLES, Role
from gameday.journal import UndoLog
from gameday.lock import DrillLock
from gameday.plan import STEADY_MAX_S
from gameday.preflight import check_fault, check_runbook, check_targets
from gameday.probes import Answer, Sampler
from gameday.project import Project
from gameday.runbook.manual import Manual
from gameday.scenario import Scenario
from gameday.targets import open_target
from gameday.targets.base import OwnedTarget
from gameday.watchers import ProbeState

PATIENCE_S = 60.0
"""For the steady state and for quiet alerts: what an earlier drill, or a start, has left in a rule's window."""
LOOK_S = 0.1
TARGETS = "targets"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is looked at: every scenario of the game day, as written, in one environment."""

    project: Project
    environment: Environment
    instance: str
    scenarios: tuple[Scenario, ...]
    speed: float
    manual: Manual


def roles_filled(roles: Mapping[Role, Sequence[str]]) -> Checked:
    empty = [role for role in ROLES if not roles.get(role)]
    detail = f"nobody is {', '.join(empty)}" if empty else f"all {len(ROLES)} roles have somebody"
    return Checked(check="roles", ok=not empty, detail=detail)


def automatic_checks(around: Surroundings, patience_s: float = PATIENCE_S) -> Iterator[Checked]:
    """One after the other, as they are known. Touches nothing; a check that cannot be made is not ok."""
    target = open_target(around.environment, around.instance, around.project)
    rules: list[RuleInfo] = []
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("permission", lambda: _permitted(around)),
        ("lock", lambda: _unlocked(around)),
        ("leftovers", lambda: _nothing_left(around)),
        (TARGETS, lambda: _targets(around, target)),
        ("steady state", lambda: asyncio.run(_steady(around, target, rules, patience_s))),
        ("runbooks", lambda: _runbooks(around, rules)),
    )
    for name, check in checks:
        try:
            found = Checked(check=name, ok=True, detail=check())
        except (GamedayError, OSError) as error:
            found = Checked(check=name, ok=False, detail=str(error))
        yield found
        if name == TARGETS and not found.ok:
            return  # what does not run does not answer either


def _permitted(around: Surroundings) -> str:
    if around.environment.drills != "allowed":
        raise Refused(f"environment {around.environment.environment} does not allow drills")
    return f"{around.environment.environment} allows drills; {len(around.scenarios)} scenarios fit it"


def _unlocked(around: Surroundings) -> str:
    who = DrillLock(around.project.state, around.instance).holder()
    if who is not None:
        raise Refused(f"drill {who.drill} runs there (pid {who.holder.pid}), since {who.since}")
    return f"nobody drills {around.instance}"


def _nothing_left(around: Surroundings) -> str:
    left = [
        str(log.header["drill"])
        for log in UndoLog.find(around.project.state / "undo")
        if log.header.get("instance") == around.instance
    ]
    if left:
        raise Refused(f"{', '.join(left)} has not put everything back; run `gameday recover`")
    return "no drill has left anything behind"


def _targets(around: Surroundings, target: OwnedTarget) -> str:
    status = target.status()
    for scenario in around.scenarios:
        try:
            check_targets(scenario, status, target)
            check_fault(scenario, target)
        except GamedayError as error:
            raise Refused(f"{scenario.scenario}: {error}") from error
    return f"{len(status)} components run; the faults of {len(around.scenarios)} drills can be applied"


def _runbooks(around: Surroundings, rules: Sequence[RuleInfo]) -> str:
    drills = [scenario for scenario in around.scenarios if not scenario.control]
    if drills and not rules:
        raise Refused("the detector's rules are not known, so neither is whether its alerts name runbooks")
    for scenario in drills:
        try:
            check_runbook(scenario, around.environment, around.project, rules, around.manual)
        except GamedayError as error:
            raise Refused(f"{scenario.scenario}: {error}") from error
    return f"the runbooks of {len(drills)} drills can be executed, and their alerts name them"


# --- what takes a moment ------------------------------------------------------------------------------------


async def _steady(around: Surroundings, target: OwnedTarget, rules: list[RuleInfo], patience_s: float) -> str:
    """Every probe of a steady state holds for a second, and no alert fires. The detector's rules go into `rules`."""
    names = tuple(dict.fromkeys(name for scenario in around.scenarios for name in scenario.steady_state))
    states = {name: ProbeState() for name in names}
    samplers = [_sampler(around, target, name, states[name]) for name in names]
    detector = open_detector(
        around.environment.detector,
        target.address,
        around.project.root,
        speed=around.speed,
        on_transition=lambda _: None,
        on_health=lambda _: None,
        **given_by(target),
    )
    for sampler in samplers:
        sampler.start()
    try:
        await detector.start()
        try:
            return await _until_steady(around, states, detector, patience_s)
        finally:
            rules += detector.rules()
            await detector.stop()
    finally:
        for sampler in samplers:
            await sampler.stop()


def _sampler(around: Surroundings, target: OwnedTarget, name: str, state: ProbeState) -> Sampler:
    probe = around.environment.probes[name]

    def add(answer: Answer) -> None:
        state.add(answer)

    return Sampler(name, probe, target.address(probe.component), "gameday-check-", add)


async def _until_steady(
    around: Surroundings,
    states: Mapping[str, ProbeState],
    detector: Detector,
    patience_s: float,
) -> str:
    wanted = {scenario.alert for scenario in around.scenarios if scenario.alert is not None}
    deadline_s = time.monotonic() + patience_s
    while True:
        objection = _failing(states) or _loud(detector.alerts(), wanted)
        if objection is None:
            return f"{', '.join(states)} hold; no alert fires"
        if time.monotonic() >= deadline_s:
            health = detector.health()
            blind = "" if health.ok else f"; the detector is blind: {health.detail}"
            raise Refused(f"{objection}, for {patience_s:g} s{blind}")
        await asyncio.sleep(LOOK_S)


def _failing(states: Mapping[str, ProbeState]) -> str | None:
    for name, state in states.items():
        if not state.ok or state.last is None or state.since is None:
            return f"{name} does not hold: {state.last.detail if state.last else 'no answer yet'}"
        if state.last.ended - state.since.at < STEADY_MAX_S:
            return f"{name} holds for less than {STEADY_MAX_S:g} s"
    return None


def _loud(alerts: Sequence[Alert], wanted: set[str]) -> str | None:
    """An alert that fires, or an expected one of which nobody knows whether it does."""
    summaries = {alert.name: alert for alert in alerts if alert.summary}
    loud = [
        name
        for name, alert in summaries.items()
        if alert.state is AlertState.FIRING or (alert.state is AlertState.PENDING and name in wanted)
    ]
    if loud:
        return f"{', '.join(loud)} is {summaries[loud[0]].state.value}"
    unknown = [
        name for name in sorted(wanted) if name in summaries and summaries[name].state is AlertState.UNKNOWN
    ]
    absent = sorted(wanted - set(summaries))
    if absent:
        return f"the detector says nothing of {', '.join(absent)}"
    return f"what the detector says of {', '.join(unknown)} is not known" if unknown else None
