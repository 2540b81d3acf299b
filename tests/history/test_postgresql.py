"""The history of a team: the same promises on a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from gameday.history import History, HistoryError, connect, figures
from gameday.history.connect import open_engine
from gameday.history.filters import Wanted
from gameday.history.migrate import VERSION_TABLE, ensure_schema
from gameday.history.model import Base
from gameday.project import Project
from gameday.targets.process import ProcessTarget
from history.plenty import NEWEST, many, one, store
from history.shop import digests
from history.test_figures import check_tallies
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
    with History.open(project) as history:
        for name in ("shared", "w0-0", "w15-5"):
            history.fetch(name, project.root / "fetched" / name)
            assert digests(project.root / "fetched" / name) == digests(project.reports / name)


def test_migrations_make_what_the_model_says(database: str) -> None:
    engine = open_engine(make_url(database), 1.0)
    ensure_schema(engine, 1.0)
    with engine.connect() as connection:
        ours = {"include_object": lambda _object, name, *_: name != VERSION_TABLE}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **ours})
        assert compare_metadata(context, Base.metadata) == []


def test_a_server_that_answers_no_more_is_given_up(database: str) -> None:
    begun = time.monotonic()
    engine = open_engine(make_url(database), 1.0, transaction_s=1.0)
    with pytest.raises(OperationalError), engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(25)")
    assert 1 <= time.monotonic() - begun < 15


def test_a_row_that_somebody_else_keeps_locked_is_waited_for_only_so_long(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "LOCK_TIMEOUT_S", 1)
    record = records.passed(project.reports / "one")
    with History.open(project) as history, psycopg.connect(database) as other:
        history.add(record)
        other.execute("SELECT * FROM gameday_drills FOR UPDATE")
        with pytest.raises(HistoryError, match=r"lock timeout.*history add"):
            history.add(record)
        other.rollback()
        history.add(record)


def test_tables_of_the_first_version_are_brought_up_to_date(project: Project, database: str) -> None:
    with History.open(project) as history:
        record = records.failed(project.reports / "one")
        history.add(record)
    with psycopg.connect(database) as connection:
        connection.execute("DROP TABLE gameday_migrations, gameday_evidence_files")
        connection.execute("CREATE TABLE gameday_schema (version integer PRIMARY KEY)")
        connection.execute("INSERT INTO gameday_schema VALUES (1)")
        connection.execute("ALTER TABLE gameday_drill_alerts DROP COLUMN outcome")
        for column in (
            "rules",
            "counted",
            "reasons",
            "detected_result",
            "recovered_result",
            "data_loss_result",
        ):
            connection.execute(f"ALTER TABLE gameday_drills DROP COLUMN {column}")
        connection.execute("ALTER TABLE gameday_drills ALTER COLUMN rto_s SET NOT NULL")

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


def test_figures_are_added_up_as_in_sqlite(project: Project, database: str, tmp_path: Path) -> None:
    rows = many(400)
    answers = []
    for url in (database, f"sqlite:///{tmp_path / 'same.sqlite'}"):
        with History.open(project, url) as history:
            store(history, rows)
            with history.reading() as session:
                assert session is not None
                since = Wanted(since=NEWEST - timedelta(days=300))
                answers.append(
                    (
                        figures.tallies(session, since),
                        [
                            replace(one, gaps_s=0.0, same_gaps_s=0.0)
                            for one in figures.failures(session, since)
                        ],
                        [round(one.gaps_s, 2) for one in figures.failures(session, since)],
                        figures.alerts(session, since),
                        figures.candidates(session, Wanted(environment="hotel-local"), 10),
                        figures.last_passes(session, Wanted(), rehearsals=False),
                    )
                )
    ours, theirs = answers
    check_tallies(ours[0][0], [row for row, _ in rows if row["started"] >= NEWEST - timedelta(days=300)])
    assert ours[1:] == theirs[1:]


def test_months_are_those_of_utc_whatever_the_servers_zone(project: Project, database: str) -> None:
    with History.open(project) as history:
        store(history, [one("a", datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)), one("b", NEWEST)])
        with psycopg.connect(database, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE \"{name}\" SET TimeZone = 'Pacific/Auckland'")
        with history.reading() as session:
            assert session is not None
            assert [tally.month for tally in figures.tallies(session, Wanted())[0]] == ["2026-03", "2026-02"]
