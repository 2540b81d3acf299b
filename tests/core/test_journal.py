"""The log of undos: on disk before the change, reverted last in first out, finished by whoever finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.worlds import FailingTarget, fake_target
from gameday.errors import TargetError, UndoError
from gameday.journal import Holder, Undo, UndoLog, boot_id
from gameday.targets.base import Running
from gameday.undo import Reverted, revert, revert_all

START = Undo("start", "database")
RESUME = Undo("resume", "api", {"since": "10:00", "deep": {"a": [1, None]}})


@pytest.fixture
def log(tmp_path: Path) -> UndoLog:
    header = {"instance": "fake", "holder": asdict(Holder.me()), "evidence": "reports/d"}
    return UndoLog.create(tmp_path / "undo", "20260302T090000Z-demo-a1", header)


def lines(log: UndoLog) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


# --- the log alone ------------------------------------------------------------------------------------------


def test_an_undo_is_on_disk_when_record_returns(log: UndoLog, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        fsync(handle)
        synced.append(log.path.read_bytes())

    monkeypatch.setattr("gameday.journal.os.fsync", watched)
    before_ns = time.monotonic_ns()
    recorded = log.record(RESUME, 20.0)
    assert synced == [log.path.read_bytes()]
    assert lines(log)[1] == {"id": 0, "undo": RESUME.to_json(), "deadline_ns": recorded.deadline_ns}
    assert 20e9 <= recorded.deadline_ns - before_ns <= 25e9


def test_what_is_pending_comes_last_in_first_out_without_what_is_done(log: UndoLog) -> None:
    recorded = [log.record(Undo("start", name), 1.0) for name in ("a", "b", "c")]
    assert [entry.undo.component for entry in log.pending()] == ["c", "b", "a"]
    log.mark(recorded[1], ok=True, by="runner", detail="done")
    log.mark(recorded[2], ok=False, by="runner", detail="no disk")
    assert log.pending() == (recorded[2], recorded[0])
    log.mark(recorded[2], ok=True, by="gameday recover", detail="done now")
    log.mark(recorded[2], ok=False, by="dead-man switch", detail="too late to matter")
    assert log.pending() == (recorded[0],)


def test_the_header_tells_whose_drill_it_is_and_of_which_boot(log: UndoLog) -> None:
    assert UndoLog(log.path).header == {
        "drill": "20260302T090000Z-demo-a1",
        "boot": boot_id(),
        "instance": "fake",
        "holder": asdict(Holder.me()),
        "evidence": "reports/d",
    }
    assert log.holder == Holder.me()


def test_logs_are_found_oldest_first_until_they_are_removed(log: UndoLog) -> None:
    folder = log.path.parent
    later = UndoLog.create(folder, "20260303T090000Z-demo-b2", {})
    assert [found.path for found in UndoLog.find(folder)] == [log.path, later.path]
    with log.exclusive():
        log.remove()
    log.remove()
    assert [found.path for found in UndoLog.find(folder)] == [later.path]
    later.remove()
    assert list(folder.iterdir()) == []
    assert UndoLog.find(folder / "absent") == ()


def test_a_crash_at_any_byte_of_the_last_entry_loses_only_what_was_not_acted_on(log: UndoLog) -> None:
    first = log.record(START, 1.0)
    content = log.path.read_bytes()
    second = log.record(RESUME, 1.0)
    whole = log.path.read_bytes()
    for length in range(len(content), len(whole) + 1):
        log.path.write_bytes(whole[:length])
        found = log.pending()
        assert found == ((second, first) if length == len(whole) else (first,))
        for entry in found:
            log.mark(entry, ok=True, by="gameday recover", detail="")
        assert log.pending() == ()
        assert log.record(START, 1.0).id == len(found)


def test_a_mark_cut_off_by_a_crash_is_a_mark_that_was_not_made(log: UndoLog) -> None:
    recorded = log.record(START, 1.0)
    content = log.path.read_bytes()
    log.mark(recorded, ok=True, by="runner", detail="done")
    whole = log.path.read_bytes()
    for length in range(len(content), len(whole)):
        log.path.write_bytes(whole[:length])
        assert log.pending() == (recorded,)
        log.mark(recorded, ok=True, by="gameday recover", detail="")
        assert log.pending() == ()


@pytest.mark.parametrize(
    "junk",
    [b"{", b"\xff", b"", b"5", b"null", b"[]", b'"undo"', b'{"id":0}', b'{"id":0,"undo":{},"deadline_ns":1}'],
)
def test_a_damaged_entry_is_an_error_with_its_line(log: UndoLog, junk: bytes) -> None:
    log.record(START, 1.0)
    log.record(RESUME, 1.0)
    content = log.path.read_bytes().split(b"\n")
    content[1] = junk
    log.path.write_bytes(b"\n".join(content))
    with pytest.raises(UndoError) as caught:
        log.pending()
    assert str(caught.value).startswith(f"{log.path}:2: damaged entry: ")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("content", [b"", b'{"drill":'])
def test_an_empty_log_is_an_error(log: UndoLog, content: bytes) -> None:
    log.path.write_bytes(content)
    with pytest.raises(UndoError, match="empty log of undos"):
        log.pending()


def test_a_log_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndoError, match=r"cannot read the log of undos .*absent\.jsonl"):
        UndoLog(tmp_path / "absent.jsonl").pending()


# --- one process at a time ----------------------------------------------------------------------------------

REVERTER = """
import sys, time
from pathlib import Path
from gameday.journal import UndoLog
with UndoLog(Path(sys.argv[1])).exclusive():
    print("in", flush=True)
    sys.stdin.readline()
"""


def test_only_one_process_reverts_and_the_next_when_that_one_died(log: UndoLog) -> None:
    command = [sys.executable, "-c", REVERTER, str(log.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with pytest.raises(UndoError, match=r"a1\.jsonl: somebody else is reverting it for over 0\.2 s"):
            log.exclusive(0.2).__enter__()
        other.kill()
    with log.exclusive(5):
        assert log.pending() == ()


def test_one_process_may_enter_twice_on_any_thread(log: UndoLog) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def inner() -> str:
        with UndoLog(log.path).exclusive(1):
            return "in"

    with log.exclusive(), ThreadPoolExecutor(1) as pool:
        assert inner() == "in"
        assert pool.submit(inner).result() == "in"


# --- who holds it -------------------------------------------------------------------------------------------


def test_a_holder_is_alive_until_its_process_ends() -> None:
    assert Holder.me().alive
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder = Holder(process.pid, psutil.Process(process.pid).create_time())
    assert holder.alive
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not holder.alive, "killed, and not yet waited for by its parent"
    process.communicate()
    assert not holder.alive


def test_a_later_process_with_the_same_pid_is_somebody_else() -> None:
    me = Holder.me()
    assert not Holder(me.pid, me.created - 1).alive
    assert not Holder(me.pid, me.created + 1).alive


# --- reverting ----------------------------------------------------------------------------------------------


def test_all_is_reverted_in_order_and_what_happened_is_told_and_kept(tmp_path: Path, log: UndoLog) -> None:
    target = fake_target(tmp_path)
    target.kill("database", "SIGKILL", 1)
    target.pause("api", 1)
    recorded = [log.record(START, 1.0), log.record(RESUME, 1.0)]
    told: list[object] = []
    results = revert_all(log, target, "runner", told.append, told.append)
    assert [(result.recorded.id, result.ok) for result in results] == [(1, True), (0, True)]
    assert told == [recorded[1], results[0], recorded[0], results[1]]
    assert [line for line in lines(log) if "ok" in line] == [
        {"id": 1, "ok": True, "by": "runner", "detail": "api: paused -> up"},
        {"id": 0, "ok": True, "by": "runner", "detail": "database: down -> up"},
    ]
    assert {status.running for status in target.status().values()} == {Running.UP}


def test_reverting_twice_is_no_error_and_changes_nothing(tmp_path: Path, log: UndoLog) -> None:
    target = fake_target(tmp_path)
    log.record(START, 1.0)
    target.kill("database", "SIGKILL", 1)
    assert len(revert_all(log, target, "runner")) == 1
    before = log.path.read_bytes()
    assert revert_all(log, target, "dead-man switch") == ()
    assert log.path.read_bytes() == before
    assert revert(START, target) == "was up already"
    assert target.status()["database"].running is Running.UP


@pytest.mark.parametrize(
    "error", [TargetError("start database: no disk"), ZeroDivisionError("division by zero")]
)
def test_an_undo_that_fails_does_not_stop_the_others_and_stays_pending(
    tmp_path: Path, log: UndoLog, error: Exception
) -> None:
    target = FailingTarget.on(fake_target(tmp_path), {"database": error})
    for component in ("api", "database", "cache"):
        target.kill(component, "SIGKILL", 1)
        log.record(Undo("start", component), 1.0)
    results = revert_all(log, target, "runner")
    assert [(result.recorded.undo.component, result.ok) for result in results] == [
        ("cache", True),
        ("database", False),
        ("api", True),
    ]
    failed = results[1].detail
    assert failed == (str(error) if isinstance(error, TargetError) else "ZeroDivisionError: division by zero")
    assert {name: status.running.value for name, status in target.status().items()} == {
        "database": "down", "api": "up", "cache": "up",
    }  # fmt: skip
    assert [entry.undo.component for entry in log.pending()] == ["database"]
    target.errors.clear()
    assert [result.ok for result in revert_all(log, target, "gameday recover")] == [True]
    assert log.pending() == ()


def test_an_operation_of_another_version_is_reported_and_the_rest_still_run(
    tmp_path: Path, log: UndoLog
) -> None:
    target = fake_target(tmp_path)
    target.kill("database", "SIGKILL", 1)
    log.record(START, 1.0)
    log.record(Undo("unroute", "api"), 1.0)
    strange, known = revert_all(log, target, "runner")
    assert (strange.ok, known.ok) == (False, True)
    assert strange.detail == "unroute api: unknown operation; this version does not know it"
    assert target.status()["database"].running is Running.UP


def test_an_undo_of_a_component_that_is_gone_is_reported(tmp_path: Path, log: UndoLog) -> None:
    log.record(Undo("resume", "mail"), 1.0)
    (result,) = revert_all(log, fake_target(tmp_path), "runner")
    assert (result.ok, result.detail) == (
        False,
        "fake has no component 'mail'; components here: database, api, cache",
    )
    log.record(Undo("start", "mail"), 1.0)
    newest: Reverted = revert_all(log, fake_target(tmp_path), "runner")[0]
    assert newest.detail == "fake has no component 'mail'; components here: database, api, cache"


def test_starting_what_is_paused_lets_it_go_on(tmp_path: Path) -> None:
    target = fake_target(tmp_path)
    target.pause("database", 1)
    revert(START, target)
    assert target.status()["database"].running is Running.UP
