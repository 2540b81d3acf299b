"""`gameday validate` as a person or a CI job calls it: every problem on standard error, exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core.good_files import ENVIRONMENT, SCENARIO, broken
from core.worlds import RUNBOOK
from gameday.cli import app

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good project, and the current folder."""
    for folder, name, text in (
        ("scenarios", "demo.yaml", SCENARIO),
        ("environments", "demo.yaml", ENVIRONMENT),
        ("runbooks", "01-demo.md", RUNBOOK),
        ("runbooks", "README.md", "# Not a runbook\n"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validate(*paths: str) -> Result:
    return CliRunner().invoke(app, ["validate", *paths])


def test_good_files_are_counted(files: Path) -> None:
    result = validate(".")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "3 of 3 files are valid\n", "")


def test_the_files_of_this_project_are_valid() -> None:
    result = validate(*(str(ROOT / folder) for folder in ("scenarios", "environments", "runbooks")))
    assert (result.exit_code, result.stderr) == (0, "")


def test_every_problem_of_every_file_is_told_on_standard_error(files: Path) -> None:
    bad = broken(broken(SCENARIO, "tier: 1", "tier: 9"), "owner: platform", "ownr: platform")
    (files / "scenarios" / "demo.yaml").write_text(bad)
    (files / "environments" / "demo.yaml").write_text(broken(ENVIRONMENT, "port: 8080", "port: 0"))
    (files / "runbooks" / "01-demo.md").write_text(RUNBOOK.replace("budget: 1m", "budget: 1"))
    result = validate("scenarios", "environments", "runbooks/01-demo.md")
    assert result.exit_code == 2
    assert result.stdout == "0 of 3 files are valid\n"
    assert [line.split(": ", 2)[:2] for line in result.stderr.splitlines()] == [
        ["scenarios/demo.yaml:1", "owner"],
        ["scenarios/demo.yaml:3", "ownr"],
        ["scenarios/demo.yaml:4", "tier"],
        ["environments/demo.yaml:13", "components.api.port"],
        ["runbooks/01-demo.md:29", "budget"],
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("absent.yaml", None, "1: cannot be read: No such file or directory", id="absent"),
        pytest.param("x.yaml", b"", "1: the file is empty; expected a mapping of fields", id="empty"),
        pytest.param("x.yaml", b"\xff", "1: not UTF-8 text: byte 0 is invalid", id="not-utf-8"),
        pytest.param(
            "x.yaml",
            b"a: [",
            "1: not valid YAML: while parsing a flow node did not find expected node content",
            id="torn",
        ),
        pytest.param(
            "x.yaml",
            b"a: 1",
            "1: neither a scenario nor an environment: expected a field 'scenario' or 'environment'",
            id="neither",
        ),
        pytest.param(
            "x.md",
            b"# Demo\n",
            "1: expected '---' and a block with alerts, severity and rto before everything else",
            id="runbook-without-a-head",
        ),
        pytest.param(
            "x.md",
            RUNBOOK.replace("CRITICAL", "LOUD").encode(),
            "3: severity: 'LOUD' is not allowed; expected 'CRITICAL', 'HIGH' or 'MEDIUM'",
            id="unknown-severity",
        ),
        pytest.param(
            "x.md",
            RUNBOOK.replace("start: database", "begin: database").encode(),
            "28: do: expected exactly one of start, stop, restart, kill, pause, resume, restore, rollback, reconnect, "
            "uncordon, disconnect, reclaim, request, status, logs; found begin",
            id="unknown-operation",
        ),
        pytest.param(
            "x.md",
            RUNBOOK.replace("budget: 1m", "budgt: 1m").encode(),
            "28: budget: is required and absent",
            id="step-without-a-budget",
        ),
        pytest.param(
            "x.md",
            RUNBOOK.replace("```yaml step", "```yaml steps").encode(),
            "27: unknown block 'yaml steps'; expected 'yaml step'",
            id="misspelt-block",
        ),
        pytest.param(
            "x.md",
            RUNBOOK.replace("# Demo\n", "", 1).encode(),
            "1: no title; expected one heading such as '# Database down'",
            id="no-title",
        ),
    ],
)
def test_a_broken_file_is_told_with_exit_code_2(
    files: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (files / name).write_bytes(content)
    result = validate(name)
    assert (result.exit_code, result.stdout) == (2, "0 of 1 files are valid\n")
    assert result.stderr.splitlines()[0] == f"{name}:{message}"


def test_a_folder_without_files_is_no_success(files: Path) -> None:
    (files / "nothing").mkdir()
    result = validate("nothing")
    assert (result.exit_code, result.stdout) == (2, "0 of 0 files are valid\n")


def test_the_real_command_separates_what_it_found_from_what_it_counts(files: Path) -> None:
    (files / "scenarios" / "demo.yaml").write_text(broken(SCENARIO, "tier: 1", "tier: 9"))
    command = [sys.executable, "-m", "gameday", "validate", "scenarios/demo.yaml"]
    result = subprocess.run(command, cwd=files, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (
        2,
        "0 of 1 files are valid\n",
        "scenarios/demo.yaml:4: tier: expected at most 4, found 9\n",
    )


def test_what_is_wrong_with_a_call_is_a_message_and_not_a_trace(files: Path) -> None:
    command = [sys.executable, "-m", "gameday", "run", "no-such-scenario", "--yes"]
    result = subprocess.run(command, cwd=files, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("gameday: ")
    assert "no-such-scenario.yaml does not exist; scenarios here: demo" in result.stderr
