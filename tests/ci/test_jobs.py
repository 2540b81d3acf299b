"""The job files in ci/: what they are, and that their steps say red and green as gameday does.

Here the drills are of a project in which nothing takes time, and pip is told to do nothing; `test_jobs_for_real` has
gameday installed and real drills.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

from ci.jobs import ACTIONS, GITHUB, GITLAB, Ran, github, gitlab, run_github, run_gitlab, variables
from history.shop import ENVIRONMENT, RUNBOOK, SCENARIO

BROKEN = """
environment: broken
target: process
drills: allowed
components: {database: {command: ["${python}", -c, "raise SystemExit(1)"], ready: {within: 2s}}}
probes: {answers: {tcp: "", component: database}}
detector: {kind: prometheus, url: "http://127.0.0.1:1"}
"""
"""It cannot be brought up."""
Run = Callable[..., Ran]
SERVERS = pytest.mark.parametrize(
    ("server", "run"), [("github", run_github), ("gitlab", run_gitlab)], ids=["github", "gitlab"]
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two scenarios in one environment of the target `fake`."""
    root = tmp_path / "project"
    files = {
        "environments/fake.yaml": ENVIRONMENT,
        "scenarios/instant.yaml": SCENARIO,
        "scenarios/again.yaml": SCENARIO.replace("scenario: instant", "scenario: again"),
        "runbooks/instant.md": RUNBOOK,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """`gameday` is this one; `pip` and `kind` do nothing."""
    tools = tmp_path / "bin"
    tools.mkdir()
    scripts = {"gameday": f'exec "{sys.executable}" -m gameday "$@"', "pip": "exit 0"}
    scripts |= {"kind": "echo kind $*", "kubectl": "echo 172.18.0.2"}
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    return {
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
        "GAMEDAY_ENVIRONMENT": "fake",
        "GAMEDAY_SCENARIOS": "instant again",
        "GAMEDAY_SPEED": "1",
    }


def job_of(server: str) -> dict[str, Any]:
    return {"github": github, "gitlab": gitlab}[server]("embedded")


def written(root: Path, server: str) -> JUnitXml:
    """The JUnit file, where the job file says that it is."""
    named = gitlab("embedded")["artifacts"]["reports"]["junit"] if server == "gitlab" else "reports/junit.xml"
    (file,) = root.glob(named)
    return JUnitXml.fromfile(str(file))


@SERVERS
def test_drills_that_pass_are_green_with_junit_and_a_summary(
    project: Path, machine: dict[str, str], tmp_path: Path, server: str, run: Run
) -> None:
    ran = run(job_of(server), project, tmp_path, machine)

    assert ran.red is None, ran.said
    suites = list(written(project, server))
    assert [suite.name for suite in suites] == ["instant", "again"]
    assert {(suite.failures, suite.errors) for suite in suites} == {(0, 0)}
    text = (project / "reports" / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("# 2 drills: 2 PASS")
    assert "](<" not in text, "a link leads nowhere from a job's page"
    assert "Exit code 0, PASS" in text
    assert text in ran.said or text in ran.summary
    assert "PASS" in (project / "reports" / "gate.txt").read_text(encoding="utf-8")


@SERVERS
def test_a_runbook_that_does_nothing_makes_the_job_red(
    project: Path, machine: dict[str, str], tmp_path: Path, server: str, run: Run
) -> None:
    idle = RUNBOOK.replace("do: {start: database}\n", "do: {status: database}\n")
    (project / "runbooks" / "instant.md").write_text(idle, encoding="utf-8")

    ran = run(job_of(server), project, tmp_path, machine)

    assert ran.code == 1, ran.said
    assert ran.red in ("Drill", "script")
    assert "Exit code 1, FAIL" in ran.said + ran.summary
    assert sum(suite.failures for suite in written(project, server)) > 0
    gate = (project / "reports" / "gate.txt").read_text(encoding="utf-8")
    assert "FAIL" in gate, "the gate says so, too"
    assert gate in ran.said


@pytest.mark.parametrize(
    ("server", "run", "old", "new", "code", "words"),
    [
        pytest.param(
            *("gitlab", run_gitlab, "state: up, component: database", "state: down, component: database"),
            *(3, "INCONCLUSIVE"),
            id="the steady state does not hold",
        ),
        pytest.param(
            *("github", run_github, "target: fake", "target: fakes", 2, "is not allowed"),
            id="an invalid file",
        ),
    ],
)
def test_what_is_no_fail_has_its_own_exit_code(
    project: Path,
    machine: dict[str, str],
    tmp_path: Path,
    server: str,
    run: Run,
    old: str,
    new: str,
    code: int,
    words: str,
) -> None:
    (project / "environments" / "fake.yaml").write_text(ENVIRONMENT.replace(old, new), encoding="utf-8")

    ran = run(job_of(server), project, tmp_path, machine)

    assert ran.code == code, ran.said
    assert words in ran.said + ran.summary
    if code == 2:
        assert not (project / "reports" / "junit.xml").exists()


def test_the_gate_makes_a_job_red_whose_drills_are_green(
    project: Path, machine: dict[str, str], tmp_path: Path
) -> None:
    """A scenario that is to pass every week and has never: nobody drills it."""
    (project / "scenarios" / "never.yaml").write_text(
        SCENARIO.replace("scenario: instant", "scenario: never"), encoding="utf-8"
    )
    (project / "schedules").mkdir()
    (project / "schedules" / "shop.yaml").write_text(
        "schedule: shop\nenvironment: fake\ntime_zone: Etc/UTC\ndrills:\n  weekly:\n    title: Weekly\n"
        '    every: weekly\n    cron: "0 9 * * mon"\n    scenarios: [never]\n',
        encoding="utf-8",
    )
    text = json.dumps(github("embedded"))
    only_these = "$(printf -- '--scenario %s ' $GAMEDAY_SCENARIOS)"
    assert text.count(only_these) == 1

    ran = run_github(json.loads(text.replace(only_these, "")), project, tmp_path, machine)

    assert ran.code == 1, ran.said
    assert ran.red == "Gate"
    assert "never passed" in ran.said
    assert "Exit code 0, PASS" in ran.summary


@SERVERS
def test_the_worst_of_the_drills_of_the_cluster_is_the_jobs_code(
    project: Path, machine: dict[str, str], tmp_path: Path, server: str, run: Run
) -> None:
    """They run one by one: the second proves nothing (3), the third fails (1), the fourth is not there (2)."""
    two = ENVIRONMENT.replace("{database: {fake: {}}}", "{database: {fake: {}}, other: {fake: {}}}")
    two = two.replace("probes: {", "probes: {untouched: {state: up, component: other, every: 5ms}, ")
    (project / "environments" / "fake.yaml").write_text(two, encoding="utf-8")
    unproven = SCENARIO.replace("scenario: instant", "scenario: unproven")
    unproven = unproven.replace(
        "{probe: answers, fails_within: 5s}", "{probe: untouched, fails_within: 200ms}"
    )
    idle = SCENARIO.replace("scenario: instant", "scenario: idle").replace(
        "{runbook: instant}", "{runbook: idle}"
    )
    (project / "scenarios" / "unproven.yaml").write_text(unproven, encoding="utf-8")
    (project / "scenarios" / "idle.yaml").write_text(idle, encoding="utf-8")
    (project / "runbooks" / "idle.md").write_text(
        RUNBOOK.replace("do: {start: database}\n", "do: {status: database}\n"), encoding="utf-8"
    )
    job = {"github": github, "gitlab": gitlab}[server]("kind")
    names = ("instant", "unproven", "idle", "again")

    ran = run(
        job, project, tmp_path, {**machine, "GAMEDAY_SCENARIOS": " ".join([*names[:3], "missing", names[3]])}
    )

    assert ran.code == 2, ran.said
    assert ran.red in ("Drill", "script")
    outcomes = {}
    for name in names:
        (suite,) = list(JUnitXml.fromfile(str(project / "reports" / f"junit-{name}.xml")))
        outcomes[name] = (suite.failures > 0, suite.errors > 0)
    assert outcomes["instant"] == outcomes["again"] == (False, False)
    assert outcomes["unproven"][1]
    assert outcomes["idle"][0]
    for words in ("Exit code 3, INCONCLUSIVE", "Exit code 1, FAIL", "Exit code 0, PASS"):
        assert words in ran.summary + ran.said
    assert "kind create cluster --name gameday" in ran.said
    assert "kind delete cluster --name gameday" in ran.said, "it is removed though a drill failed"


def test_one_drill_writes_the_same_files_and_so_does_one_that_does_not_take_place(
    project: Path, machine: dict[str, str], tmp_path: Path
) -> None:
    """The job of the cluster runs its drills one by one."""
    files = "--junit reports/j.xml --summary reports/s.md"
    (project / "environments" / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    for target, code in (("fake", 0), ("broken", 3)):
        script = f"gameday run instant -e {target} --up --yes {files}"
        job = {"steps": [{"name": "Drill", "run": script}]}

        ran = run_github(job, project, tmp_path, machine)

        assert ran.code == code, ran.said
        (suite,) = list(JUnitXml.fromfile(str(project / "reports" / "j.xml")))
        assert (suite.errors > 0) is (code > 0)
        summary = (project / "reports" / "s.md").read_text(encoding="utf-8")
        assert summary.startswith("# 1 drill: 1 " + ("INCONCLUSIVE" if code else "PASS"))
        assert f"Exit code {code}, " in summary
    broken = run_github(
        {"steps": [{"name": "Drill", "run": f"gameday run nothing -e fake --yes {files}"}]},
        project,
        tmp_path,
        machine,
    )
    assert broken.code == 2
    assert not (project / "reports" / "j.xml").exists(), "an earlier run's file is not this one's"


def test_the_workflow_is_nightly_alone_bounded_and_uses_only_known_actions() -> None:
    document = yaml.safe_load(GITHUB.read_text(encoding="utf-8"))

    assert document[True]["schedule"], "YAML 1.1 reads `on` as true"
    assert document["concurrency"] == {"group": "gameday", "cancel-in-progress": False}
    assert document["permissions"] == {"contents": "read"}
    for job in document["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert {step["uses"] for step in job["steps"] if "uses" in step} <= ACTIONS
        assert all("name" in step for step in job["steps"] if "run" in step)
        uploads = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
        assert [(step["if"], step["with"]["path"]) for step in uploads] == [("always()", "reports/")]


def test_the_gitlab_jobs_are_for_schedules_alone_bounded_and_keep_what_they_found() -> None:
    document = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))

    assert set(document) == {".gameday", "gameday-embedded", "gameday-kind"}
    for name in ("embedded", "kind"):
        job = gitlab(name)
        assert any("schedule" in rule["if"] for rule in job["rules"])
        assert job["resource_group"] == f"gameday-{name}"
        assert job["timeout"].endswith("m")
        assert job["interruptible"] is False
        assert (job["artifacts"]["when"], job["artifacts"]["paths"]) == ("always", ["reports/"])


@pytest.mark.parametrize("job", ["embedded", "kind"])
def test_both_files_drill_the_same(job: str) -> None:
    theirs = {name: value for name, value in variables(gitlab(job)).items() if not name.endswith("_URL")}
    assert theirs == variables(github(job))
    name = theirs["GAMEDAY_PACKAGE"].partition("[")[0]
    project = (GITHUB.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'name = "{name}"' in project
