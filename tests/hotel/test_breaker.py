"""The circuit breaker as a state machine: time is an argument, nothing sleeps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hotel.breaker import BreakerPolicy, BreakerState, CircuitBreaker, Permit

POLICY = BreakerPolicy(failures_to_open=3, successes_to_close=2, recovery_s=10.0)


def permit(breaker: CircuitBreaker, now: float) -> Permit:
    given_permit = breaker.acquire(now)
    assert given_permit is not None
    return given_permit


def opened(policy: BreakerPolicy = POLICY, at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(policy)
    for _ in range(policy.failures_to_open):
        breaker.failed(permit(breaker, at), at)
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_a_stuck_breaker_never_tries_and_only_a_reset_closes_it() -> None:
    breaker = CircuitBreaker(POLICY)
    under_way = permit(breaker, 0.0)
    breaker.stick_open()
    breaker.succeeded(under_way)
    assert (breaker.state, breaker.stuck) == (BreakerState.OPEN, True)
    assert breaker.acquire(1e6) is None
    assert breaker.retry_after_s(1e6) is None
    breaker.reset()
    assert (breaker.state, breaker.stuck) == (BreakerState.CLOSED, False)
    for _ in range(3):
        breaker.failed(permit(breaker, 0.0), 0.0)
    assert breaker.acquire(10.0) is not None  # the recovery time counts again


def test_it_opens_at_the_nth_failure_in_a_row_and_not_before() -> None:
    breaker = CircuitBreaker(POLICY)
    for _ in range(2):
        breaker.failed(permit(breaker, 0.0), 0.0)
    breaker.succeeded(permit(breaker, 0.0))
    for _ in range(2):
        breaker.failed(permit(breaker, 0.0), 0.0)
    assert breaker.state is BreakerState.CLOSED
    breaker.failed(permit(breaker, 0.0), 0.0)
    assert breaker.state is BreakerState.OPEN


def test_open_lets_nothing_through_until_the_recovery_time_is_over() -> None:
    breaker = opened(at=100.0)
    assert breaker.acquire(109.999) is None
    assert breaker.retry_after_s(104.0) == 6.0
    assert breaker.acquire(110.0) is not None
    assert breaker.state is BreakerState.HALF_OPEN


def test_half_open_lets_one_call_at_a_time_through() -> None:
    breaker = opened()
    trial = permit(breaker, 10.0)
    assert breaker.acquire(10.0) is None
    breaker.succeeded(trial)
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.succeeded(permit(breaker, 10.1))
    assert breaker.state is BreakerState.CLOSED


def test_one_failure_in_half_open_opens_it_again_for_the_whole_recovery_time() -> None:
    breaker = opened()
    breaker.failed(permit(breaker, 10.0), 12.0)
    assert breaker.state is BreakerState.OPEN
    assert breaker.acquire(21.9) is None
    assert breaker.acquire(22.0) is not None


def test_a_cancelled_trial_makes_room_for_the_next() -> None:
    breaker = opened()
    breaker.abandoned(permit(breaker, 10.0))
    assert breaker.acquire(10.0) is not None


def test_answers_from_before_the_breaker_opened_change_nothing() -> None:
    breaker = CircuitBreaker(POLICY)
    late = [permit(breaker, 0.0), permit(breaker, 0.0)]
    for _ in range(3):
        breaker.failed(permit(breaker, 0.0), 0.0)
    trial = permit(breaker, 10.0)
    breaker.succeeded(late[0])
    breaker.failed(late[1], 10.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.acquire(10.0) is None
    breaker.succeeded(trial)
    assert breaker.state is BreakerState.HALF_OPEN


def test_without_a_recovery_time_only_a_reset_closes_it() -> None:
    breaker = opened(BreakerPolicy(failures_to_open=1, recovery_s=None))
    assert breaker.acquire(1e9) is None
    assert breaker.retry_after_s(1e9) is None
    breaker.reset()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.acquire(1e9) is not None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "succeed", "fail", "abandon", "reset"]),
        st.floats(min_value=0.0, max_value=15.0, allow_nan=False),
        st.integers(min_value=0, max_value=50),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_the_breaker_keeps_its_promises(steps: list[tuple[str, float, int]]) -> None:
    breaker = CircuitBreaker(POLICY)
    now, opened_at = 0.0, 0.0
    under_way: list[tuple[Permit, int]] = []  # permit, number of the half-open period it belongs to or 0
    half_open_periods = 0
    for action, passed_s, choice in steps:
        now += passed_s
        before = breaker.state
        if action == "acquire":
            given_permit = breaker.acquire(now)
            if before is BreakerState.CLOSED:
                assert given_permit is not None
            if before is BreakerState.OPEN:
                assert (given_permit is not None) == (now - opened_at >= POLICY.recovery_s)
                half_open_periods += given_permit is not None
            if given_permit is not None:
                period = half_open_periods if breaker.state is BreakerState.HALF_OPEN else 0
                under_way.append((given_permit, period))
        elif action == "reset":
            breaker.reset()
            assert breaker.state is BreakerState.CLOSED
        elif under_way:
            chosen, _ = under_way.pop(choice % len(under_way))
            match action:
                case "succeed":
                    breaker.succeeded(chosen)
                    assert breaker.state in {before, BreakerState.CLOSED}
                    assert not (before is BreakerState.OPEN and breaker.state is BreakerState.CLOSED)
                case "fail":
                    breaker.failed(chosen, now)
                    assert breaker.state in {before, BreakerState.OPEN}
                case _:
                    breaker.abandoned(chosen)
                    assert breaker.state is before
        if breaker.state is BreakerState.OPEN and before is not BreakerState.OPEN:
            opened_at = now
        if breaker.state is BreakerState.HALF_OPEN:
            assert sum(period == half_open_periods for _, period in under_way) <= 1


@given(st.integers(1, 20), st.integers(1, 20))
def test_it_takes_exactly_the_configured_numbers(failures: int, successes: int) -> None:
    breaker = CircuitBreaker(BreakerPolicy(failures, successes, 1.0))
    for count in range(failures):
        assert breaker.state is BreakerState.CLOSED, count
        breaker.failed(permit(breaker, 0.0), 0.0)
    for count in range(successes):
        trial = permit(breaker, 1.0)
        assert breaker.state is BreakerState.HALF_OPEN, count
        breaker.succeeded(trial)
    assert breaker.state is BreakerState.CLOSED
