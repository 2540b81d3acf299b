"""`gameday history` and `gameday gate` as commands."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gameday.commands.scheduled import restore_scenarios
from gameday.commands.since import parse_since
from gameday.errors import UsageError
from gameday.history import History
from gameday.project import Project
from history.plenty import one, project_at, store
from history.shop import gameday
from reporting import records

NOW = datetime.now(UTC)
SCHEDULE = """\
schedule: small
environment: hotel-local
drills:
  restore-test:
    title: Restore test
    cron: "0 9 * * thu"
    scenarios: [database-loss]
  chaos:
    cron: "0 9 22 * *"
    scenarios: [database-down]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("GAMEDAY_HISTORY_URL", "GAMEDAY_REPORTS", "GAMEDAY_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return project_at(tmp_path / "project")


def fill(project: Project, *rows: dict[str, Any]) -> None:
    with History.open(project) as history:
        store(history, list(rows))


def ago(days: float, name: str, **more: Any) -> dict[str, Any]:
    return one(name, NOW - timedelta(days=days), **more)


def names(project: Project, *arguments: str) -> list[str]:
    done = gameday(project.root, "history", *arguments)
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[-1] for line in done.stdout.splitlines()[1:]]


# --- filters --------------------------------------------------------------------------------------------------


def test_the_list_is_filtered_by_time_verdict_scenario_and_environment(project: Project) -> None:
    fill(
        project,
        ago(40, "old"),
        ago(20, "failed", verdict="FAIL"),
        ago(10, "other", scenario="service-down"),
        ago(5, "second", environment="hotel-local@second"),
        ago(1, "docker", environment="hotel-docker"),
    )
    assert names(project) == ["docker", "second", "other", "failed", "old"]
    assert names(project, "--since", "30d") == ["docker", "second", "other", "failed"]
    assert names(project, "--since", f"{NOW - timedelta(days=7):%Y-%m-%d}") == ["docker", "second"]
    assert names(project, "--verdict", "fail") == ["failed"]
    assert names(project, "list", "--scenario", "service-down") == ["other"]
    assert names(project, "--environment", "hotel-local", "--since", "30d", "--limit", "2") == [
        "second",
        "other",
    ]
    as_json = gameday(project.root, "history", "--since", "30d", "--verdict", "FAIL", "-o", "json")
    assert [row["drill"] for row in json.loads(as_json.stdout)] == ["failed"]


def test_what_is_no_time_or_verdict_is_refused_with_what_would_be_right(project: Project) -> None:
    done = gameday(project.root, "history", "--since", "yesterday")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "expected a day such as 2026-03-01, a time such as 09:00, or how long ago such as 30d" in done.stderr
    )
    done = gameday(project.root, "history", "--verdict", "GOOD")
    assert done.returncode == 2
    assert "inconclusive" in done.stderr


def test_since_is_a_day_an_instant_or_how_long_ago() -> None:
    assert parse_since("2026-03-01", NOW) == datetime(2026, 3, 1, tzinfo=UTC)
    assert parse_since("2026-03-01T09:00+02:00", NOW) == datetime(2026, 3, 1, 7, tzinfo=UTC)
    hour = NOW.replace(minute=0, second=0, microsecond=0)
    assert parse_since(f"{hour:%H:%M}", NOW) == parse_since(f"{hour:%H:%M:%S}Z", NOW) == hour
    later = hour + timedelta(hours=1)
    assert parse_since(f"{later:%H:%M}", NOW) == later - timedelta(days=1)
    assert parse_since("1d12h", NOW) == NOW - timedelta(hours=36)
    with pytest.raises(UsageError, match="name its day"):
        parse_since("800d", NOW)


# --- two drills -----------------------------------------------------------------------------------------------


def test_two_drills_side_by_side(project: Project) -> None:
    good = records.passed(project.reports / "one", drill="20260302T090000Z-good")
    bad = records.failed(project.reports / "two")
    with History.open(project) as history:
        history.add(good)
        history.add(bad)
    done = gameday(project.root, "history", "compare", "one", "two", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    facts = {fact["what"]: (fact["first"], fact["second"]) for fact in found["facts"]}
    assert facts["Verdict"] == ("PASS", "FAIL")
    assert facts["Restored by"] == ("runbook", "runbook")
    recover = next(pair for pair in found["intervals"] if pair["name"] == "time_to_recover")
    assert (recover["difference_s"], recover["certain"]) == (pytest.approx(307.4 - 17.6), True)
    mttd = next(pair for pair in found["intervals"] if pair["name"] == "mttd")
    assert (mttd["first_s"], mttd["second_s"], mttd["difference_s"]) == (pytest.approx(14.2), None, None)
    checks = {check["name"]: (check["first"], check["second"]) for check in found["checks"]}
    assert checks["detected"] == ("met", "missed")
    assert checks["recovered"] == ("met", "met")
    text = gameday(project.root, "history", "compare", "one", "two").stdout
    for words in ("✓ met", "✗ missed", "not measured", "+4m50s", "Start PostgreSQL again"):
        assert words in text

    shutil.rmtree(bad.folder)
    gone = gameday(project.root, "history", "compare", "one", bad.drill)
    assert gone.returncode == 0, gone.stderr
    assert f"the folder of {bad.drill} is gone: its checks are not known" in gone.stdout
    none = gameday(project.root, "history", "compare", "one", "nothing")
    assert (none.returncode, none.stdout) == (2, "")


def test_drills_that_do_not_compare_are_said_so(project: Project) -> None:
    fill(project, ago(2, "a"), ago(1, "b", scenario="service-down", speed=10.0))
    text = gameday(project.root, "history", "compare", "a", "b").stdout
    assert "not the same scenario: database-down and service-down; their figures do not compare" in text
    assert "not the same speed: 1.0 and 10.0" in text


# --- regressions ----------------------------------------------------------------------------------------------


def test_regressions_name_what_is_worse_and_what_has_no_baseline(project: Project) -> None:
    fill(
        project,
        *(ago(10 + n, f"before-{n}") for n in range(5)),
        *(ago(10 + n, f"rehearsed-{n}", speed=10.0, time_to_recover_s=6.0) for n in range(5)),
        ago(1, "slow", time_to_recover_s=100.0),
        ago(1, "new", scenario="service-down"),
    )
    done = gameday(project.root, "history", "regressions", "-o", "json")
    assert done.returncode == 1, done.stderr
    found = {(row["scenario"], row["interval"]): row for row in json.loads(done.stdout)}
    worse = found["database-down", "time_to_recover"]
    assert (worse["change"], worse["baseline_s"], worse["baseline_drills"]) == ("worse", 60.0, 5)
    assert found["database-down", "mttd"]["change"] == "as before"
    assert found["service-down", "mttd"]["change"] == "no baseline"
    text = gameday(project.root, "history", "regressions", "--tolerance", "80")
    assert text.returncode == 0
    assert "no regression in 3 intervals; 3 could not be compared" in text.stdout
    assert "no baseline" in text.stdout
    alone = gameday(project.root, "history", "regressions", "--scenario", "service-down")
    assert alone.returncode == 3
    assert "no regression in 0 intervals; 3 could not be compared" in alone.stdout


def test_no_drill_is_no_good_news(project: Project) -> None:
    done = gameday(project.root, "history", "regressions")
    assert (done.returncode, done.stdout) == (3, "no drills: nothing to compare\n")
    done = gameday(project.root, "history", "metrics")
    assert (done.returncode, done.stdout) == (0, "no drills yet: nothing was measured\n")


# --- metrics --------------------------------------------------------------------------------------------------


def test_metrics_by_month_and_severity(project: Project) -> None:
    (project.root / "schedules").mkdir()
    (project.root / "schedules" / "small.yaml").write_text(SCHEDULE)
    fill(
        project,
        one("a", datetime(2026, 3, 2, tzinfo=UTC), severity="SEV1", mttd_s=200.0),
        one("b", datetime(2026, 3, 3, tzinfo=UTC), severity="SEV1", mttd_s=500.0, time_to_recover_s=7200.0),
        one("c", datetime(2026, 3, 4, tzinfo=UTC), scenario="database-loss", verdict="FAIL"),
        one("d", datetime(2026, 3, 5, tzinfo=UTC), speed=10.0, mttd_s=0.1),
    )
    done = gameday(project.root, "history", "metrics", "--since", "2026-03-01", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = {report["severity"]: report["periods"][0] for report in json.loads(done.stdout)}
    assert (found["all"]["period"], found["all"]["drills"], found["all"]["rehearsals"]) == ("2026-03", 3, 1)
    first = found["SEV1"]["metrics"]
    assert (first["mttd"]["value"], first["mttd"]["goal_met"]) == (350.0, False)
    assert (first["mttr"]["value"], first["mttr"]["goal"], first["mttr"]["goal_met"]) == (
        3630.0,
        "below 1 h",
        False,
    )
    assert first["restore_tests_passed"]["value"] is None
    assert found["SEV2"]["metrics"]["restore_tests_passed"]["value"] == 0
    assert found["all"]["metrics"]["incidents"]["value"] == 1
    text = gameday(project.root, "history", "metrics", "--since", "2026-03-01", "--severity", "sev2").stdout
    assert "SEV2" in text
    assert "SEV1" not in text
    assert "✓ 60.0 s (1 drill)" in text
    csv = gameday(
        project.root, "history", "metrics", "--since", "2026-03-01", "--every", "quarter", "-o", "csv"
    )
    assert "2026-Q1,SEV1,mttr,3630,s,2 drills,below 1 h,false" in csv.stdout


def test_restore_tests_are_read_from_schedules_and_broken_ones_name_none(project: Project) -> None:
    folder = project.root / "schedules"
    folder.mkdir()
    (folder / "a.yaml").write_text(SCHEDULE)
    (folder / "b.yaml").write_text("drills: {restore-test: {scenarios: [scenarios/full.yaml, 5]}, other: 3}")
    (folder / "c.yaml").write_text("drills: [")
    (folder / "d.yaml").write_text("- restore-test")
    assert restore_scenarios(project) == {"database-loss", "full"}


# --- the gate -------------------------------------------------------------------------------------------------


def gate(project: Project, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = gameday(project.root, "gate", *arguments, "-o", "json")
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode, done.stderr
    return done.returncode, found


def grounds(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(reason["ground"], reason["scenario"]) for reason in found["reasons"]]


def test_the_gate_without_a_drill_is_inconclusive(project: Project) -> None:
    code, found = gate(project)
    assert (code, found["verdict"], grounds(found)) == (3, "INCONCLUSIVE", [("nothing to judge", None)])
    fill(project, ago(10, "old"))
    assert gate(project)[0] == 0
    assert gate(project, "--since", "3d")[0] == 3


def test_the_gate_judges_the_newest_drill_and_says_why(project: Project) -> None:
    fill(
        project,
        ago(3, "bad", verdict="FAIL", exit_code=1, reasons=["Alert x: did not fire"]),
        ago(2, "good"),
        ago(1, "other", scenario="service-down", verdict="FAIL", exit_code=1, reasons=["it stayed down"]),
    )
    done = gameday(project.root, "gate")
    assert done.returncode == 1
    assert "✗ FAIL: service-down in hotel-local: failed: it stayed down (other)" in done.stdout
    assert "did not fire" not in done.stdout
    assert "no schedule: whether drills are stale was not judged" in done.stdout
    assert gate(project, "-s", "database-down")[0] == 0
    assert gate(project, "-s", "database-down", "-s", "service-down")[0] == 1


def test_the_gate_is_red_on_what_is_stale(project: Project) -> None:
    (project.root / "schedules").mkdir()
    (project.root / "schedules" / "small.yaml").write_text(SCHEDULE)
    fill(project, ago(8, "loss", scenario="database-loss"), ago(8, "down"))
    code, found = gate(project)
    assert (code, grounds(found)) == (1, [("stale", "database-loss")])
    assert "last passed 8 days ago" in found["reasons"][0]["text"]
    fill(project, ago(1, "fast", scenario="database-loss", speed=10.0))
    assert gate(project)[0] == 1
    assert gate(project, "--rehearsals")[0] == 0
    fill(project, ago(0.5, "again", scenario="database-loss"))
    assert gate(project)[0] == 0
    assert gate(project, "-e", "hotel-docker")[0] == 1


def test_a_schedule_that_is_wrong_or_not_there_is_no_green_gate(project: Project) -> None:
    fill(project, ago(1, "a"))
    done = gameday(project.root, "gate", "--schedule", "nothing.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    (project.root / "small.yaml").write_text(SCHEDULE.replace("thu", "someday"))
    done = gameday(project.root, "gate", "--schedule", "small.yaml")
    assert done.returncode == 2
    assert "small.yaml:6" in done.stderr


def test_a_history_that_cannot_be_read_is_inconclusive(project: Project) -> None:
    (project.reports / "history.sqlite").write_bytes(b"no database at all" * 100)
    done = gameday(project.root, "gate")
    assert (done.returncode, done.stdout) == (3, "")
    assert "rebuild" in done.stderr


def test_the_page_of_a_project_that_never_drilled_is_written_and_says_so(project: Project) -> None:
    project.reports.rmdir()
    done = gameday(project.root, "history", "page")
    assert (done.returncode, done.stdout.strip()) == (0, str(project.reports / "history.html")), done.stderr
    assert "Not measured: there is no drill." in (project.reports / "history.html").read_text(
        encoding="utf-8"
    )
    assert [path.name for path in project.reports.iterdir()] == ["history.html"]
