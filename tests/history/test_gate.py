"""Regressions against the median, and the gate, from literal drills."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.gate import Ground, Opinion, Scheduled, judge
from gameday.regressions import FEWEST, Candidate, Change, Figures, Reading, compare, compare_all
from gameday.trends import Interval

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MTTD, RECOVER, LOSS = Interval.MTTD, Interval.TIME_TO_RECOVER, Interval.DATA_LOSS


def drill(value_s: float | None = 10.0, *, interval: Interval = MTTD, **more: Any) -> Figures:
    readings = {interval: Reading(value_s, more.pop("resolution_s", 0.1), more.pop("result", "met"))}
    settings = {
        "drill": "d",
        "scenario": "database-down",
        "environment": "hotel-local",
        "speed": 1.0,
        "started": NOW,
        "verdict": "PASS",
        "exit_code": 0,
        **more,
    }
    return Figures(readings=readings, **settings)


def candidate(
    value_s: float | None, *before: float | None, interval: Interval = MTTD, **more: Any
) -> Candidate:
    return Candidate(
        drill(value_s, interval=interval, **more), tuple(drill(one, interval=interval) for one in before)
    )


# --- regressions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value_s", "change"),
    [
        (12.05, Change.AS_BEFORE),  # above, but perhaps not, given how often was sampled
        (12.2, Change.WORSE),
        (10.0, Change.AS_BEFORE),
        (7.0, Change.BETTER),
        (None, Change.NOT_MEASURED),
    ],
)
def test_the_newest_is_held_against_the_median(value_s: float | None, change: Change) -> None:
    assert compare(candidate(value_s, 10.0, 9.0, 30.0), MTTD).change is change


def test_one_slow_drill_before_moves_no_median() -> None:
    assert compare(candidate(14.0, 10.0, 10.0, 10.0, 500.0, 10.0), MTTD).change is Change.WORSE


def test_too_few_drills_before_are_no_baseline() -> None:
    found = compare(candidate(99.0, 10.0, None, 10.0), MTTD)
    assert (found.change, found.baseline_s, found.of) == (Change.NO_BASELINE, None, 2)


def test_an_alert_that_used_to_fire_and_did_not_is_worse() -> None:
    assert compare(candidate(None, 10.0, 10.0, 10.0, result="missed"), MTTD).change is Change.WORSE
    assert compare(candidate(None, 10.0, 10.0, 10.0, result="unknown"), MTTD).change is Change.NOT_MEASURED


def test_any_loss_is_worse_where_nothing_was_lost_before() -> None:
    lost = candidate(2.4, 0.0, 0.0, 0.0, interval=LOSS, resolution_s=0.0)
    found = compare(lost, LOSS)
    assert (found.change, found.share) == (Change.WORSE, None)
    assert compare(candidate(0.0, 0.0, 0.0, 0.0, interval=LOSS), LOSS).change is Change.AS_BEFORE


def test_only_the_last_n_make_the_median() -> None:
    found = compare(candidate(10.0, *[10.0] * 3, *[1.0] * 50), MTTD, last=3)
    assert (found.baseline_s, found.of) == (10.0, 3)


def test_the_tolerance_is_the_callers() -> None:
    assert compare(candidate(14.0, 10.0, 10.0, 10.0), MTTD, tolerance=0.5).change is Change.AS_BEFORE


def test_what_the_machine_causes_is_no_regression() -> None:
    assert compare(candidate(0.03, 0.01, 0.01, 0.01, resolution_s=0.0), MTTD).change is Change.AS_BEFORE
    assert compare(candidate(0.3, 0.01, 0.01, 0.01, resolution_s=0.0), MTTD).change is Change.WORSE


def test_worse_ones_come_first() -> None:
    found = compare_all([candidate(10.0, 10.0, 10.0, 10.0), candidate(50.0, 10.0, 10.0, 10.0, scenario="b")])
    assert found[0].newest.scenario == "b"
    assert len(found) == 2 * len(Interval)


values = st.floats(0.01, 1e4)


@given(values, st.lists(values, min_size=FEWEST, max_size=30), st.floats(0, 2), st.floats(0, 10))
def test_worse_is_above_the_median_and_better_below(
    value_s: float, before: list[float], tolerance: float, resolution_s: float
) -> None:
    found = compare(
        candidate(value_s, *before, resolution_s=resolution_s), MTTD, last=30, tolerance=tolerance
    )
    middle = median(before)
    assert found.baseline_s == middle
    assert found.change is not Change.WORSE or value_s > middle
    assert found.change is not Change.BETTER or value_s < middle
    assert found.change is not Change.NO_BASELINE


@given(st.lists(values, min_size=FEWEST, max_size=10), st.floats(0, 2))
def test_a_drill_as_the_median_is_never_a_regression(before: list[float], tolerance: float) -> None:
    found = compare(candidate(median(before), *before), MTTD, tolerance=tolerance)
    assert found.change is Change.AS_BEFORE or found.change is Change.BETTER


# --- the gate -------------------------------------------------------------------------------------------------


def fresh(days: float = 1, **more: Any) -> Scheduled:
    settings = {
        "scenario": "database-down",
        "environment": "hotel-local",
        "period": timedelta(days=7),
        **more,
    }
    return Scheduled(last_pass=NOW - timedelta(days=days), **settings)


def test_drills_that_passed_as_before_are_green() -> None:
    found = judge([candidate(10.0, 10.0, 10.0, 10.0)], [fresh()], NOW)
    assert (found.opinion, found.reasons, found.drills, found.scheduled) == (Opinion.PASS, (), 1, 1)
    assert found.opinion.exit_code == 0


def test_nothing_to_judge_is_never_green() -> None:
    for scheduled in ([], [fresh()]):
        found = judge([], scheduled, NOW)
        assert (found.opinion, found.opinion.exit_code) == (Opinion.INCONCLUSIVE, 3)
        assert [reason.ground for reason in found.reasons] == [Ground.NOTHING]


def test_a_fail_is_red_with_its_reason() -> None:
    failed = candidate(10.0, verdict="FAIL", exit_code=1, reasons=("Alert x: it did not fire",))
    found = judge([failed], [], NOW)
    assert found.opinion.exit_code == 1
    (reason,) = found.reasons
    assert (reason.ground, reason.text) == (Ground.FAILED, "failed: Alert x: it did not fire")


def test_a_drill_that_proved_nothing_is_not_green_and_hides_no_fail() -> None:
    nothing = candidate(None, verdict="INCONCLUSIVE", exit_code=3)
    assert judge([nothing], [fresh()], NOW).opinion is Opinion.INCONCLUSIVE
    both = judge([nothing, candidate(10.0, verdict="FAIL", scenario="b")], [], NOW)
    assert both.opinion is Opinion.FAIL
    assert [reason.ground for reason in both.reasons] == [Ground.FAILED, Ground.INCONCLUSIVE]


def test_something_left_behind_is_red() -> None:
    found = judge([candidate(10.0, verdict="INCONCLUSIVE", exit_code=5)], [], NOW)
    assert found.opinion is Opinion.FAIL
    assert {reason.ground for reason in found.reasons} == {Ground.INCONCLUSIVE, Ground.LEFT_BEHIND}


def test_a_regression_is_red() -> None:
    found = judge([candidate(50.0, 10.0, 10.0, 10.0)], [], NOW)
    (reason,) = found.reasons
    assert reason.ground is Ground.REGRESSION
    assert reason.text == "Time to detect (MTTD): 50.00 s; the median of the 3 drills before was 10.00 s"


def test_what_has_no_baseline_is_said_and_no_ground() -> None:
    found = judge([candidate(50.0, 10.0)], [], NOW)
    assert found.opinion is Opinion.PASS
    assert [one.interval for one in found.without_baseline] == [MTTD]


@pytest.mark.parametrize(
    ("scheduled", "text"),
    [
        (fresh(7.01), "last passed 7 days ago, on 2026-02-21; it is to pass every 7 days"),
        (Scheduled("a", "e", timedelta(hours=25), None), "never passed; it is to pass every 25 hours"),
    ],
)
def test_a_scenario_that_has_not_passed_within_its_period_is_stale(scheduled: Scheduled, text: str) -> None:
    found = judge([candidate(10.0)], [scheduled], NOW)
    (reason,) = found.reasons
    assert (found.opinion, reason.ground, reason.text) == (Opinion.FAIL, Ground.STALE, text)


def test_the_last_moment_of_a_period_is_fresh() -> None:
    assert judge([candidate(10.0)], [fresh(7)], NOW).opinion is Opinion.PASS


verdicts = st.sampled_from([("PASS", 0), ("FAIL", 1), ("INCONCLUSIVE", 3), ("INCONCLUSIVE", 5)])


@given(
    st.lists(st.tuples(verdicts, st.one_of(st.none(), values), st.lists(values, max_size=5)), max_size=6),
    st.lists(st.one_of(st.none(), st.floats(0, 20)), max_size=4),
)
def test_green_needs_a_drill_and_every_answer_good(drills: list[Any], passes: list[float | None]) -> None:
    candidates = [
        candidate(value, *before, verdict=verdict, exit_code=code)
        for (verdict, code), value, before in drills
    ]
    scheduled = [
        Scheduled("a", "e", timedelta(days=7), None if days is None else NOW - timedelta(days=days))
        for days in passes
    ]
    found = judge(candidates, scheduled, NOW)
    good = all(one.newest.verdict == "PASS" for one in candidates) and candidates
    stale = any(days is None or days > 7 for days in passes)
    if found.opinion is Opinion.PASS:
        assert good
        assert not stale
        assert not found.reasons
    else:
        assert found.reasons
    if stale or any(one.newest.verdict == "FAIL" for one in candidates):
        assert found.opinion is Opinion.FAIL
