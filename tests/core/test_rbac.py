"""What drills need in a cluster, from what their files say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import TypeAdapter

from gameday.environment import Environment
from gameday.fault_spec import Fault
from gameday.fields import parse
from gameday.rbac import Need, manifests, rules, runner_needs, switch_needs


def environment(**more: Any) -> Environment:
    components = {
        "database": {"kubernetes": {"workload": "statefulset/database"}, "port": 5432},
        "api": {"kubernetes": {"workload": "deployment/api"}, "port": 8000, **more},
        "cache": {"kubernetes": {"labels": {"app": "cache"}}, "port": 6379},
    }
    return parse(
        Environment,
        {
            "environment": "shop",
            "target": "kubernetes",
            "kubernetes": {"context": "${env:CONTEXT}", "namespace": "shop"},
            "components": components,
            "probes": {"answers": {"http": "GET /", "component": "api"}},
            "detector": {"kind": "prometheus", "url": "http://127.0.0.1:1"},
        },
    )


def fault(**spec: Any) -> Any:
    return TypeAdapter(Fault).validate_python(spec)


def test_only_the_kind_of_workload_that_is_changed_may_be_changed() -> None:
    needs = runner_needs(environment(), [fault(kill="database")], [])
    assert Need("apps", "statefulsets", "patch") in needs
    assert Need("apps", "deployments", "patch") not in needs
    assert Need("", "pods", "delete") in needs


def test_labels_may_be_those_of_either_kind() -> None:
    needs = runner_needs(environment(), [fault(kill="cache")], [])
    assert {Need("apps", "statefulsets", "patch"), Need("apps", "deployments", "patch")} <= needs


def test_the_switch_may_put_back_and_not_break() -> None:
    needs = switch_needs(environment(), [fault(kill="api")])
    assert Need("apps", "deployments", "patch") in needs
    assert Need("", "pods", "delete") not in needs
    assert not [need for need in needs if need.resource in {"nodes", "secrets", "pods/exec"}]


def test_steps_of_the_runbook_count() -> None:
    assert Need("", "pods/exec", "create") in runner_needs(environment(), [], [("run", "api")])
    assert Need("", "pods/log", "get") in runner_needs(environment(), [], [("logs", "api")])


@pytest.mark.parametrize("drains", [True, False])
def test_nodes_are_for_drills_that_drain_alone(drains: bool) -> None:
    needs = runner_needs(environment(), [fault(drain="api") if drains else fault(kill="api")], [])
    kinds = [one["kind"] for one in manifests("shop", {"gameday": needs})]
    assert ("ClusterRole" in kinds, "ClusterRoleBinding" in kinds) == (drains, drains)


LINKED = {"links": [{"client": "api", "server": "database", "via": "network", "port": 15432}]}
CHAOS = "networkchaos"


def chaos(needs: Iterable[Need]) -> set[str]:
    return {need.verb for need in needs if (need.group, need.resource) == ("chaos-mesh.org", CHAOS)}


@pytest.mark.parametrize(
    ("spec", "runner", "switch"),
    [
        ({"delay": "database", "client": "api", "by": "1s"}, {"get", "list", "create", "delete"}, {"list", "delete"}),
        ({"lose": "cache", "client": "api", "percent": 5}, {"get", "list", "create", "delete"}, {"list", "delete"}),
        ({"delay": "database", "by": "1s"}, set(), set()),
        ({"throttle": "database", "client": "api", "bytes_per_s": 9}, set(), set()),
        ({"partition": "database", "client": "api"}, set(), set()),
    ],
)  # fmt: skip
def test_chaos_mesh_is_for_what_is_slow_between_two_and_has_no_fault_proxy(
    spec: dict[str, Any], runner: set[str], switch: set[str]
) -> None:
    given = [fault(**spec)]
    assert chaos(runner_needs(environment(), given, [("reconnect", "database")])) == runner
    assert chaos(switch_needs(environment(), given)) == switch


def test_where_a_fault_proxy_does_it_nothing_is_asked_of_chaos_mesh() -> None:
    network = {"network": {"kubernetes": {"workload": "deployment/api", "container": "network"}}}
    document = environment().model_dump(mode="json", exclude_unset=True)
    document["components"] |= network
    linked = parse(Environment, document | LINKED)
    by_proxy, not_so = (fault(delay=server, client="api", by="1s") for server in ("database", "cache"))
    assert chaos(runner_needs(linked, [by_proxy], [])) == set()
    assert Need("", "pods/exec", "create") in runner_needs(linked, [by_proxy], [])
    assert "create" in chaos(runner_needs(linked, [not_so], []))


def test_variables_of_the_file_take_a_secret_and_the_context_does_not() -> None:
    wanted = Need("", "secrets", "create")
    assert wanted not in runner_needs(environment(), [fault(kill="api")], [])
    assert wanted in runner_needs(
        environment(url="http://${env:WORD}@${host}:${port}"), [fault(kill="api")], []
    )


def test_rules_of_one_group_with_the_same_verbs_are_one() -> None:
    needs = [
        Need("apps", kind, verb) for kind in ("deployments", "statefulsets") for verb in ("get", "patch")
    ]
    assert rules(needs) == [
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "patch"]}
    ]
