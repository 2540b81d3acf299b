"""Several drills of one `gameday run`: at once, each in an environment of its own, and nothing left of any."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from junitparser import JUnitXml

from process.inn import GAMEDAY, RULES, RUNBOOK, SCENARIO, Finished, Inn, until
from process.screen import answered

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("batch"), pytest.mark.timeout(600)]

OTHER = SCENARIO.replace("scenario: database-down", "scenario: database-stops").replace(
    "{kill: database}", "{kill: database, signal: SIGQUIT}"
)
ASKING = RUNBOOK.replace(
    "## Resolution Steps\n",
    "## Resolution Steps\n\n### Tell the front desk\n\nTell them.\n\n"
    "```yaml step\nask: Does the front desk know?\nbudget: 10s\n```\n",
)


@pytest.fixture
def project() -> Iterator[Inn]:
    """A project whose environment is down: each drill brings up its own."""
    root = Path(tempfile.mkdtemp(prefix="gameday-batch-")).resolve()
    root.chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
    inn = Inn(root)
    inn.write_all()
    inn.write("scenarios/database-stops.yaml", OTHER)
    yield inn
    left = processes(inn)
    assert left == []
    assert environments(inn) == []
    assert list((root / ".gameday" / "undo").glob("*.jsonl")) == []
    shutil.rmtree(root)


def processes(inn: Inn) -> list[str]:
    """Every process of the project: drills, and what their environments are made of."""
    found = []
    for process in psutil.process_iter():
        try:
            words, environ = process.cmdline(), process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        mine = environ.get("GAMEDAY_PROJECT") == str(inn.root) or any(str(inn.root) in word for word in words)
        if mine and process.status() != psutil.STATUS_ZOMBIE:
            found.append(f"{process.pid} {' '.join(words[:8])}")
    return found


def environments(inn: Inn) -> list[str]:
    return [path.name for path in (inn.root / ".gameday" / "environments").glob("*@*")]


def start(inn: Inn, *scenarios: str, parallel: int = 2) -> subprocess.Popen[str]:
    return inn.begin("run", *scenarios, "-e", "inn", "--yes", "--parallel", str(parallel))


def run(inn: Inn, *arguments: str) -> Finished:
    return inn.gameday("run", *arguments, timeout_s=280)


def run_folder(inn: Inn) -> Path:
    (folder,) = inn.reports.glob("*-run")
    return folder


def summary(inn: Inn) -> dict[str, Any]:
    return dict(json.loads((run_folder(inn) / "summary.json").read_text(encoding="utf-8")))


def test_two_drills_at_once_pass_and_are_summed_up(project: Inn) -> None:
    done = run(
        project,
        "database-down",
        "database-stops",
        "-e",
        "inn",
        "--yes",
        "--parallel",
        "2",
        "--output",
        "json",
    )

    assert done.code == 0, done.stdout + done.stderr
    printed = json.loads(done.stdout)
    assert printed == summary(project)
    assert printed["counts"] == {"PASS": 2, "FAIL": 0, "INCONCLUSIVE": 0, "NOT RUN": 0}
    assert [drill["scenario"] for drill in printed["drills"]] == ["database-down", "database-stops"]
    assert len({drill["instance"] for drill in printed["drills"]}) == 2
    for drill in printed["drills"]:
        assert drill["instance"].startswith(f"inn@{drill['scenario']}-")
        assert 0 < drill["mttd"]["value_s"] < drill["time_to_recover"]["value_s"]
        assert (project.reports / drill["report"]).exists()
        assert (project.reports / drill["log"]).exists()
    first, second = (
        json.loads((project.reports / d["report"]).with_name("verdict.json").read_text())
        for d in printed["drills"]
    )
    assert first["started"] < second["ended"], "they ran at once"
    assert second["started"] < first["ended"]
    suites = list(JUnitXml.fromfile(str(run_folder(project) / "junit.xml")))
    assert [suite.name for suite in suites] == ["database-down", "database-stops"]
    assert {(suite.failures, suite.errors) for suite in suites} == {(0, 0)}
    text = (run_folder(project) / "summary.md").read_text()
    assert "# 2 drills: 2 PASS" in text
    assert "start  database-down in inn@" in done.stderr
    assert "PASS  database-stops  MTTD" in done.stderr
    listed = json.loads(project.gameday("history", "--output", "json").stdout)
    assert len(listed) == 2
    (rule,) = json.loads(project.gameday("coverage", "-e", "inn", "--output", "json").stdout)["rules"]
    assert (rule["fired"], rule["missed"], rule["unexpected"], rule["standing"]) == (2, 0, 0, "proven")
    assert rule["by_scenario"].keys() == {"database-down", "database-stops"}
    assert project.gameday("history", "rebuild").code == 0, "the summary's folder is no damaged drill"


def test_the_worst_verdict_is_the_exit_code_and_fail_fast_starts_no_other(project: Inn) -> None:
    project.write(
        "scenarios/database-down.yaml", SCENARIO.replace("fires_within: 20s", "fires_within: 100ms")
    )

    done = run(project, "database-down", "database-stops", "-e", "inn", "--yes", "--fail-fast")

    assert done.code == 1, done.stdout + done.stderr
    drills = summary(project)["drills"]
    assert [drill["verdict"] for drill in drills] == ["FAIL", "NOT RUN"]
    assert "database-down ended as FAIL" in drills[1]["reasons"][0]
    suites = list(JUnitXml.fromfile(str(run_folder(project) / "junit.xml")))
    assert [suite.skipped for suite in suites] == [0, 1]


def test_ctrl_c_in_the_middle_puts_everything_back_and_a_second_one_orphans_nobody(project: Inn) -> None:
    runner = start(project, "database-down", "database-stops")
    try:
        until(lambda: len(struck(project)) == 2, 90, "both faults are in force")
        runner.send_signal(signal.SIGINT)
        time.sleep(0.3)
        runner.send_signal(signal.SIGINT)
        output, _ = runner.communicate(timeout=120)
    finally:
        runner.kill()

    assert runner.returncode == 4, output
    found = summary(project)
    assert found["interrupted"] == "SIGINT received"
    assert {drill["exit_code"] for drill in found["drills"]} == {4}
    assert all("aborted: SIGINT received" in drill["reasons"][0] for drill in found["drills"])
    assert "please wait" in output


def test_sigterm_while_environments_come_up_leaves_nothing(project: Inn) -> None:
    runner = start(project, "database-down", "database-stops")
    try:
        until(lambda: len(environments(project)) == 2, 60, "both environments come up")
        runner.send_signal(signal.SIGTERM)
        output, _ = runner.communicate(timeout=120)
    finally:
        runner.kill()

    assert runner.returncode == 4, output
    found = summary(project)
    assert found["interrupted"] == "SIGTERM received"
    assert {drill["verdict"] for drill in found["drills"]} == {"INCONCLUSIVE"}


@pytest.mark.long
def test_a_killed_parent_takes_its_drills_down_in_good_order(project: Inn) -> None:
    runner = start(project, "database-down", "database-stops")
    try:
        until(lambda: len(struck(project)) == 2, 90, "both faults are in force")
    finally:
        runner.kill()
        runner.communicate(timeout=10)

    until(lambda: not processes(project) and not environments(project), 60, "everything is put back")
    aborted = [
        event
        for folder in project.folders()
        for event in project.events(folder)
        if event["event"] == "drill.aborted"
    ]
    assert [event["data"]["reason"] for event in aborted] == ["SIGTERM received"] * 2


@pytest.mark.long
def test_a_killed_drill_is_recovered_by_the_run_and_is_not_green(project: Inn) -> None:
    runner = start(project, "database-down", "database-stops", parallel=1)
    try:
        until(lambda: len(struck(project)) == 1, 90, "the fault is in force")
        victim = next(p for p in psutil.Process(runner.pid).children() if "run" in p.cmdline())
        victim.kill()
        output, _ = runner.communicate(timeout=200)
    finally:
        runner.kill()

    first, second = summary(project)["drills"]
    assert runner.returncode == first["exit_code"] == 4, output
    assert first["verdict"] == "INCONCLUSIVE"
    assert second["verdict"] == "PASS", "what happens to one drill is nothing to another"


def test_any_invalid_file_ends_the_run_before_anything_is_touched(project: Inn) -> None:
    project.write("scenarios/database-stops.yaml", OTHER.replace("{kill: database", "{kill: cellar"))
    project.write(
        "scenarios/third.yaml", OTHER.replace("database-stops", "third").replace("rto: 30s", "rto: 30")
    )

    done = run(project, "database-down", "database-stops", "third", "-e", "inn", "--yes")

    assert done.code == 2
    assert "cellar" in done.stderr
    assert "third.yaml" in done.stderr, "every file's problems are told at once"
    assert not project.reports.exists() or not list(project.reports.iterdir())
    assert environments(project) == []


def test_the_same_scenario_twice_is_an_error_and_a_dry_run_shows_every_plan(project: Inn) -> None:
    path = str(project.root / "scenarios" / "database-down.yaml")

    twice = run(project, "database-down", path, "-e", "inn", "--yes")
    dry = run(project, "database-down", "database-stops", "-e", "inn", "--dry-run")

    assert twice.code == 2
    assert "scenario database-down stands 2 times" in twice.stderr
    assert dry.code == 0
    assert dry.stdout.count("dry run: nothing was touched") == 2


def test_other_rules_judge_the_drills_and_stand_in_their_evidence(project: Inn) -> None:
    project.write("blind.yaml", RULES.replace("> 1", "> 100000"))
    for name in ("database-down", "database-stops"):
        text = (project.root / "scenarios" / f"{name}.yaml").read_text()
        project.write(f"scenarios/{name}.yaml", text.replace("fires_within: 20s", "fires_within: 3s"))

    both = run(
        project, "database-down", "database-stops", "-e", "inn", "--yes", "-p", "2", "--rules", "blind.yaml"
    )
    assert both.code == 1, both.stdout + both.stderr
    assert "rules: blind.yaml" in (project.latest() / "environment.yaml").read_text()
    assert summary(project)["rules"] == "blind.yaml"
    assert "judged by other rules" in (run_folder(project) / "summary.md").read_text()


def test_rules_that_cannot_be_read_and_detectors_that_take_none_are_usage_errors(project: Inn) -> None:
    project.write("broken.yaml", "groups: 7\n")
    fake = "environment: fake\ntarget: fake\ndrills: allowed\ncomponents: {database: {fake: {}}, api: {fake: {}}}\n"
    fake += "probes:\n  bookings: {state: up, component: api}\n  database-answers: {state: up, component: database}\n"
    fake += "detector: {kind: fake, alert: database_connection_failures, watches: database}\n"
    project.write("environments/fake.yaml", fake)

    broken = run(project, "database-down", "-e", "inn", "--dry-run", "--rules", "broken.yaml")
    wrong = run(project, "database-down", "-e", "fake", "--dry-run", "--rules", "rules.yaml")

    assert broken.code == 2
    assert "broken.yaml" in broken.stderr
    assert wrong.code == 2
    assert "only an embedded detector" in wrong.stderr


def test_without_its_fault_no_drill_passes(project: Inn) -> None:
    done = run(project, "database-down", "-e", "inn", "--yes", "--up", "--disarmed")

    assert done.code == 3, done.stdout + done.stderr
    assert project.verdict()["verdict"] == "INCONCLUSIVE"
    assert project.checks()["effective"] == "unknown"
    kinds = [event["event"] for event in project.events()]
    assert "undo.recorded" in kinds
    assert "deadman.armed" in kinds
    assert "alert.firing" not in kinds


def test_prepared_answers_carry_a_drill_through_manual_steps(project: Inn) -> None:
    project.write("runbooks/database.md", ASKING)
    project.write("answers.yaml", "Tell the front desk: {answer: yes, after: 500ms}\n")

    nobody = run(project, "database-down", "-e", "inn", "--yes", "--up")
    answered = run(
        project,
        "database-down",
        "database-stops",
        "-e",
        "inn",
        "--yes",
        "-p",
        "2",
        "--answers",
        "answers.yaml",
    )

    assert nobody.code == 3
    assert "nobody is there to answer" in nobody.stdout
    assert answered.code == 0, answered.stdout + answered.stderr
    steps = [event["data"] for event in project.events() if event["event"] == "step.ended"]
    told = next(step for step in steps if step["heading"] == "Tell the front desk")
    assert told["output"] == "yes"
    assert 0.5 <= told["duration_s"] < 2


def test_a_no_fails_the_step_and_strange_answers_are_refused(project: Inn) -> None:
    project.write("runbooks/database.md", ASKING)
    project.write("no.yaml", "Tell the front desk: no\n")
    project.write("strange.yaml", "Tell the front desk: yes\nCall the manager: yes\n")

    no = run(project, "database-down", "-e", "inn", "--yes", "--up", "--answers", "no.yaml")
    strange = run(project, "database-down", "-e", "inn", "--yes", "--up", "--answers", "strange.yaml")

    assert no.code == 1, no.stdout + no.stderr
    assert "answered 'no': Does the front desk know?" in no.stdout
    assert strange.code == 2
    assert "strange.yaml:2: Call the manager: no runbook of this run asks that" in strange.stderr


def test_a_person_at_the_terminal_is_asked_while_the_drill_is_shown_live(project: Inn) -> None:
    project.write("runbooks/database.md", ASKING)
    command = [*GAMEDAY, "run", "database-down", "-e", "inn", "--yes", "--up", "--interactive"]
    environ = {**project.environ, "TERM": "xterm", "CI": "", "COLUMNS": "200"}
    code, screen = answered(
        command, project.root, environ, when="within 10s >", answer="yes, told Ana", silent_s=120
    )

    assert code == 0, screen
    assert "? Tell the front desk: Does the front desk know?" in screen
    steps = [event["data"] for event in project.events() if event["event"] == "step.ended"]
    assert "yes, told Ana" in [step["output"] for step in steps]


def struck(inn: Inn) -> list[Path]:
    """Drills whose fault is in force."""
    needle = '"event":"fault.injected"'
    return [folder for folder in inn.folders() if needle in (folder / "timeline.jsonl").read_text()]
