"""Shipped scenarios, unchanged, against the hotel in Docker, watched by a real Prometheus and Alertmanager.

At the rules' own figures where those are 120 s or less, with `shortened.yaml` otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from containers.hotel import HotelInDocker
from gameday.targets.docker.engine import Engine
from process.hotel import SHIPPED, Told
from process.inn import until

pytestmark = [pytest.mark.docker, pytest.mark.catalogue, pytest.mark.timeout(1200)]

AS_WRITTEN = {
    "a": ("database-down", "database-loss", "service-down", "redis-down"),
    "b": ("network-partition-api-database", "log-flood", "disk-space-critical", "deployment-failure"),
}
SHORTENED = ("memory-leak", "network-delay", "pms-failure")


def grouped() -> list[Any]:
    drills = [("corrected", name, f"docker-{group}") for group, names in AS_WRITTEN.items() for name in names]
    drills += [("shortened", name, "docker-c") for name in SHORTENED]
    return [
        pytest.param(rules, name, marks=pytest.mark.xdist_group(group), id=f"{name}-{rules}")
        for rules, name, group in drills
    ]


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
    until(found.is_calm, 180, "what an earlier drill left to be sent has been sent")
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
