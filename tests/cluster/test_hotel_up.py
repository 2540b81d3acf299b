"""The hotel as shipped on a real cluster: brought up, what it is then, and taken down.

One hotel for all tests of the module, in their order: the last takes it down.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster.provisioner import provisioning
from cluster.quarters import CONTEXT, kubectl
from gameday.environment import load_environment
from gameday.project import Project
from gameday.targets.base import Running
from gameday.targets.kubernetes.pods import HELD
from gameday.targets.kubernetes.target import KubernetesTarget
from targets.eventually import eventually

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.xdist_group("hotel-kubernetes"),
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).parents[2]
NAMESPACE = "hotel"
WORKLOADS = "deployments,statefulsets"


def get(*words: str, namespace: str = NAMESPACE) -> Any:
    return json.loads(kubectl("-n", namespace, "get", *words, "-o", "json"))


def settings() -> dict[str, str]:
    """What the environment wants to know of this cluster; what is set already stays."""
    provisions = "static" if not json.loads(kubectl("get", "storageclasses", "-o", "json"))["items"] else ""
    volumes = os.environ.get("VOLUMES") or provisions or "provisioned"
    return {"CONTEXT": CONTEXT, "VOLUMES": volumes, "RULES": "corrected"}


@pytest.fixture(scope="module")
def standing(real_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesTarget]:
    """The hotel, up. Skipped where one is there that somebody else has brought up."""
    if "LOAD_IMAGE" not in os.environ:
        pytest.skip(
            "needs LOAD_IMAGE, the command by which the cluster gets an image of this machine's engine"
        )
    if kubectl("get", "namespace", NAMESPACE, "--ignore-not-found"):
        pytest.skip(f"somebody has brought {NAMESPACE} up on this cluster; it would be taken down")
    folder = tmp_path_factory.mktemp("hotel")
    project = Project(ROOT, folder / ".gameday", folder / "reports")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings().items():
            patch.setenv(name, value)
        environment = load_environment(ROOT / "environments" / "hotel-kubernetes.yaml")
        target = KubernetesTarget(environment, "hotel-kubernetes", project)
        try:
            assert set(target.up()) == set(environment.components)
            yield target
        finally:
            target.down()


def prometheus(hotel: KubernetesTarget, what: str) -> Any:
    answer = httpx.get(f"{hotel.address('prometheus').url}/api/v1/{what}", timeout=5)
    return answer.raise_for_status().json()["data"]


def book(hotel: KubernetesTarget, reference: str) -> httpx.Response:
    body = {"guest": "A test", "room_type": "double", "arrival": "2030-06-01", "nights": 1}
    url = f"{hotel.address('api').url}/reservations"
    return httpx.post(url, json={**body, "reference": reference}, timeout=5)


def found(hotel: KubernetesTarget, reference: str) -> bool:
    url = f"{hotel.address('api').url}/reservations"
    try:
        return httpx.get(url, params={"reference": reference}, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_every_component_is_up_when_up_returns(standing: KubernetesTarget) -> None:
    assert {name: one.running for name, one in standing.status().items()} == dict.fromkeys(
        standing.environment.components, Running.UP
    )
    restarts = [
        one["restartCount"] for pod in get("pods")["items"] for one in pod["status"]["containerStatuses"]
    ]
    assert set(restarts) == {0}, "nothing was started before what it needs"


def test_a_guest_books_through_the_node_port(standing: KubernetesTarget) -> None:
    assert book(standing, "up-1").status_code == 201
    assert found(standing, "up-1")


def test_prometheus_scrapes_the_api_and_has_the_rules_and_alertmanager(standing: KubernetesTarget) -> None:
    targets = prometheus(standing, "targets")["activeTargets"]
    assert [(one["labels"]["job"], one["health"]) for one in targets] == [("agente-api", "up")]
    rules = {
        rule["name"]: (rule["duration"], rule["health"])
        for group in prometheus(standing, "rules")["groups"]
        for rule in group["rules"]
    }
    written = yaml.safe_load((ROOT / "examples/hotel/rules/corrected.yaml").read_text())["groups"]
    assert rules == {
        rule["alert"]: (int(rule["for"].removesuffix("s")), "ok")
        for group in written
        for rule in group["rules"]
    }
    others = prometheus(standing, "alertmanagers")["activeAlertmanagers"]
    assert [one["url"] for one in others] == ["http://alertmanager:9093/api/v2/alerts"]
    assert httpx.get(f"{standing.address('alertmanager').url}/-/ready", timeout=5).status_code == 200


def test_bringing_up_left_no_errors_that_an_alert_would_see(standing: KubernetesTarget) -> None:
    page = httpx.get(f"{standing.address('api').url}/metrics", timeout=5).text
    errors = [
        line
        for line in page.splitlines()
        if line.startswith("http_requests_total{") and 'status="5' in line and float(line.split()[-1]) > 0
    ]
    assert errors == []


def test_what_is_up_is_left_alone(standing: KubernetesTarget) -> None:
    def seen() -> dict[str, Any]:
        kinds = f"{WORKLOADS},pods,services,configmaps,secrets,persistentvolumeclaims"
        return {
            f"{one['kind']}/{one['metadata']['name']}": (
                one["metadata"]["uid"],
                one["metadata"].get("generation"),
            )
            for one in get(kinds)["items"]
        }

    before = seen()
    told: list[str] = []
    assert standing.up(on_progress=told.append) == ()
    assert seen() == before
    assert told == []


def test_what_a_fault_holds_is_brought_back_and_the_rest_left_alone(standing: KubernetesTarget) -> None:
    others = {pod["metadata"]["uid"] for pod in get("pods", "-l", "app!=cache")["items"]}
    standing.kill("cache", "SIGKILL", 60)
    assert get("deployment", "cache")["spec"]["replicas"] == 0

    assert standing.up() == ("cache",)

    cache = get("deployment", "cache")
    assert cache["spec"]["replicas"] == cache["status"]["readyReplicas"] == 1
    assert HELD not in cache["metadata"]["annotations"]
    assert {pod["metadata"]["uid"] for pod in get("pods", "-l", "app!=cache")["items"]} == others


def test_the_database_keeps_its_data_and_its_one_backup_when_its_pod_is_made_anew(
    standing: KubernetesTarget,
) -> None:
    assert book(standing, "up-2").status_code == 201
    stamp = ["exec", "database-0", "--", "stat", "-c", "%Y", "/backup/base/PG_VERSION"]
    before = kubectl("-n", NAMESPACE, *stamp)

    kubectl("-n", NAMESPACE, "delete", "pod", "database-0")
    standing.start("database", 120)

    assert eventually(lambda: found(standing, "up-2"), 60, 0.5)
    assert kubectl("-n", NAMESPACE, *stamp) == before


def test_the_log_of_the_database_is_archived_from_where_the_backup_ends(standing: KubernetesTarget) -> None:
    def listed(folder: str) -> list[str]:
        words = ["exec", "database-0", "--", "ls", folder]
        return sorted(name for name in kubectl("-n", NAMESPACE, *words).split() if len(name) == 24)

    def archived() -> bool:
        book(standing, f"archived-{len(listed('/backup/archive'))}")
        return bool(listed("/backup/archive"))

    # a server that has just started waits for its first checkpoint, then for the next time that it looks
    assert eventually(archived, 150, 1)
    last, first = listed("/backup/base/pg_wal")[-1], listed("/backup/archive")[0]
    assert int(first[8:], 16) - int(last[8:], 16) in (0, 1), (last, first)


def test_the_apis_disk_is_small_and_its_own(standing: KubernetesTarget) -> None:
    done = standing.execute("api", ["df", "--output=size,target", "-k", "/data"], 20)
    assert done.output.split()[-2:] == ["32768", "/data"], done.output
    filled = standing.execute(
        "api", ["sh", "-c", "head -c 64M /dev/zero >/data/core.test; rm /data/core.test"], 20
    )
    assert "No space left on device" in filled.output
    assert standing.execute("api", ["touch", "/anywhere"], 20).exit_code != 0


def test_a_pod_with_privileges_is_refused_in_its_namespace(standing: KubernetesTarget) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hk-privileged", "namespace": NAMESPACE},
        "spec": {
            "containers": [
                {"name": "a", "image": "redis:7", "securityContext": {"privileged": True}},
            ]
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(pod), check=False)
    assert kubectl("-n", NAMESPACE, "get", "pod", "hk-privileged", "--ignore-not-found") == ""
    labels = get("namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_down_leaves_nothing_and_a_second_one_finds_nothing(standing: KubernetesTarget) -> None:
    assert set(standing.down()) == set(standing.environment.components)

    left = kubectl("get", "namespaces,persistentvolumes", "-l", "gameday.dev/manifests=hotel-kubernetes")
    assert left == ""
    for namespace in (NAMESPACE, "hotel-volumes"):
        assert kubectl("get", "namespace", namespace, "--ignore-not-found") == ""
    claimed = kubectl("get", "persistentvolumes", "-o", "jsonpath={.items[*].spec.claimRef.namespace}")
    assert NAMESPACE not in claimed.split()
    assert not standing.folder.exists()
    assert standing.down() == ()
    assert {one.running for one in standing.status().values()} == {Running.DOWN}


def test_after_down_the_hotel_begins_with_an_empty_database(standing: KubernetesTarget) -> None:
    assert len(standing.up()) == len(standing.environment.components)
    assert not found(standing, "up-1")
    assert book(standing, "up-1").status_code == 201


@pytest.mark.long
def test_volumes_that_the_cluster_provisions_are_claimed_from_its_default_class(
    standing: KubernetesTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one: the hotel is taken down and brought up as it is shipped, from `overlays/provisioned`."""
    standing.down()
    monkeypatch.setenv("VOLUMES", "provisioned")
    environment = load_environment(ROOT / "environments" / "hotel-kubernetes.yaml")
    target = KubernetesTarget(environment, "hotel-kubernetes", standing.project)
    provides = json.loads(kubectl("get", "storageclasses", "-o", "json"))["items"]
    folder = Path("/var/lib/gameday-test-volumes")
    with nullcontext() if provides else provisioning(folder, NAMESPACE):
        try:
            assert set(target.up()) == set(environment.components)
            assert book(target, "provisioned-1").status_code == 201
            claims = get("persistentvolumeclaims")["items"]
            assert [one["status"]["phase"] for one in claims] == ["Bound"] * 3
            assert all(one["spec"]["storageClassName"] for one in claims)
            kubectl("-n", NAMESPACE, "delete", "pod", "database-0")
            target.start("database", 120)
            assert eventually(lambda: found(target, "provisioned-1"), 60, 0.5)
        finally:
            target.down()
    assert kubectl("get", "namespace", NAMESPACE, "--ignore-not-found") == ""
