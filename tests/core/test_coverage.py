"""The coverage matrix: what counts, what does not, and what is never taken for good."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.coverage import (
    Accuracy,
    AlertOutcome,
    AlertTally,
    Coverage,
    DrillTally,
    RuleCoverage,
    RuleFact,
    RunbookFact,
    ScenarioFact,
    Standing,
    matrix,
)

RULES = [RuleFact("down", "01-down"), RuleFact("slow", None), RuleFact("full", "no-such-file")]
SCENARIOS = [
    ScenarioFact("kill", "down", "01-down"),
    ScenarioFact("pause", "down", "01-down"),
    ScenarioFact("lag", "slow", "02-slow"),
    ScenarioFact("control", None, None),
]
RUNBOOKS = [RunbookFact("01-down", ("down",)), RunbookFact("02-slow", ("slow",)), RunbookFact("03-idle")]


def tally(scenario: str, alert: str, outcome: AlertOutcome, drills: int = 1) -> AlertTally:
    return AlertTally(scenario, alert, outcome, drills)


def ran(
    scenario: str, drills: int, counted: int | None = None, runbook: str | None = "01-down"
) -> DrillTally:
    return DrillTally(scenario, runbook, drills, drills if counted is None else counted, 0, 0)


def measured(*alerts: AlertTally, drills: tuple[DrillTally, ...] = ()) -> Coverage:
    return matrix(
        environment="here",
        rules_file="rules.yaml",
        rules=RULES,
        scenarios=SCENARIOS,
        runbooks=RUNBOOKS,
        alerts=alerts,
        drills=drills,
    )


def rule(found: Coverage, name: str) -> RuleCoverage:
    return next(row for row in found.rules if row.name == name)


def test_recall_and_precision_are_counted_in_drills() -> None:
    found = measured(
        tally("kill", "down", AlertOutcome.FIRED, 3),
        tally("pause", "down", AlertOutcome.MISSED),
        tally("pause", "down", AlertOutcome.LATE),
        tally("lag", "down", AlertOutcome.UNEXPECTED, 2),
        drills=(ran("kill", 3), ran("pause", 2), ran("lag", 2)),
    )
    accuracy = rule(found, "down").accuracy
    assert (accuracy.true_positives, accuracy.false_negatives, accuracy.false_positives) == (3, 2, 2)
    assert accuracy.recall == pytest.approx(3 / 5)
    assert accuracy.precision == pytest.approx(4 / 6), "late, it was right all the same"
    assert rule(found, "down").by_scenario["pause"] == Accuracy(missed=1, late=1)
    assert rule(found, "down").standing is Standing.FAULTY
    assert found.total == accuracy


def test_what_was_not_measured_is_neither_good_nor_bad() -> None:
    found = measured(
        tally("lag", "slow", AlertOutcome.UNKNOWN, 2), drills=(ran("lag", 2, runbook="02-slow"),)
    )
    slow = rule(found, "slow")
    assert (slow.accuracy.recall, slow.accuracy.precision) == (None, None)
    assert slow.standing is Standing.UNKNOWN
    assert rule(found, "down").standing is Standing.NOT_RUN
    assert rule(found, "full").standing is Standing.NO_SCENARIO


def test_collateral_and_allowed_silence_are_neither_right_nor_wrong() -> None:
    found = measured(
        tally("kill", "slow", AlertOutcome.COLLATERAL, 4),
        tally("pause", "slow", AlertOutcome.QUIET, 4),
        drills=(ran("kill", 4), ran("pause", 4)),
    )
    assert rule(found, "slow").accuracy == Accuracy(collateral=4)
    assert rule(found, "slow").accuracy.precision is None


def test_gaps_are_named() -> None:
    found = measured(drills=(ran("kill", 2), ran("lag", 1, counted=0, runbook="02-slow")))
    assert found.rules_without_runbook == ("full",), (
        "its annotation leads to no file; `slow` is in one's front matter"
    )
    assert rule(found, "slow").runbook == "02-slow"
    assert found.runbooks_without_scenario == ("03-idle",)
    assert found.runbooks_never_drilled == ("02-slow",), "a drill that was refused has executed nothing"
    assert found.scenarios_never_run == ("pause", "control")
    assert (found.counted, found.left_out) == (2, 1)


def test_an_alert_that_fired_and_is_in_no_rule_is_shown() -> None:
    found = measured(tally("kill", "ghost", AlertOutcome.UNEXPECTED), drills=(ran("kill", 1),))
    ghost = rule(found, "ghost")
    assert not ghost.in_rules
    assert ghost.standing is Standing.FAULTY
    assert "ghost" not in found.rules_without_runbook


def test_a_scenario_that_had_two_runbooks_is_one_scenario() -> None:
    found = measured(drills=(ran("kill", 2, runbook="old"), ran("kill", 3)))
    assert found.drills["kill"] == replace(ran("kill", 5))


@given(st.lists(st.tuples(st.sampled_from([r.name for r in RULES]), st.sampled_from(list(AlertOutcome)))))
def test_shares_are_shares_and_every_outcome_is_counted_once(rows: list[tuple[str, AlertOutcome]]) -> None:
    found = measured(
        *(tally("kill", alert, outcome) for alert, outcome in rows), drills=(ran("kill", len(rows)),)
    )
    counts = found.total
    said = sum(outcome is not AlertOutcome.QUIET for _, outcome in rows)
    assert said == sum(getattr(counts, name) for name in counts.__slots__)
    for row in found.rules:
        for share in (row.accuracy.recall, row.accuracy.precision):
            assert share is None or 0 <= share <= 1
        if row.accuracy.expected:
            assert row.accuracy.recall is not None


def test_what_the_target_cannot_do_is_no_gap() -> None:
    strange = ScenarioFact("drain", "full", "03-idle", possible=False)
    found = matrix(
        environment="here", rules_file="rules.yaml", rules=RULES, scenarios=[*SCENARIOS, strange],
        runbooks=RUNBOOKS, alerts=(), drills=(),
    )  # fmt: skip
    assert rule(found, "full").standing is Standing.NO_SCENARIO, "nothing can prove it here"
    assert found.scenarios_never_run == ("kill", "pause", "lag", "control")
    assert found.runbooks_never_drilled == ("01-down", "02-slow")
    assert found.runbooks_without_scenario == (), "elsewhere it is drilled"
