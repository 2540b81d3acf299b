"""What the verdict makes of an alert that fired and of which nobody was told."""

from __future__ import annotations

import pytest

from core.timelines import ALERT, Drill, passing, scenario
from gameday.intervals import Result
from gameday.timeline import Kind
from gameday.verdict import Check, Outcome, judge

SILENCE = "silenced by 0f4b, until 2026-11-21 18:00:00 UTC, by anna"


def suppressed(drill: Drill, at_s: float, *, from_the_start: bool) -> Drill:
    return drill.then(
        at_s,
        Kind.ALERT_SUPPRESSED,
        alert=ALERT,
        expected=True,
        resolution_s=0.5,
        detail=SILENCE,
        from_the_start=from_the_start,
    )


def detected(drill: Drill) -> tuple[Outcome, Check]:
    verdict = judge(drill.timeline(), scenario())
    return verdict.outcome, next(check for check in verdict.checks if check.name == "detected")


def test_an_alert_that_was_silenced_from_the_start_is_not_detected_and_the_reason_says_by_whom() -> None:
    outcome, check = detected(suppressed(passing(), 31.5, from_the_start=True))
    assert outcome is Outcome.FAIL
    assert check.result is Result.MISSED
    assert check.detail.endswith(f"but nobody was told: {SILENCE}")


@pytest.mark.parametrize("told_first", [True, False])
def test_an_alert_that_somebody_silenced_once_it_was_seen_was_detected(told_first: bool) -> None:
    drill = passing()
    if told_first:
        drill = drill.then(31.2, Kind.ALERT_NOTIFIED, alert=ALERT, expected=True, resolution_s=0.1)
    outcome, check = detected(suppressed(drill, 40.0, from_the_start=told_first))
    assert (outcome, check.result) == (Outcome.PASS, Result.MET)


def test_another_alert_that_is_silenced_changes_nothing() -> None:
    drill = passing().then(
        31.0, Kind.ALERT_SUPPRESSED, alert="other", expected=False, detail=SILENCE, from_the_start=True
    )
    assert detected(drill)[0] is Outcome.PASS


@pytest.mark.parametrize(
    ("detail", "told", "result"),
    [
        ("Alertmanager at http://a:9093: GET /api/v2/alerts: no answer", False, Result.UNKNOWN),
        ("Alertmanager at http://a:9093: GET /api/v2/alerts: no answer", True, Result.MET),
        ("rule other: health err", False, Result.MET),
    ],
)
def test_an_alertmanager_that_cannot_be_read_leaves_it_open_unless_somebody_was_told(
    detail: str, told: bool, result: Result
) -> None:
    drill = passing()
    number = next(n for n, event in enumerate(drill.events) if event.kind is Kind.ALERT_FIRING)
    blind = Drill(drill.events[:number]).then(20.0, Kind.DETECTOR_HEALTH, ok=False, detail=detail)
    drill = Drill((*blind.events, *drill.events[number:]))
    if told:
        drill = drill.then(31.2, Kind.ALERT_NOTIFIED, alert=ALERT, expected=True, resolution_s=0.1)
    assert detected(drill)[1].result is result
