"""What a drill may leave that no log of undos is of: a lease, when its job is gone as well."""

from __future__ import annotations

import pytest

from cluster.lodge import CONTEXT, Lodge
from gameday.targets.kubernetes.cluster import Cluster
from gameday.targets.kubernetes.lease import EnvironmentLease, Holder, Keeper

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300), pytest.mark.xdist_group("lodge")]
DRILL = "20261126T000000Z-cellar-down-000000"


def taken(lodge: Lodge) -> EnvironmentLease:
    lease = EnvironmentLease(Cluster(CONTEXT, lodge.quarters.namespace), "lodge")
    lease.take(DRILL, Holder.me("cellar-down", ()))
    return lease


def test_a_lease_that_nobody_renews_and_no_switch_stands_behind_is_removed(lodge: Lodge) -> None:
    taken(lodge)
    done = lodge.gameday("recover", "-e", "lodge")
    assert done.code == 0, done.stdout + done.stderr
    assert f"lodge: removed lease gameday-lodge, which drill {DRILL} left" in done.stdout
    assert lodge.objects_of_gameday() == []
    assert lodge.gameday("recover", "-e", "lodge").stdout == "nothing to recover\n"


def test_a_lease_that_is_renewed_is_left_alone(lodge: Lodge) -> None:
    lease = taken(lodge)
    keeper = Keeper(lease, DRILL)
    try:
        done = lodge.gameday("recover", "-e", "lodge")
        assert done.stdout == "nothing to recover\n"
        assert keeper.lost is None
        assert lodge.lease()["spec"]["holderIdentity"] == DRILL
    finally:
        keeper.stop()
        lease.release(DRILL)
