"""A game day in a cluster: what its drills change there is put back by whoever is left."""

from __future__ import annotations

import pytest

from cluster.lodge import Lodge
from gamedays import taken_up

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(400), pytest.mark.xdist_group("lodge")]


def test_a_game_day_whose_runner_is_killed_is_taken_up_where_it_was(lodge: Lodge) -> None:
    taken_up.play(lodge)

    assert lodge.is_whole()
