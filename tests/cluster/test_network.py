"""Network faults between pods of a real cluster: the two are cut from each other, nobody else is, nothing is left."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.quarters import Quarters, quarters_in
from cluster.wires import NAMES, app, cuts_open, policy, reach, serve, timed, watching
from gameday.errors import TargetError, UsageError
from gameday.fault_spec import NetworkFault, PartitionFault
from gameday.targets.base import Connectable, Networked
from gameday.targets.kubernetes.target import KubernetesTarget
from targets.eventually import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("cluster-network")]
NAME = "gameday-partition"
CUT = PartitionFault(partition="database", client="api")
ALL = PartitionFault(partition="database")


@pytest.fixture(scope="module")
def standing(real_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarters]:
    """An API of two pods, a database and a bystander, which all reach each other."""
    with quarters_in(tmp_path_factory.mktemp("np"), prefix="np") as made:
        low = {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}
        user = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
        made.apply(*serve(made, "api", replicas=2), *serve(made, "database"))
        made.apply(*serve(made, "other", NAMES, securityContext={**user, **low}))
        made.ready("api", "database", "other")
        yield made


@pytest.fixture(scope="module")
def kinds(standing: Quarters) -> tuple[str, ...]:
    """Connections on which a policy can be seen to act: new ones, and open ones where the cluster's network allows."""
    return ("new", "open") if cuts_open(standing, "api", "database") else ("new",)


@pytest.fixture
def three(standing: Quarters) -> Iterator[Quarters]:
    """As they are without any policy, before a test and after it."""
    yield standing
    for component in ("database", "other", "api"):
        standing.target().heal(component, None, None, 30)
    standing.do("delete", "networkpolicies", "--all")


@pytest.fixture
def target(three: Quarters) -> KubernetesTarget:
    return three.target()


def node_port_answers(target: KubernetesTarget, component: str) -> bool:
    with urllib.request.urlopen(target.address(component).url, timeout=2) as answer:
        return bool(answer.read() == component.encode())


def policies(quarters: Quarters) -> list[str]:
    return [one["metadata"]["name"] for one in quarters.listed("networkpolicies")]


# --- a pair -------------------------------------------------------------------------------------------------


def test_only_the_two_are_cut_and_nothing_is_left_of_it(three: Quarters, target: KubernetesTarget) -> None:
    assert isinstance(target, Networked)
    before = three.everything()
    assert target.paths("database", "api", CUT) == ("api -> database",)
    assert three.everything() == before

    target.impair(CUT, NAME, 60, 15)

    for pod in three.pods_of("api"):
        assert reach(three, "api", "database", pod=pod) == "FAILED TimeoutError"
    assert reach(three, "database", "api") == "FAILED TimeoutError"
    assert [reach(three, *pair) for pair in (("other", "database"), ("database", "other"))] == ["ok", "ok"]
    assert [reach(three, *pair) for pair in (("other", "api"), ("api", "other"))] == ["ok", "ok"]
    assert reach(three, "api", "api") == "ok"
    assert node_port_answers(target, "database")
    assert node_port_answers(target, "api")

    assert "healed api -> database: gameday-partition" in target.heal("database", "api", NAME, 15)
    assert reach(three, "api", "database") == "ok"
    assert reach(three, "database", "api") == "ok"
    assert three.everything() == before
    assert "nothing to heal" in target.heal("database", "api", NAME, 15)


def test_it_is_in_force_and_healed_within_a_second(
    three: Quarters, target: KubernetesTarget, kinds: tuple[str, ...]
) -> None:
    target.paths("database", "api", CUT)  # as preflight asks, which also loads what is needed
    with watching(three, "api", "database") as watch:
        called = timed(lambda: target.impair(CUT, NAME, 60, 15))
        cut = {kind: watch.first(kind, called, ok=False) for kind in kinds}
        time.sleep(2)
        for kind in kinds:
            assert watch.only(kind, called + 1, ok=False)
        undone = timed(lambda: target.heal("database", "api", NAME, 15))
        healed = watch.first("new", undone, ok=True)
        watch.first("open", undone, ok=True)  # when TCP sends again what was dropped
    print(f"in force after {cut}, healed after {healed:.3f} s")
    assert max(cut.values()) < 1
    assert healed < 1


def test_a_pod_that_comes_later_is_cut_too(three: Quarters, target: KubernetesTarget) -> None:
    target.impair(CUT, NAME, 60, 15)
    old = three.pods_of("api")
    three.do("delete", "pods", *old, "--wait=true")
    three.ready("api")
    assert reach(three, "api", "other") == "ok"
    assert reach(three, "api", "database") == "FAILED TimeoutError"


def test_a_policy_says_what_it_is_for_and_until_when(three: Quarters, target: KubernetesTarget) -> None:
    target.impair(CUT, NAME, 90, 15)
    found = three.listed("networkpolicies")
    assert {one["spec"]["podSelector"]["matchLabels"]["app"] for one in found} == {"api", "database"}
    for one in found:
        assert one["metadata"]["name"].startswith("gameday-partition-")
        labels = one["metadata"]["labels"]
        assert labels["gameday.dev/environment"] == "quarters"
        assert labels["gameday.dev/component"] == "database"
        assert labels["gameday.dev/client"] == "api"
        notes = one["metadata"]["annotations"]
        assert "api -> database" in notes["gameday.dev/why"]
        left = datetime.fromisoformat(notes["gameday.dev/until"]) - datetime.now(UTC)
        assert 60 < left.total_seconds() <= 90


def test_one_of_the_same_name_is_replaced_and_of_another_name_stays(
    three: Quarters, target: KubernetesTarget
) -> None:
    target.impair(CUT, NAME, 60, 15)
    names = policies(three)
    target.impair(CUT, NAME, 3000, 15)
    assert policies(three) == names
    untils = {one["metadata"]["annotations"]["gameday.dev/until"] for one in three.listed("networkpolicies")}
    assert min(untils) > datetime.now(UTC).isoformat(), untils
    assert "nothing to heal" in target.heal("database", "api", "gameday-delay", 15)
    assert policies(three) == names


def test_two_pairs_with_a_common_end_are_cut_and_healed_apart(
    three: Quarters, target: KubernetesTarget
) -> None:
    second = PartitionFault(partition="other", client="api")
    target.impair(CUT, NAME, 60, 15)
    target.impair(second, NAME, 60, 15)
    assert "FAILED" in reach(three, "api", "database")
    assert "FAILED" in reach(three, "api", "other")
    assert reach(three, "other", "database") == "ok"
    target.heal("database", "api", NAME, 15)
    assert reach(three, "api", "database") == "ok"
    assert "FAILED" in reach(three, "api", "other")
    target.heal("other", "api", NAME, 15)
    assert reach(three, "api", "other") == "ok"
    assert policies(three) == []


def test_reconnect_ends_what_it_suffers_as_server_and_as_client(
    three: Quarters, target: KubernetesTarget
) -> None:
    target.impair(CUT, NAME, 60, 15)
    target.impair(PartitionFault(partition="api", client="other"), NAME, 60, 15)
    target.heal("api", None, None, 15)
    assert policies(three) == []
    assert reach(three, "api", "database") == "ok"
    assert reach(three, "other", "api") == "ok"


# --- beside the policies of others --------------------------------------------------------------------------


def test_where_others_isolate_the_server_it_is_cut_at_the_client_and_no_stranger_gets_in(
    three: Quarters, target: KubernetesTarget
) -> None:
    theirs: dict[str, Any] = {
        "podSelector": app("database"),
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": app("api")}]}],
    }
    three.apply(policy(three, "database-for-api", **theirs))
    assert eventually(lambda: reach(three, "other", "database") != "ok")
    assert reach(three, "api", "database") == "ok"
    before = three.everything()

    target.impair(CUT, NAME, 60, 15)

    assert "FAILED" in reach(three, "api", "database")
    assert "FAILED" in reach(three, "other", "database"), "a stranger was let in"
    assert reach(three, "api", "other") == "ok"
    target.heal("database", "api", NAME, 15)
    assert reach(three, "api", "database") == "ok"
    assert three.everything() == before


def test_where_others_isolate_both_ends_it_is_refused_before_anything_is_touched(
    three: Quarters, target: KubernetesTarget
) -> None:
    three.apply(
        policy(three, "in", podSelector=app("database"), policyTypes=["Ingress"], ingress=[{}]),
        policy(three, "out", podSelector=app("api"), policyTypes=["Egress"], egress=[{}]),
    )
    before = three.everything()
    with pytest.raises(UsageError, match=r"isolated by in, egress of api by out, which allow it") as caught:
        target.paths("database", "api", CUT)
    assert "via" in str(caught.value)
    with pytest.raises(UsageError, match="policies add up"):
        target.impair(CUT, NAME, 60, 15)
    assert three.everything() == before


def test_what_is_cut_already_is_refused(three: Quarters, target: KubernetesTarget) -> None:
    three.apply(policy(three, "closed", podSelector=app("database"), policyTypes=["Ingress"]))
    with pytest.raises(UsageError, match="nothing to cut, as closed allows none of it already"):
        target.paths("database", "api", CUT)


def test_a_rule_for_names_alone_does_not_count_as_a_path(three: Quarters, target: KubernetesTarget) -> None:
    names = [{"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}]
    three.apply(policy(three, "dns", podSelector=app("database"), policyTypes=["Egress"], egress=names))
    target.impair(CUT, NAME, 60, 15)
    assert "FAILED" in reach(three, "api", "database")
    assert "FAILED" in reach(three, "database", "api")


def test_somebody_elses_policy_of_that_name_is_left_alone(three: Quarters, target: KubernetesTarget) -> None:
    target.impair(CUT, NAME, 60, 15)
    name = policies(three)[0]
    target.heal("database", "api", NAME, 15)
    three.apply(policy(three, name, podSelector=app("nobody"), policyTypes=["Ingress"]))
    before = three.everything()
    with pytest.raises(TargetError, match="already exists"):
        target.impair(CUT, NAME, 60, 15)
    assert three.everything() == before
    assert reach(three, "api", "database") == "ok"


# --- from everybody -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dns", ["kept", "cut"])
def test_without_a_client_everybody_is_cut_but_who_watches(
    three: Quarters, target: KubernetesTarget, kinds: tuple[str, ...], dns: str
) -> None:
    fault = PartitionFault.model_validate({"partition": "database", "dns": dns})
    before = three.everything()
    assert target.paths("database", None, fault) == ("everybody -> database",)

    with watching(three, "api", "database") as watch:
        called = timed(lambda: target.impair(fault, NAME, 60, 15))
        cut = [watch.first(kind, called, ok=False) for kind in kinds]

    assert max(cut) < 1
    assert "FAILED" in reach(three, "other", "database")
    assert "FAILED" in reach(three, "database", "other")
    assert (reach(three, "database", "other", NAMES) == "ok") is (dns == "kept")
    assert node_port_answers(target, "database")
    assert reach(three, "api", "other") == "ok"
    target.heal("database", None, NAME, 15)
    assert reach(three, "other", "database") == "ok"
    assert three.everything() == before


def test_gamedays_own_pods_still_reach_what_is_cut_from_everybody(
    three: Quarters, target: KubernetesTarget
) -> None:
    (made, _) = serve(three, "runner")
    del three.components["runner"]
    made["spec"]["template"]["metadata"]["labels"]["gameday.dev/helper"] = "true"
    three.apply(made)
    three.do("rollout", "status", "deployment/runner", "--timeout=60s")
    try:
        target.impair(ALL, NAME, 60, 15)
        assert "FAILED" in reach(three, "other", "database")
        assert reach(three, "runner", "database") == "ok"
    finally:
        three.do("delete", "deployment", "runner")


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (
            PartitionFault(partition="database", client="api", how="refuse"),
            "how: refuse: a NetworkPolicy lets",
        ),
        (PartitionFault(partition="database", how="reset"), "needs one: `links: "),
        (PartitionFault(partition="database", client="database"), "reaches itself without a network"),
    ],
)
def test_what_policies_cannot_do_is_refused_with_what_it_would_need(
    three: Quarters, target: KubernetesTarget, fault: NetworkFault, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        target.paths("database", fault.client, fault)


def test_pods_whose_labels_others_carry_too_are_refused(three: Quarters) -> None:
    extra = serve(three, "twin")
    del three.components["twin"]
    for part in (
        extra[0]["spec"]["selector"]["matchLabels"],
        extra[0]["spec"]["template"]["metadata"]["labels"],
    ):
        part |= {"app": "database", "more": "yes"}
    three.apply(extra[0])
    try:
        with pytest.raises(UsageError, match="are also those of"):
            three.target().paths("database", "api", CUT)
    finally:
        three.do("delete", "deployment", "twin", "--wait=true")
        assert eventually(lambda: len(three.pods_of("database")) == 1, 30)


def test_a_component_without_pods_has_no_path(three: Quarters, target: KubernetesTarget) -> None:
    three.do("scale", "deployment/database", "--replicas=0")
    assert eventually(lambda: not three.pods_of("database"), 30)
    try:
        with pytest.raises(TargetError, match="no pod of database runs"):
            target.impair(CUT, NAME, 60, 15)
        assert policies(three) == []
    finally:
        three.do("scale", "deployment/database", "--replicas=1")
        three.ready("database")


# --- off the network ----------------------------------------------------------------------------------------


def test_off_its_network_a_component_reaches_nothing_and_is_put_back(
    three: Quarters, target: KubernetesTarget, kinds: tuple[str, ...]
) -> None:
    assert isinstance(target, Connectable)
    before = three.everything()
    connections = target.connections("database", None, None)
    assert three.everything() == before

    with watching(three, "api", "database") as watch:
        called = timed(lambda: target.disconnect_network("database", None, 15))
        cut = [watch.first(kind, called, ok=False) for kind in kinds]

    assert max(cut) < 1
    assert "FAILED" in reach(three, "database", "other", NAMES)
    assert reach(three, "api", "other") == "ok"
    target.connect("database", connections, 15)
    assert reach(three, "api", "database") == "ok"
    assert three.everything() == before
    assert "was on its network already" in target.connect("database", connections, 15)


def test_some_of_its_pods_are_off_their_network_and_the_others_are_not(
    three: Quarters, target: KubernetesTarget
) -> None:
    before = three.everything()
    connections = target.connections("api", None, 1)
    (hit,) = connections["pods"]
    (spared,) = set(three.pods_of("api")) - {hit}
    target.disconnect_network("api", None, 15, 1)
    assert "FAILED" in reach(three, "api", "other", pod=hit)
    assert reach(three, "api", "other", pod=spared) == "ok"
    target.heal("api", None, None, 15)
    assert reach(three, "api", "other", pod=hit) == "ok"
    assert three.everything() == before


def test_a_network_of_a_name_is_refused(three: Quarters, target: KubernetesTarget) -> None:
    with pytest.raises(UsageError, match="pods have one network"):
        target.connections("database", "default", None)
