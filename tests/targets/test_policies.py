"""What NetworkPolicies let through, by literal ones; and the blocks of addresses that leave some out."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.errors import ComponentNotFound, UsageError
from gameday.kubernetes_spec import PodSelector
from gameday.targets.kubernetes.partition import cut_off, cut_pair, end_of, is_cut
from gameday.targets.kubernetes.pods import Pod, Seen, Workload
from gameday.targets.kubernetes.policies import (
    DIRECTIONS,
    Direction,
    End,
    Point,
    Policies,
    Way,
    complement,
    document,
    selects,
    sight,
)

API = End("api", {"app": "api"}, (Point({"app": "api", "pod-template-hash": "1"}, ("10.0.0.1",)),))
DATABASE = End("database", {"app": "database"}, (Point({"app": "database"}, ("10.0.0.2",)),))
OTHER = End("other", {"app": "other"}, (Point({"app": "other"}, ("10.0.0.3",)),))
NAMES = [{"protocol": "UDP", "port": 53}]


def one(name: str, app: str | None, **directions: list[Any]) -> dict[str, Any]:
    """`ingress` and `egress` are the rules of the directions that it isolates."""
    selector = {} if app is None else {"matchLabels": {"app": app}}
    kinds = [direction.capitalize() for direction in directions]
    return {"metadata": {"name": name}, "spec": {"podSelector": selector, "policyTypes": kinds, **directions}}


def among(*documents: Any) -> Policies:
    return Policies("hotel", {"kubernetes.io/metadata.name": "hotel", "team": "blue"}, documents)


@pytest.mark.parametrize(
    ("rules", "way"),
    [
        ([], Way.CLOSED),
        ([{}], Way.OPEN),
        ([{"from": [{"podSelector": {"matchLabels": {"app": "api"}}}]}], Way.OPEN),
        ([{"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]}], Way.CLOSED),
        ([{"from": [{"podSelector": {}}]}], Way.OPEN),
        ([{"from": [{"namespaceSelector": {}}]}], Way.OPEN),
        ([{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}], Way.OPEN),
        (
            [{"from": [{"namespaceSelector": {"matchLabels": {"team": "red"}}, "podSelector": {}}]}],
            Way.CLOSED,
        ),
        ([{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}], Way.OPEN),
        ([{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.1/32"]}}]}], Way.CLOSED),
        ([{"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}], Way.CLOSED),
        ([{"ports": NAMES}], Way.CLOSED),
        ([{"ports": [*NAMES, {"port": 5432}]}], Way.OPEN),
        ([{"ports": [{"port": 53, "endPort": 9999}]}], Way.OPEN),
    ],
)
def test_how_a_server_stands_to_a_client(rules: list[Any], way: Way) -> None:
    policies = among(one("theirs", "database", ingress=rules))
    assert sight(policies, DATABASE, "Ingress", API, names=False).way is way
    assert sight(policies, DATABASE, "Egress", API, names=False).way is Way.FREE
    assert sight(policies, OTHER, "Ingress", API, names=False).way is Way.FREE


def test_policies_add_up() -> None:
    closed, opened = one("closed", None, ingress=[]), one("opened", "database", ingress=[{}])
    assert sight(among(closed), DATABASE, "Ingress", API, names=False).way is Way.CLOSED
    found = sight(among(closed, opened), DATABASE, "Ingress", API, names=False)
    assert (found.way, found.policies) == (Way.OPEN, ("opened",))


def test_a_component_of_which_some_pods_are_isolated_is_not_free() -> None:
    both = End("api", {"app": "api"}, (*API.points, Point({"app": "api", "canary": "yes"}, ("10.0.0.9",))))
    canary = one("canary", "api", egress=[])
    canary["spec"]["podSelector"]["matchLabels"]["canary"] = "yes"
    assert sight(among(canary), both, "Egress", DATABASE, names=False).way is Way.OPEN


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "app", "operator": "In", "values": ["api", "web"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["api"]}, False),
        ({"key": "absent", "operator": "NotIn", "values": ["api"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_label_selectors(expression: dict[str, Any], expected: bool) -> None:
    assert selects({"matchExpressions": [expression]}, {"app": "api"}) is expected
    assert not selects({"matchLabels": {"app": "web"}, "matchExpressions": [expression]}, {"app": "api"})


# --- which pods a component is, by labels -------------------------------------------------------------------


def pod(name: str, owner: str, *, host_network: bool = False, **labels: str) -> Pod:
    return Pod(
        name=name,
        uid=f"uid-{name}",
        labels=labels,
        node="node",
        phase="Running",
        ready=True,
        deleting=False,
        owner=owner,
        containers=("main",),
        default_container="main",
        restarts=0,
        waiting="",
        addresses=("10.0.0.1",),
        host_network=host_network,
    )


def workload(name: str, selector: dict[str, str], labels: dict[str, str]) -> Workload:
    return Workload("deployment", name, f"uid-{name}", labels, selector, 1, 1, 1, 1, True)


def test_a_component_is_named_by_labels_that_nobody_else_has() -> None:
    api = workload("api", {"app": "hotel"}, {"app": "hotel", "part": "api"})
    web = workload("web", {"app": "hotel", "part": "web"}, {"app": "hotel", "part": "web"})
    pods = (
        pod("api-1", "uid-api", app="hotel", part="api"),
        pod("web-1", "uid-web", app="hotel", part="web"),
    )
    end = end_of("api", PodSelector(workload="deployment/api"), Seen(pods, (api, web), {}))
    assert end.selector == {"app": "hotel", "part": "api"}
    twin = workload("twin", {"x": "y"}, {"app": "hotel", "part": "api"})
    with pytest.raises(UsageError, match="also those of deployment/twin"):
        end_of("api", PodSelector(workload="deployment/api"), Seen(pods, (api, web, twin), {}))


def test_what_has_its_nodes_network_and_what_is_not_there_is_refused() -> None:
    pods = (pod("agent-1", "", host_network=True, app="agent"),)
    with pytest.raises(UsageError, match="hostNetwork"):
        end_of("agent", PodSelector(labels={"app": "agent"}), Seen(pods, (), {}))
    with pytest.raises(ComponentNotFound):
        end_of("api", PodSelector(labels={"app": "api"}), Seen(pods, (), {}))


# --- what a partition makes ---------------------------------------------------------------------------------


def made(policies: Policies, server: End, client: End) -> Policies:
    """With what a partition of the two adds."""
    ends = {server.component: server, client.component: client}
    cut = cut_pair(policies, server, client)
    new = [document({"name": f"new-{name}"}, ends[name].selector, rules) for name, rules in cut.items()]
    return Policies(policies.namespace, policies.labels, (*policies.documents, *new))


THEIRS = [
    [],
    [one("in", "database", ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "api"}}}]}])],
    [one("out", "api", egress=[{}])],
    [one("none-in", None, ingress=[]), one("in", "database", ingress=[{}])],
    [one("dns", None, egress=[{"ports": NAMES}]), one("out", "api", egress=[{}])],
]


@pytest.mark.parametrize("theirs", THEIRS)
def test_it_cuts_exactly_that_pair(theirs: list[Any]) -> None:
    before = among(*theirs)
    after = made(before, DATABASE, API)
    assert not is_cut(before, DATABASE, API)
    assert is_cut(after, DATABASE, API)
    assert is_cut(after, DATABASE, later(API)), "a pod that comes later"
    for end in (API, DATABASE):
        for direction in DIRECTIONS:
            for bystander in (OTHER, later(OTHER), End("outside", {}, (Point({}, ("10.9.9.9",)),))):
                assert passes(before, end, direction, bystander) == passes(after, end, direction, bystander)


def later(end: End) -> End:
    """Pods of it whose addresses nobody knows yet."""
    return End(end.component, end.selector, tuple(Point(point.labels) for point in end.points))


def passes(policies: Policies, end: End, direction: Direction, bystander: End) -> bool:
    return sight(policies, end, direction, bystander, names=False).way is not Way.CLOSED


def test_what_others_allow_at_both_ends_is_refused_by_name() -> None:
    theirs = among(one("in", "database", ingress=[{}]), one("out", "api", egress=[{}]))
    with pytest.raises(UsageError, match="ingress of database is isolated by in, egress of api by out"):
        cut_pair(theirs, DATABASE, API)


def test_cut_off_names_are_kept_or_cut() -> None:
    kept = cut_off(among(), DATABASE, ["192.0.2.1", "192.0.2.1"], names=True)["database"]
    assert [rule["ports"] for rule in kept["Egress"]] == [
        [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    ]
    assert {"ipBlock": {"cidr": "192.0.2.1/32"}} in kept["Ingress"][0]["from"]
    assert cut_off(among(), DATABASE, [], names=False)["database"]["Egress"] == []


def test_where_others_let_names_pass_they_cannot_be_cut() -> None:
    theirs = among(one("dns", None, egress=[{"ports": NAMES}]))
    assert list(cut_off(theirs, DATABASE, [], names=True)["database"]) == ["Ingress"]
    with pytest.raises(UsageError, match="its egress is isolated by dns"):
        cut_off(theirs, DATABASE, [], names=False)


@given(
    left_out=st.sets(st.ip_addresses(v=4), max_size=6),
    asked=st.ip_addresses(v=4),
)
def test_blocks_contain_all_addresses_but_these(left_out: set[Any], asked: Any) -> None:
    blocks = [ipaddress.ip_network(one) for one in complement(map(str, left_out), {4})]
    assert any(asked in block for block in blocks) is (asked not in left_out)
    assert not any(one in block for block in blocks for one in left_out)
    assert sum(block.num_addresses for block in blocks) == 2**32 - len(left_out)


def test_blocks_are_of_the_versions_that_are_there() -> None:
    assert complement([], {4, 6}) == ["0.0.0.0/0", "::/0"]
    assert len(complement(["fd00::1"], {6})) == 128
