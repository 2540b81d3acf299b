"""A PostgreSQL in a pod whose data are destroyed: it stays destroyed until it is restored, whoever dies when."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import psycopg
import pytest

from cluster.quarters import Quarters
from cluster.vault import BACKUP, DATA, MOUNT, POD, files, filled, run_database
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.journal import Undo
from gameday.targets.base import Destroyable, Running
from gameday.targets.kubernetes.databases import DESTROYED, RESTORING
from gameday.targets.kubernetes.target import KubernetesTarget
from gameday.undo import revert
from targets.eventually import eventually
from targets.kept import connect, insert, rows
from targets.killed import killed_at

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]
CRASHED = "was not properly shut down"
IS_DESTROYED = r"^database: its data were destroyed; restore it from its backup"


def annotations(place: Quarters) -> dict[str, str]:
    found: dict[str, str] = place.get("statefulset", "database")["metadata"].get("annotations", {})
    return found


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
@pytest.mark.parametrize(("signal", "crashed"), [("SIGKILL", True), ("SIGTERM", False)])
def test_a_database_that_is_killed_crashes_and_one_that_is_told_to_end_does_not(
    place: Quarters, kind: str, signal: str, crashed: bool
) -> None:
    target = run_database(place, kind=kind)
    insert(target, range(1, 10))
    target.kill("database", signal, 60)
    target.start("database", 60)
    assert (CRASHED in target.logs("database", 200, 10)) is crashed
    assert rows(target) == list(range(1, 10))


def test_it_crashes_too_where_its_end_takes_longer_than_a_kubelet_does_to_start_what_has_crashed(
    place: Quarters, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run_database(place)
    patch = target.cluster.apps.patch_namespaced_stateful_set

    def patched_late(*args: Any, **options: Any) -> Any:
        time.sleep(4)
        return patch(*args, **options)

    monkeypatch.setattr(target.cluster.apps, "patch_namespaced_stateful_set", patched_late)
    target.kill("database", "SIGKILL", 60)
    target.start("database", 60)
    assert CRASHED in target.logs("database", 200, 10)


def test_a_database_goes_on_where_its_kill_ends_between_its_standing_still_and_the_signal(
    place: Quarters, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run_database(place)
    insert(target, range(1, 4))

    def refused(*args: Any, **options: Any) -> Any:
        raise TargetError("by the test")

    monkeypatch.setattr(target.cluster.apps, "patch_namespaced_stateful_set", refused)
    with pytest.raises(TargetError, match="by the test"):
        target.kill("database", "SIGKILL", 4)
    stopped = "grep -l '^State:.T' /proc/[0-9]*/status || true"
    assert place.shell(POD, stopped) != ""
    assert eventually(lambda: place.shell(POD, stopped) == "", within_s=20)
    assert rows(target) == [1, 2, 3]
    assert place.get("pod", POD)["status"]["containerStatuses"][0]["restartCount"] == 0


def test_what_is_destroyed_is_gone_and_the_undo_brings_back_what_was_archived(place: Quarters) -> None:
    target = filled(place)
    assert isinstance(target, Destroyable)
    before = place.everything()
    assert target.check_backup("database").endswith(" UTC and the archive since")
    assert rows(target) == list(range(1, 10)), "to look at the backup touches nothing"
    assert place.everything() == before

    said = target.destroy("database", 60)

    assert f"SIGKILL ended pod {POD}" in said
    assert files(place) == [".gameday-destroyed"]
    assert DESTROYED in annotations(place)
    assert place.pods_of("database") == []
    assert place.helpers() == []
    with pytest.raises(psycopg.OperationalError):
        rows(target)
    status = place.target().status()["database"]
    assert (status.running, status.detail.split(", ")[-1]) == (Running.DOWN, "its data were destroyed")
    for _ in range(2):
        with pytest.raises(TargetError, match=IS_DESTROYED):
            place.target().start("database", 30)

    undo = Undo("restore", "database")
    begun = time.monotonic()
    assert "and the whole archive in" in revert(undo, place.target())
    took_s = time.monotonic() - begun
    assert rows(target) == list(range(1, 7)), "what was never archived is lost with the data directory"
    assert target.status()["database"].detail == ""
    assert revert(undo, target) == "was restored already"
    assert place.everything() == before
    assert not [name for name in files(place) if "gameday" in name]
    assert took_s < 60

    insert(target, [900])
    target.kill("database", "SIGKILL", 30)
    target.start("database", 60)
    assert rows(target) == [*range(1, 7), 900], "it is an ordinary database again"


def test_a_server_that_somebody_starts_in_destroyed_data_makes_no_empty_database(place: Quarters) -> None:
    target = filled(place)
    target.destroy("database", 60)

    place.do("scale", "statefulset/database", "--replicas=1")

    def refused() -> bool:
        found = place.listed("pods", "app=database")
        states = [state for pod in found for state in pod["status"].get("containerStatuses", [])]
        return any(state["restartCount"] for state in states)

    assert eventually(refused, 30), "initdb refuses, again and again"
    assert target.status()["database"].running is Running.DOWN
    assert "PG_VERSION" not in files(place)
    target.restore("database", "latest", 120)
    assert rows(target) == list(range(1, 7))


def test_a_restore_of_the_backup_alone_has_nothing_later(place: Quarters) -> None:
    target = filled(place)
    target.destroy("database", 60)
    assert "its base backup alone in" in target.restore("database", "backup", 120)
    assert rows(target) == list(range(1, 4))
    with pytest.raises(UsageError, match=r"'yesterday' is none of latest and backup"):
        target.restore("database", "yesterday", 10)


def test_a_restore_of_what_is_not_destroyed_loses_nothing_and_one_that_fails_puts_it_back(
    place: Quarters,
) -> None:
    target = filled(place)
    before = place.everything()

    target.restore("database", "latest", 120)
    assert rows(target) == list(range(1, 10)), "the old data still had the rest of the log"
    assert place.everything() == before
    assert not [name for name in files(place) if "gameday" in name]

    place.shell(POD, f"mv {BACKUP}/global/pg_control {BACKUP}/pg_control.lost")
    with pytest.raises(TargetError, match="restore database: it ended during recovery"):
        target.restore("database", "latest", 120)
    assert rows(target) == list(range(1, 10))
    assert not [name for name in files(place) if "gameday" in name]
    assert place.everything() == before


@pytest.mark.parametrize(
    ("step", "after"),
    [
        pytest.param("_end", False, marks=pytest.mark.long),
        ("_end", True),
        ("_in_data_volumes", False),
        pytest.param("_in_data_volumes", True, marks=pytest.mark.long),
    ],
)
def test_an_interrupted_destroy_stays_one(place: Quarters, step: str, after: bool) -> None:
    target = filled(place)
    killed_at(KubernetesTarget, step, lambda: place.target().destroy("database", 60), after=after)

    with pytest.raises(TargetError, match=IS_DESTROYED):
        target.start("database", 30)
    assert target.status()["database"].running is Running.DOWN
    revert(Undo("restore", "database"), place.target())

    assert rows(target) == list(range(1, 7)), "what the data directory still had counts as destroyed too"
    assert target.status()["database"].running is Running.UP
    assert place.helpers() == []


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("_replace_data", False),
        pytest.param("_replace_data", True, marks=pytest.mark.long),
        ("_wait_recovered", False),
        pytest.param("_tidy_data", False, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("destroyed", [True, False], ids=["destroyed", "kept"])
def test_an_interrupted_restore_is_completed_or_taken_back(
    place: Quarters, step: str, after: bool, destroyed: bool
) -> None:
    target = filled(place)
    before = place.everything()
    if destroyed:
        target.destroy("database", 60)
    killed_at(KubernetesTarget, step, lambda: place.target().restore("database", "latest", 120), after=after)
    assert RESTORING in annotations(place)
    assert target.status()["database"].running is Running.DOWN

    if destroyed:
        revert(Undo("restore", "database"), place.target())
    else:
        place.target().start("database", 60)
    assert rows(target) == list(range(1, 7 if destroyed else 10))
    assert not [name for name in files(place) if "gameday" in name]
    assert place.everything() == before


def test_a_runner_that_dies_while_a_helper_works_leaves_it_to_the_undo(place: Quarters) -> None:
    """The helper goes on by itself; the undo ends it first."""
    target = filled(place)
    target.destroy("database", 60)
    child = os.fork()
    if child == 0:
        place.target().restore("database", "latest", 120)
        os._exit(0)
    assert eventually(place.helpers, 30, 0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    revert(Undo("restore", "database"), place.target())

    assert rows(target) == list(range(1, 7))
    assert place.helpers() == []
    assert not [name for name in files(place) if "gameday" in name]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, r"database: no base backup in /backup/base: it has no PG_VERSION; take one with pg_base"),
        (
            {"database": {"data": DATA, "backup": f"{MOUNT}/backup"}},
            r"its backup .* is on the same volume as its data directory",
        ),
        ({"claims": ("data",)}, r"its backup /backup/base is not on a volume.* such as a claim"),
        ({"database": {"data": DATA, "backup": "/var/base"}}, r"its backup /var/base is not on a volume"),
    ],
    ids=["no backup", "same volume", "no claim", "no volume"],
)
def test_without_a_backup_that_outlives_it_nothing_is_destroyed(
    place: Quarters, more: dict[str, Any], message: str
) -> None:
    target = run_database(place, **more)
    insert(target, [1])
    before = place.everything()
    for call in (lambda: target.check_backup("database"), lambda: target.destroy("database", 30)):
        with pytest.raises(UsageError, match=message):
            call()
    assert rows(target) == [1]
    assert place.everything() == before


def test_a_command_that_takes_too_long_beside_a_server_does_not_make_it_start_again(place: Quarters) -> None:
    """A PostgreSQL that is its container's first process takes a killed orphan for one of its own that crashed."""
    target = run_database(place)
    with connect(target) as client:
        with pytest.raises(OperationTimedOut, match="did not end within 2 s and was killed"):
            target.execute("database", ["psql", "-U", "postgres", "-c", "select pg_sleep(30)"], 2)
        time.sleep(0.5)
        assert client.execute("select 1").fetchone() == (1,)
    assert "terminating any other active server processes" not in place.do("logs", POD)
