"""Shipped scenarios, unchanged, against the hotel in Docker, watched by a real Prometheus and Alertmanager.

By the rules whose times are divided by ten; those marked `long` at the rules' own figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from containers.hotel import HotelInDocker
from gameday.targets.docker.engine import Engine
from process.hotel import SHIPPED, Told

pytestmark = [pytest.mark.docker, pytest.mark.catalogue, pytest.mark.timeout(1200)]

GROUPS = {
    "docker-a": (
        "database-down",
        "database-loss",
        "service-down",
        "redis-down",
        "memory-leak",
        "pms-failure",
    ),
    "docker-b": (
        "network-partition-api-database",
        "log-flood",
        "disk-space-critical",
        "deployment-failure",
        "network-delay",
    ),
}
SHORTENED_ONLY = ("memory-leak", "network-delay", "pms-failure")
"""Their rules' own figures are five minutes and more."""
LONG = ("database-down", "service-down", "redis-down", "disk-space-critical")
"""Of a kind that another one is of too; here at the rules' own figures only."""

SLOW = ("memory-leak", "network-delay")
"""By the shortened rules too, these take minutes; what they break has tests of its own."""


def grouped() -> list[Any]:
    drills = []
    for group, names in GROUPS.items():
        together = pytest.mark.xdist_group(group)
        for name in names:
            if name not in LONG:
                marks = (together, pytest.mark.long) if name in SLOW else (together,)
                drills.append(pytest.param("shortened", name, marks=marks, id=name))
            if name not in SHORTENED_ONLY:
                marks = (together, pytest.mark.long)
                drills.append(pytest.param("corrected", name, marks=marks, id=f"{name}-as-written"))
    return drills


@pytest.fixture(scope="module")
def standing(engine: Engine) -> Iterator[Callable[[str], HotelInDocker]]:
    """The hotel by the rules of its Prometheus; each is brought up when a test first wants it."""
    del engine
    hotels: dict[str, HotelInDocker] = {}
    with ExitStack() as opened:

        def with_rules(rules: str) -> HotelInDocker:
            if rules not in hotels:
                hotels[rules] = opened.enter_context(HotelInDocker.with_rules(rules))
            return hotels[rules]

        yield with_rules


@pytest.fixture
def hotel(standing: Callable[[str], HotelInDocker], rules: str) -> HotelInDocker:
    """With all its files as shipped and everything running."""
    found = standing(rules)
    found.write_all()
    found.become_calm(180)
    return found


@pytest.mark.parametrize(("rules", "scenario"), grouped())
def test_a_shipped_drill_passes_in_docker(
    hotel: HotelInDocker, scenario: str, rules: str, record_property: Told
) -> None:
    before = hotel.seen()

    done = hotel.drilled(scenario, 0, record_property)

    hotel.assert_passed(done, SHIPPED[scenario].step)
    assert hotel.left_behind() == []
    assert hotel.seen() == before
