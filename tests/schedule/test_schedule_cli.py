"""`gameday schedule` as whole commands: files in, a calendar and an exit code out."""

from __future__ import annotations

import json
import shlex
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from icalendar import Calendar

from history.shop import SCENARIO, gameday, write_project

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("schedule-cli")  # one project, in which more and more drills were run
SCHEDULE = """\
schedule: shop
environment: fake
drills:
  always: {title: Every minute, cron: "* * * * *", scenarios: [instant], start_within: 5m}
  later: {title: Some day, cron: "0 9 1 1 *", scenarios: [instant], next: 2099-01-01}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_project(tmp_path_factory.mktemp("shop"))
    (root / "schedules").mkdir()
    (root / "schedules/shop.yaml").write_text(SCHEDULE)
    (root / "scenarios/other.yaml").write_text(SCENARIO.replace("scenario: instant", "scenario: other"))
    return root


def lines(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_before_any_drill_nothing_can_be_known(project: Path) -> None:
    plain, checked = gameday(project, "schedule"), gameday(project, "schedule", "--check")
    assert (plain.returncode, checked.returncode) == (0, 3), checked.stderr
    head, always, later = lines(plain.stdout)
    assert head == [
        *("drill", "scenario", "last_run", "verdict", "last_pass", "due", "overdue", "stale", "pass_good_for")
    ]
    assert (always[:5], always[6:]) == (["always", "instant", "never", "-", "never"], ["no", "yes", "6m"])
    assert (later[0], later[5:8]) == ("later", ["2099-01-01T09:00:00+00:00", "no", "yes"])
    assert "the history knows no drill of them" in checked.stderr
    assert not (project / "reports/history.sqlite").exists()


def test_a_pass_is_seen_and_what_never_passed_is_told(project: Path) -> None:
    assert gameday(project, "run", "instant", "-e", "fake", "--yes").returncode == 0
    fine = gameday(project, "schedule", "--check", "-o", "json")
    assert fine.returncode == 0, fine.stderr
    (schedule,) = json.loads(fine.stdout)["schedules"]
    always = schedule["drills"][0]
    assert always["last_pass"] == always["last_run"]
    assert always["last_run"]["verdict"] == "PASS"
    assert (project / "reports" / always["last_run"]["drill"]).is_dir()
    assert datetime.fromisoformat(always["due"]) - datetime.now(UTC) < timedelta(minutes=1)
    assert (always["overdue"], always["stale"], always["pass_good_for_s"]) == (False, False, 360.0)
    more = SCHEDULE + '  never: {title: Never done, cron: "0 9 * * mon", scenarios: [other]}\n'
    (project / "schedules/shop.yaml").write_text(more)
    try:
        checked = gameday(project, "schedule", "status", "shop", "--check")
    finally:
        (project / "schedules/shop.yaml").write_text(SCHEDULE)
    assert checked.returncode == 1
    assert "other is stale: it never passed at real speed, and a PASS is good for 7d1h\n" in checked.stderr
    assert "other is overdue since 2" in checked.stderr
    assert "instant" not in checked.stderr


def test_a_rehearsal_does_not_count(project: Path) -> None:
    drilled = gameday(project, "run", "other", "-e", "fake", "--yes")
    assert drilled.returncode == 0, drilled.stderr
    with closing(sqlite3.connect(project / "reports/history.sqlite")) as database, database:
        database.execute("UPDATE gameday_drills SET speed = 10 WHERE scenario = 'other'")
    only = project / "schedules/only.yaml"
    only.write_text(
        'schedule: only\nenvironment: fake\ndrills: {a: {cron: "* * * * *", scenarios: [other]}}\n'
    )
    try:
        found = gameday(project, "schedule", "status", "only", "--check", "-o", "json")
    finally:
        only.unlink()
    (drill,) = json.loads(found.stdout)["schedules"][0]["drills"]
    assert found.returncode == 1
    assert (drill["last_run"], drill["last_pass"], drill["stale"]) == (None, None, True)
    assert drill["last_rehearsal"]["verdict"] == "PASS"


def test_another_environment_has_its_own_calendar(project: Path) -> None:
    elsewhere = gameday(project, "schedule", "--check", "-e", "elsewhere")
    assert elsewhere.returncode == 3


def test_a_history_that_cannot_be_read_is_no_answer(project: Path) -> None:
    done = gameday(project, "schedule", "--check", "--history", "postgresql://127.0.0.1:9/none")
    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot read the history" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("status", "absent"), "schedules/absent.yaml does not exist"),
        (
            ("export", "shop", "--as", "icalendar", "--machine-zone", "Etc/UTC"),
            "--machine-zone: icalendar is told",
        ),
        (("export", "shop", "--as", "cron", "--machine-zone", "Mars/Base"), "'Mars/Base' is no time zone"),
        (("export", "shop", "other", "--as", "cron"), "expected one file of a schedule"),
    ],
)
def test_a_call_that_cannot_be_carried_out(project: Path, arguments: tuple[str, ...], problem: str) -> None:
    done = gameday(project, "schedule", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_a_project_without_schedules_says_so(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    done = gameday(tmp_path, "schedule")
    assert done.returncode == 2
    assert f"no schedules: expected YAML files in {tmp_path}/schedules" in done.stderr


def test_exports_are_printed_and_what_they_cannot_say_is_warned_of(project: Path) -> None:
    calendar = gameday(project, "schedule", "export", "shop", "--as", "icalendar")
    assert (calendar.returncode, calendar.stderr) == (0, "")
    assert len(Calendar.from_ical(calendar.stdout).walk("VEVENT")) == 2
    cron = gameday(project, "schedule", "export", "shop", "--as", "cron")
    assert cron.returncode == 0
    assert f"\n* * * * * cd {project} && " in cron.stdout
    assert cron.stderr == (
        "warning: later: its first day, 2099-01-01, cannot be said there; earlier ones are kept, too\n"
    )


def test_an_hour_that_the_clocks_leave_out_is_warned_of(project: Path) -> None:
    words = (
        "schedule",
        "export",
        "instant",
        "--cron",
        "30 2 * * *",
        "--time-zone",
        "Europe/Berlin",
        "-e",
        "fake",
    )
    done = gameday(project, *words, "--as", "github")
    assert done.returncode == 0
    assert "timezone: Europe/Berlin" in done.stdout
    assert "warning: drills: the clocks of Europe/Berlin leave out or repeat 20" in done.stderr


@pytest.mark.parametrize("form", ["cron", "icalendar", "github", "gitlab"])
def test_the_shipped_schedule_has_every_form(form: str) -> None:
    done = gameday(ROOT, "schedule", "export", "hotel", "--as", form)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("database-loss") >= 3


def test_what_jobs_and_crontabs_run_is_understood() -> None:
    """Each form's own words, for one appointment, with --dry-run."""
    wanted = ("schedule", "export", "hotel", "-e", "hotel-local", "--as")
    github = yaml.safe_load(gameday(ROOT, *wanted, "github").stdout)["jobs"]["sev1-fire-drill"]["steps"]
    gitlab = yaml.safe_load(gameday(ROOT, *wanted, "gitlab").stdout)["sev1-fire-drill"]["script"]
    cron = [line for line in gameday(ROOT, *wanted, "cron").stdout.splitlines() if "service-down" in line][-1]
    steps = [step["run"] for step in github if step.get("name") == "Drill"]
    for line in (*steps, *gitlab, cron.partition("&&")[2]):
        words = shlex.split(line)
        start = words.index("run")
        done = gameday(ROOT, *words[start:], "--dry-run")
        assert done.returncode == 0, done.stderr
        assert "dry run: nothing was touched" in done.stdout
