"""A PostgreSQL in a container whose data are destroyed: it stays destroyed until it is restored, whoever dies when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from containers.cellar import ARCHIVE, BACKUP, DATA, archive_all, back_up, in_volumes, run_database
from containers.seen import comparable
from containers.worlds import World
from gameday.errors import TargetError, UsageError
from gameday.journal import Undo
from gameday.targets.base import Destroyable, Running
from gameday.targets.docker.databases import DATABASE_LABEL
from gameday.targets.docker.helper import ENVIRONMENT_LABEL
from gameday.targets.docker.target import DockerTarget
from gameday.undo import revert
from targets.kept import insert, rows
from targets.killed import killed_at

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]
DESTROYED = r"^database: its data were destroyed; restore it from its backup"


def again(small: World) -> DockerTarget:
    """Another runner, which has the first one's state and nothing else of it."""
    return DockerTarget(small.environment(), "world", small.project)


def filled(small: World, **more: Any) -> DockerTarget:
    """Rows 1 to 3 in the backup, 4 to 6 in the archive only, 7 to 9 only in the data directory."""
    target = run_database(small, **more)
    insert(target, range(1, 4))
    back_up(small)
    insert(target, range(4, 7))
    archive_all(small)
    insert(target, range(7, 10))
    return target


def files(small: World) -> list[str]:
    return in_volumes(small, f"ls -A {DATA}").split()


def helpers(small: World, target: DockerTarget) -> list[Any]:
    wanted = [DATABASE_LABEL, f"{ENVIRONMENT_LABEL}={target.engine_name}"]
    found: list[Any] = small.client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
    return [one for one in found if small.prefix in str(one.attrs["HostConfig"]["VolumesFrom"])]


def test_what_is_destroyed_is_gone_and_the_undo_brings_back_what_was_archived(small: World) -> None:
    target = filled(small)
    assert isinstance(target, Destroyable)
    before = comparable(small.inspect("database"))
    assert target.check_backup("database").endswith(" UTC and the archive since")
    assert rows(target) == list(range(1, 10)), "to look at the backup touches nothing"

    said = target.destroy("database", 60)

    assert "SIGKILL ended container" in said
    assert not small.inspect("database")["State"]["Running"]
    assert files(small) == [".gameday-destroyed"]
    assert in_volumes(small, f"ls {BACKUP}/PG_VERSION {ARCHIVE} | wc -l") != "0\n"
    with pytest.raises(psycopg.OperationalError):
        rows(target)
    status = again(small).status()["database"]
    assert (status.running, status.detail.split(", ")[-1]) == (Running.DOWN, "its data were destroyed")
    for _ in range(2):
        with pytest.raises(TargetError, match=DESTROYED):
            again(small).start("database", 30)

    undo = Undo("restore", "database")
    begun = time.monotonic()
    assert "and the whole archive in" in revert(undo, again(small))
    took_s = time.monotonic() - begun
    assert rows(target) == list(range(1, 7)), "what was never archived is lost with the data directory"
    assert target.status()["database"].detail == ""
    assert revert(undo, target) == "was restored already"
    assert rows(target) == list(range(1, 7))
    assert comparable(small.inspect("database")) == before
    assert not [name for name in files(small) if "gameday" in name]
    assert helpers(small, target) == []
    assert took_s < 60

    insert(target, [900])
    target.kill("database", "SIGKILL", 10)
    target.start("database", 60)
    assert rows(target) == [*range(1, 7), 900], "it is an ordinary database again"


def test_a_server_that_somebody_starts_in_destroyed_data_makes_no_empty_database(small: World) -> None:
    target = filled(small, restart_policy={"Name": "unless-stopped"})
    target.destroy("database", 60)

    small.client.api.start(f"{small.prefix}-database-1")
    time.sleep(2)

    assert small.inspect("database")["RestartCount"] > 0, "initdb refuses, again and again"
    assert target.status()["database"].running is Running.DOWN
    assert "PG_VERSION" not in files(small)
    target.restore("database", "latest", 120)
    assert rows(target) == list(range(1, 7))


def test_a_restore_of_the_backup_alone_has_nothing_later(small: World) -> None:
    target = filled(small)
    target.destroy("database", 60)
    assert "its base backup alone in" in target.restore("database", "backup", 120)
    assert rows(target) == list(range(1, 4))
    with pytest.raises(UsageError, match=r"'yesterday' is none of latest and backup"):
        target.restore("database", "yesterday", 10)


def test_a_restore_of_what_is_not_destroyed_loses_nothing_and_one_that_fails_puts_it_back(
    small: World,
) -> None:
    target = filled(small)
    before = comparable(small.inspect("database"))

    target.restore("database", "latest", 120)
    assert rows(target) == list(range(1, 10)), "the old data still had the rest of the log"
    assert comparable(small.inspect("database")) == before
    assert not [name for name in files(small) if "gameday" in name]

    in_volumes(small, f"mv {BACKUP}/global/pg_control {BACKUP}/pg_control.lost")
    with pytest.raises(TargetError, match="restore database: it ended during recovery"):
        target.restore("database", "latest", 120)
    assert rows(target) == list(range(1, 10))
    assert not [name for name in files(small) if "gameday" in name]
    assert comparable(small.inspect("database")) == before
    in_volumes(small, f"mv {BACKUP}/pg_control.lost {BACKUP}/global/pg_control")

    target.destroy("database", 60)
    in_volumes(small, f"mv {BACKUP}/global/pg_control {BACKUP}/pg_control.lost")
    with pytest.raises(TargetError, match="restore database: it ended during recovery"):
        target.restore("database", "latest", 120)
    assert files(small) == [".gameday-destroyed"], "it stays destroyed, and can be restored again"
    with pytest.raises(TargetError, match=DESTROYED):
        target.start("database", 30)


@pytest.mark.parametrize(
    ("step", "after"),
    [("_end_server", False), ("_in_data_volumes", False), ("_in_data_volumes", True)],
)
def test_an_interrupted_destroy_stays_one(small: World, step: str, after: bool) -> None:
    target = filled(small)
    killed_at(DockerTarget, step, lambda: again(small).destroy("database", 60), after=after)

    with pytest.raises(TargetError, match=DESTROYED):
        target.start("database", 30)
    if step == "_in_data_volumes":
        assert target.status()["database"].running is Running.DOWN
    again(small).restore("database", "latest", 120)

    assert rows(target) == list(range(1, 7)), "what the data directory still had counts as destroyed too"
    assert target.status()["database"].running is Running.UP


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("_replace_data", False),
        ("_replace_data", True),
        ("_wait_recovered", False),
        ("_wait_recovered", True),
        ("_tidy_data", False),
    ],
)
@pytest.mark.parametrize("destroyed", [True, False], ids=["destroyed", "kept"])
def test_an_interrupted_restore_is_completed_or_taken_back(
    small: World, step: str, after: bool, destroyed: bool
) -> None:
    target = filled(small)
    if destroyed:
        target.destroy("database", 60)
    killed_at(DockerTarget, step, lambda: again(small).restore("database", "latest", 120), after=after)

    if destroyed:
        revert(Undo("restore", "database"), again(small))
        assert rows(target) == list(range(1, 7))
    else:
        again(small).start("database", 60)
        assert rows(target) == list(range(1, 10))
    target.stop("database", 30)
    target.start("database", 60)
    assert rows(target) == list(range(1, 7 if destroyed else 10))
    assert not [name for name in files(small) if "gameday" in name]
    assert helpers(small, target) == []


def test_a_container_that_is_gone_is_made_again_and_restored(small: World) -> None:
    target = filled(small)
    target.destroy("database", 60)
    small.client.api.remove_container(f"{small.prefix}-database-1")

    target.restore("database", "latest", 120)

    assert rows(target) == list(range(1, 7))


Prepare = Callable[[World], DockerTarget]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (
            run_database,
            r"database: no base backup in /backup/base: it has no PG_VERSION; take one with pg_base",
        ),
        (
            lambda small: run_database(small, database={"data": DATA, "backup": f"{DATA}/backup"}),
            r"its backup .* is on the same volume as its data directory",
        ),
        (
            lambda small: run_database(small, database={"data": DATA, "backup": "/var/base"}),
            r"its backup /var/base is not on a volume",
        ),
    ],
    ids=["no backup", "same volume", "no volume"],
)
def test_without_a_backup_that_outlives_it_nothing_is_destroyed(
    small: World, prepare: Prepare, message: str
) -> None:
    target = prepare(small)
    insert(target, [1])
    for call in (lambda: target.check_backup("database"), lambda: target.destroy("database", 30)):
        with pytest.raises(UsageError, match=message):
            call()
    assert rows(target) == [1]
    assert target.status()["database"].running is Running.UP


def test_what_is_no_database_is_refused(small: World) -> None:
    small.run("api")
    target = small.target()
    with pytest.raises(UsageError, match="api has no `database` in the environment"):
        target.check_backup("api")
