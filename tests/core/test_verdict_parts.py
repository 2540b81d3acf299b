"""The verdict on controls, on what precedes a fault and on what follows the undo, by literal timelines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.test_verdict import assert_only, check_of, verdict_of
from core.timelines import ALERT, Drill, passing
from core.worlds import fake_control
from gameday.intervals import Result, restoring_mitigation
from gameday.timeline import Kind, Phase
from gameday.verdict import Outcome, Verdict, judge

IMPACT = "impact: {probe: answers, fails_within: 2s}"
STRUCK = ("safety:", f"fault: {{kill: api}}\n{IMPACT}\nsafety:")
RULE = {
    "alert": ALERT,
    "expr": "up < 1",
    "for_s": 60.0,
    "advice": [
        {"code": "A1", "title": "Vanishes", "explanation": "The series vanishes with its exporter.",
         "instead": "absent(up)"},
        {"code": "A2", "title": "Slow", "explanation": "It waits a minute", "instead": ""},
    ],
}  # fmt: skip
EXPLAINED = ". The rule is up < 1. The series vanishes with its exporter. It waits a minute"


def quiet(outcome: str = "quiet", *alerts: str, struck: bool = False) -> Drill:
    """A control of which the watch ended so."""
    drill = Drill().then(-10, Kind.DRILL_STARTED, drill="d", speed=1.0, instance="demo")
    drill = drill.enter(-10, Phase.PREFLIGHT).then(-9, Kind.DETECTOR_HEALTH, ok=True, detail="evaluates")
    drill = drill.then(-5, Kind.PREFLIGHT_CHECKED, check="alert", ok=True, detail="quiet")
    undo = {"id": 0, "operation": "start", "component": "api"}
    if struck:
        drill = drill.enter(-4, Phase.ARM).then(-3, Kind.UNDO_RECORDED, **undo, ttl_s=1200.0)
        drill = drill.enter(-1, Phase.INJECT).then(0, Kind.FAULT_INJECTING, fault="kill api", targets=["api"])
        drill = drill.then(1, Kind.FAULT_EFFECTIVE, probe="answers", resolution_s=0.1, detail="refused")
    drill = drill.enter(1.5, Phase.DETECT)
    for alert in alerts:
        drill = drill.then(31, Kind.ALERT_FIRING, alert=alert, expected=False, resolution_s=1.0)
    drill = drill.then(61, Kind.WATCH_ENDED, outcome=outcome, watched_s=60.0, alerts=list(alerts))
    if struck:
        drill = drill.enter(62, Phase.UNDO).then(63, Kind.UNDO_ENDED, **undo, ok=True, detail="", by="runner")
        drill = drill.then(64, Kind.LEFTOVERS_CHECKED, ok=True, detail="")
    return drill.enter(65, Phase.JUDGE).then(66, Kind.DRILL_ENDED)


def control(drill: Drill, *changes: tuple[str, str]) -> Verdict:
    return judge(drill.timeline(), fake_control(*changes))


# --- controls -----------------------------------------------------------------------------------------------


def test_a_control_that_stayed_quiet_passes() -> None:
    verdict = control(quiet())
    assert (verdict.outcome, verdict.exit_code, verdict.reasons) == (Outcome.PASS, 0, ())
    assert [check.name for check in verdict.checks] == ["preflight", "quiet", "undone"]
    assert check_of(verdict, "preflight").detail == "steady state held and every alert was quiet"
    assert verdict.intervals == {}
    assert (verdict.restored_by, verdict.data_loss_s) == (None, None)


def test_a_control_with_a_fault_is_judged_by_its_effect_too() -> None:
    verdict = control(quiet(struck=True), STRUCK)
    assert verdict.outcome is Outcome.PASS
    assert [check.name for check in verdict.checks] == ["preflight", "effective", "quiet", "undone"]
    without = control(quiet(struck=True).without(Kind.FAULT_EFFECTIVE), STRUCK)
    assert (without.outcome, without.exit_code) == (Outcome.INCONCLUSIVE, 3)


def test_an_alert_of_a_control_fails_it_and_its_rule_explains_why() -> None:
    told = quiet("fired", ALERT).before(Kind.ALERT_FIRING, 30, Kind.ALERT_RULE, **RULE)
    assert_only(control(told), "quiet", Result.MISSED, f"{ALERT} fired{EXPLAINED}")
    assert control(told).unexpected_alerts == (ALERT,)


def test_every_alert_of_a_control_is_named_with_the_time_since_the_effect() -> None:
    verdict = control(quiet("fired", ALERT, "slow", struck=True), STRUCK)
    assert check_of(verdict, "quiet").detail == (
        f"{ALERT} fired 30.0 s after the effect, which nobody should be woken for; "
        "slow fired 30.0 s after the effect, which nobody should be woken for"
    )


def test_an_alert_that_fired_before_the_effect_says_so() -> None:
    verdict = control(quiet("fired", ALERT, struck=True).changed(Kind.ALERT_FIRING, at_s=0.5), STRUCK)
    assert check_of(verdict, "quiet").detail == (
        f"{ALERT} fired 0.5 s before the effect, which nobody should be woken for"
    )


@pytest.mark.parametrize(
    ("drill", "detail"),
    [
        (quiet("unknown"), "not known: the detector was blind meanwhile"),
        (quiet().without(Kind.WATCH_ENDED), "not watched to the end"),
    ],
)
def test_a_control_that_was_not_seen_proves_nothing(drill: Drill, detail: str) -> None:
    verdict = control(drill)
    assert check_of(verdict, "quiet").result is Result.UNKNOWN
    assert check_of(verdict, "quiet").detail == detail
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INCONCLUSIVE, 3)


def test_an_alert_that_fired_is_a_miss_though_the_detector_was_blind_too() -> None:
    assert control(quiet("fired", ALERT)).exit_code == 1


def test_a_control_that_left_something_behind_has_exit_code_5() -> None:
    drill = quiet(struck=True).changed(Kind.UNDO_ENDED, ok=False)
    assert control(drill, STRUCK).exit_code == 5


@pytest.mark.parametrize("length", range(1, len(quiet(struck=True).events) + 1))
def test_a_control_that_broke_off_never_passes(length: int) -> None:
    drill = quiet(struck=True).cut(length)
    kinds = {event.kind for event in drill.events}
    assert (control(drill, STRUCK).outcome is Outcome.PASS) == (Kind.LEFTOVERS_CHECKED in kinds)


ENDINGS = st.sampled_from(["quiet", "fired", "unknown"])


@given(outcome=ENDINGS, alerts=st.lists(st.sampled_from(["a", "b"]), unique=True), struck=st.booleans(),
       gone=st.lists(st.sampled_from([Kind.WATCH_ENDED, Kind.PREFLIGHT_CHECKED, Kind.FAULT_EFFECTIVE]), max_size=2),
       aborted=st.booleans())  # fmt: skip
def test_a_control_passes_only_where_it_was_watched_to_its_end_and_nothing_fired(
    outcome: str, alerts: list[str], struck: bool, gone: list[Kind], aborted: bool
) -> None:
    drill = quiet(outcome, *alerts, struck=struck).without(*gone)
    if aborted:
        drill = drill.then(70, Kind.DRILL_ABORTED, reason="SIGINT received")
    verdict = control(drill, *((STRUCK,) if struck else ()))
    seen = Kind.WATCH_ENDED not in gone and not (struck and Kind.FAULT_EFFECTIVE in gone)
    good = seen and not alerts and outcome != "unknown" and not aborted
    assert (verdict.outcome is Outcome.PASS) == good
    assert (verdict.outcome is Outcome.FAIL) == (seen and bool(alerts) and not aborted)
    assert judge(drill.timeline(), fake_control(*((STRUCK,) if struck else ()))) == verdict


# --- before the fault ---------------------------------------------------------------------------------------


def test_what_was_not_in_force_before_the_fault_is_inconclusive() -> None:
    drill = passing().until(Kind.FAULT_INJECTING)
    drill = drill.then(0, Kind.DURING_INJECTING, fault="pause api").then(0.5, Kind.DURING_INJECTED, detail="")
    drill = drill.then(10, Kind.DURING_INEFFECTIVE, probe="confirms", waited_s=10.0)
    drill = Drill((*drill.events, *passing().events[-5:]))
    verdict = verdict_of(drill)
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INCONCLUSIVE, 3)
    assert check_of(verdict, "effective").detail == (
        "probe confirms did not fail: what must be in force before the fault was not"
    )


def test_a_refusal_after_something_was_touched_does_not_say_that_nothing_was() -> None:
    drill = passing().until(Kind.FAULT_INJECTING)
    drill = drill.then(
        0, Kind.PREFLIGHT_CHECKED, check="alert", ok=False, detail="it_is_down is pending already"
    )
    verdict = verdict_of(Drill((*drill.events, *passing().events[-5:])))
    assert verdict.reasons[0] == (
        "Preflight: refused, before the fault under test struck: alert: it_is_down is pending already"
    )


# --- what the rule says -------------------------------------------------------------------------------------


def silent() -> Drill:
    drill = passing().without(Kind.ALERT_FIRING, Kind.ALERT_RESOLVED, Kind.ALERT_PENDING)
    return drill.changed(Kind.DETECT_ENDED, outcome="expired")


def test_an_alert_that_did_not_fire_is_explained_by_its_rule() -> None:
    drill = silent().before(Kind.FAULT_INJECTING, -1, Kind.ALERT_RULE, **RULE)
    assert check_of(verdict_of(drill), "detected").detail == (
        f"did not fire within 3m of the effect; it was not even pending{EXPLAINED}"
    )


@pytest.mark.parametrize(
    "changes", [{"alert": "another"}, {"expr": "", "advice": []}], ids=["another-rule", "nothing-known"]
)
def test_a_rule_that_explains_nothing_is_not_cited(changes: dict[str, Any]) -> None:
    drill = silent().before(Kind.FAULT_INJECTING, -1, Kind.ALERT_RULE, **{**RULE, **changes})
    assert check_of(verdict_of(drill), "detected").detail == (
        "did not fire within 3m of the effect; it was not even pending"
    )


# --- after the undo -----------------------------------------------------------------------------------------

AFTER = {"afterwards": {"probes": ["drained"], "within": "30s"}}


def drained(ok: bool = True, waited_s: float = 12.0) -> Drill:
    detail = "drained hold" if ok else "drained: 40 is more than 20"
    return passing().before(
        Kind.DRILL_ENDED, 125 + waited_s, Kind.AFTERWARDS_ENDED, ok=ok, probes=["drained"], waited_s=waited_s,
        detail=detail,
    )  # fmt: skip


def test_what_holds_again_after_the_undo_is_met_with_its_time() -> None:
    verdict = verdict_of(drained(), **AFTER)
    assert verdict.outcome is Outcome.PASS
    check = check_of(verdict, "afterwards")
    assert check.detail == "drained hold (12.0 s after the undo, objective 30s)"
    assert check.measured is not None
    assert (check.measured.value_s, check.objective_s) == (12.0, 30.0)
    assert "afterwards" not in {check.name for check in verdict_of(passing()).checks}


def test_what_does_not_hold_after_the_undo_fails() -> None:
    assert_only(
        verdict_of(drained(False, 30.0), **AFTER),
        "afterwards",
        Result.MISSED,
        "drained: 40 is more than 20 (30.0 s after the undo, objective 30s)",
    )


def test_what_was_not_looked_at_after_the_undo_is_not_known() -> None:
    verdict = verdict_of(passing(), **AFTER)
    assert_only(verdict, "afterwards", Result.UNKNOWN, "not observed")
    assert verdict.exit_code == 3


LATE = {"expect__resolves_after": "undo"}


def late(at_s: float, outcome: str = "resolved") -> Drill:
    """The alert resolves at `at_s`; everything was put back at 125."""
    drill = passing().changed(Kind.ALERT_RESOLVED, at_s=at_s)
    return drill.changed(Kind.RESOLVE_ENDED, at_s=max(at_s, 125.0), outcome=outcome, after="undo")


def test_an_alert_is_timed_from_the_undo_where_the_cause_was_out_of_reach() -> None:
    verdict = verdict_of(late(145), **LATE)
    assert verdict.outcome is Outcome.PASS
    assert check_of(verdict, "resolved").detail == "20.00 s ± 1.00 s after the undo, objective 10m"
    assert verdict.intervals["time_to_resolve"].value_s == 20
    slow = verdict_of(late(145), **LATE, expect__resolves_within="15s")
    assert_only(slow, "resolved", Result.MISSED, "20.00 s ± 1.00 s after the undo, objective 15s")


def test_an_alert_that_had_resolved_before_the_undo_is_resolved() -> None:
    verdict = verdict_of(late(100), **LATE)
    assert verdict.outcome is Outcome.PASS
    assert check_of(verdict, "resolved").detail == "it had resolved when everything was put back"


def test_an_alert_that_goes_on_after_the_undo_fails() -> None:
    drill = late(145, "expired").without(Kind.ALERT_RESOLVED)
    assert_only(verdict_of(drill, **LATE), "resolved", Result.MISSED, "still firing 10m after the undo")


# --- mitigation ---------------------------------------------------------------------------------------------


def test_the_mitigation_is_that_of_the_step_that_restored() -> None:
    drill = passing()
    assert restoring_mitigation(drill.timeline()) is None
    named = drill.changed(Kind.STEP_STARTED, mitigation="failover")
    assert restoring_mitigation(named.timeline()) == "failover"
    looked = named.changed(Kind.STEP_STARTED, acts=False)
    assert restoring_mitigation(looked.timeline()) is None
    never = named.without(Kind.SERVICE_RECOVERED)
    assert restoring_mitigation(never.timeline()) is None
