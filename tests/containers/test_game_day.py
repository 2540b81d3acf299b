"""A game day on a Docker engine: what its drills change there is put back by whoever is left."""

from __future__ import annotations

import pytest

from containers.tavern import Tavern
from gamedays import taken_up

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400), pytest.mark.xdist_group("tavern")]


def test_a_game_day_whose_runner_is_killed_is_taken_up_where_it_was(tavern: Tavern) -> None:
    before = tavern.seen()

    taken_up.play(tavern)

    assert tavern.seen() == before
