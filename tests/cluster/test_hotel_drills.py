"""Shipped scenarios, unchanged, against the hotel in a cluster, watched by a real Prometheus and Alertmanager, by the
rules whose times are divided by ten, each under exactly the Role that `gameday rbac` prints for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.hotel import HotelInKubernetes
from cluster.quarters import kubectl
from process.hotel import SHIPPED, Shown, Told
from process.inn import REPOSITORY
from targets.eventually import eventually

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.catalogue,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("hotel-kubernetes"),
]

DRILLS = (
    "database-loss",
    "network-partition-api-database",
    "deployment-failure",
    "network-delay",
    "node-drain",
)
LONG = (
    "database-down",
    "pms-failure",
    "service-down",
    "network-partition-api-cache",
    "network-partition-api-pms",
    "redis-down",
    "log-flood",
    "memory-leak",
)
ONLY_HERE = {"node-drain": Shown("Let pods onto the nodes again")}
"""What other targets cannot do, and so `SHIPPED` has not."""


@pytest.fixture(scope="module")
def standing(real_cluster: str) -> Iterator[HotelInKubernetes]:
    del real_cluster
    with HotelInKubernetes.standing() as hotel:
        yield hotel


@pytest.fixture
def hotel(standing: HotelInKubernetes) -> HotelInKubernetes:
    """With all its files as shipped and everything running."""
    standing.write_all()
    standing.become_calm(180)
    return standing


def test_every_scenario_of_this_target_is_drilled_here() -> None:
    assert ONLY_HERE.keys() == {
        path.stem for path in (REPOSITORY / "scenarios" / "kubernetes").glob("*.yaml")
    }
    assert ONLY_HERE.keys() <= {*DRILLS, *LONG}


@pytest.mark.parametrize(
    "scenario", [*DRILLS, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]
)
def test_a_shipped_drill_passes_in_kubernetes(
    hotel: HotelInKubernetes, scenario: str, record_property: Told
) -> None:
    before = hotel.seen()

    with hotel.under_its_role(scenario):
        done = hotel.drilled(scenario, 0, record_property)

    hotel.assert_passed(done, {**SHIPPED, **ONLY_HERE}[scenario].step)
    assert hotel.left_behind() == []
    # a switch that was told to end takes a moment to be gone
    eventually(lambda: hotel.seen() == before, 30)
    assert hotel.seen() == before
    assert kubectl("get", "nodes", "-o", "jsonpath={.items[*].spec.unschedulable}") == ""
