"""The alert state machine on literal evaluations, and its promises on arbitrary ones. No test sleeps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.clock import Instant
from gameday.detectors.base import AlertState, Transition
from gameday.detectors.state import RESOLVED_RETENTION_S, LabelKey, RuleState, label_key, step

INACTIVE, PENDING, FIRING = AlertState.INACTIVE, AlertState.PENDING, AlertState.FIRING
START = Instant(1_000_000_000, datetime(2026, 1, 1, tzinfo=UTC))
A, B = label_key({"instance": "a"}), label_key({"instance": "b"})


def run(
    evaluations: list[tuple[float, dict[LabelKey, float]]], for_s: float, keep_s: float = 0.0
) -> tuple[RuleState, list[Transition]]:
    state, seen = RuleState(), []
    for at_s, active in evaluations:
        now = START.plus(at_s)
        state, transitions = step("x", state, active, now=now, for_s=for_s, keep_firing_for_s=keep_s)
        seen += transitions
    return state, seen


def edges(
    transitions: list[Transition], *, summary: bool = False
) -> list[tuple[float, AlertState, AlertState]]:
    return [(t.at - START, t.state_from, t.state_to) for t in transitions if t.summary is summary]


def test_goes_pending_then_fires_after_for_then_resolves() -> None:
    state, seen = run([(0, {}), (1, {A: 1}), (2, {A: 2}), (3, {A: 3}), (4, {})], for_s=2)
    expected = [(1.0, INACTIVE, PENDING), (3.0, PENDING, FIRING), (4.0, FIRING, INACTIVE)]
    assert edges(seen) == expected
    assert edges(seen, summary=True) == expected
    assert [t.resolved for t in seen if not t.summary] == [False, False, True]
    assert state.summary.state is INACTIVE
    assert state.summary.resolved_at == START.plus(4)


def test_without_for_pending_and_firing_are_the_same_instant() -> None:
    _, seen = run([(5, {A: 1})], for_s=0)
    assert edges(seen) == [(5.0, INACTIVE, PENDING), (5.0, PENDING, FIRING)]


def test_a_condition_that_does_not_last_never_fires() -> None:
    _, seen = run([(0, {A: 1}), (1, {A: 1}), (2, {}), (3, {A: 1}), (4, {A: 1})], for_s=2)
    assert FIRING not in {t.state_to for t in seen}
    assert edges(seen)[1] == (2.0, PENDING, INACTIVE)
    assert not any(t.resolved for t in seen)


def test_jitter_of_the_clock_does_not_delay_firing_by_a_tick() -> None:
    """Pending is seen 40 ms after its tick, the deciding one 1 ms after: 1.961 s apart, `for` 2 s."""
    state, seen = RuleState(), []
    for tick_s, late_s in ((0, 0.040), (1, 0.002), (2, 0.001)):
        tick = START.plus(tick_s)
        state, transitions = step("x", state, {A: 1}, now=tick.plus(late_s), tick=tick, for_s=2)
        seen += transitions
    assert edges(seen) == [(0.040, INACTIVE, PENDING), (2.001, PENDING, FIRING)]


def test_keeps_firing_for_a_while_after_the_series_left() -> None:
    _, seen = run([(0, {A: 1}), (1, {}), (2, {}), (3, {}), (4, {})], for_s=0, keep_s=2)
    assert edges(seen)[-1] == (3.0, FIRING, INACTIVE)


def test_keep_firing_for_starts_anew_when_the_series_returns() -> None:
    evaluations: list[tuple[float, dict[LabelKey, float]]] = [
        (0, {A: 1}),
        (1, {}),
        (2, {A: 1}),
        (3, {}),
        (4, {}),
    ]
    state, seen = run(evaluations, for_s=0, keep_s=2)
    assert edges(seen)[-1] == (0.0, PENDING, FIRING)
    assert state.summary.state is FIRING


def test_the_rule_fires_as_long_as_any_label_set_does() -> None:
    _, seen = run([(0, {A: 1}), (1, {A: 1, B: 1}), (2, {B: 1}), (3, {})], for_s=0)
    assert edges(seen, summary=True) == [
        (0.0, INACTIVE, PENDING),
        (0.0, PENDING, FIRING),
        (3.0, FIRING, INACTIVE),
    ]
    assert len([t for t in seen if not t.summary and t.resolved]) == 2


def test_a_rule_whose_firing_ends_while_another_is_pending_resolves_first() -> None:
    _, seen = run([(0, {A: 1}), (1, {A: 1}), (2, {B: 1})], for_s=1)
    assert edges(seen, summary=True)[-2:] == [(2.0, FIRING, INACTIVE), (2.0, INACTIVE, PENDING)]


def test_a_resolved_alert_is_forgotten_after_fifteen_minutes() -> None:
    state, _ = run([(0, {A: 1}), (1, {})], for_s=0)
    assert [alert.state for alert in state.alerts("x") if not alert.summary] == [INACTIVE]
    state, _ = step("x", state, {}, now=START.plus(2 + RESOLVED_RETENTION_S), for_s=0)
    assert len(state.alerts("x")) == 1


def test_transitions_carry_the_resolution_that_was_given() -> None:
    _, (first, *_) = step("x", RuleState(), {A: 1}, now=START, for_s=1, resolution_s=0.003)
    assert first.resolution_s == 0.003


histories = st.lists(
    st.tuples(st.integers(1, 5_000), st.frozensets(st.sampled_from([A, B]))), min_size=1, max_size=40
)


@given(histories, st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.sampled_from([0.0, 1.0, 4.0]))
def test_promises_on_any_history(
    gaps: list[tuple[int, frozenset[LabelKey]]], for_s: float, keep_s: float
) -> None:
    elapsed_ms, evaluations = 0, []
    for gap_ms, active in gaps:
        elapsed_ms += gap_ms
        evaluations.append((elapsed_ms / 1000, dict.fromkeys(active, 1.0)))
    state, seen = run(evaluations, for_s, keep_s)
    for summary, labels in [(True, {}), (False, dict(A)), (False, dict(B))]:
        current, since, fired = INACTIVE, START, START
        for t in (t for t in seen if t.summary is summary and dict(t.labels) == labels):
            assert t.state_from is current, "transitions are a chain without gaps"
            if t.state_to is FIRING:
                assert t.state_from is PENDING, "nothing fires that was not pending"
                if not summary:
                    assert t.at - since >= for_s - 1e-6, "nothing fires before its `for`"
                fired = t.at
            elif t.state_from is FIRING:
                assert t.state_to is INACTIVE
                assert t.resolved
                assert not keep_s or t.at - fired >= keep_s - 1e-6
            if t.state_to is PENDING:
                since = t.at
            current = t.state_to
        final = next(
            (a for a in state.alerts("x") if a.summary is summary and dict(a.labels) == labels), None
        )
        assert (final.state if final else INACTIVE) is current, "the state is where the transitions lead"
    assert AlertState.UNKNOWN not in {t.state_to for t in seen}


@pytest.mark.parametrize("for_s", [0.0, 2.0])
def test_a_step_is_idempotent_at_the_same_tick(for_s: float) -> None:
    """Slow targets cause a second evaluation of the same tick; it must change nothing by itself."""
    state, _ = step("x", RuleState(), {A: 1}, now=START, for_s=for_s)
    again, transitions = step("x", state, {A: 1}, now=START.plus(0.05), tick=START, for_s=for_s)
    assert again == state
    assert transitions == ()
