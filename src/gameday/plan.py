"""The plan of a drill: its phases, what each does, and how long it may take. Pure; nothing is touched."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.fault_spec import AnyFault
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
    entries = _control(scenario) if scenario.control else _drill(scenario)
    steady_s = (
        STEADY_MAX_S if scenario.recovered is None else min(STEADY_MAX_S, scenario.recovered.stable_for)
    )
    return Plan(tuple(PhasePlan(*entry) for entry in entries), steady_s)


Entry = tuple[Phase, str, float]
_JUDGE: Entry = (Phase.JUDGE, "judge the timeline and write the reports", GRACE_S)


def _before(scenario: Scenario, quiet: str) -> tuple[Entry, ...]:
    steady = ", ".join(scenario.steady_state)
    return (
        (Phase.PREFLIGHT, f"{steady} hold; {quiet}", PREFLIGHT_S),
        (Phase.ARM, f"record the undo; arm the dead-man switch for {_d(scenario.safety.ttl)}", APPLY_S),
    )


def _strike(scenario: Scenario) -> Entry:
    impact, during = scenario.proof, scenario.during
    what = f"{describe_fault(scenario)}; {impact.probe} fails within {_d(impact.fails_within)}"
    budget_s = APPLY_S * len(scenario.faults) + impact.fails_within
    if during is not None:
        what = f"{describe_during(scenario)}; {during.impact.probe} fails; then {what}"
        budget_s += during.impact.fails_within
    return Phase.INJECT, what, budget_s


def _control(scenario: Scenario) -> tuple[Entry, ...]:
    strike = (_strike(scenario),) if scenario.fault else ()
    return (
        *_before(scenario, "every alert is quiet"),
        *strike,
        (Phase.DETECT, f"no alert fires for {_d(scenario.watched_s)}", scenario.watched_s),
        (Phase.UNDO, "put everything back; prove that nothing is left", UNDO_S),
        _JUDGE,
    )


def _drill(scenario: Scenario) -> tuple[Entry, ...]:
    expect, recovered, rto_s = scenario.expected, scenario.recovery, scenario.rto_s or 0.0
    back = ", ".join(recovered.probes)
    resolves = f"{expect.alert} resolves within {_d(expect.resolves_within)}"
    early, late = (f"; {resolves}", "") if expect.resolves_after == "recovery" else ("", f"; {resolves}")
    after_s = expect.resolves_within if late else 0.0
    if scenario.afterwards is not None:
        late = f"; {', '.join(scenario.afterwards.probes)} hold within {_d(scenario.afterwards.within)}{late}"
        after_s += scenario.afterwards.within
    return (
        *_before(scenario, f"{expect.alert} is quiet"),
        _strike(scenario),
        (Phase.DETECT, f"{expect.alert} fires within {_d(expect.fires_within)}", expect.fires_within),
        (Phase.RESPOND, f"execute runbook {scenario.runbook}", rto_s),
        (
            Phase.RECOVER,
            f"{back} hold for {_d(recovered.stable_for)} within {_d(rto_s)} of the effect",
            rto_s + recovered.stable_for,
        ),
        (Phase.ACCOUNT, f"look acknowledged records up{early}", expect.resolves_within + FIND_S),
        (
            Phase.UNDO,
            f"put everything back, last in first out; prove that nothing is left{late}",
            UNDO_S + after_s,
        ),
        _JUDGE,
    )


def describe_fault(scenario: Scenario) -> str:
    """The fault in a few words, as the plan and the experiment name it."""
    return "; ".join(_described(fault) for fault in scenario.fault) or "no fault"


def describe_during(scenario: Scenario) -> str:
    """What must be in force before the fault, in the same form."""
    return "; ".join(_described(fault) for fault in (scenario.during.fault if scenario.during else ()))


def _described(fault: AnyFault) -> str:
    details = ", ".join(
        f"{name} {value}"
        for name, value in fault.model_dump(mode="json", exclude_unset=True).items()
        if name != fault.verb and value is not None
    )
    return f"{fault.verb} {fault.component}" + (f" ({details})" if details else "")


def _d(seconds: float) -> str:
    return format_duration(seconds)
