"""The CI job that `gameday init` writes: its shell steps, with drills of a project in which nothing takes time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.jobs import Ran, run_github, run_gitlab
from gameday.scaffold.render import CI_FILES, render
from history.shop import ENVIRONMENT, RUNBOOK, SCENARIO
from scaffold.test_render import FULL

PYTHON = """#!/bin/sh
# In place of a virtual environment into which pip installs gameday.
mkdir -p .venv/bin
printf '#!/bin/sh\\necho "pip $*"\\n' > .venv/bin/pip
printf '#!/bin/sh\\nexec "%s" -m gameday "$@"\\n' "PROGRAM" > .venv/bin/gameday
chmod +x .venv/bin/pip .venv/bin/gameday
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    files = {
        "environments/fake.yaml": ENVIRONMENT,
        "scenarios/instant.yaml": SCENARIO,
        "runbooks/instant.md": RUNBOOK,
        "bin/python3": PYTHON.replace("PROGRAM", sys.executable),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "bin" / "python3").chmod(0o755)
    return root


def run(ci: Any, root: Path, scratch: Path) -> Ran:
    document = yaml.safe_load(render(replace(FULL, ci=ci))[CI_FILES[ci]])
    env = {
        "PATH": f"{root / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "GAMEDAY_ENVIRONMENT": "fake",
        "GAMEDAY_SCENARIOS": "instant",
    }
    if ci == "github":
        return run_github(document["jobs"]["drills"], root, scratch, env)
    return run_gitlab(document["gameday-drills"], root, scratch, env)


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_the_job_is_green_and_an_idle_runbook_makes_it_red(project: Path, tmp_path: Path, ci: str) -> None:
    up = [sys.executable, "-m", "gameday", "env", "up", "fake"]
    subprocess.run(up, cwd=project, check=True, capture_output=True)
    well = run(ci, project, tmp_path)
    idle = RUNBOOK.replace("do: {start: database}\n", "do: {status: database}\n")
    (project / "runbooks" / "instant.md").write_text(idle, encoding="utf-8")
    failed = run(ci, project, tmp_path)

    assert well.red is None, well.said
    assert "pip install --quiet gameday-runner[docker]" in well.said
    assert "1 drill: 1 PASS" in well.said + well.summary
    assert "nothing to recover" in well.said
    assert failed.code == 1, failed.said
    assert "1 drill: 1 FAIL" in failed.said + failed.summary


def test_what_is_still_to_be_decided_makes_it_red_before_anything_is_drilled(
    project: Path, tmp_path: Path
) -> None:
    (project / "environments" / "fake.yaml").write_text(
        f"# TODO(gameday): the owner agrees\n{ENVIRONMENT}", encoding="utf-8"
    )
    ran = run("github", project, tmp_path)
    assert (ran.red, ran.code) == ("Check the files", 2)
    assert "Drill" not in ran.codes
