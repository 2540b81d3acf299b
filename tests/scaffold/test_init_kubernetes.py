"""`gameday init` for a namespace of a real cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.quarters import CONTEXT, Quarters, kubectl
from containers.worlds import SERVER
from process.inn import GAMEDAY, Finished
from scaffold.rules import rule, serving

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]
RULES = (
    rule("WebDown", 'up{job="web"} == 0', labels={"severity": "warning"}),
    rule("StoreDown", "store_up < 1"),
)


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarters]:
    """A web server with a node port, and a store that only the cluster can ask, where nobody has allowed drills."""
    try:
        kubectl("get", "--raw", "/readyz", "--request-timeout=5s")
    except (AssertionError, OSError) as error:
        pytest.skip(f"needs kubectl and a cluster (KUBECONFIG, CONTEXT): {error}")
    made = Quarters(tmp_path_factory.mktemp("quarters"), prefix="init", allow=False)
    try:
        container = {
            "image": "python:3.11-slim",
            "command": ["python3", "-u", "-c", SERVER],
            "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "128Mi"}},
        }
        store = made.workload("store", container, kind="StatefulSet", port=8000)
        store[1]["spec"]["type"] = "ClusterIP"
        made.apply(*made.workload("web", container, port=8000), *store)
        made.ready("web", "store")
        yield made
    finally:
        made.close()


def init(folder: Path, quarters: Quarters, *more: str) -> Finished:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GAMEDAY_")}
    command = [*GAMEDAY, "init", "--context", CONTEXT, "-n", quarters.namespace, *more]
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def test_a_namespace_gets_its_files_and_the_command_that_allows_drills(
    quarters: Quarters, tmp_path: Path
) -> None:
    before = quarters.everything()

    with serving(*RULES) as url:
        done = init(tmp_path, quarters, "--service", "web", "--prometheus", url)

    assert done.code == 0, done.stdout + done.stderr
    text = (tmp_path / "environments" / f"{quarters.namespace}.yaml").read_text(encoding="utf-8")
    assert f"kubernetes: {{context: {CONTEXT}, namespace: {quarters.namespace}" in text
    assert "web: {kubernetes: {workload: deployment/web}, port: 8000}" in text
    assert "store: {kubernetes: {workload: statefulset/store}}" in text
    assert "# any path answers 200, so this one is the first page" in text
    assert "web-answers: {http: GET /, component: web" in text
    assert "WebDown watches web" in done.stdout
    assert "steady state  ok: web-answers: status 200" in done.stdout
    assert "alert         ok: WebDown is quiet" in done.stdout
    allow = f"kubectl --context {CONTEXT} label namespace {quarters.namespace} gameday.dev/allow=true"
    assert allow in done.stdout
    labels = kubectl("get", "namespace", quarters.namespace, "-o", "jsonpath={.metadata.labels}")
    assert "gameday.dev/allow" not in labels, "it is said, and not done"
    assert quarters.everything() == before


def test_what_only_the_cluster_can_ask_is_asked_by_way_of_another(quarters: Quarters, tmp_path: Path) -> None:
    with serving(*RULES) as url:
        done = init(tmp_path, quarters, "--service", "store", "--prometheus", url, "--ci", "none")

    assert done.code == 0, done.stdout + done.stderr
    scenario = (tmp_path / "scenarios" / "store-down.yaml").read_text(encoding="utf-8")
    assert "impact: {probe: web-answers" in scenario
    assert "StoreDown watches store" in done.stdout


def test_a_namespace_that_is_not_there_or_is_the_clusters_own(quarters: Quarters, tmp_path: Path) -> None:
    for namespace, code, words in (
        ("no-such-namespace", 3, "namespace no-such-namespace of context"),
        ("kube-system", 2, "keeps the cluster itself alive"),
    ):
        command = [*GAMEDAY, "init", "--context", CONTEXT, "--namespace", namespace]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert words in done.stderr
