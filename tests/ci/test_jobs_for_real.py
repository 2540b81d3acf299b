"""Every shell step of the job files in a clean copy of the project: pip installs gameday, and drills are real."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from ci.conftest import copy_project, environ, make_venv
from ci.jobs import Ran, github, gitlab, run_github, run_gitlab, variables
from process.machine import machine_taken

pytestmark = [pytest.mark.catalogue, pytest.mark.timeout(1800), pytest.mark.xdist_group("ci-jobs")]

Run = Callable[..., Ran]
Told = Callable[[str, object], None]


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A clean copy, as a CI server has it."""
    root = Path(tempfile.mkdtemp(prefix="gameday-checkout-")).resolve()
    root.chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
    with machine_taken():
        yield copy_project(root / "checkout")
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def programs(outside: Path) -> Path:
    return make_venv(outside / "jobs")


def machine(job: dict[str, Any], wheel: Path, programs: Path, **more: str) -> dict[str, str]:
    """The variable that teams change names the wheel; the rest is as in the file."""
    package = variables(job)["GAMEDAY_PACKAGE"].replace("gameday-runner", str(wheel))
    return {**environ(programs), "GAMEDAY_PACKAGE": package, **more}


def verdicts(junit: Path) -> list[tuple[str, int, int]]:
    return [
        (suite.name.partition(" ")[0], suite.failures, suite.errors)
        for suite in JUnitXml.fromfile(str(junit))
    ]


def green(run: Run, job: dict[str, Any], root: Path, scratch: Path, env: dict[str, str], tell: Told) -> Ran:
    """A machine that others load can fail an honest drill, which is then repeated once, and told."""
    ran = run(job, root, scratch, env)
    if ran.code == 1:
        tell(
            "repeated", f"the job's drills: {next(iter(re.findall('.*FAIL  .*', ran.said)), ran.said[-200:])}"
        )
        (scratch / "summary.md").unlink(missing_ok=True)
        ran = run(job, root, scratch, env)
    return ran


def test_the_embedded_job_of_github_is_green(
    checkout: Path, wheel: Path, programs: Path, tmp_path: Path, record_property: Told
) -> None:
    job = github("embedded")

    ran = green(run_github, job, checkout, tmp_path, machine(job, wheel, programs), record_property)

    assert ran.red is None, ran.said
    scenarios = variables(job)["GAMEDAY_SCENARIOS"].split()
    assert verdicts(checkout / "reports" / "junit.xml") == [(name, 0, 0) for name in scenarios]
    assert ran.summary.startswith(f"# {len(scenarios)} drills: {len(scenarios)} PASS")
    assert "rehearsal at 10 times speed" in ran.summary
    assert "Exit code 0, PASS" in ran.summary
    assert "## Gate" in ran.summary
    assert (checkout / "reports" / "history.sqlite").exists(), "what the next night compares with"
    assert len(list(checkout.glob("reports/*/report.html"))) >= len(scenarios)


@pytest.mark.parametrize(
    ("make", "run"),
    [
        pytest.param(github, run_github, id="github", marks=pytest.mark.long),
        pytest.param(gitlab, run_gitlab, id="gitlab"),
    ],
)
def test_a_runbook_that_does_nothing_makes_the_embedded_job_red(
    checkout: Path,
    wheel: Path,
    programs: Path,
    tmp_path: Path,
    make: Callable[[str], dict[str, Any]],
    run: Run,
) -> None:
    job = make("embedded")
    runbook = checkout / "runbooks" / "01-database-down.md"
    text = runbook.read_text(encoding="utf-8")
    runbook.write_text(re.sub(r"(?m)^do: {.*}$", "do: {status: database}", text), encoding="utf-8")
    env = machine(job, wheel, programs, GAMEDAY_SCENARIOS="database-down")

    ran = run(job, checkout, tmp_path, env)

    assert ran.code == 1, ran.said
    assert ran.red in ("Drill", "script")
    ((name, failures, _),) = verdicts(checkout / "reports" / "junit.xml")
    assert (name, failures > 0) == ("database-down", True)
    assert "Exit code 1, FAIL" in ran.said + ran.summary
    assert "FAIL" in (checkout / "reports" / "gate.txt").read_text(encoding="utf-8")


@pytest.mark.long
def test_the_embedded_job_of_gitlab_is_green(
    checkout: Path, wheel: Path, programs: Path, tmp_path: Path, record_property: Told
) -> None:
    job = gitlab("embedded")
    env = machine(job, wheel, programs, GAMEDAY_SCENARIOS="service-down")

    ran = green(run_gitlab, job, checkout, tmp_path, env, record_property)

    assert ran.red is None, ran.said
    assert verdicts(checkout / job["artifacts"]["reports"]["junit"]) == [("service-down", 0, 0)]
    assert "nothing to recover" in ran.said


KIND = """#!/bin/bash
# The cluster of the tests in place of one that kind would make.
set -eu
case "$1 $2" in
"create cluster")
    kubectl --kubeconfig "$TEST_KUBECONFIG" --context "$TEST_CONTEXT" config view --raw --minify --flatten \\
        > "$KUBECONFIG"
    kubectl config rename-context "$TEST_CONTEXT" kind-gameday ;;
"load docker-image") $TEST_LOAD_IMAGE "${@: -1}" ;;
"delete cluster") gameday env down hotel-kubernetes; rm "$KUBECONFIG" ;;
*) echo "kind $*: not one of the stand-in's" >&2; exit 2 ;;
esac
"""


@pytest.fixture
def kind(programs: Path, tmp_path: Path) -> dict[str, str]:
    """What leads to the cluster of the tests; skipped where there is none."""
    needed = ("KUBECONFIG", "CONTEXT", "LOAD_IMAGE")
    absent = [name for name in needed if name not in os.environ]
    if absent or shutil.which("kubectl") is None:
        pytest.skip(f"needs kubectl and a cluster: {', '.join(absent) or 'kubectl'} not there")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kind").write_text(KIND, encoding="utf-8")
    (tools / "kind").chmod(0o755)
    theirs = {f"TEST_{name}": os.environ[name] for name in needed}
    path = f"{tools}:{programs}:{os.environ['PATH']}"
    more = {"PATH": path, "KUBECONFIG": str(tmp_path / "kubeconfig")}
    return {**theirs, **more, "VOLUMES": os.environ.get("VOLUMES", "provisioned")}


@pytest.mark.kubernetes
@pytest.mark.long
@pytest.mark.parametrize(
    ("make", "run"), [(github, run_github), (gitlab, run_gitlab)], ids=["github", "gitlab"]
)
def test_the_kind_job_is_green(
    checkout: Path,
    wheel: Path,
    programs: Path,
    tmp_path: Path,
    kind: dict[str, str],
    make: Callable[[str], dict[str, Any]],
    run: Run,
    record_property: Told,
) -> None:
    job = make("kind")
    env = machine(job, wheel, programs, **kind)
    for name in ("CONTEXT", "LOAD_IMAGE"):  # as the job says
        env.pop(name, None)

    ran = green(run, job, checkout, tmp_path, env, record_property)

    assert ran.red is None, ran.said
    for scenario in variables(job)["GAMEDAY_SCENARIOS"].split():
        assert verdicts(checkout / "reports" / f"junit-{scenario}.xml") == [(scenario, 0, 0)]
        assert f"| {scenario} |" in ran.summary + ran.said
    assert not Path(kind["KUBECONFIG"]).exists(), "the cluster is removed"
