"""Times of a schedule: what Kubernetes would keep, and nothing that only other crons know."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gameday.errors import InvalidFile
from gameday.schedule import check_cron, load_schedule
from history.shop import gameday

ROOT = Path(__file__).parents[2]
GOOD = """\
schedule: nightly
environment: shop
time_zone: Europe/Berlin
drills:
  first: {cron: "30 9 * * mon-fri", scenarios: [one]}
"""


@pytest.mark.parametrize(
    "text", ["0 3 * * *", "*/15 0-6/2 1,15 jan,JUL mon-fri", "0 9 5 1,4,7,10 *", "0 0 29 2 *", "5 4 * * 0"]
)
def test_five_fields_are_good(text: str) -> None:
    assert check_cron(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 3 * *",
        "0 0 3 * * *",
        "60 3 * * *",
        "0 24 * * *",
        "0 3 32 * *",
        "0 3 * 13 *",
        "0 3 * * 7",
        "0 3 L * *",
        "0 3 * * mon#1",
        "0 3 * * noday",
        "@daily",
        "0 3 30 2 *",
        "TZ=UTC 0 3 * * *",
        "0  3 * * *",
        "0 3 * * *\n",
    ],
)
def test_what_kubernetes_would_not_keep_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time that cron knows"):
        check_cron(text)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("30 9 * * mon-fri", "99 9 * * *"), "drills.first.cron"),
        (("Europe/Berlin", "Europe/Atlantis"), "time_zone"),
        (("[one]", "[]"), "drills.first.scenarios"),
        (("schedule: nightly", "schedule: other"), "expected 'nightly'"),
    ],
)
def test_a_problem_names_the_file_the_line_and_the_field(
    tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    path = tmp_path / "nightly.yaml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(InvalidFile, match=problem) as caught:
        load_schedule(path)
    assert str(caught.value).startswith(f"{path}:")


def test_the_shipped_schedule_is_the_calendar_of_drills_and_becomes_cron_jobs() -> None:
    done = gameday(ROOT, "schedule", "export", "hotel", "--as", "cronjob")
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    crons = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "CronJob"}
    maps = {one["metadata"]["name"]: one for one in objects if one["kind"] == "ConfigMap"}
    days = {name.removeprefix("gameday-hotel-kubernetes-"): one["schedule"] for name, one in crons.items()}
    assert {name: cron.split(" ", 2)[2] for name, cron in days.items()} == {
        "incident-simulation": "8 * *",  # monthly
        "backup-validation": "* * mon",  # weekly
        "restore-test": "* * thu",
        "dr-database": "15 * *",
        "dr-all": "20 1,4,7,10 *",  # quarterly
        "chaos-test": "22 * *",
        "sev1-fire-drill": "5 1,4,7,10 *",  # 5 October
        "log-flood-injection": "6 1,4,7,10 *",
    }  # fmt: skip
    for spec in crons.values():
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["timeZone"] == "Etc/UTC"
        assert spec["startingDeadlineSeconds"] == 3600
        job = spec["jobTemplate"]["spec"]
        assert job["backoffLimitPerIndex"] == 0
        assert job["activeDeadlineSeconds"] > 0
        volumes = {one["name"]: one for one in job["template"]["spec"]["volumes"]}
        files = maps[volumes["project"]["configMap"]["name"]]
        assert files["immutable"] is True
        assert {one["key"] for one in volumes["project"]["configMap"]["items"]} == set(files["data"])


def test_scenarios_at_one_time_need_no_file() -> None:
    words = (
        "schedule",
        "export",
        "service-down",
        "--cron",
        "0 4 * * sun",
        "-e",
        "hotel-kubernetes",
        "--name",
        "weekly",
    )
    done = gameday(ROOT, *words)
    assert done.returncode == 0, done.stderr
    (cron,) = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] == "CronJob"]
    assert (cron["metadata"]["name"], cron["spec"]["schedule"]) == (
        "gameday-hotel-kubernetes-weekly",
        "0 4 * * sun",
    )
    assert gameday(ROOT, *words[:3], "--cron", "0 4 * *", "-e", "hotel-kubernetes").returncode == 2
