"""What is committed and promised about the code as a whole: experiments, imports, a quick start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.worlds import fake_scenario
from gameday.cli import app
from gameday.experiment import compile_experiment, render
from gameday.plan import plan
from gameday.project import Project
from gameday.scenario import load_scenario
from gameday.timeline import Phase

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SCENARIOS = Project(ROOT).scenario_files()
HEAVY = {
    "alembic",
    "cronsim",
    "kubernetes",
    "docker",
    "chaoslib",
    "pydantic",
    "sqlalchemy",
    "httpx",
    "rich",
    "yaml",
    "psutil",
    "jinja2",
}


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_a_committed_experiment_is_what_its_scenario_compiles_to(scenario: Path) -> None:
    committed = (ROOT / "experiments" / f"{scenario.stem}.json").read_text(encoding="utf-8")
    assert committed == render(compile_experiment(load_scenario(scenario)))


def test_every_experiment_has_its_scenario() -> None:
    assert SCENARIOS
    assert {path.stem for path in (ROOT / "experiments").glob("*.json")} == {path.stem for path in SCENARIOS}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_chaos_toolkit_accepts_the_experiment(scenario: Path, tmp_path: Path) -> None:
    committed = ROOT / "experiments" / f"{scenario.stem}.json"
    result = run(BIN / "chaos", "--log-file", tmp_path / "log", "validate", committed, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "experiment syntax and semantic look valid" in result.stdout + result.stderr


def test_activities_carry_only_what_tells_one_from_another() -> None:
    experiment = compile_experiment(fake_scenario())
    activities: list[dict[str, Any]] = [
        *experiment["steady-state-hypothesis"]["probes"], *experiment["method"], *experiment["rollbacks"],
    ]  # fmt: skip
    providers = [activity["provider"] for activity in activities]
    assert [provider["func"] for provider in providers] == [
        "holds", "preflight", "inject", "effective", "detect", "respond", "recover", "account", "undo",
    ]  # fmt: skip
    assert [provider.get("arguments") for provider in providers] == [{"probe": "answers"}, *[None] * 8]
    assert json.loads(render(experiment)) == experiment


def test_compile_checks_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAMEDAY_PROJECT", str(tmp_path))
    (tmp_path / "scenarios" / "kubernetes").mkdir(parents=True)
    for scenario in SCENARIOS[:1]:
        (tmp_path / "scenarios" / "kubernetes" / scenario.name).write_text(scenario.read_text())
    written = tmp_path / "experiments" / f"{SCENARIOS[0].stem}.json"
    stale = CliRunner().invoke(app, ["compile", "--check"])
    assert stale.exit_code == 1
    assert f"{written}: is not what " in stale.stdout
    assert not written.exists()
    assert CliRunner().invoke(app, ["compile"]).stdout == f"wrote {written}\n"
    assert CliRunner().invoke(app, ["compile", "--check"]).exit_code == 0
    assert written.read_text() == (ROOT / "experiments" / written.name).read_text()


def test_a_plan_has_every_phase_with_a_budget_and_ends() -> None:
    whole = plan(fake_scenario())
    assert [entry.phase for entry in whole.phases] == list(Phase)
    assert all(entry.budget_s > 0 for entry in whole.phases)
    assert whole.deadline_s > sum(entry.budget_s for entry in whole.phases)
    assert whole.budget_s(Phase.DETECT) == 2
    assert whole.steady_for_s == pytest.approx(0.06)
    assert plan(fake_scenario(("stable_for: 60ms", "stable_for: 10s"))).steady_for_s == 1


def test_imports_point_one_way(tmp_path: Path) -> None:
    result = run(BIN / "lint-imports", "--config", ROOT / "pyproject.toml", "--cache-dir", tmp_path)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_loads_nothing_heavy(option: str) -> None:
    code = (
        "import sys\nfrom gameday.__main__ import main\n"
        f"sys.argv = ['gameday', {option!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('\\n'.join(sorted(sys.modules)), file=sys.stderr)"
    )
    result = run(sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    loaded = {name.split(".")[0] for name in result.stderr.split()}
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in (
        "run",
        "stop",
        "recover",
        "judge",
        "show",
        "history",
        "submit",
        "follow",
        "schedule",
        "env",
        "validate",
        "schema",
        "compile",
    ):
        assert f" {command} " in result.stdout


def test_the_command_is_installed() -> None:
    result = run(BIN / "gameday", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("gameday ")
    assert os.access(BIN / "gameday", os.X_OK)
