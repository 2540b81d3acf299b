"""Delay and loss by Chaos Mesh on a real API server: what is made is valid there, is the fault only when it is said to
be in force in the pods, and is gone afterwards whoever reverts it. Its daemon is played (see `cluster.mesh`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.lodge import SCENARIO, Lodge
from cluster.mesh import CRD, Daemon, chaos_mesh_known, is_served, resources
from cluster.quarters import CONTEXT, Quarters, config_of, quarters_in
from cluster.wires import serve
from gameday import faults
from gameday.errors import OperationTimedOut, Refused, TargetError, UsageError
from gameday.fault_spec import DelayFault, LoseFault, PartitionFault
from gameday.fields import parse
from gameday.rbac import manifests, runner_needs
from gameday.targets.kubernetes.target import KubernetesTarget
from gameday.undo import revert
from process.inn import kill_all, until
from targets.eventually import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.alone, pytest.mark.xdist_group("cluster-nodes")]
NAME = "gameday-delay"
DELAY = parse(DelayFault, {"delay": "database", "client": "api", "by": "1200ms", "jitter": "400ms"})
SLOW = (
    SCENARIO.replace("cellar-down", "cellar-slow")
    .replace("{kill: cellar}", "{delay: cellar, client: bar, by: 3s}")
    .replace("fails_within: 20s", "fails_within: 8s")
)


@pytest.fixture(scope="module")
def standing(real_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarters]:
    """An API of two pods and a database, without a fault proxy between them."""
    with quarters_in(tmp_path_factory.mktemp("cm"), prefix="cm") as made:
        made.apply(*serve(made, "api", replicas=2), *serve(made, "database"))
        made.ready("api", "database")
        yield made


@pytest.fixture(scope="module")
def _mesh(real_cluster: str) -> Iterator[None]:
    with chaos_mesh_known():
        yield


@pytest.fixture
def place(_mesh: None, standing: Quarters) -> Iterator[Quarters]:
    yield standing
    assert resources(standing) == []


@pytest.fixture
def target(place: Quarters) -> KubernetesTarget:
    return place.target()


def test_without_chaos_mesh_both_ways_are_named(standing: Quarters) -> None:
    """The first of this module: nothing has told the cluster of Chaos Mesh yet."""
    if is_served():
        pytest.skip("this cluster knows Chaos Mesh")
    before = standing.everything()
    with pytest.raises(UsageError) as caught:
        faults.build(DELAY, standing.target(), 60).prepare()
    assert str(caught.value) == (
        "delay database: a NetworkPolicy lets packets pass or vanish, and the environment routes no link from api to "
        "database through a fault proxy; it needs one: `links: [{client: api, server: database, via: PROXY, "
        f"port: PORT}}]`; or Chaos Mesh in the cluster, which does not serve {CRD}"
    )
    everybody = parse(DelayFault, {"delay": "database", "by": "1s"})
    with pytest.raises(UsageError, match="or a `client` of the fault and Chaos Mesh in the cluster"):
        standing.target().paths("database", None, everybody)
    assert standing.target().heal("database", "api", NAME, 15) == "nothing to heal on api -> database"
    assert standing.everything() == before


def test_it_is_made_for_the_pods_of_the_two_and_says_what_it_is_for(
    place: Quarters, target: KubernetesTarget
) -> None:
    before, address = place.everything(), place.get("service", "database")["spec"]["clusterIP"]
    assert target.paths("database", "api", DELAY) == ("api -> database by Chaos Mesh",)
    assert resources(place) == [], "looking makes nothing"

    with Daemon(place, reverts_after_s=1) as daemon:
        said = target.impair(DELAY, NAME, 90, 15)
        (one,) = resources(place)
        assert one["metadata"]["name"] in said
        assert one["metadata"]["labels"] == {
            "gameday.dev/environment": "quarters",
            "gameday.dev/component": "database",
            "gameday.dev/client": "api",
            "gameday.dev/fault": NAME,
        }
        assert "api -> database" in one["metadata"]["annotations"]["gameday.dev/why"]
        assert one["spec"] == {
            "action": "delay",
            "delay": {"latency": "1200ms", "jitter": "400ms", "correlation": "0"},
            "mode": "all",
            "selector": {"namespaces": [place.namespace], "labelSelectors": {"app": "api"}},
            "direction": "to",
            "target": {
                "mode": "all",
                "selector": {"namespaces": [place.namespace], "labelSelectors": {"app": "database"}},
            },
            "externalTargets": [f"{address}/32"],
            "duration": "90s",
        }
        begun = time.monotonic()
        assert target.heal("database", "api", NAME, 15) == f"healed api -> database: {NAME} by Chaos Mesh"
        assert time.monotonic() - begun > 1, "it is over when the daemon has reverted it"
        assert resources(place) == []
        assert "nothing to heal" in target.heal("database", "api", NAME, 15)
    assert daemon.problem is None
    assert place.everything() == before


def test_one_of_the_same_name_is_replaced(place: Quarters, target: KubernetesTarget) -> None:
    with Daemon(place):
        target.impair(DELAY, NAME, 90, 15)
        (first,) = resources(place)
        target.impair(DELAY.model_copy(update={"by": 2.0}), NAME, 90, 15)
        (second,) = resources(place)
        target.heal("database", None, None, 15)
    assert first["metadata"]["name"] == second["metadata"]["name"]
    assert second["spec"]["delay"]["latency"] == "2000ms"


def test_a_loss_is_both_ways_and_a_fault_like_any_other(place: Quarters, target: KubernetesTarget) -> None:
    fault = faults.build(parse(LoseFault, {"lose": "database", "client": "api", "percent": 30}), target, 60)
    with Daemon(place):
        undo = fault.prepare()
        fault.apply()
        there = {one["spec"]["selector"]["labelSelectors"]["app"]: one["spec"] for one in resources(place)}
        assert there.keys() == {"api", "database"}
        assert {spec["loss"]["loss"] for spec in there.values()} == {"30"}
        assert "healed api -> database: gameday-lose by Chaos Mesh" in revert(undo, place.target())
        assert resources(place) == []
        assert "nothing to heal" in revert(undo, place.target())


def test_without_its_daemon_it_has_not_taken_effect_and_nothing_is_left(
    place: Quarters, target: KubernetesTarget
) -> None:
    with pytest.raises(OperationTimedOut) as caught:
        target.impair(DELAY, NAME, 60, 3)
    assert "did not take effect within 3 s: nobody has taken it up" in str(caught.value)
    assert resources(place) == []


def half(_: dict[str, Any], pods: list[str]) -> dict[str, str]:
    return {pods[0]: "Injected"}


def stuck(_: dict[str, Any], pods: list[str]) -> dict[str, str]:
    return dict.fromkeys(pods, "Not Injected/Wait")


@pytest.mark.parametrize(
    ("says", "reason"), [(half, "AllInjected is True.*not in api-"), (stuck, "is False")]
)
def test_a_daemon_that_has_not_injected_all_pods_has_not_done_it(
    place: Quarters, target: KubernetesTarget, says: Any, reason: str
) -> None:
    with Daemon(place, says), pytest.raises(OperationTimedOut, match=reason):
        target.impair(DELAY, NAME, 60, 4)
    assert resources(place) == []


def test_what_the_daemon_cannot_revert_is_a_failed_undo_that_says_how_to_go_on(
    place: Quarters, target: KubernetesTarget
) -> None:
    with Daemon(place) as daemon:
        target.impair(DELAY, NAME, 60, 15)
        daemon.reverts = False
        with pytest.raises(OperationTimedOut) as caught:
            target.heal("database", "api", NAME, 2)
        assert "Chaos Mesh has not reverted it" in str(caught.value)
        assert f"annotate {CRD} NAME chaos-mesh.chaos-mesh.org/cleanFinalizer=forced" in str(caught.value)
        daemon.reverts = True
        target.heal("database", "api", NAME, 15)
        assert resources(place) == []


def test_what_fails_and_cannot_be_taken_back_tells_both(
    place: Quarters, target: KubernetesTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.targets.kubernetes.chaos_mesh_faults._CLEAN_UP_S", 1.0)
    with Daemon(place, stuck) as daemon:
        daemon.reverts = False
        with pytest.raises(
            TargetError, match=r"did not take effect.*taking it back failed.*has not reverted it"
        ):
            target.impair(DELAY, NAME, 60, 4)
        daemon.reverts = True
        target.heal("database", "api", NAME, 15)


def test_what_others_made_and_what_a_policy_does_are_left_alone(
    place: Quarters, target: KubernetesTarget
) -> None:
    theirs = {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "NetworkChaos",
        "metadata": {"name": "theirs", "namespace": place.namespace, "labels": {"app": "api"}},
        "spec": {
            "action": "loss",
            "mode": "all",
            "selector": {"namespaces": [place.namespace], "labelSelectors": {"app": "api"}},
            "loss": {"loss": "1"},
        },
    }
    place.apply(theirs)
    try:
        cut = PartitionFault(partition="database", client="api")
        assert target.paths("database", "api", cut) == ("api -> database",)
        target.impair(cut, "gameday-partition", 60, 15)
        assert [one["metadata"]["name"] for one in resources(place)] == ["theirs"]
        target.heal("database", None, None, 15)
        assert [one["metadata"]["name"] for one in resources(place)] == ["theirs"]
    finally:
        place.do("delete", CRD, "theirs")


# --- under exactly the Role that is printed ---------------------------------------------------------------------


def as_account(quarters: Quarters, account: str, folder: Path, *given: Any) -> KubernetesTarget:
    """A target of a new account that may do what these faults need, and no more."""
    needs = runner_needs(quarters.environment(), given, [("reconnect", "database")])
    made = manifests(quarters.namespace, {account: needs})
    quarters.do("apply", "-f", "-", stdin=yaml.safe_dump_all(made))
    who = f"--as=system:serviceaccount:{quarters.namespace}:{account}"
    asks = ("auth", "can-i", "list", "pods", who)
    assert eventually(lambda: quarters.do(*asks, check=False).strip() == "yes")
    target = quarters.target()
    with pytest.MonkeyPatch.context() as patched:
        config = str(config_of(account, quarters.namespace, folder, CONTEXT))
        # read from the environment once, when it is imported
        patched.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", config)
        target.cluster.identity()  # from now on it is that account's
    return target


def test_the_role_of_a_delay_is_enough_for_it(place: Quarters, tmp_path: Path) -> None:
    target = as_account(place, "delayer", tmp_path, DELAY)
    with Daemon(place):
        target.check_permitted([DELAY], [])
        undo = faults.build(DELAY, target, 60).prepare()
        target.impair(DELAY, NAME, 60, 15)
        assert "by Chaos Mesh" in revert(undo, target)


def test_the_role_of_a_partition_knows_nothing_of_chaos_mesh_and_needs_not(
    place: Quarters, tmp_path: Path
) -> None:
    cut = PartitionFault(partition="database", client="api")
    target = as_account(place, "cutter", tmp_path, cut)
    undo = faults.build(cut, target, 60).prepare()
    target.impair(cut, "gameday-partition", 60, 15)
    assert "healed" in revert(undo, target)
    assert "nothing to heal" in target.heal("database", None, None, 15)
    with pytest.raises(TargetError, match="forbidden"):
        target.paths("database", "api", DELAY)
    with pytest.raises(TargetError, match="forbidden"):
        target.heal("database", "api", NAME, 15)
    with pytest.raises(Refused, match=f"may not create {CRD}"):
        target.check_permitted([DELAY], [])


# --- whole drills -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow_lodge(_mesh: None, standing_lodge: Lodge) -> Lodge:
    """One whose drill is a delay by Chaos Mesh; its dead-man switch may do that and no more."""
    standing_lodge.write("scenarios/cellar-slow.yaml", SLOW)
    allowed = standing_lodge.gameday("rbac", "-e", "lodge", "-s", "cellar-slow")
    assert allowed.code == 0, allowed.stderr
    standing_lodge.quarters.do("apply", "-f", "-", stdin=allowed.stdout)
    return standing_lodge


def test_a_drill_without_the_daemon_proves_nothing_and_leaves_nothing(slow_lodge: Lodge) -> None:
    done = slow_lodge.drill(scenario="cellar-slow")
    assert done.code == 3, done.stdout + done.stderr
    assert "nobody has taken it up" in done.stdout + done.stderr
    assert slow_lodge.verdict()["verdict"] == "INCONCLUSIVE"
    assert resources(slow_lodge.quarters) == []
    assert slow_lodge.left_behind() == []


@pytest.mark.long
def test_an_effect_that_is_only_claimed_is_none(slow_lodge: Lodge) -> None:
    with Daemon(slow_lodge.quarters):
        done = slow_lodge.drill(scenario="cellar-slow")
    assert done.code == 3, done.stdout + done.stderr
    assert slow_lodge.checks()["effective"] == "unknown"
    assert slow_lodge.checks()["undone"] == "met"
    assert resources(slow_lodge.quarters) == []


@pytest.mark.long
def test_the_dead_man_job_removes_what_a_killed_runner_left(slow_lodge: Lodge) -> None:
    with Daemon(slow_lodge.quarters):
        known = slow_lodge.folders()
        runner = slow_lodge.start_drill("cellar-slow")
        folder = slow_lodge.wait_for("fault.injected", runner, known)
        assert folder is not None, runner.communicate(timeout=10)[0]
        assert len(resources(slow_lodge.quarters)) == 1
        kill_all(runner)
        until(lambda: not resources(slow_lodge.quarters), 90, "the job has had it reverted")
        until(slow_lodge.is_whole, 60, "and nothing of gameday is left")


@pytest.mark.long
def test_recover_on_another_machine_removes_it(slow_lodge: Lodge, tmp_path: Path) -> None:
    with Daemon(slow_lodge.quarters):
        known = slow_lodge.folders()
        runner = slow_lodge.start_drill("cellar-slow")
        assert slow_lodge.wait_for("fault.injected", runner, known) is not None
        kill_all(runner)
        slow_lodge.quarters.do("delete", "jobs", "--all", "--cascade=foreground")
        other = slow_lodge.another(tmp_path / "other")
        until(lambda: other.gameday("recover", "-e", "lodge").code == 0, 60, "recovered elsewhere")
        assert resources(slow_lodge.quarters) == []
        until(slow_lodge.is_whole, 30, "nothing of gameday is left")
