"""Killing, stopping and starting workloads of a real cluster, and other versions of them."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cluster.quarters import Quarters, lasting, quarters_in
from containers.worlds import COMMAND, IMAGE
from gameday.errors import ComponentNotFound, OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Running
from gameday.targets.kubernetes.cluster import Cluster
from gameday.targets.kubernetes.pods import HELD
from gameday.targets.waiting import Deadline, wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("cluster-workloads")]


def says(place: Quarters, component: str) -> str:
    with urllib.request.urlopen(place.target().address(component).url, timeout=2) as answer:
        return str(answer.read().decode())


def run(place: Quarters, component: str, **more: Any) -> None:
    """A server that says its name."""
    container = {
        "image": IMAGE,
        "command": list(COMMAND),
        "env": [{"name": "SAYS", "value": component}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
    }
    made = place.workload(component, container, port=8000, terminationGracePeriodSeconds=2, **more)
    place.apply(*made)


@pytest.fixture
def web(standing: Quarters) -> Quarters:
    """One deployment of three pods and one stateful set of one, both ready."""
    if not standing.components:
        run(standing, "web", replicas=3)
        run(standing, "database", kind="StatefulSet")
        standing.components["web"]["versions"] = {
            "other": {"env": {"SAYS": "other", "MORE": "1"}},
            "broken": {"image": "no-such-image:none"},
        }
    standing.ready("web", "database")
    for component in ("web", "database"):
        standing.target().start(component, 60)  # what a test that failed has left
    return standing


def test_requests_do_not_grow_with_the_pods_but_for_one_delete_each(place: Quarters) -> None:
    sizes = {"few": 2, "many": 14}
    container = {"image": IMAGE, "command": ["sleep", "600"]}
    for name, size in sizes.items():
        place.apply(*place.workload(name, container, replicas=size))
    place.ready(*sizes)
    target, asked = place.target(), {}
    for name, size in sizes.items():
        before, begun = Counter(target.asked()), time.monotonic()
        target.kill(name, "SIGKILL", 60)
        asked[name] = Counter(target.asked()) - before
        assert asked[name].pop("DELETE pods") == size
        looks = asked[name].pop("GET pods")
        assert looks <= 3 + (time.monotonic() - begun) / 0.1, (
            "it looks ten times a second, at all pods at once"
        )
    assert asked["many"].total() < asked["few"].total() + 5, (
        "a look or two more until its controller has seen it"
    )


def test_status_names_pods_and_where_each_component_answers(web: Quarters) -> None:
    status = web.target().status()

    assert {name: one.running for name, one in status.items()} == {"web": Running.UP, "database": Running.UP}
    assert set(status["web"].targets) == {f"pod {name}" for name in web.uids_of("web")}
    assert status["database"].targets == ("pod database-0",)
    assert says(web, "web") == "web"


@pytest.mark.parametrize("component", ["web", "database"])
@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_what_is_killed_stays_down_until_it_is_started_with_its_own_count(
    web: Quarters, component: str, signal: str
) -> None:
    before, pods = lasting(web.namespace), web.uids_of(component)
    target = web.target()

    said = target.kill(component, signal, 30)

    assert all(name in said for name in pods)
    assert web.uids_of(component) == {}
    time.sleep(1.5)  # a controller would have made another by now
    assert web.uids_of(component) == {}
    status = target.status()[component]
    assert (status.running, status.targets) == (Running.DOWN, ())
    assert "is held at zero replicas" in status.detail
    with pytest.raises(OSError, match=r"refused|timed out|reset"):
        says(web, component)
    with pytest.raises(TargetError, match="there is nothing to signal"):
        target.kill(component, signal, 30)

    assert target.start(component, 60).startswith(f"started {component}")

    assert len(web.uids_of(component)) == len(pods)
    assert says(web, component) == component
    assert lasting(web.namespace) == before
    assert target.start(component, 60) == f"{component} was up already"


@pytest.mark.parametrize(("kind", "count"), [("StatefulSet", None), ("StatefulSet", 1), ("Deployment", 1)])
def test_what_does_not_end_by_the_stop_signal_is_killed_long_before_its_own_grace_is_over(
    place: Quarters, kind: str, count: int | None
) -> None:
    ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    container = {"image": IMAGE, "command": ["python", "-c", ignoring]}
    made = place.workload("deaf", container, kind=kind, replicas=2, terminationGracePeriodSeconds=60)
    place.apply(*made)
    place.ready("deaf")
    pods, target = place.uids_of("deaf").values(), place.target()

    target.kill("deaf", "SIGKILL", 30, count)

    left = {pod["metadata"]["uid"] for pod in place.listed("pods", "app=deaf")}
    assert len(left.intersection(pods)) == (0 if count is None else 2 - count)
    target.start("deaf", 30)
    assert len(place.uids_of("deaf")) == 2
    with pytest.raises(OperationTimedOut, match="still there"):
        target.kill("deaf", "SIGTERM", 6)


def test_a_count_kills_so_many_and_the_controller_replaces_them(web: Quarters) -> None:
    before, pods = lasting(web.namespace), web.uids_of("web")

    web.target().kill("web", "SIGKILL", 30, 1)

    after = web.uids_of("web")
    assert len(set(pods.values()) - set(after.values())) == 1
    web.target().start("web", 60)
    assert len(web.uids_of("web")) == 3
    assert lasting(web.namespace) == before


def test_stopping_waits_for_an_orderly_end_and_a_second_time_is_no_error(web: Quarters) -> None:
    target = web.target()

    assert target.stop("web", 30).startswith("stopped web-")
    assert target.stop("web", 30) == "web was down already"
    assert web.uids_of("web") == {}
    target.start("web", 60)


def test_its_own_count_is_known_to_whoever_holds_it_a_second_time(web: Quarters) -> None:
    target = web.target()
    target.kill("web", "SIGKILL", 30)
    target.stop("web", 30)

    held = web.get("deployment", "web")
    assert held["metadata"]["annotations"][HELD] == '{"replicas": 3}'

    target.start("web", 60)
    assert len(web.uids_of("web")) == 3


def test_a_workload_that_others_scaled_to_zero_is_not_started(web: Quarters) -> None:
    web.do("scale", "deployment/web", "--replicas=0")
    try:
        with pytest.raises(TargetError, match="no fault of gameday's holds it there"):
            web.target().start("web", 5)
    finally:
        web.do("scale", "deployment/web", "--replicas=3")


def test_commands_have_their_exit_code_their_output_and_their_end(web: Quarters) -> None:
    target = web.target()

    done = target.execute("web", ["sh", "-c", "echo out; echo err >&2; exit 3"], 10)

    assert done.exit_code == 3
    assert sorted(done.output.split()) == ["err", "out"]
    assert target.execute("web", ["no-such-program"], 10).exit_code == 127
    with pytest.raises(OperationTimedOut, match="was killed"):
        target.execute("web", ["sleep", "30"], 1)
    # a zombie has no command line
    running = target.execute("web", ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], 5).output
    assert "http.server" in running
    assert "sleep" not in running
    assert "asked /" in target.logs("web", 5, 5)


def test_a_version_is_rolled_out_and_rolled_back_exactly(web: Quarters) -> None:
    before, target = lasting(web.namespace), web.target()

    target.deploy("web", "other", 10)
    target.start("web", 60)

    assert target.version("web") == "other"
    assert wait_until(lambda: says(web, "web") == "other", Deadline.after(10)), (
        "pods that end get no more requests"
    )
    assert target.rollback("web", 60).startswith("rolled web back from version other")
    assert target.version("web") == ""
    assert wait_until(lambda: says(web, "web") == "web", Deadline.after(10))
    assert lasting(web.namespace) == before
    with pytest.raises(TargetError, match="nothing was deployed"):
        target.rollback("web", 10)


def test_an_image_that_nobody_has_leaves_what_ran_and_is_undone(web: Quarters) -> None:
    before, pods, target = lasting(web.namespace), web.uids_of("web"), web.target()

    target.deploy("web", "broken", 10)
    with pytest.raises(OperationTimedOut, match=r"ErrImagePull|ImagePullBackOff"):
        target.start("web", 8)
    target.deploy("web", "", 10)
    target.start("web", 60)

    assert lasting(web.namespace) == before
    assert pods.items() <= web.uids_of("web").items(), (
        "a rolling update keeps the old pods until new ones are ready"
    )


def test_a_selector_by_labels_finds_its_workload_even_without_pods(web: Quarters) -> None:
    web.components["labelled"] = {"kubernetes": {"labels": {"app": "web"}}}
    target = web.target()
    try:
        target.kill("labelled", "SIGKILL", 30)
        assert target.status()["labelled"].running is Running.DOWN
        target.start("labelled", 60)
        assert len(target.status()["labelled"].targets) == 3
    finally:
        del web.components["labelled"]


def test_what_matches_nothing_is_said(web: Quarters) -> None:
    web.components["ghost"] = {"kubernetes": {"workload": "deployment/ghost"}}
    try:
        target = web.target()
        assert target.status()["ghost"].running is Running.DOWN
        with pytest.raises(ComponentNotFound, match=f"no deployment/ghost in namespace {web.namespace}"):
            target.kill("ghost", "SIGKILL", 5)
    finally:
        del web.components["ghost"]


def test_a_namespace_without_the_label_is_not_touched(real_cluster: str, tmp_path: Path) -> None:
    with quarters_in(tmp_path, allow=False) as closed:
        run(closed, "web")
        assert wait_until(lambda: len(closed.uids_of("web")) == 1, Deadline.after(30))
        with pytest.raises(UsageError, match=r"gameday\.dev/allow"):
            closed.target().kill("web", "SIGKILL", 10)
        assert len(closed.uids_of("web")) == 1


def test_a_context_that_leads_elsewhere_meanwhile_is_not_followed(
    web: Quarters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    import yaml

    original = Path(os.environ["KUBECONFIG"]).read_text()
    copy = tmp_path / "kubeconfig"
    copy.write_text(original)
    monkeypatch.setenv("KUBECONFIG", str(copy))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(copy))
    target = web.target()
    target.status()
    changed = yaml.safe_load(original)
    for cluster in changed["clusters"]:
        cluster["cluster"]["server"] = "https://127.0.0.1:1"
    copy.write_text(yaml.safe_dump(changed))

    with pytest.raises(UsageError, match=r"leads to https://127\.0\.0\.1:1 now"):
        target.kill("web", "SIGKILL", 10)

    monkeypatch.undo()
    assert len(web.uids_of("web")) == 3


def test_the_clusters_own_namespaces_are_refused(real_cluster: str) -> None:
    with pytest.raises(UsageError, match="belongs to the cluster itself"):
        Cluster(real_cluster, "kube-system").check_allowed()


def test_an_old_mark_that_a_rollout_undo_brought_back_is_no_fault_and_goes(web: Quarters) -> None:
    before = lasting(web.namespace)
    web.do("annotate", "deployment/web", HELD + '={"replicas": 1}')

    target = web.target()

    assert target.status()["web"].running is Running.UP
    assert "held" not in target.status()["web"].detail
    target.start("web", 30)
    assert len(web.uids_of("web")) == 3
    assert lasting(web.namespace) == before
