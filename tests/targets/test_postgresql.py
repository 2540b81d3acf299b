"""PostgreSQL: killed and started again, restored, and run as another user than root."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gameday.errors import TargetError, UsageError
from gameday.targets import privilege
from gameday.targets.base import Running
from gameday.targets.process import ProcessTarget
from targets.small import DATABASE, MakeTarget, marked

pytestmark = pytest.mark.process
PLAIN = {"postgresql": {"database": "shop", "user": "shop", "archive": False, "base_backup": False}}


@contextmanager
def connected(target: ProcessTarget, **options: str) -> Iterator[psycopg.Connection[Any]]:
    url = target.address("database").url
    with psycopg.connect(url, autocommit=True, connect_timeout=5, **options) as connection:  # type: ignore[arg-type]
        yield connection


def rows(target: ProcessTarget) -> list[int]:
    with connected(target) as connection:
        return [row[0] for row in connection.execute("select id from orders order by id")]


def insert(target: ProcessTarget, first: int, last: int) -> datetime:
    with connected(target) as connection:
        connection.execute("create table if not exists orders (id int primary key)")
        connection.execute("insert into orders select generate_series(%s::int, %s::int)", (first, last))
    return datetime.now(UTC)


def segments() -> set[str]:
    """System V shared memory segments of this machine, by identifier."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines}


def test_twenty_kills_under_load_always_start_again_and_lose_nothing(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    port = target.address("database").port
    for turn in range(20):
        insert(target, turn, turn)
        with connected(target) as busy:
            busy.execute("select pg_sleep(0)")
            target.kill("database", "SIGKILL", 10)
            assert not marked(target.folder)
        target.start("database", 20)

    assert rows(target) == list(range(20))
    assert target.address("database").port == port
    assert not list((target.folder / "database" / "archive").glob("*.tmp"))


def test_backends_orphaned_by_someone_elses_kill_are_found_and_no_obstacle(make_target: MakeTarget) -> None:
    target = make_target(database=PLAIN)
    target.up()
    with connected(target) as busy:
        pid = busy.execute("select pg_backend_pid()").fetchone()[0]  # type: ignore[index]
        os.kill(pid, signal.SIGSTOP)  # so that it cannot notice and leave
        main = int(target.status()["database"].targets[0].split()[1])
        os.kill(main, signal.SIGKILL)
        time.sleep(0.2)

        status = target.status()["database"]
        assert status.running == Running.DOWN
        assert status.targets == (f"pid {pid} (postgres)",)
        assert target.start("database", 20).startswith("started")
        assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()


def test_a_lock_file_with_the_pid_of_a_zombie_or_a_stranger_is_no_obstacle(make_target: MakeTarget) -> None:
    target = make_target(database=PLAIN)
    target.up()
    lock = target.folder / "database" / "data" / "postmaster.pid"
    zombie = subprocess.Popen(["true"])
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        time.sleep(0.1)
        for process in (zombie, stranger):
            target.kill("database", "SIGKILL", 5)
            lines = lock.read_text().splitlines()
            lock.write_text("\n".join([str(process.pid), *lines[1:]]) + "\n")

            assert target.start("database", 10).startswith("started")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        zombie.wait()


def test_a_killed_database_that_is_removed_leaves_no_shared_memory(make_target: MakeTarget) -> None:
    target = make_target(database=PLAIN)
    target.up()
    lock = (target.folder / "database" / "data" / "postmaster.pid").read_text().splitlines()
    segment = lock[6].split()[1]
    target.kill("database", "SIGKILL", 5)
    assert segment in segments()

    target.down()

    assert segment not in segments()


def test_with_the_archive_a_restore_brings_back_every_row(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    insert(target, 1, 500)

    said = target.restore_database("database", timeout_s=60)

    assert rows(target) == list(range(1, 501))
    assert said.endswith("and the whole archive")
    assert insert(target, 501, 501)


def test_after_a_kill_a_restore_brings_back_what_was_never_archived(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    insert(target, 1, 500)
    target.kill("database", "SIGKILL", 5)

    target.restore_database("database", timeout_s=60)

    assert rows(target) == list(range(1, 501))


def test_without_the_archive_a_restore_loses_what_came_after_the_backup(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    insert(target, 1, 10)
    target.back_up_database("database")
    insert(target, 11, 500)

    target.restore_database("database", use_archive=False, timeout_s=60)

    assert rows(target) == list(range(1, 11))
    insert(target, 1000, 1010)
    target.restore_database("database", timeout_s=60)
    assert rows(target) == [*range(1, 11), *range(1000, 1011)], "the newest history is the one to follow"


def test_a_restore_to_a_time_or_a_position_ends_exactly_there(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    at = insert(target, 1, 100)
    with connected(target) as connection:
        position = connection.execute("select pg_current_wal_lsn()::text").fetchone()[0]  # type: ignore[index]
    insert(target, 101, 300)

    target.restore_database("database", target_time=at, timeout_s=60)
    assert rows(target) == list(range(1, 101))

    insert(target, 901, 902)
    target.kill("database", "SIGKILL", 5)
    target.start("database", 20)
    assert rows(target) == [*range(1, 101), 901, 902], "an ordinary start recovers to the end again"
    target.restore_database("database", target_lsn=position, timeout_s=60)
    assert rows(target) == list(range(1, 101))


def test_a_restore_that_fails_puts_the_data_back(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE)
    target.up()
    insert(target, 1, 100)

    with pytest.raises(TargetError, match="recovery ended before configured recovery target was reached"):
        target.restore_database("database", target_time=datetime(2100, 1, 1, tzinfo=UTC), timeout_s=60)

    assert rows(target) == list(range(1, 101))
    assert not (target.folder / "database" / "data.aside").exists()


def test_a_restore_that_cannot_be_is_refused_and_the_database_stays_up(make_target: MakeTarget) -> None:
    target = make_target(database=PLAIN)
    target.up()

    with pytest.raises(UsageError, match="no time zone"):
        target.restore_database("database", target_time=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(UsageError, match="a target needs the archive"):
        target.restore_database("database", target_lsn="0/1", use_archive=False)
    with pytest.raises(TargetError, match="there is no base backup"):
        target.restore_database("database")

    assert target.status()["database"].running == Running.UP


def test_an_interrupted_restore_is_finished_by_the_next_start(make_target: MakeTarget) -> None:
    target = make_target(database=PLAIN)
    target.up()
    insert(target, 1, 10)
    target.kill("database", "SIGKILL", 5)
    data = target.folder / "database" / "data"
    data.rename(data.with_name("data.aside"))

    target.start("database", 20)

    assert rows(target) == list(range(1, 11))


def test_settings_reach_the_server_and_no_name_can_smuggle_more_in(make_target: MakeTarget) -> None:
    settings = {"work_mem": "7MB", "application_name": "it's\\here", "fsync": True}
    target = make_target(database={"postgresql": {**PLAIN["postgresql"], "settings": settings}})
    target.up()
    with connected(target, user="postgres") as connection:
        found = {
            name: connection.execute(f"show {name}").fetchone()[0]  # type: ignore[index,call-overload]
            for name in ("work_mem", "fsync", "synchronous_commit", "unix_socket_directories")
        }
    assert found == {
        "work_mem": "7MB",
        "fsync": "on",
        "synchronous_commit": "on",
        "unix_socket_directories": "",
    }

    bad = make_target("small@bad", database={"postgresql": {**PLAIN["postgresql"], "settings": {"a b": 1}}})
    with pytest.raises(TargetError, match="'a b' is not the name of a PostgreSQL setting"):
        bad.up()


def test_a_folder_with_spaces_quotes_and_percent_signs_archives_and_restores(
    make_target: MakeTarget, tmp_path: Path
) -> None:
    root = tmp_path / 'it\'s 100% "odd" $HOME'
    (root / "environments").mkdir(parents=True)
    target = make_target(root=root, database=DATABASE)
    target.up()
    insert(target, 1, 50)

    target.restore_database("database", timeout_s=60)

    assert rows(target) == list(range(1, 51))
    assert list((target.folder / "database" / "archive").glob("0*"))


# --- as whom ------------------------------------------------------------------------------------------------


def expect_way(way: str) -> str:
    return way if os.geteuid() == 0 else "same"


def works(target: ProcessTarget) -> str:
    """Bring it up, kill it, start it, restore it; the way that was recorded."""
    target.up()
    insert(target, 1, 5)
    target.kill("database", "SIGKILL", 5)
    target.start("database", 20)
    target.restore_database("database", timeout_s=30)
    assert rows(target) == [1, 2, 3, 4, 5]
    footing = target._components["database"].record().footing
    assert footing is not None
    return footing.way


def test_below_a_folder_that_only_root_can_reach_a_user_namespace_is_used(make_target: MakeTarget) -> None:
    assert works(make_target(database=DATABASE)) == expect_way("unshare")


def test_a_trial_that_was_killed_half_way_does_not_change_the_choice(make_target: MakeTarget) -> None:
    target = make_target(database=PLAIN)
    home = target.folder / "database"
    home.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(home, 65534, 65534)

    target.up()

    footing = target._components["database"].record().footing
    assert footing is not None
    assert footing.way == expect_way("unshare")


def test_where_nobody_can_reach_everything_it_runs_as_nobody(
    open_path: Path, make_target: MakeTarget
) -> None:
    (open_path / "environments").mkdir()
    target = make_target(root=open_path, database=DATABASE)

    way = works(target)

    binaries = target._components["database"].record().footing.binaries  # type: ignore[union-attr]
    reachable = all(folder.stat().st_mode & 0o001 for folder in (binaries, *binaries.parents))
    assert way == expect_way("setuid" if reachable else "unshare")


@pytest.mark.parametrize("forbidden", [("_setuid", "_unshare"), ("_setuid", "_unshare", "_copied_data")])
def test_where_nothing_else_is_permitted_data_and_binaries_are_copied(
    open_path: Path, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch, forbidden: tuple[str, ...]
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError("not permitted here")

    for name in forbidden:
        monkeypatch.setattr(privilege, name, refuse)
    monkeypatch.setattr(privilege, "COPIES", open_path / "copies")
    target = make_target(database=DATABASE)

    assert works(target) == expect_way("copy")
    target.down()

    assert not (open_path / "copies").exists()


def test_when_nothing_works_the_error_says_what_was_tried(
    make_target: MakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(privilege, "try_footing", lambda footing: f"{footing.way} is forbidden")
    monkeypatch.setattr(privilege, "COPIES", tmp_path / "copies")

    with pytest.raises(
        TargetError, match=r"setuid is forbidden.*unshare is forbidden.*run gameday as a normal"
    ):
        privilege.choose_footing(tmp_path / "bin", tmp_path / "small" / "database", tmp_path / "small")

    assert not (tmp_path / "copies").exists()
