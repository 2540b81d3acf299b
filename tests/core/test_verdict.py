"""The verdict on literal timelines, named by what went wrong in them."""

from __future__ import annotations

import pytest

from core.timelines import Drill, passing, scenario
from gameday.intervals import Measured, Result, restored_by
from gameday.timeline import Kind
from gameday.verdict import Check, Outcome, Verdict, judge


def verdict_of(drill: Drill, **changes: object) -> Verdict:
    return judge(drill.timeline(), scenario(**changes))


def check_of(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name == name)


def assert_only(verdict: Verdict, name: str, result: Result, detail: str) -> None:
    """Of all checks only this one is not met, and the reasons say so."""
    found = {
        check.name: (check.result, check.detail) for check in verdict.checks if check.result is not Result.MET
    }
    assert found == {name: (result, detail)}
    assert verdict.reasons == (f"{check_of(verdict, name).title}: {detail}",)
    expected = Outcome.FAIL if result is Result.MISSED else Outcome.INCONCLUSIVE
    assert verdict.outcome is expected


def test_a_drill_in_which_everything_held_passes_and_tells_its_intervals() -> None:
    verdict = verdict_of(passing())
    assert (verdict.outcome, verdict.exit_code, verdict.reasons) == (Outcome.PASS, 0, ())
    assert {check.name for check in verdict.checks} == {
        "preflight", "effective", "detected", "runbook", "recovered", "restored_by", "data_loss", "resolved", "undone",
    }  # fmt: skip
    assert all(check.result is Result.MET for check in verdict.checks)
    assert {
        name: (value.value_s, value.low_s, value.high_s) for name, value in verdict.intervals.items()
    } == {
        "time_to_effect": (1.0, 0.9, 1.0),
        "time_to_pending": (10.0, 9.0, 10.1),
        "mttd": (30.0, 29.0, 30.1),
        "time_to_respond": (2.0, 2.0, 3.0),
        "time_of_runbook": (27.0, 27.0, 27.0),
        "time_to_recover": (60.0, 59.9, 60.1),
        "time_to_resolve": (60.0, 59.0, 60.1),
    }
    assert (verdict.restored_by, verdict.data_loss_s, verdict.unexpected_alerts) == ("runbook", 0.0, ())
    assert not verdict.aborted
    assert not verdict.left_behind
    assert check_of(verdict, "detected").detail == "30.00 s ± 1.00 s after the effect, objective 3m"
    assert check_of(verdict, "restored_by").detail == "by runbook, step 'Start it again'"


# --- each check missed --------------------------------------------------------------------------------------


def test_an_alert_that_fires_too_late_fails() -> None:
    verdict = verdict_of(passing(), expect__fires_within="28s")
    assert_only(verdict, "detected", Result.MISSED, "30.00 s ± 1.00 s after the effect, objective 28s")


def test_an_alert_that_was_only_pending_fails() -> None:
    drill = passing().without(Kind.ALERT_FIRING, Kind.ALERT_RESOLVED)
    drill = drill.changed(Kind.DETECT_ENDED, outcome="expired").changed(
        Kind.RESOLVE_ENDED, outcome="not-fired"
    )
    verdict = verdict_of(drill)
    detail = "did not fire within 3m of the effect; it was pending but never fired"
    assert (check_of(verdict, "detected").result, check_of(verdict, "detected").detail) == (
        Result.MISSED,
        detail,
    )
    assert check_of(verdict, "resolved").result is Result.UNKNOWN
    assert check_of(verdict, "resolved").detail == "there was nothing to resolve"
    assert (verdict.outcome, verdict.exit_code) == (Outcome.FAIL, 1)


def test_an_alert_that_was_not_even_pending_fails() -> None:
    drill = passing().without(Kind.ALERT_FIRING, Kind.ALERT_RESOLVED, Kind.ALERT_PENDING)
    verdict = verdict_of(drill.changed(Kind.DETECT_ENDED, outcome="expired"))
    assert (
        check_of(verdict, "detected").detail
        == "did not fire within 3m of the effect; it was not even pending"
    )
    assert verdict.outcome is Outcome.FAIL


def test_another_alert_is_no_detection_and_is_named_as_unexpected() -> None:
    drill = (
        passing().changed(Kind.ALERT_FIRING, alert="disk_full").changed(Kind.DETECT_ENDED, outcome="expired")
    )
    verdict = verdict_of(drill)
    assert check_of(verdict, "detected").result is Result.MISSED
    assert verdict.unexpected_alerts == ("disk_full",)


def test_a_collateral_alert_is_neither_detection_nor_unexpected() -> None:
    drill = passing().before(
        Kind.ALERT_FIRING, 5, Kind.ALERT_FIRING, alert="errors", expected=True, resolution_s=1.0
    )
    verdict = verdict_of(drill)
    assert (verdict.outcome, verdict.unexpected_alerts) == (Outcome.PASS, ())
    assert verdict.intervals["mttd"].value_s == 30


def test_an_alert_that_fired_before_the_injection_is_no_detection() -> None:
    drill = passing().changed(Kind.ALERT_FIRING, at_s=-1).changed(Kind.DETECT_ENDED, outcome="expired")
    verdict = verdict_of(drill)
    assert check_of(verdict, "detected").result is Result.MISSED
    assert "mttd" not in verdict.intervals


def test_a_runbook_that_failed_fails_with_its_reason() -> None:
    verdict = verdict_of(
        passing().changed(Kind.RUNBOOK_ENDED, completed=False, reason="'Start' failed: no disk")
    )
    assert_only(verdict, "runbook", Result.MISSED, "'Start' failed: no disk")


def test_a_step_over_its_budget_fails_with_both_numbers() -> None:
    verdict = verdict_of(passing().changed(Kind.STEP_ENDED, over_budget=True, duration_s=75.25))
    assert_only(
        verdict,
        "runbook",
        Result.MISSED,
        "steps over their budget: 'Look at the log' took 75.2 s, budget 1m; 'Start it again' took 75.2 s, budget 1m",
    )


def test_a_recovery_beyond_the_rto_fails() -> None:
    verdict = verdict_of(passing(), objectives__rto="50s")
    assert_only(verdict, "recovered", Result.MISSED, "60.00 s ± 0.10 s after the effect, objective 50s")


def never_back(waited_s: float) -> Drill:
    drill = passing().without(Kind.CANARY_ACCOUNTED, Kind.RESOLVE_ENDED, Kind.ALERT_RESOLVED)
    down = drill.before(
        Kind.SERVICE_RECOVERED, 61, Kind.SERVICE_DOWN, waited_s=waited_s, reason="the runbook failed"
    )
    return down.without(Kind.SERVICE_RECOVERED)


def test_a_service_that_stayed_down_for_the_rto_fails_and_the_undo_is_no_recovery() -> None:
    verdict = verdict_of(never_back(900.0))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.restored_by == "undo"
    assert check_of(verdict, "recovered").result is Result.MISSED
    assert check_of(verdict, "recovered").detail == "still down 900.0 s after the effect: the runbook failed"
    assert check_of(verdict, "restored_by").result is Result.UNKNOWN
    assert check_of(verdict, "restored_by").detail == "only the drill's own undo brought it back"
    assert "time_to_recover" not in verdict.intervals


def test_a_drill_that_gave_up_before_the_rto_does_not_know_whether_it_would_have_recovered() -> None:
    verdict = verdict_of(never_back(40.0))
    assert check_of(verdict, "recovered").result is Result.UNKNOWN
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_recovery_that_is_seen_only_after_the_undo_began_never_counts() -> None:
    verdict = verdict_of(passing().changed(Kind.SERVICE_RECOVERED, at_s=123.5))
    assert verdict.outcome is not Outcome.PASS
    assert verdict.restored_by == "undo"
    assert check_of(verdict, "recovered").result is Result.UNKNOWN
    assert not {"time_to_recover", "time_to_resolve"} & verdict.intervals.keys()


def test_a_service_that_came_back_before_any_step_acted_restored_itself() -> None:
    early = passing().changed(Kind.SERVICE_RECOVERED, at_s=40.5)
    assert_only(
        verdict_of(early), "restored_by", Result.MISSED, "by self before any step of the runbook acted"
    )
    allowed = verdict_of(early, recovered__by=["runbook", "self"])
    assert (allowed.outcome, allowed.restored_by) == (Outcome.PASS, "self")
    assert verdict_of(passing(), recovered__by=["self"]).outcome is Outcome.FAIL


def test_a_step_that_only_looks_restores_nothing() -> None:
    drill = passing().changed(Kind.STEP_STARTED, acts=False)
    assert restored_by(drill.timeline()) == "self"


def test_lost_records_beyond_the_rpo_fail_and_within_it_are_a_number() -> None:
    lost = passing().changed(Kind.CANARY_ACCOUNTED, missing=7, oldest_missing_s=95.5, resolution_s=0.2)
    detail = "7 of 600 acknowledged records are missing; the oldest was acknowledged 95.5 s before the fault; objective"
    assert_only(verdict_of(lost, objectives__rpo="90s"), "data_loss", Result.MISSED, f"{detail} 1m30s")
    within = verdict_of(lost)
    assert (within.outcome, within.data_loss_s) == (Outcome.PASS, 95.5)
    assert check_of(within, "data_loss").detail == f"{detail} 15m"
    assert check_of(within, "data_loss").measured == Measured(95.5, 95.5, 95.7)


def test_where_nothing_may_be_lost_a_young_record_is_a_miss_too() -> None:
    lost = passing().changed(
        Kind.CANARY_ACCOUNTED, acknowledged=40, missing=1, oldest_missing_s=0.0, resolution_s=0.2
    )
    verdict = verdict_of(lost, objectives__rpo="0s")
    assert {check.name: check.result for check in verdict.checks}["data_loss"] is Result.MISSED
    assert verdict_of(passing(), objectives__rpo="0s").outcome is Outcome.PASS


def test_a_scenario_without_an_rpo_has_no_check_of_data_loss() -> None:
    lost = passing().changed(Kind.CANARY_ACCOUNTED, missing=7, oldest_missing_s=95.5)
    verdict = verdict_of(lost, objectives__rpo=None)
    assert "data_loss" not in {check.name for check in verdict.checks}
    assert (verdict.outcome, verdict.data_loss_s) == (Outcome.PASS, 95.5)


def test_an_alert_that_resolves_too_late_fails() -> None:
    verdict = verdict_of(passing(), expect__resolves_within="50s")
    assert_only(verdict, "resolved", Result.MISSED, "60.00 s ± 1.00 s after recovery, objective 50s")
    still = passing().without(Kind.ALERT_RESOLVED).changed(Kind.RESOLVE_ENDED, outcome="expired")
    assert_only(verdict_of(still), "resolved", Result.MISSED, "still firing 10m after recovery")


def test_an_alert_that_had_resolved_before_the_service_was_back_is_resolved() -> None:
    verdict = verdict_of(passing().changed(Kind.ALERT_RESOLVED, at_s=50))
    assert verdict.outcome is Outcome.PASS
    assert check_of(verdict, "resolved").detail == "it had resolved when the service was back"


def test_an_undo_that_failed_fails_with_exit_code_5() -> None:
    verdict = verdict_of(passing().changed(Kind.UNDO_ENDED, ok=False, detail="the port is taken"))
    assert_only(verdict, "undone", Result.MISSED, "not reverted: start database; run `gameday recover`")
    assert (verdict.left_behind, verdict.exit_code) == (True, 5)


def test_leftovers_fail_with_exit_code_5() -> None:
    verdict = verdict_of(passing().changed(Kind.LEFTOVERS_CHECKED, ok=False, detail="api is down"))
    assert_only(verdict, "undone", Result.MISSED, "api is down")
    assert verdict.exit_code == 5


def test_an_undo_that_succeeded_the_second_time_is_done() -> None:
    failed = {
        "id": 0,
        "operation": "start",
        "component": "database",
        "ok": False,
        "detail": "no",
        "by": "runner",
    }
    assert (
        verdict_of(passing().before(Kind.UNDO_ENDED, 123.5, Kind.UNDO_ENDED, **failed)).outcome
        is Outcome.PASS
    )


# --- each check unknown -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drill", "changes", "name", "detail"),
    [
        pytest.param(passing(), {"expect__fires_within": "29500ms"}, "detected",
                     "30.00 s ± 1.00 s after the effect, objective 29.5s", id="firing-straddles"),
        pytest.param(passing(), {"objectives__rto": "60s"}, "recovered",
                     "60.00 s ± 0.10 s after the effect, objective 1m", id="recovery-straddles"),
        pytest.param(passing(), {"expect__resolves_within": "60s"}, "resolved",
                     "60.00 s ± 1.00 s after recovery, objective 1m", id="resolution-straddles"),
        pytest.param(passing().changed(Kind.CANARY_ACCOUNTED, missing=1, oldest_missing_s=89.9, resolution_s=0.2),
                     {"objectives__rpo": "90s"}, "data_loss",
                     "1 of 600 acknowledged records are missing; the oldest was acknowledged 89.9 s before the "
                     "fault; objective 1m30s", id="loss-straddles"),
        pytest.param(passing().without(Kind.RUNBOOK_ENDED), {}, "runbook", "it was not executed to its end",
                     id="runbook-without-an-end"),
        pytest.param(passing().without(Kind.CANARY_ACCOUNTED), {}, "data_loss", "records were not accounted for",
                     id="nothing-accounted"),
        pytest.param(passing().changed(Kind.CANARY_ACCOUNTED, ok=False, detail="no answer in time"), {}, "data_loss",
                     "no answer in time", id="records-could-not-be-looked-up"),
        pytest.param(passing().without(Kind.ALERT_RESOLVED, Kind.RESOLVE_ENDED), {}, "resolved", "not observed",
                     id="resolution-not-observed"),
        pytest.param(passing().changed(Kind.RESOLVE_ENDED, outcome="unknown"), {}, "resolved", "not observed",
                     id="detector-blind-at-the-end"),
        pytest.param(passing().without(Kind.LEFTOVERS_CHECKED), {}, "undone",
                     "it was not checked that nothing is left", id="leftovers-not-checked"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_inconclusive(
    drill: Drill, changes: dict[str, str], name: str, detail: str
) -> None:
    verdict = verdict_of(drill, **changes)
    assert_only(verdict, name, Result.UNKNOWN, detail)
    assert verdict.exit_code == 3


BLIND = {"ok": False, "detail": "scrape of api timed out"}


@pytest.mark.parametrize(
    "drill",
    [
        pytest.param(passing().before(Kind.ALERT_PENDING, 5, Kind.DETECTOR_HEALTH, **BLIND), id="meanwhile"),
        pytest.param(passing().changed(Kind.DETECTOR_HEALTH, **BLIND), id="since-before-the-fault"),
    ],
)
def test_a_detector_that_was_blind_has_missed_nothing(drill: Drill) -> None:
    silent = drill.without(Kind.ALERT_FIRING).changed(Kind.DETECT_ENDED, outcome="expired")
    verdict = verdict_of(silent)
    assert check_of(verdict, "detected").result is Result.UNKNOWN
    assert check_of(verdict, "detected").detail == "not known: the detector was blind meanwhile"
    late = check_of(verdict_of(drill, expect__fires_within="20s"), "detected")
    assert late.result is Result.UNKNOWN
    assert (
        late.detail
        == "30.00 s ± 1.00 s after the effect, objective 20s, but the detector was blind meanwhile"
    )


def test_a_detector_that_was_blind_and_saw_the_alert_in_time_all_the_same_has_detected() -> None:
    drill = passing().before(Kind.ALERT_PENDING, 5, Kind.DETECTOR_HEALTH, **BLIND)
    assert verdict_of(drill).outcome is Outcome.PASS


def test_a_detector_that_was_blind_only_after_detection_or_long_before_was_not_blind() -> None:
    late = passing().before(Kind.RUNBOOK_STARTED, 32, Kind.DETECTOR_HEALTH, **BLIND)
    early = passing().before(Kind.DETECTOR_HEALTH, -9.5, Kind.DETECTOR_HEALTH, **BLIND)
    for drill in (late, early):
        silent = drill.without(Kind.ALERT_FIRING).changed(Kind.DETECT_ENDED, outcome="expired")
        assert check_of(verdict_of(silent), "detected").result is Result.MISSED


# --- drills that prove nothing ------------------------------------------------------------------------------


def test_a_fault_without_effect_is_inconclusive_whatever_else_happened() -> None:
    drill = passing().before(Kind.FAULT_EFFECTIVE, 10, Kind.FAULT_INEFFECTIVE, probe="answers", waited_s=10.0)
    drill = drill.without(Kind.FAULT_EFFECTIVE, Kind.ALERT_FIRING).changed(
        Kind.DETECT_ENDED, outcome="expired"
    )
    drill = drill.changed(Kind.RUNBOOK_ENDED, completed=False, reason="broken")
    verdict = verdict_of(drill)
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INCONCLUSIVE, 3)
    assert "Fault took effect: probe answers did not fail within 10s: nothing was proven" in verdict.reasons


def test_an_effect_that_came_too_late_proves_nothing() -> None:
    verdict = verdict_of(passing().changed(Kind.FAULT_EFFECTIVE, at_s=10.2))
    assert_only(
        verdict,
        "effective",
        Result.UNKNOWN,
        "probe answers failed 10.20 s ± 0.10 s after the injection began",
    )


def test_a_refused_drill_is_inconclusive_and_touched_nothing() -> None:
    drill = passing().until(Kind.PREFLIGHT_CHECKED)
    drill = drill.then(
        -5, Kind.PREFLIGHT_CHECKED, check="alert", ok=False, detail="it_is_down is firing already"
    )
    verdict = verdict_of(drill.then(-4, Kind.DRILL_ENDED))
    assert (verdict.outcome, verdict.exit_code, verdict.left_behind) == (Outcome.INCONCLUSIVE, 3, False)
    assert (
        verdict.reasons[0] == "Preflight: refused, nothing was touched: alert: it_is_down is firing already"
    )
    assert check_of(verdict, "undone").detail == "nothing was touched"


@pytest.mark.parametrize(
    "kind", [Kind.FAULT_INJECTING, Kind.ALERT_FIRING, Kind.STEP_ENDED, Kind.SERVICE_RECOVERED]
)
def test_an_aborted_drill_is_inconclusive_with_exit_code_4(kind: Kind) -> None:
    whole = passing()
    rest = [event for event in whole.events if event.at_s >= 122]
    drill = Drill((*whole.until(kind).then(50, Kind.DRILL_ABORTED, reason="SIGINT received").events, *rest))
    verdict = verdict_of(drill)
    assert (verdict.outcome, verdict.exit_code, verdict.aborted) == (Outcome.INCONCLUSIVE, 4, True)
    assert verdict.reasons[0] == "aborted: SIGINT received"


def test_an_aborted_drill_that_left_something_behind_has_exit_code_5() -> None:
    drill = passing().before(Kind.DETECT_ENDED, 20, Kind.DRILL_ABORTED, reason="SIGTERM received")
    verdict = verdict_of(drill.changed(Kind.UNDO_ENDED, ok=False))
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INCONCLUSIVE, 5)
