"""The canary against a loss that is real: the database is restored to an earlier point."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from gameday.environment import load_environment
from gameday.project import Project
from gameday.targets.process import ProcessTarget
from process.inn import RUNBOOK, SCENARIO, Inn

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("inn")]


def back_up(inn: Inn) -> None:
    """A base backup of now: what a restore without the archive goes back to."""
    environment = load_environment(Path(inn.root / "environments" / "inn.yaml"))
    ProcessTarget(environment, "inn", Project(inn.root)).back_up_database("database")


def accounted(inn: Inn) -> dict[str, float]:
    return next(event["data"] for event in inn.events() if event["event"] == "canary.accounted")


def test_records_lost_by_going_back_to_the_backup_are_counted_and_dated(inn: Inn) -> None:
    inn.write("runbooks/database.md", RUNBOOK.replace("{start: database}", "{restore: database, to: backup}"))
    back_up(inn)

    done = inn.drill()

    assert done.code == 0, done.stdout
    lost = accounted(inn)
    events = {event["event"]: event for event in inn.events()}
    injected_ns = events["fault.injecting"]["at"]["mono_ns"]
    before_s = (injected_ns - events["drill.started"]["at"]["mono_ns"]) / 1e9
    assert lost["missing"] >= 5, "ten records a second were acknowledged before the fault"
    # the first record was acknowledged soon after the drill began, and every one of them is gone
    assert before_s - 1.5 < lost["oldest_missing_s"] < before_s
    assert inn.verdict()["data_loss_s"] == lost["oldest_missing_s"]
    assert still_there(inn) == lost["acknowledged"] - lost["missing"]


def test_a_loss_beyond_the_rpo_fails_the_drill(inn: Inn) -> None:
    inn.write("runbooks/database.md", RUNBOOK.replace("{start: database}", "{restore: database, to: backup}"))
    inn.write("scenarios/database-down.yaml", SCENARIO.replace("rpo: 30s", "rpo: 100ms"))
    back_up(inn)

    done = inn.drill()

    assert done.code == 1, done.stdout
    assert inn.checks()["data_loss"] == "missed"
    assert inn.checks()["recovered"] == "met"


def test_the_same_restore_with_the_archive_loses_nothing(inn: Inn) -> None:
    inn.write("runbooks/database.md", RUNBOOK.replace("{start: database}", "{restore: database}"))
    back_up(inn)

    done = inn.drill()

    assert done.code == 0, done.stdout
    assert accounted(inn)["missing"] == 0


def still_there(inn: Inn) -> int:
    """Rows of this drill's canary, counted without gameday."""
    prefix = f"gameday-{inn.latest().name.rsplit('-', 1)[-1]}-canary-%"
    environment = load_environment(Path(inn.root / "environments" / "inn.yaml"))
    url = ProcessTarget(environment, "inn", Project(inn.root)).address("database").url
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select count(*) from reservations where reference like %s", [prefix]
        ).fetchone()
    assert row is not None
    return int(row[0])
