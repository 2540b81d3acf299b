"""When a change happened: never outside of what was observed, and as narrow as the server's own words allow."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.clock import Instant
from gameday.detectors.base import AlertState, RuleInfo, Transition
from gameday.detectors.moment import Look, firing_tick_s, locate
from gameday.detectors.prometheus_rules import AlertReading, RuleReading
from gameday.detectors.remote_clock import Difference, RemoteClock
from gameday.detectors.remote_state import Followed, follow

AHEAD_S = 1_000_000.0  # the server's UTC minus this machine's monotonic clock
EXACT = Difference(AHEAD_S - 0.002, AHEAD_S + 0.002)


def at(second: float) -> Instant:
    return Instant(round(second * 1e9), datetime.fromtimestamp(1_700_000_000 + second, UTC))


def look(sent_s: float, evaluated_s: float | None = None, took_s: float = 0.001) -> Look:
    """A look that took 10 ms; the evaluation by this machine's clock."""
    return Look(at(sent_s), at(sent_s + 0.01), None if evaluated_s is None else AHEAD_S + evaluated_s, took_s)


def test_two_looks_bound_a_change() -> None:
    found = locate(look(10.0), look(10.2), 1.0, None)
    assert found.seen == "observed"
    assert found.at == at(10.21)
    assert found.resolution_s == pytest.approx(0.21)


def test_the_only_evaluation_between_two_looks_made_the_change() -> None:
    found = locate(look(10.0, 9.3), look(10.4, 10.3), 1.0, EXACT)
    assert found.seen == "evaluated"
    assert found.at.mono_ns / 1e9 == pytest.approx(10.303)
    assert found.resolution_s == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (look(10.0, 9.999), look(10.2, 10.1), "the look before may have been answered amid an evaluation"),
        (look(10.0, 9.9), look(10.24, 10.05), "the next evaluation may have begun"),
        (look(10.0, 9.3), look(10.2, 9.3), "no evaluation is shown between them"),
        (look(10.0, 8.0), look(10.4, 10.3), "another evaluation was between them"),
        (look(10.0), look(10.4, 10.3), "what came before is not known"),
    ],
)
def test_where_another_evaluation_may_have_made_it_only_the_looks_count(
    before: Look, now: Look, why: str
) -> None:
    interval_s = 0.2 if "begun" in why or "amid" in why else 1.0
    assert locate(before, now, interval_s, EXACT).seen == "observed", why


def test_pending_is_derived_from_its_tick_within_an_evaluation_interval() -> None:
    found = locate(look(10.0), look(14.0), 1.0, EXACT, tick_s=AHEAD_S + 11.5)
    assert found.seen == "derived"
    assert found.at.mono_ns / 1e9 == pytest.approx(12.502)
    assert found.resolution_s == pytest.approx(1.004)


def test_a_tick_that_contradicts_the_looks_says_nothing() -> None:
    found = locate(look(10.0), look(10.2), 0.1, EXACT, tick_s=AHEAD_S + 3)
    assert (found.seen, found.at) == ("observed", at(10.21))


@pytest.mark.parametrize(
    ("for_s", "interval_s", "after_s"),
    [
        (0, 1, 0),
        (1, 1, 1),
        (1.5, 1, 2),
        (2, 0.5, 2),
        (0.3, 0.1, 0.3),
        (5, 0, 0),
        (120, 15, 120),
        (60, 50, 100),
    ],
)
def test_an_alert_fires_at_the_first_tick_that_is_for_after_the_pending_one(
    for_s: float, interval_s: float, after_s: float
) -> None:
    assert firing_tick_s(100.0, for_s, interval_s) == pytest.approx(100.0 + after_s)


def test_a_rule_is_left_with_its_last_label_set_and_entered_with_its_first() -> None:
    def reading(number: int, evaluated_s: float, *alerts: AlertReading) -> RuleReading:
        info = RuleInfo("down", 0.0)
        key = ("g", "down", number)
        return RuleReading(key, info, 0.0, 1.0, alerts, AHEAD_S + evaluated_s, 0.001, "")

    def seen(followed: Followed, at_s: float, *rules: RuleReading) -> tuple[Followed, list[Transition]]:
        after, told = follow(
            followed, rules, since=at(1), sent=at(at_s), received=at(at_s + 0.01), difference=EXACT
        )
        return after, [transition for transition in told if transition.summary]

    firing = AlertReading({}, AlertState.FIRING, None, 1.0)
    followed, told = seen(Followed.of("down"), 10.0, reading(0, 9.3), reading(1, 9.6))
    assert told == []
    followed, told = seen(followed, 10.7, reading(0, 10.3, firing), reading(1, 10.6, firing))
    assert [transition.state_to for transition in told] == [AlertState.PENDING, AlertState.FIRING]
    assert told[1].at.mono_ns / 1e9 == pytest.approx(10.303)
    followed, told = seen(followed, 11.7, reading(0, 11.3), reading(1, 11.6))
    assert [transition.state_to for transition in told] == [AlertState.INACTIVE]
    assert told[0].at.mono_ns / 1e9 == pytest.approx(11.603)
    assert followed.summary.resolved_at == told[0].at


@given(
    sent=st.floats(0, 100),
    gap=st.floats(0.001, 30),
    evaluated=st.none() | st.floats(-50, 150),
    tick=st.none() | st.floats(-50, 150),
    interval=st.floats(0, 60),
    give=st.floats(0, 2),
)
def test_no_moment_lies_outside_of_what_was_observed(
    sent: float, gap: float, evaluated: float | None, tick: float | None, interval: float, give: float
) -> None:
    before, now = look(sent, evaluated), look(sent + gap, None if evaluated is None else evaluated + gap)
    difference = Difference(AHEAD_S - give, AHEAD_S + give)
    found = locate(before, now, interval, difference, None if tick is None else AHEAD_S + tick)
    last_s, first_s = found.at.mono_ns / 1e9, found.at.mono_ns / 1e9 - found.resolution_s
    assert last_s <= sent + gap + 0.01 + 1e-6
    assert first_s >= sent - 1e-6
    assert found.resolution_s >= 0


@given(
    true_s=st.floats(-1e5, 1e5),
    looks=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 0.5), st.floats(0, 1)), min_size=1, max_size=20),
)
def test_the_bounds_of_a_clock_hold_the_truth(true_s: float, looks: list[tuple[float, float, float]]) -> None:
    clock, last = RemoteClock(), at(0)
    for sent_s, took_s, when in sorted(looks):
        server_s = true_s + sent_s + when * took_s
        clock.told(
            int(server_s * 1000) / 1000 if server_s >= 0 else server_s, 0.001, at(sent_s), at(sent_s + took_s)
        )
        last = max(last, at(sent_s + took_s))
    found = clock.difference(last)
    assert found is not None
    assert found.low_s - 1e-6 <= true_s <= found.high_s + 1e-6


def test_a_clock_that_was_set_is_known_anew_and_headers_only_serve_without_better() -> None:
    clock = RemoteClock()
    assert clock.difference(at(0)) is None
    clock.told(100.0, 1.0, at(1), at(1.2))
    coarse = clock.difference(at(2))
    assert coarse is not None
    assert (coarse.low_s, coarse.high_s) == pytest.approx((98.8, 100.0), abs=0.001)
    clock.told(100.5, 0.001, at(2), at(2.01))
    clock.told(200.5, 0.001, at(3), at(3.01))
    set_anew = clock.difference(at(3.01))
    assert set_anew is not None
    assert (set_anew.low_s, set_anew.high_s) == pytest.approx((197.49, 197.501), abs=1e-6)
    again = clock.difference(at(200))
    assert again is None
