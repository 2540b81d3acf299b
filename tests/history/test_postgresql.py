"""The index of a team: the same promises on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gameday.history import History
from gameday.project import Project
from gameday.targets.process import ProcessTarget
from history.writers import NAMES, write_at_once
from reporting import records
from targets.small import DATABASE, make_environment

pytestmark = pytest.mark.process


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("GAMEDAY_PROJECT", "GAMEDAY_REPORTS", "GAMEDAY_STATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "environments").mkdir()
    (tmp_path / "reports").mkdir()
    return Project(tmp_path)


@pytest.fixture
def database(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    target = ProcessTarget(make_environment({"database": DATABASE}), "team", project)
    target.up()
    try:
        url = target.address("database").url
        monkeypatch.setenv("GAMEDAY_HISTORY_URL", url)
        yield url
    finally:
        target.down()


def test_sixteen_writers_at_once_lose_nothing_and_store_nothing_twice(
    project: Project, database: str
) -> None:
    write_at_once(project, database)
    with History.open(project) as history:
        rows = history.drills(limit=None)
    names = [row.drill for row in rows]
    assert len(names) == len(NAMES)
    assert set(names) == NAMES
    assert all(len(row.alerts) == 2 for row in rows)
    assert rows[0].started == records.ZERO.utc
    assert not (project.reports / "history.sqlite").exists()
    with History.open(project) as history:
        ((_, tallies),) = history.tallies(rows[0].environment).items()
    assert sum(tally.drills for tally in tallies.drills) == len(NAMES)
    assert {tally.outcome.value for tally in tallies.alerts} == {"fired", "collateral"}


def test_tables_of_the_first_version_are_brought_up_to_date(project: Project, database: str) -> None:
    with History.open(project) as history:
        record = records.failed(project.reports / "one")
        history.add(record)
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE gameday_drill_alerts DROP COLUMN outcome")
        connection.execute("ALTER TABLE gameday_drills DROP COLUMN rules, DROP COLUMN counted")
        connection.execute("ALTER TABLE gameday_drills ALTER COLUMN rto_s SET NOT NULL")
        connection.execute("UPDATE gameday_schema SET version = 1")

    with History.open(project) as history:
        (row,) = history.drills()
        history.add(record)

    assert row.counted
    assert {alert.outcome for alert in row.alerts} == {"missed", "quiet", "unexpected"}


def test_hostile_names_are_stored_and_rebuild_finds_every_folder(project: Project, database: str) -> None:
    drills = [make(project.reports / name) for name, make in records.ALL.items()]
    with History.open(project) as history:
        assert history.drills() == ()
        history.add(drills[-1])
        rebuilt = history.rebuild()
        assert (rebuilt.indexed, rebuilt.skipped) == (len(drills), ())
        assert {row.drill for row in history.drills()} == {record.drill for record in drills}
