"""The lock of an environment: one holder, named, and free as soon as the holder's process is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gameday.errors import LockHeld
from gameday.lock import DrillLock

HOLDER = """
import sys, time
from pathlib import Path
from gameday.lock import DrillLock
lock = DrillLock(Path(sys.argv[1]), "demo")
lock.acquire("d1", "database-down")
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def holding(state: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `demo`."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(state)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_second_one_is_refused_at_once_and_told_who_holds_it(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        lock = DrillLock(tmp_path, "demo")
        with pytest.raises(LockHeld) as caught:
            lock.acquire("d2", "api-down")
        since = json.loads((tmp_path / "locks" / "demo.json").read_text())["since"]
        assert str(caught.value) == (
            f"demo is being drilled: scenario database-down, drill d1, pid {other.pid}, since {since}"
        )
        holder = lock.holder()
        assert holder is not None
        assert (holder.drill, holder.scenario, holder.holder.pid) == ("d1", "database-down", other.pid)


def test_two_sessions_of_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    first, second = DrillLock(tmp_path, "demo"), DrillLock(tmp_path, "demo")
    first.acquire("d1", "one")
    with pytest.raises(LockHeld, match=f"scenario one, drill d1, pid {os.getpid()}, since 20"):
        second.acquire("d2", "two")
    first.release()
    second.acquire("d2", "two")
    second.release()


def test_other_instances_are_not_concerned(tmp_path: Path) -> None:
    with holding(tmp_path):
        other = DrillLock(tmp_path, "demo@blue")
        other.acquire("d2", "api-down")
        other.release()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_is_free_when_its_holder_was_killed(tmp_path: Path, number: signal.Signals) -> None:
    with holding(tmp_path) as other:
        other.send_signal(number)
        other.wait(timeout=10)
        lock = DrillLock(tmp_path, "demo")
        assert lock.holder() is None
        lock.acquire("d2", "api-down")
        holder = lock.holder()
        assert holder is not None
        assert (holder.drill, holder.holder.pid) == ("d2", os.getpid())
        lock.release()


def test_nobody_holds_it_after_release_and_releasing_again_is_no_error(tmp_path: Path) -> None:
    lock = DrillLock(tmp_path, "demo")
    lock.release()
    lock.acquire("d1", "one")
    lock.release()
    lock.release()
    assert lock.holder() is None
    assert not (tmp_path / "locks" / "demo.json").exists()


@pytest.mark.parametrize("note", ["", "{", "[]", "5", '{"drill": "d"}', '{"pid": "x", "created": null}'])
def test_a_note_that_cannot_be_read_names_nobody(tmp_path: Path, note: str) -> None:
    first, second = DrillLock(tmp_path, "demo"), DrillLock(tmp_path, "demo")
    first.acquire("d1", "one")
    (tmp_path / "locks" / "demo.json").write_text(note)
    assert second.holder() is None
    with pytest.raises(LockHeld, match="demo is being drilled: by a runner that has just begun"):
        second.acquire("d2", "two")
    first.release()


def test_a_later_process_with_the_same_pid_is_not_the_holder(tmp_path: Path) -> None:
    lock = DrillLock(tmp_path, "demo")
    lock.acquire("d1", "one")
    path = tmp_path / "locks" / "demo.json"
    note = json.loads(path.read_text())
    path.write_text(json.dumps({**note, "created": note["created"] - 1}))
    assert lock.holder() is None
    lock.release()
