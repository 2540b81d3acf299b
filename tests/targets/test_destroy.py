"""A database whose data are destroyed: it stays destroyed until it is restored, whoever is killed when."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gameday.errors import TargetError, UsageError
from gameday.targets.base import Destroyable, Running
from gameday.targets.process import ProcessTarget
from targets.small import CACHE, DATABASE, MakeTarget, marked, run_starter
from targets.test_postgresql import PLAIN, insert, rows, segments

pytestmark = pytest.mark.process
MESSAGE = "database: its data directory was destroyed; restore it"


def home(target: ProcessTarget) -> Path:
    footing = target._components["database"].record().footing
    assert footing is not None
    return footing.home


def test_a_destroyed_database_is_gone_and_no_start_makes_an_empty_one(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    insert(target, 1, 10)
    lock = (home(target) / "data" / "postmaster.pid").read_text().splitlines()
    assert isinstance(target, Destroyable)
    assert target.check_backup("database").endswith("UTC and the archive since")

    said = target.destroy("database", 10)

    assert said.startswith("destroyed the data of database: SIGKILL ended pid")
    assert not marked(target.folder)
    assert not (home(target) / "data").exists()
    assert (home(target) / "backup" / "PG_VERSION").exists()
    assert lock[6].split()[1] not in segments()
    status = target.status()["database"]
    assert (status.running, status.detail) == (Running.DOWN, "its data were destroyed")
    for _ in range(2):
        with pytest.raises(TargetError, match=MESSAGE):
            target.start("database", 10)
    with pytest.raises(TargetError, match=MESSAGE):
        target.up()
    assert not (home(target) / "data").exists()


@pytest.mark.parametrize(("to", "kept"), [("latest", range(1, 11)), ("backup", range(1, 6))])
def test_a_restore_brings_back_what_backup_and_archive_have(
    make_target: MakeTarget, to: str, kept: range
) -> None:
    target = make_target(database=DATABASE)
    target.up()
    insert(target, 1, 5)
    target.back_up_database("database")
    insert(target, 6, 10)
    with psycopg.connect(target.address("database").url, user="postgres", autocommit=True) as operator:
        operator.execute("select pg_switch_wal()")
    target.stop("database", 10)  # what is full is archived
    target.start("database", 10)
    insert(target, 11, 12)
    target.destroy("database", 10)

    target.restore("database", to, 60)

    assert rows(target) == list(kept), "what was never archived is lost with the data directory"
    assert target.status()["database"].detail == ""
    insert(target, 900, 900)
    target.kill("database", "SIGKILL", 5)
    target.start("database", 20)
    assert rows(target) == [*kept, 900]


@pytest.mark.parametrize(
    "point", ["component:Component.end", "databases.remove_data", "restore.shutil.rmtree"]
)
def test_an_interrupted_destroy_stays_one(make_target: MakeTarget, tmp_path: Path, point: str) -> None:
    target = make_target(database=DATABASE)
    target.up()
    insert(target, 1, 5)
    target.back_up_database("database")
    insert(target, 6, 10)
    starter = run_starter(tmp_path, {"database": DATABASE}, 'destroy:["database", 10]', "die-at", point)
    starter.communicate(timeout=20)
    assert starter.returncode == -signal.SIGKILL

    with pytest.raises(TargetError, match=MESSAGE):
        target.start("database", 10)
    target.restore("database", "latest", 60)

    assert rows(target) == list(range(1, 6)), "the log in the data directory counts as destroyed too"


def test_a_destroy_can_be_repeated_and_of_a_database_that_is_down(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    target.kill("database", "SIGKILL", 5)
    assert "it was down already" in target.destroy("database", 10)
    assert "it was down already" in target.destroy("database", 10)


def test_a_restore_that_was_interrupted_or_failed_leaves_it_destroyed(
    make_target: MakeTarget, tmp_path: Path
) -> None:
    target = make_target(database=DATABASE)
    target.up()
    insert(target, 1, 5)
    target.back_up_database("database")
    target.destroy("database", 10)
    starter = run_starter(
        tmp_path,
        {"database": DATABASE},
        'restore:["database", "latest", 60]',
        "die-at",
        "component:Component.mark_destroyed",
    )
    starter.communicate(timeout=30)
    assert starter.returncode == -signal.SIGKILL
    with pytest.raises(TargetError, match=MESSAGE):
        target.start("database", 10)

    with pytest.raises(TargetError, match="recovery ended before configured recovery target"):
        target.restore_database("database", target_lsn="FF/0", timeout_s=60)
    with pytest.raises(TargetError, match=MESSAGE):
        target.start("database", 10)

    target.restore("database", "latest", 60)
    assert rows(target) == list(range(1, 6))


def test_without_a_backup_nothing_is_destroyed(make_target: MakeTarget) -> None:
    target = make_target("small@plain", database=PLAIN, cache=CACHE)
    target.up()
    with pytest.raises(UsageError, match="database has no backup"):
        target.destroy("database", 10)
    with pytest.raises(UsageError, match="cache is not a PostgreSQL"):
        target.check_backup("cache")
    assert target.status()["database"].running == Running.UP

    backed: Any = make_target("small@backed", database=DATABASE)
    backed.up()
    shutil.rmtree(home(backed) / "backup")
    with pytest.raises(UsageError, match="database has no base backup"):
        backed.destroy("database", 10)
    assert backed.status()["database"].running == Running.UP


def test_down_and_up_after_a_destroy_make_a_new_database(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    target.destroy("database", 10)
    target.down()
    assert target.up() == ("database",)
