"""Draining the node of a component: what the environment has there goes, nothing else does, and the node is as before.

Each test has one node of the cluster cordoned for some seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.quarters import Quarters, kubectl, quarters_in
from cluster.wires import reach, serve, watching
from gameday import faults
from gameday.detector_settings import PrometheusDetector
from gameday.environment import Environment
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.fault_spec import DrainFault
from gameday.fields import parse
from gameday.journal import Undo
from gameday.operations import TargetOperations
from gameday.targets.base import Drainable
from gameday.targets.kubernetes.target import KubernetesTarget
from gameday.undo import revert
from targets.eventually import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.alone, pytest.mark.xdist_group("cluster-nodes")]
CORDONED = "gameday.dev/cordoned"
_SERVER_MANAGED = ("resourceVersion", "managedFields", "generation")


@pytest.fixture(scope="module")
def standing(real_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarters]:
    """A web of two pods, a cache, and what a drain leaves alone: a daemon set, a pod of gameday's, the monitoring."""
    with quarters_in(tmp_path_factory.mktemp("np"), prefix="np") as made:
        made.apply(*serve(made, "web", replicas=2), *serve(made, "cache"), *serve(made, "monitoring"))
        (agent, _) = serve(made, "agent")
        del made.components["agent"]
        agent["kind"] = "DaemonSet"
        del agent["spec"]["replicas"]
        (helper, _) = serve(made, "helper")
        del made.components["helper"]
        helper["spec"]["template"]["metadata"]["labels"]["gameday.dev/helper"] = "true"
        made.apply(agent, helper)
        made.ready("web", "cache", "monitoring")
        for what in ("daemonset/agent", "deployment/helper"):
            made.do("rollout", "status", what, "--timeout=60s")
        yield made


@pytest.fixture
def quarters(standing: Quarters) -> Iterator[Quarters]:
    """With all of it ready, before a test and after it."""
    yield standing
    target = target_of(standing)
    for component in ("web", "cache"):
        target.uncordon(component, None, 60)
    standing.ready("web", "cache", "monitoring")


def target_of(quarters: Quarters) -> KubernetesTarget:
    """Watched by a Prometheus in its own namespace."""
    detector = parse(PrometheusDetector, {"kind": "prometheus", "component": "monitoring"})
    environment: Environment = quarters.environment().model_copy(update={"detector": detector})
    return KubernetesTarget(environment, "quarters", quarters.project)


@pytest.fixture
def target(quarters: Quarters) -> KubernetesTarget:
    return target_of(quarters)


def node_of(quarters: Quarters) -> str:
    return str(quarters.listed("pods", "app=web")[0]["spec"]["nodeName"])


def node(name: str) -> dict[str, Any]:
    """Without status, and what the server counts."""
    found: dict[str, Any] = json.loads(kubectl("get", "node", name, "-o", "json"))
    kept = {key: value for key, value in found["metadata"].items() if key not in _SERVER_MANAGED}
    return {"metadata": kept, "spec": found["spec"]}


def spared(quarters: Quarters) -> set[str]:
    return {name for app in ("agent", "helper", "monitoring") for name in quarters.pods_of(app)}


def test_what_the_environment_has_there_goes_and_comes_back_and_nothing_else_does(
    quarters: Quarters, target: KubernetesTarget, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert isinstance(target, Drainable)
    name = node_of(quarters)
    before, left_alone, own = node(name), spared(quarters), set(quarters.pods_of("web"))
    fault = faults.build(DrainFault(drain="web"), target, 60)
    undo = fault.prepare()
    assert undo == Undo("uncordon", "web", {"nodes": [name]})
    assert node(name) == before

    with quarters_in(tmp_path_factory.mktemp("np"), prefix="np") as elsewhere:
        elsewhere.apply(*serve(elsewhere, "guest"))
        elsewhere.ready("guest")
        guests = elsewhere.pods_of("guest")
        with watching(elsewhere, "guest", f"web.{quarters.namespace}") as watch:
            called = time.time()
            said = fault.apply()
            gone = {kind: watch.first(kind, called, ok=False) for kind in ("open", "new")}
            note = json.loads(node(name)["metadata"]["annotations"][CORDONED])
            assert (note["environment"], note["component"]) == ("quarters", "web")
            assert node(name)["spec"]["unschedulable"] is True
            assert all(pod in said for pod in own)
            waiting = quarters.listed("pods", "app=web")
            assert not own & {pod["metadata"]["name"] for pod in waiting}
            assert {pod["status"]["phase"] for pod in waiting} == {"Pending"}
            assert spared(quarters) == left_alone
            assert elsewhere.pods_of("guest") == guests
            undone = time.time()
            assert f"uncordoned {name}" in revert(undo, target)
            back = watch.first("new", undone, ok=True, within_s=30)
    print(f"gone after {gone}, back {back:.1f} s after the undo")
    assert node(name) == before
    quarters.ready("web", "cache", within_s=5)
    assert revert(undo, target) == "nothing is cordoned for web"


def test_a_runbook_uncordons_and_the_undo_then_finds_nothing(
    quarters: Quarters, target: KubernetesTarget
) -> None:
    name = node_of(quarters)
    before, undo = node(name), Undo("uncordon", "web", {"nodes": list(target.nodes("web"))})
    target.drain("web", 60, 60)
    operations = TargetOperations(target, lambda *_: (True, ""))
    assert "uncordoned" in operations.perform("uncordon", "web", {}, 60)
    assert node(name) == before
    assert revert(undo, target) == "nothing is cordoned for web"


def test_a_node_that_others_cordoned_stays_so(quarters: Quarters, target: KubernetesTarget) -> None:
    name = node_of(quarters)
    pods = quarters.pods_of("cache")
    kubectl("cordon", name)
    try:
        assert eventually(lambda: node(name)["spec"].get("taints"))
        before = node(name)
        assert target.nodes("cache") == ()
        target.drain("cache", 60, 60)
        assert not set(pods) & set(quarters.pods_of("cache"))
        assert node(name) == before
        assert target.uncordon("cache", [], 30) == "nothing is cordoned for cache"
        assert target.uncordon("cache", [name], 30) == "nothing is cordoned for cache"
        assert node(name) == before
    finally:
        kubectl("uncordon", name)
    quarters.ready("cache", "web")


def test_what_somebody_uncordons_by_hand_keeps_no_note(quarters: Quarters, target: KubernetesTarget) -> None:
    name = node_of(quarters)
    before = node(name)
    target.drain("cache", 60, 60)
    kubectl("uncordon", name)
    target.uncordon("cache", [], 30)  # as if it had been elsewhere when the undo was recorded
    assert node(name) == before


def test_a_disruption_budget_is_honoured_and_named(quarters: Quarters, target: KubernetesTarget) -> None:
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "two-of-web", "namespace": quarters.namespace},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    }
    quarters.apply(budget)
    name = node_of(quarters)
    before, own = node(name), set(quarters.pods_of("web"))
    try:
        assert eventually(
            lambda: quarters.get("pdb", "two-of-web").get("status", {}).get("currentHealthy") == 2
        )
        with pytest.raises(OperationTimedOut, match="two-of-web") as caught:
            target.drain("web", 60, 4)
        assert all(pod in str(caught.value) for pod in own)
        assert own == set(quarters.pods_of("web"))
        target.uncordon("web", [name], 60)
        assert node(name) == before
    finally:
        quarters.do("delete", "pdb", "two-of-web")


def test_a_pod_that_nothing_would_make_again_is_refused(quarters: Quarters, target: KubernetesTarget) -> None:
    alone = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "alone", "namespace": quarters.namespace},
        "spec": serve(quarters, "alone")[0]["spec"]["template"]["spec"],
    }
    del quarters.components["alone"]
    quarters.apply(alone)
    name = node_of(quarters)
    before = node(name)
    assert eventually(lambda: quarters.get("pod", "alone")["spec"].get("nodeName"), 30)
    try:
        with pytest.raises(UsageError, match="pod alone would be gone for good"):
            target.nodes("web")
        assert node(name) == before
    finally:
        quarters.do("delete", "pod", "alone", "--grace-period=1")


def test_a_node_that_another_drill_drains_is_refused_and_left_so(
    quarters: Quarters, target: KubernetesTarget
) -> None:
    name = node_of(quarters)
    theirs = json.dumps({"environment": "other", "component": "api", "drill": "d7"})
    kubectl("annotate", "node", name, f"{CORDONED}={theirs}")
    try:
        before, own = node(name), quarters.pods_of("web")
        with pytest.raises(UsageError, match="d7"):
            target.nodes("web")
        with pytest.raises(TargetError, match="drained by another drill"):
            target.drain("web", 60, 20)
        assert target.uncordon("web", [name], 20) == "nothing is cordoned for web"
        assert target.uncordon("web", None, 20) == "nothing is cordoned for web"
        assert (node(name), quarters.pods_of("web")) == (before, own)
    finally:
        kubectl("annotate", "node", name, f"{CORDONED}-")


def test_what_is_down_is_on_no_node(quarters: Quarters, target: KubernetesTarget) -> None:
    target.stop("cache", 30)
    try:
        with pytest.raises(UsageError, match="it is down, so it is on no node"):
            target.nodes("cache")
    finally:
        target.start("cache", 60)
    assert reach(quarters, "web", "cache") == "ok"
