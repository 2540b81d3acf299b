"""An exact share of calls, spread over whoever calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotel.interference import EvenShare


@given(st.integers(1, 100), st.integers(1, 30))
def test_every_block_of_calls_has_its_share(percent: int, blocks: int) -> None:
    share = EvenShare(percent / 100)
    hits = sum(share.hit() for _ in range(100 * blocks))
    assert hits == percent * blocks


@pytest.mark.parametrize("callers", [2, 4, 5, 20])
def test_callers_in_turn_are_all_hit(callers: int) -> None:
    share = EvenShare(0.01)
    hit = {number % callers for number in range(20_000) if share.hit()}
    assert hit == set(range(callers))


def test_two_drills_see_the_same() -> None:
    first, second = EvenShare(0.3), EvenShare(0.3)
    assert [first.hit() for _ in range(500)] == [second.hit() for _ in range(500)]
