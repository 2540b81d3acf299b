"""When the dead-man switch in a pod acts: literal leases, and a clock that steps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gameday.targets.kubernetes.deadman_pod import Vigil
from gameday.targets.kubernetes.observed import LEASE_S, TOLD


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vigil(clock: Clock) -> Vigil:
    return Vigil("d1", "me", clock)


def lease(renewed: object = "t0", holder: str = "d1", **told: Any) -> dict[str, Any]:
    annotations = {TOLD: json.dumps(told)} if told else {}
    return {
        "metadata": {"annotations": annotations},
        "spec": {"holderIdentity": holder, "renewTime": renewed},
    }


def test_a_lease_that_is_renewed_is_left_alone_whatever_its_time_says(vigil: Vigil, clock: Clock) -> None:
    for step in range(100):
        assert vigil.reason(lease(f"1970-01-01T00:00:{step}")) is None
        clock.now += LEASE_S - 1


def test_one_that_nobody_renews_for_its_duration_has_no_runner(vigil: Vigil, clock: Clock) -> None:
    assert vigil.reason(lease()) is None
    clock.now += LEASE_S - 0.1
    assert vigil.reason(lease()) is None
    clock.now += 0.1
    assert vigil.reason(lease()) == "the runner is gone"


def test_one_that_was_removed_is_one_that_nobody_renews(vigil: Vigil, clock: Clock) -> None:
    assert vigil.reason(lease()) is None
    assert vigil.reason(None) is None
    clock.now += LEASE_S
    assert vigil.reason(None) == "the runner is gone"


def test_while_the_server_is_away_nobody_can_renew(vigil: Vigil, clock: Clock) -> None:
    vigil.reason(lease())
    clock.now += LEASE_S - 1
    vigil.away()
    clock.now += 10 * LEASE_S
    assert vigil.reason(lease()) is None
    clock.now += LEASE_S
    assert vigil.reason(lease()) == "the runner is gone"


def test_a_fault_ends_when_its_time_is_over_though_its_runner_lives(vigil: Vigil, clock: Clock) -> None:
    assert vigil.reason(lease("t0", seq=1, left_s=20.0, to="me")) is None
    assert vigil.armed == 1
    clock.now += 10
    assert vigil.reason(lease("t1", seq=2, left_s=60.0, to="me")) is None
    assert vigil.armed == 2
    clock.now += 9.9
    assert vigil.reason(lease("t2", seq=2, left_s=60.0, to="me")) is None
    clock.now += 0.1
    assert vigil.reason(lease("t3", seq=2, left_s=60.0, to="me")) == "the fault outlived its time-to-live"


def test_who_reverts_it_already_is_not_disturbed_by_the_time_to_live(vigil: Vigil, clock: Clock) -> None:
    vigil.reason(lease("t0", seq=1, left_s=5.0, to="me"))
    clock.now += 6
    assert vigil.reason(lease("t1", "d1/pid 1 on there", seq=1, left_s=5.0, to="me")) is None


def test_what_was_told_to_its_predecessor_counts_and_is_not_confirmed(vigil: Vigil, clock: Clock) -> None:
    assert vigil.reason(lease("t0", seq=3, left_s=20.0, to="another")) is None
    assert vigil.armed == 0
    assert vigil.reason(lease("t1", seq=4, left_s=8.0, to="me")) is None
    assert vigil.armed == 4
    clock.now += 8
    assert vigil.reason(lease("t2", seq=4, left_s=8.0, to="me")) == "the fault outlived its time-to-live"
