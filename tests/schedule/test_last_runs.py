"""The newest drills of every scenario, from each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gameday.history import History
from gameday.history.last_runs import LastRun, last_runs
from gameday.project import Project
from gameday.record import DrillRecord
from gameday.targets.process import ProcessTarget
from reporting import records
from targets.small import DATABASE, make_environment


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("GAMEDAY_PROJECT", "GAMEDAY_REPORTS", "GAMEDAY_STATE", "GAMEDAY_HISTORY_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "environments").mkdir()
    (tmp_path / "reports").mkdir()
    return Project(tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def history(request: pytest.FixtureRequest, project: Project) -> Iterator[History]:
    if request.param == "sqlite":
        with History.open(project) as opened:
            yield opened
        return
    target = ProcessTarget(make_environment({"database": DATABASE}), "team", project)
    target.up()
    try:
        with History.open(project, target.address("database").url) as opened:
            yield opened
    finally:
        target.down()


def record(project: Project, name: str, day: int, **settings: object) -> DrillRecord:
    zero = replace(records.ZERO, utc=records.ZERO.utc + timedelta(days=day))
    return records.passing(project.reports / name, drill=name, zero=zero, **settings).write()


def test_the_newest_of_each_scenario_verdict_and_kind(project: Project, history: History) -> None:
    assert last_runs(history, "hotel-local") is None
    failed = records.failed(project.reports / "failed")
    found = [
        record(project, "old", 0),
        record(project, "new", 2),
        record(project, "second", 1, environment="hotel-local@second"),
        record(project, "rehearsed", 3, speed=10.0),
        record(project, "elsewhere", 9, environment="hotel-local-too"),
        failed,
    ]
    for one in found:
        history.add(one)
    day = records.ZERO.utc
    assert set(last_runs(history, "hotel-local") or ()) == {
        LastRun("database-down", "PASS", False, day + timedelta(days=2), "new"),
        LastRun("database-down", "PASS", True, day + timedelta(days=3), "rehearsed"),
        LastRun("database-down", "FAIL", False, day, failed.drill),
    }
    assert last_runs(history, "hotel") == ()
