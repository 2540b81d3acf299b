"""What holds for the verdict of every drill, however it went."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timelines import Drill, passing, scenario
from gameday.intervals import Measured, Result
from gameday.timeline import Kind
from gameday.verdict import Outcome, judge, verdict_to_json

RANK = {Outcome.PASS: 2, Outcome.INCONCLUSIVE: 1, Outcome.FAIL: 0}
instants = st.integers(-50, 2000).map(lambda tenths: tenths / 10)
MOVABLE = [
    Kind.FAULT_EFFECTIVE, Kind.ALERT_PENDING, Kind.ALERT_FIRING, Kind.SERVICE_RECOVERED, Kind.ALERT_RESOLVED,
    Kind.STEP_STARTED,
]  # fmt: skip
REMOVABLE = [
    *MOVABLE, Kind.RUNBOOK_ENDED, Kind.CANARY_ACCOUNTED, Kind.RESOLVE_ENDED, Kind.UNDO_ENDED, Kind.LEFTOVERS_CHECKED,
    Kind.DETECT_ENDED, Kind.DRILL_ENDED,
]  # fmt: skip


@st.composite
def drills(draw: st.DrawFn) -> Drill:
    """The drill that passes, with times moved, data changed, events missing or added."""
    drill = passing()
    for kind in draw(st.lists(st.sampled_from(MOVABLE), max_size=3, unique=True)):
        drill = drill.changed(kind, at_s=draw(instants))
    for kind in draw(
        st.lists(st.sampled_from([Kind.UNDO_ENDED, Kind.LEFTOVERS_CHECKED]), max_size=2, unique=True)
    ):
        drill = drill.changed(kind, ok=draw(st.booleans()))
    if draw(st.booleans()):
        drill = drill.changed(
            Kind.DETECT_ENDED, outcome=draw(st.sampled_from(["firing", "expired", "unknown"]))
        )
    if draw(st.booleans()):
        drill = drill.before(Kind.ALERT_PENDING, draw(instants), Kind.DETECTOR_HEALTH, ok=draw(st.booleans()))
    if draw(st.booleans()):
        missing = draw(st.integers(0, 5))
        drill = drill.changed(
            Kind.CANARY_ACCOUNTED, missing=missing, oldest_missing_s=draw(instants) if missing else None
        )
    drill = drill.without(*draw(st.lists(st.sampled_from(REMOVABLE), max_size=2)))
    if draw(st.booleans()):
        drill = drill.cut(draw(st.integers(1, len(drill.events))))
    return drill


@given(drills())
def test_the_verdict_follows_from_its_checks_alone(drill: Drill) -> None:
    timeline = drill.timeline()
    verdict = judge(timeline, scenario())
    assert judge(timeline, scenario()) == verdict
    assert json.loads(json.dumps(verdict_to_json(verdict)))["verdict"] == verdict.outcome.value
    results = [check.result for check in verdict.checks]
    assert (verdict.outcome is Outcome.PASS) == (set(results) == {Result.MET})
    assert (verdict.outcome is Outcome.PASS) == (verdict.exit_code == 0)
    assert len(verdict.reasons) == len(results) - results.count(Result.MET)
    if verdict.outcome is Outcome.FAIL:
        assert Result.MISSED in results


@given(drills())
def test_an_end_that_was_not_written_changes_nothing(drill: Drill) -> None:
    ended = judge(drill.timeline(), scenario())
    assert judge(drill.without(Kind.DRILL_ENDED).timeline(), scenario()) == ended


@given(drills())
def test_an_undo_that_failed_never_makes_it_better(drill: Drill) -> None:
    failed = {"id": 99, "operation": "start", "component": "api"}
    worse = drill.then(130, Kind.UNDO_RECORDED, **failed, ttl_s=1.0)
    worse = worse.then(131, Kind.UNDO_ENDED, **failed, ok=False, detail="no", by="runner")
    before, after = judge(drill.timeline(), scenario()), judge(worse.timeline(), scenario())
    assert RANK[after.outcome] <= RANK[before.outcome]
    assert (after.left_behind, after.exit_code) == (True, 5)


@given(drills(), st.sampled_from([2, 4, 8]))
def test_a_rehearsal_at_speed_is_judged_as_the_real_thing(drill: Drill, speed: int) -> None:
    slow = judge(drill.timeline(), scenario())
    fast = judge(drill.scaled(speed).timeline(), scenario().at_speed(speed))
    # the effect has the same 10 s in both, so that a late one may be in time when everything is faster
    assert {check.name: check.result for check in fast.checks if check.name != "effective"} == {
        check.name: check.result for check in slow.checks if check.name != "effective"
    }


@pytest.mark.parametrize("length", range(1, len(passing().events) + 1))
def test_a_drill_that_broke_off_never_passes_and_what_is_not_undone_is_left_behind(length: int) -> None:
    drill = passing().cut(length)
    kinds = {event.kind for event in drill.events}
    verdict = judge(drill.timeline(), scenario())
    assert (verdict.outcome is Outcome.PASS) == (Kind.LEFTOVERS_CHECKED in kinds)
    assert verdict.left_behind == (Kind.UNDO_RECORDED in kinds and Kind.UNDO_ENDED not in kinds)


@given(st.floats(0, 1000), st.floats(0, 10), st.floats(0, 10), st.floats(0, 1000))
def test_a_measured_time_is_met_or_missed_only_when_no_part_of_it_says_otherwise(
    value: float, below: float, above: float, objective: float
) -> None:
    result = Measured(value, value - below, value + above).within(objective)
    assert (result is Result.MET) == (value + above <= objective)
    assert (result is Result.MISSED) == (value - below > objective)
