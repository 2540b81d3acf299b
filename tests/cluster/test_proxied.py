"""Network faults by a fault proxy in a container of the client's own pods: for what policies cannot do.

Needs an image of gameday in the cluster: GAMEDAY_PROXY_IMAGE names it, else that of the helpers is built and loaded by
the command in LOAD_IMAGE.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.quarters import Quarters, quarters_in
from cluster.wires import ECHO, app, policy, reach, serve, timed, took_s, watching
from gameday.errors import GamedayError, UsageError
from gameday.fault_spec import NetworkFault, PartitionFault
from gameday.fields import parse
from gameday.targets.contained_proxy import CONTROL
from gameday.targets.kubernetes.target import KubernetesTarget

# long: an overloaded machine fails them
pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.xdist_group("cluster-proxied")]
PORT, LINK = 15001, "api-database"
SCRIPT = (
    'echo "$0" > /run/gameday/proxy.json && exec python3 -m gameday.proxy --config /run/gameday/proxy.json'
)


@pytest.fixture(scope="session")
def proxy_image(real_cluster: str) -> str:
    given, load = os.environ.get("GAMEDAY_PROXY_IMAGE"), os.environ.get("LOAD_IMAGE")
    if given:
        return given
    if not load:
        pytest.skip(
            "needs an image of gameday in the cluster: GAMEDAY_PROXY_IMAGE, or LOAD_IMAGE to load one"
        )
    from gameday.targets.docker.engine import Engine
    from gameday.targets.docker.image import helper_image

    try:
        tag = helper_image(Engine.connect(timeout_s=60))
    except GamedayError as error:
        pytest.skip(f"needs a Docker engine to build an image: {error}")
    subprocess.run([*shlex.split(load), tag], check=True, timeout=300)
    return tag


def proxy(image: str) -> dict[str, Any]:
    config = {
        "links": [{"name": LINK, "listen": f"127.0.0.1:{PORT}", "upstream": f"database:{ECHO}"}],
        "control": CONTROL,
        "state": "/run/gameday/state.json",
    }
    return {
        "name": "network",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", SCRIPT, json.dumps(config)],
        "volumeMounts": [{"name": "run", "mountPath": "/run/gameday"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


@pytest.fixture(scope="module")
def standing(proxy_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarters]:
    """An API of two pods, each with a fault proxy through which it reaches the database."""
    with quarters_in(tmp_path_factory.mktemp("np"), prefix="np") as made:
        api = serve(made, "api", replicas=2)
        inside = api[0]["spec"]["template"]["spec"]
        inside["containers"].append(proxy(proxy_image))
        inside["volumes"] = [{"name": "run", "emptyDir": {}}]
        made.apply(*api, *serve(made, "database"), *serve(made, "other"))
        made.components["network"] = {"kubernetes": {"workload": "deployment/api", "container": "network"}}
        made.ready("api", "database", "other")
        yield made


def target_of(quarters: Quarters) -> KubernetesTarget:
    environment = quarters.environment()
    link = {"client": "api", "server": "database", "via": "network", "port": PORT, "name": LINK}
    document = environment.model_dump(mode="json", exclude_unset=True) | {"links": [link]}
    return KubernetesTarget(parse(type(environment), document), "quarters", quarters.project)


@pytest.fixture
def linked(standing: Quarters) -> Iterator[Quarters]:
    yield standing
    target_of(standing).heal("database", None, None, 60)
    standing.do("delete", "networkpolicies", "--all")


@pytest.fixture
def target(linked: Quarters) -> KubernetesTarget:
    return target_of(linked)


def fault(**fields: Any) -> NetworkFault:
    (verb,) = {"partition", "delay", "throttle", "lose"} & set(fields)
    from gameday.fault_spec import DelayFault, LoseFault, ThrottleFault

    kinds: dict[str, Any] = {"delay": DelayFault, "throttle": ThrottleFault, "lose": LoseFault}
    found: NetworkFault = parse(kinds.get(verb, PartitionFault), fields)
    return found


def through(quarters: Quarters, pod: str = "") -> str:
    return reach(quarters, "api", "127.0.0.1", PORT, pod=pod)


def test_a_delay_is_in_every_pod_of_the_client_and_gone_afterwards(
    linked: Quarters, target: KubernetesTarget
) -> None:
    slow = fault(delay="database", client="api", by="2s")
    before = linked.everything()
    assert target.paths("database", "api", slow) == ("api -> database via network",)
    assert took_s(linked, "api", "127.0.0.1", PORT) < 1.8

    said = target.impair(slow, "gameday-delay", 60, 15)

    assert all(pod in said for pod in linked.pods_of("api"))
    assert 2 <= took_s(linked, "api", "127.0.0.1", PORT) < 5
    assert reach(linked, "other", "database") == "ok"
    assert "gameday-delay" in target.heal("database", "api", "gameday-delay", 15)
    assert took_s(linked, "api", "127.0.0.1", PORT) < 1.8
    assert linked.everything() == before
    assert "nothing to heal" in target.heal("database", "api", "gameday-delay", 15)


@pytest.mark.parametrize(
    ("fields", "new"),
    [({"how": "refuse"}, ("refused",)), ({"how": "reset"}, ("FAILED ConnectionResetError", "ended"))],
)
def test_how_a_partition_looks_that_a_policy_cannot_make(
    linked: Quarters, target: KubernetesTarget, fields: dict[str, str], new: tuple[str, ...]
) -> None:
    cut = fault(partition="database", client="api", **fields)
    target.impair(cut, "gameday-partition", 60, 15)
    for pod in linked.pods_of("api"):
        assert through(linked, pod) in new
    assert linked.listed("networkpolicies") == []
    target.heal("database", None, None, 15)
    assert through(linked) == "ok"


def test_a_partition_is_by_policy_and_cuts_open_connections_through_the_proxy_too(
    linked: Quarters, target: KubernetesTarget
) -> None:
    cut = fault(partition="database", client="api")
    assert target.paths("database", "api", cut) == ("api -> database",)
    with watching(linked, "api", "127.0.0.1", PORT) as watch:
        called = timed(lambda: target.impair(cut, "gameday-partition", 60, 15))
        returned = time.time()
        gone = {kind: watch.first(kind, called, ok=False) for kind in ("new", "open")}
        time.sleep(1)
        assert watch.only("open", returned, ok=False)
        assert watch.only("new", returned, ok=False)
        assert "FAILED" in reach(linked, "api", "database")
        assert reach(linked, "other", "database") == "ok"
        undone = timed(lambda: target.heal("database", "api", "gameday-partition", 15))
        healed = {kind: watch.first(kind, undone, ok=True) for kind in ("new", "open")}
    print(f"in force after {gone}, returned after {returned - called:.3f} s, healed after {healed}")
    assert linked.listed("networkpolicies") == []


def test_where_policies_cannot_cut_the_proxy_does(linked: Quarters, target: KubernetesTarget) -> None:
    linked.apply(
        policy(linked, "in", podSelector=app("database"), policyTypes=["Ingress"], ingress=[{}]),
        policy(linked, "out", podSelector=app("api"), policyTypes=["Egress"], egress=[{}]),
    )
    before = linked.everything()
    cut = fault(partition="database", client="api")
    assert target.paths("database", "api", cut) == ("api -> database via network",)
    target.impair(cut, "gameday-partition", 60, 15)
    assert "FAILED" in through(linked)
    assert linked.everything() == before
    target.heal("database", "api", "gameday-partition", 15)
    assert through(linked) == "ok"


def test_the_proxy_ends_it_by_itself(linked: Quarters, target: KubernetesTarget) -> None:
    target.impair(fault(partition="database", client="api", how="refuse"), "gameday-partition", 3, 15)
    assert through(linked) == "refused"
    time.sleep(3)
    assert through(linked) == "ok"


def test_a_proxy_that_is_down_has_nothing_to_heal(linked: Quarters, target: KubernetesTarget) -> None:
    linked.do("scale", "deployment/api", "--replicas=0")
    try:
        assert "nothing to heal" in target.heal("database", "api", "gameday-delay", 15)
    finally:
        linked.do("scale", "deployment/api", "--replicas=2")
        linked.ready("api")


def test_what_is_in_one_pod_has_no_path(linked: Quarters, target: KubernetesTarget) -> None:
    with pytest.raises(UsageError, match="what is in one pod reaches itself"):
        target.paths("network", "api", fault(partition="network", client="api"))
