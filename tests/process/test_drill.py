"""Whole drills against a real PostgreSQL and the real hotel API: what passes, and all that must not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from process.inn import REPOSITORY, RULES, RUNBOOK, SCENARIO, Inn, environ_for, standing_still

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("inn")]

PHASES = ["preflight", "arm", "inject", "detect", "respond", "recover", "account", "undo", "judge"]


def test_a_killed_database_is_detected_restored_accounted_for_and_put_back(inn: Inn) -> None:
    done = inn.drill()

    assert done.code == 0, done.stdout
    verdict = inn.verdict()
    assert verdict["verdict"] == "PASS"
    assert verdict["restored_by"] == "runbook"
    assert set(inn.checks().values()) == {"met"}
    phases = [event["phase"] for event in inn.events() if event["event"] == "phase.started"]
    assert phases == PHASES
    accounted = next(event["data"] for event in inn.events() if event["event"] == "canary.accounted")
    assert accounted["acknowledged"] > 5
    assert accounted["missing"] == 0


def test_the_evidence_folder_is_complete_and_judged_again_with_the_same_result(inn: Inn) -> None:
    inn.drill()
    folder = inn.latest()
    expected = {
        "scenario.yaml",
        "environment.yaml",
        "experiment.json",
        "timeline.jsonl",
        "journal.json",
        "verdict.json",
        "report.md",
        "report.html",
        "junit.xml",
    }
    assert expected <= {path.name for path in folder.iterdir()}
    assert {path.stem for path in (folder / "samples").iterdir()} == {"bookings", "database-answers"}
    assert json.loads((folder / "journal.json").read_text())["status"] == "completed"
    before = {name: (folder / name).read_bytes() for name in ("verdict.json", "report.html", "junit.xml")}

    again = inn.gameday("judge", folder.name)

    assert again.code == 0
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_runbook_that_does_nothing_fails_the_drill(inn: Inn) -> None:
    inn.write("runbooks/database.md", RUNBOOK.replace("do: {start: database}\n", ""))

    done = inn.drill()

    assert done.code == 1, done.stdout
    assert inn.checks()["runbook"] == "missed"
    assert inn.checks()["detected"] == "met"
    assert inn.verdict()["restored_by"] != "runbook"


def test_a_rule_that_cannot_see_the_fault_fails_the_drill(inn: Inn) -> None:
    inn.write("rules.yaml", RULES.replace("> 1", "> 100000"))
    inn.write("scenarios/database-down.yaml", SCENARIO.replace("fires_within: 20s", "fires_within: 4s"))

    done = inn.drill()

    assert done.code == 1, done.stdout
    checks = inn.checks()
    assert checks["detected"] == "missed"
    assert checks["runbook"] == "met", "whether the runbook works is a question of its own"
    assert checks["recovered"] == "met"


def test_a_disarmed_fault_is_inconclusive_and_nothing_is_called_proven(inn: Inn) -> None:
    # the database does die; what must prove it does not need the database
    scenario = SCENARIO.replace("probe: bookings, fails_within: 5s", "probe: liveness, fails_within: 1s")
    environment = (inn.root / "environments" / "inn.yaml").read_text()
    probe = "probes:\n  liveness: {http: GET /health/live, component: api, every: 50ms}"
    inn.write("environments/inn.yaml", environment.replace("probes:", probe))
    inn.write("scenarios/database-down.yaml", scenario)

    done = inn.drill()

    assert done.code == 3, done.stdout
    assert inn.verdict()["verdict"] == "INCONCLUSIVE"
    assert inn.checks()["effective"] == "unknown"
    assert "respond" not in [event["phase"] for event in inn.events()]


def test_an_alert_that_is_not_quiet_refuses_the_drill_before_anything_is_touched(inn: Inn) -> None:
    inn.write("rules.yaml", RULES.replace("> 1", "> -1"))

    done = inn.drill()

    assert done.code == 3, done.stdout
    assert "not quiet" in done.stdout
    kinds = {event["event"] for event in inn.events()}
    assert "fault.injecting" not in kinds
    assert "undo.recorded" not in kinds


def test_a_probe_that_does_not_hold_refuses_the_drill(inn: Inn) -> None:
    environment = (inn.root / "environments" / "inn.yaml").read_text()
    broken = environment.replace(
        "expect: {status: 201}\n    every: 50ms", "expect: {status: 418}\n    every: 50ms"
    )
    inn.write("environments/inn.yaml", broken)

    done = inn.drill()

    assert done.code == 3, done.stdout
    assert "bookings does not hold: status 201, expected 418" in done.stdout


QUESTION = "\n```\n\n### Ask\n\nAsk.\n\n```yaml step\nask: Is it back?\nbudget: 1m"


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("budget: 20s\notherwise: Call somebody", "RB008 error"),
        (
            "budget: 20s\n```\n\n### Ask\n\nAsk.\n\n```yaml step\nask: Is it back?\nbudget: 1m",
            "nobody is there to answer",
        ),
    ],
    ids=["a fallback that does not exist", "a question in CI"],
)
def test_a_runbook_that_would_get_stuck_refuses_the_drill(inn: Inn, step: str, reason: str) -> None:
    inn.write("runbooks/database.md", RUNBOOK.replace("budget: 20s", step))

    done = inn.drill()

    assert done.code == 3, done.stdout
    assert reason in done.stdout
    assert "fault.injecting" not in {event["event"] for event in inn.events()}


def test_more_targets_than_allowed_and_files_that_do_not_fit_are_refused(inn: Inn) -> None:
    inn.write("scenarios/database-down.yaml", SCENARIO.replace("kill: database", "kill: cellar"))

    done = inn.drill()

    assert done.code == 2
    assert "no component 'cellar' in environment inn; components there: database, api" in done.stderr
    assert not list((inn.root / ".gameday").glob("undo/*"))


def test_an_environment_that_does_not_allow_drills_is_left_alone(inn: Inn) -> None:
    environment = (inn.root / "environments" / "inn.yaml").read_text()
    inn.write("environments/inn.yaml", environment.replace("drills: allowed\n", ""))

    done = inn.drill()

    assert done.code == 2
    assert "does not allow drills" in done.stderr


def test_nobody_to_ask_and_no_yes_is_a_usage_error(inn: Inn) -> None:
    done = inn.gameday("run", "database-down", "-e", "inn")

    assert done.code == 2
    assert "--yes" in done.stderr


def test_a_dry_run_shows_the_plan_and_touches_nothing(inn: Inn) -> None:
    before = len(inn.folders())

    done = inn.gameday("run", "database-down", "-e", "inn", "--dry-run")

    assert done.code == 0
    assert "undo:        start database" in done.stdout
    assert "Start PostgreSQL again" in done.stdout
    assert len(inn.folders()) == before


def test_json_output_is_json_alone_and_everything_else_is_on_stderr(inn: Inn) -> None:
    done = inn.drill("--output", "json")

    assert json.loads(done.stdout)["verdict"] == "PASS"
    assert "preflight" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_rehearsal_says_so_in_every_output(inn: Inn) -> None:
    done = inn.drill("--speed", "2")

    assert done.code == 0, done.stdout
    words = "rehearsal at 2 times speed"
    assert words in done.stdout.lower()
    for name in ("report.md", "report.html", "junit.xml", "verdict.json"):
        assert words in (inn.latest() / name).read_text().lower(), name


def test_a_plain_chaos_run_of_the_compiled_experiment_gives_the_same_verdict_data(inn: Inn) -> None:
    inn.drill()
    experiment = inn.latest() / "experiment.json"
    by_gameday = inn.verdict()

    done = inn.chaos_run(experiment)

    assert done.returncode == 0, done.stdout + done.stderr
    by_chaos = inn.verdict()
    assert by_chaos["verdict"] == by_gameday["verdict"] == "PASS"
    assert {check["name"]: check["result"] for check in by_chaos["checks"]} == inn.checks()
    assert by_chaos["intervals"].keys() == by_gameday["intervals"].keys()


def test_history_lists_the_drills_and_is_rebuilt_from_their_folders(inn: Inn) -> None:
    inn.drill()
    name = inn.latest().name
    listed = json.loads(inn.gameday("history", "--output", "json").stdout)
    assert name in json.dumps(listed)
    (inn.reports / "history.sqlite").unlink()

    rebuilt = inn.gameday("history", "rebuild")

    assert rebuilt.code in (0, 3), rebuilt.stderr  # 3: a test before this one broke a drill off
    assert name in inn.gameday("history", "--output", "json", "--limit", "1000").stdout


def test_two_drills_at_once_are_refused_and_the_holder_is_named(inn: Inn) -> None:
    known = inn.folders()
    first = inn.start_drill()
    try:
        assert inn.wait_for("preflight.checked", first, known)
        with standing_still(first):
            second = inn.drill()
    finally:
        first.communicate(timeout=60)
    assert second.code == 3
    assert "inn is being drilled: scenario database-down" in second.stderr
    assert f"pid {first.pid}" in second.stderr
    assert first.returncode == 0


def test_the_runner_leaves_no_process_of_its_own(inn: Inn) -> None:
    inn.drill()
    assert inn.drill_processes() == []


@pytest.mark.timeout(240)
def test_the_shipped_drill_passes_at_ten_times_speed(tmp_path: Path) -> None:
    """What `make chaos-database` does, in an instance of its own and with its evidence elsewhere."""
    reports = tmp_path / "reports"
    command = [sys.executable, "-m", "gameday", "run", "--yes", "--up", "--speed", "10", "database-down"]
    done = subprocess.run(
        [*command, "--environment", "hotel-local@shipped-drill"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=REPOSITORY,
        env={**environ_for(REPOSITORY), "GAMEDAY_REPORTS": str(reports)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = [path.parent for path in reports.glob("*/verdict.json")]
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "PASS"
    assert not (REPOSITORY / ".gameday" / "environments" / "hotel-local@shipped-drill").exists()
    shutil.rmtree(reports)
