"""Drills inside a cluster: handed over as a job, verdicts as exit codes, evidence in a database, one at a time where
they have something in common."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.row import SCENARIO, Row
from cluster.vault import GROUP, USER
from gameday.history import History
from gameday.project import Project
from targets.eventually import eventually

# alone or long: a drill or several each, and an overloaded machine fails them
pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("row"),
]

ROOMS = 6
PASSWORD = "hunter2"
RATIO = 1.5
"""Of the wall time to that of the slowest drill times the waves."""
AGAIN = SCENARIO.replace("scenario: NAME-down", "scenario: NAME-again")


@pytest.fixture(scope="module")
def standing(runner_image: str) -> Iterator[Row]:
    with Row.open_in(runner_image, ROOMS) as row:
        with_database(row)
        yield row


@pytest.fixture
def row(standing: Row) -> Iterator[Row]:
    standing.write_all()
    standing.wait_until_whole()
    assert eventually(lambda: not standing.quarters.helpers(), 60), "switches that were told to end"
    yield standing
    standing.wait_until_whole()
    standing.quarters.do("delete", "jobs,cronjobs", "--all", "--wait=true", "--timeout=200s")


def with_database(row: Row) -> None:
    """A team's PostgreSQL, and the Secret with its URL as pods reach it."""
    container = {
        "image": "postgres:15",
        "env": [
            {"name": "POSTGRES_PASSWORD", "value": PASSWORD},
            {"name": "PGDATA", "value": "/data/pg"},
        ],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-h", "127.0.0.1"]},
            "periodSeconds": 2,
            "timeoutSeconds": 20,
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the server's own
        ],
    }
    volumes = [{"name": name, "emptyDir": {}} for name in ("data", "run", "tmp")]
    made = row.quarters.workload("team", container, port=5432, user=USER, group=GROUP, volumes=volumes)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "team-history", "namespace": row.quarters.namespace},
        "stringData": {"url": f"postgresql://postgres:{PASSWORD}@team:5432/postgres"},
    }
    row.quarters.apply(*made, secret)
    row.quarters.ready("team")


def history_url(row: Row) -> str:
    port = row.quarters.get("service", "team")["spec"]["ports"][0]["nodePort"]
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"


def stored(row: Row, scenario: str) -> Any:
    with History.open(Project(row.root), history_url(row)) as history:
        (found,) = history.drills(limit=1, scenario=scenario)
        return found


def result(text: str) -> dict[str, dict[str, Any]]:
    return {drill["scenario"]: drill for drill in json.loads(text)["drills"]}


# --- side by side ---------------------------------------------------------------------------------------------------


def measured(row: Row, scenarios: list[str], parallel: int) -> tuple[float, float, dict[str, dict[str, Any]]]:
    """Wall time of the whole command, that of the slowest drill, and what came of each."""
    begun = time.monotonic()
    words = ("--parallel", str(parallel), "--wait", "-o", "json", "--history-secret", "team-history")
    done = row.submit(*words, scenarios=scenarios, timeout_s=1500)
    wall_s = time.monotonic() - begun
    assert done.code == 0, done.stdout + done.stderr
    drills = result(done.stdout)
    return wall_s, max(drill["duration_s"] for drill in drills.values()), drills


@pytest.mark.alone
def test_drills_of_different_components_run_side_by_side_and_their_evidence_is_kept(
    row: Row, tmp_path: Path
) -> None:
    wall_s, slowest_s, drills = measured(row, row.scenarios, 3)

    assert {name: drill["verdict"] for name, drill in drills.items()} == dict.fromkeys(row.scenarios, "PASS")
    assert all(drill["stored"] for drill in drills.values())
    waves = math.ceil(ROOMS / 3)
    assert wall_s <= RATIO * slowest_s * waves, f"{wall_s:.1f} s for {waves} waves of {slowest_s:.1f} s"
    found = [stored(row, scenario) for scenario in row.scenarios]
    assert any(one.started < other.started < one.ended for one in found for other in found)
    assert {one.environment for one in found} == {f"row@{scenario}" for scenario in row.scenarios}

    drill = drills["room-00-down"]["drill"]
    done = row.gameday(
        "show", drill, "--history", history_url(row), "--to", str(tmp_path / "to"), "-o", "json"
    )
    assert json.loads(done.stdout)["verdict"] == "PASS", done.stderr
    assert {"report.html", "timeline.jsonl", "junit.xml"} <= {
        path.name for path in (tmp_path / "to").iterdir()
    }
    assert PASSWORD not in "".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in (tmp_path / "to").rglob("*")
        if path.is_file()
    )


@pytest.mark.long
def test_drills_of_the_same_component_wait_for_each_other(row: Row) -> None:
    room = row.rooms[0]
    row.write(
        f"scenarios/{room}-again.yaml",
        AGAIN.replace("NAME_closed", "room_00_closed").replace("NAME", room),
    )
    _, _, drills = measured(row, [f"{room}-down", f"{room}-again"], 2)
    assert {drill["verdict"] for drill in drills.values()} == {"PASS"}
    one, other = sorted((stored(row, name) for name in drills), key=lambda found: found.started)
    assert one.ended <= other.started


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_forty_drills_take_hardly_longer_than_their_waves(runner_image: str) -> None:
    parallel = 4
    with Row.open_in(runner_image, 40) as many:
        with_database(many)
        wall_s, slowest_s, drills = measured(many, many.scenarios, parallel)
        many.wait_until_whole()
    verdicts = [drill["verdict"] for drill in drills.values()]
    assert verdicts == ["PASS"] * 40
    waves = math.ceil(40 / parallel)
    print(f"\n40 drills, {parallel} at once: {wall_s:.1f} s; slowest {slowest_s:.1f} s, {waves} waves: ratio "
          f"{wall_s / (slowest_s * waves):.2f}")  # fmt: skip
    assert wall_s <= RATIO * slowest_s * waves


# --- verdicts -------------------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_the_verdict_is_the_exit_code_of_the_pod_and_the_worst_one_that_of_the_command(row: Row) -> None:
    useless = (row.root / "runbooks/room-01.md").read_text().replace("{start: room-01}", "{start: room-02}")
    row.write("runbooks/room-01.md", useless)

    done = row.submit("-p", "2", "--wait", "-o", "json", scenarios=row.scenarios[:2])

    assert done.code == 1, done.stdout + done.stderr
    drills = result(done.stdout)
    assert (drills["room-00-down"]["verdict"], drills["room-01-down"]["verdict"]) == ("PASS", "FAIL")
    codes = {
        pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: pod["status"][
            "containerStatuses"
        ][0]["state"]["terminated"]["exitCode"]
        for pod in row.quarters.listed("pods", "gameday.dev/drills")
    }
    assert codes == {"0": 0, "1": 1}
    (job,) = row.quarters.listed("jobs", "gameday.dev/drills")
    assert job["status"]["failedIndexes"] == "1"
    assert job["status"]["completedIndexes"] == "0"


@pytest.mark.long
def test_a_pod_that_is_killed_is_not_repeated_and_its_drill_is_put_back(row: Row) -> None:
    name, runner = started(row, row.scenarios[:1])
    try:
        assert eventually(lambda: held(row, row.rooms[0]), 90), row.quarters.do("get", "pods,jobs")
        (pod,) = row.quarters.listed("pods", f"batch.kubernetes.io/job-name={name}")
        row.quarters.do("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
        output, _ = runner.communicate(timeout=180)
    finally:
        runner.kill()
    assert runner.returncode == 3, output
    assert "INCONCLUSIVE" in output
    row.wait_until_whole(90)
    assert len(row.quarters.listed("pods", f"batch.kubernetes.io/job-name={name}")) <= 1


@pytest.mark.long
def test_recover_on_another_machine_finds_what_a_drill_beside_others_has_left(
    row: Row, tmp_path: Path
) -> None:
    name, runner = started(row, row.scenarios[:1])
    runner.kill()
    runner.communicate()
    assert eventually(lambda: held(row, row.rooms[0]), 90), row.quarters.do("get", "pods,jobs")
    # who may do nothing any more puts nothing back, neither the runner nor its dead-man switch
    row.quarters.do("delete", "rolebinding", "gameday", "gameday-deadman")
    try:
        row.quarters.do("delete", "pods", "-l", f"batch.kubernetes.io/job-name={name}", "--grace-period=1")
        row.quarters.do("delete", "jobs", "-l", "gameday.dev/deadman", "--cascade=foreground")
        assert held(row, row.rooms[0])
        done = row.another(tmp_path / "elsewhere").gameday("recover", "-e", "row", timeout_s=180)
    finally:
        row.allow()

    assert done.code == 0, done.stdout + done.stderr
    assert "put back" in done.stdout
    assert not held(row, row.rooms[0])


def started(row: Row, scenarios: list[str]) -> tuple[str, subprocess.Popen[str]]:
    """Drills that are waited for; the job's name."""
    runner = row.begin("submit", *scenarios, "-e", "row", "--wait")
    assert runner.stdout is not None
    line = runner.stdout.readline()
    found = re.match(r"job (\S+) in namespace", line)
    assert found, line
    return found[1], runner


def held(row: Row, room: str) -> bool:
    return "gameday.dev/held" in (row.quarters.get("deployment", room)["metadata"].get("annotations") or {})


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_job_running_and_says_how_to_follow_it(row: Row, number: signal.Signals) -> None:
    name, runner = started(row, row.scenarios[:1])
    time.sleep(2)
    runner.send_signal(number)
    output, _ = runner.communicate(timeout=30)

    assert runner.returncode == 4
    assert f"job {name} goes on" in output
    assert f"gameday follow {name} --environment row" in output
    assert re.search(rf"kubectl --context \S+ --namespace \S+ delete job {name}", output)
    followed = row.gameday("follow", name, "-e", "row", timeout_s=200)
    assert followed.code == 0, followed.stdout + followed.stderr
    assert "1 drills: 1 PASS" in followed.stdout


@pytest.mark.long
def test_a_deleted_job_puts_everything_back(row: Row) -> None:
    done = row.submit(scenarios=row.scenarios[:1])
    assert done.code == 0, done.stderr
    (name,) = row.jobs()
    assert eventually(lambda: held(row, row.rooms[0]), 90)
    row.quarters.do("delete", "job", name, "--wait=true", "--timeout=100s")
    row.wait_until_whole(60)


# --- what is refused, and what is said -------------------------------------------------------------------------------


@pytest.mark.long
def test_what_cannot_be_carried_out_is_refused_before_anything_is_made(row: Row) -> None:
    before = row.quarters.everything()
    unknown = row.submit(scenarios=["room-00-down", "nothing"])
    assert unknown.code == 2
    assert "nothing.yaml does not exist" in unknown.stderr
    assert "named twice" in row.submit(scenarios=["room-00-down", "room-00-down"]).stderr
    for scenario in row.scenarios[:2]:
        text = (row.root / f"scenarios/{scenario}.yaml").read_text()
        row.write(f"scenarios/{scenario}.yaml", text + "#" * 600_000)
    big = row.submit(scenarios=row.scenarios[:2])
    assert (big.code, "a ConfigMap holds 1,048,576" in big.stderr) == (2, True), big.stderr
    assert row.quarters.everything() == before


@pytest.mark.long
def test_a_missing_service_account_is_named(row: Row) -> None:
    account = row.quarters.get("serviceaccount", "gameday")
    row.quarters.do("delete", "serviceaccount", "gameday")
    try:
        done = row.submit(scenarios=row.scenarios[:1])
    finally:
        metadata = {"name": "gameday", "namespace": row.quarters.namespace}
        row.quarters.apply({"apiVersion": "v1", "kind": account["kind"], "metadata": metadata})
    assert done.code == 2
    assert "has no service account gameday" in done.stderr
    assert "gameday rbac" in done.stderr


@pytest.mark.long
def test_a_secret_that_is_not_there_is_said_while_waiting(row: Row) -> None:
    words = ("-e", "row", "--wait", "--history-secret", "nowhere", "--deadline", "20")
    runner = row.begin("submit", "room-00-down", *words)
    output, _ = runner.communicate(timeout=120)
    assert runner.returncode == 3, output
    assert 'secret "nowhere" not found' in output
    assert "DeadlineExceeded" in output


# --- schedules ------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_schedule_is_taken_by_the_cluster_and_its_job_is_a_drill(row: Row) -> None:
    words = ("--cron", "0 4 1 1 *", "--time-zone", "Europe/Berlin", "-e", "row", "--name", "yearly")
    done = row.gameday("schedule", "export", "room-00-down", *words, "--history-secret", "team-history")
    assert done.code == 0, done.stderr
    row.quarters.do("apply", "--server-side", "-f", "-", stdin=done.stdout)
    cron = row.quarters.get("cronjob", "gameday-row-yearly")
    assert (cron["spec"]["concurrencyPolicy"], cron["spec"]["timeZone"]) == ("Forbid", "Europe/Berlin")
    row.quarters.do("create", "job", "--from=cronjob/gameday-row-yearly", "now")
    followed = row.gameday("follow", "now", "-e", "row", timeout_s=200)
    assert followed.code == 0, followed.stdout + followed.stderr
    assert yaml.safe_load(done.stdout.split("---")[1])["kind"] == "ConfigMap"
