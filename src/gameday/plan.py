"""The plan of a drill: its phases, what each does, and how long it may take. Pure; nothing is touched."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.fields import format_duration
from gameday.scenario import Scenario
from gameday.timeline import Phase

STEADY_MAX_S = 1.0
PREFLIGHT_S = 30.0
APPLY_S = 20.0
GIVE_UP_S = 2.0
FIND_S = 40.0
UNDO_S = 120.0
GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """One phase: what happens, and the budget after which it is over."""

    phase: Phase
    what: str
    budget_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All phases of one drill, in order."""

    phases: tuple[PhasePlan, ...]
    steady_for_s: float
    """How long the steady state must hold before anything is touched: as long as a recovery, at most 1 s."""

    def budget_s(self, phase: Phase) -> float:
        return next(entry.budget_s for entry in self.phases if entry.phase is phase)

    @property
    def deadline_s(self) -> float:
        """The longest that the drill can take before its runner ends it."""
        return sum(entry.budget_s for entry in self.phases) + GRACE_S


def plan(scenario: Scenario) -> Plan:
    """The plan of `scenario`, which is at the drill's speed."""
    expect, recovered, objectives = scenario.expect, scenario.recovered, scenario.objectives
    steady = ", ".join(scenario.steady_state)
    back = ", ".join(recovered.probes)
    entries = (
        (Phase.PREFLIGHT, f"{steady} hold; {expect.alert} is quiet", PREFLIGHT_S),
        (Phase.ARM, f"record the undo; arm the dead-man switch for {_d(scenario.safety.ttl)}", APPLY_S),
        (
            Phase.INJECT,
            f"{describe_fault(scenario)}; {scenario.impact.probe} fails within {_d(scenario.impact.fails_within)}",
            APPLY_S + scenario.impact.fails_within,
        ),
        (Phase.DETECT, f"{expect.alert} fires within {_d(expect.fires_within)}", expect.fires_within),
        (Phase.RESPOND, f"execute runbook {scenario.respond.runbook}", objectives.rto),
        (
            Phase.RECOVER,
            f"{back} hold for {_d(recovered.stable_for)} within {_d(objectives.rto)} of the effect",
            objectives.rto + recovered.stable_for,
        ),
        (
            Phase.ACCOUNT,
            f"look acknowledged records up; {expect.alert} resolves within {_d(expect.resolves_within)}",
            expect.resolves_within + FIND_S,
        ),
        (Phase.UNDO, "put everything back, last in first out; prove that nothing is left", UNDO_S),
        (Phase.JUDGE, "judge the timeline and write the reports", GRACE_S),
    )
    return Plan(tuple(PhasePlan(*entry) for entry in entries), min(STEADY_MAX_S, recovered.stable_for))


def describe_fault(scenario: Scenario) -> str:
    """The fault in a few words, as the plan and the experiment name it."""
    fault = scenario.fault
    details = ", ".join(
        f"{name} {value}" for name, value in fault.model_dump(mode="json").items() if name != fault.verb
    )
    return f"{fault.verb} {fault.component}" + (f" ({details})" if details else "")


def _d(seconds: float) -> str:
    return format_duration(seconds)
