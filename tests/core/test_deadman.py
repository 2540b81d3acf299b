"""The dead-man switch by itself: what it takes for a reason to act, and how its loss is noticed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from gameday import deadman
from gameday.deadman import DeadManSwitch, wait_for_reason
from gameday.journal import Holder
from process.inn import until

FAR_S = 1000


def in_s(seconds: float) -> int:
    return time.monotonic_ns() + round(seconds * 1e9)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "drill.jsonl"
    path.touch()
    return path


@pytest.fixture
def switch(log: Path, tmp_path: Path) -> Iterator[DeadManSwitch]:
    made = DeadManSwitch(log, tmp_path / "deadman.log")
    yield made
    made.disarm()


def test_a_switch_that_was_killed_is_lost(switch: DeadManSwitch) -> None:
    switch.arm(in_s(FAR_S))
    assert switch.lost() is None

    psutil.Process(switch.pid).kill()

    until(lambda: switch.lost() is not None, 5, "its loss is noticed")
    assert str(switch.pid) in str(switch.lost())


def test_a_switch_that_has_acted_in_time_is_not_lost(switch: DeadManSwitch, log: Path) -> None:
    switch.arm(in_s(0.3))
    log.unlink()  # reverted by somebody else: it ends without a word

    until(lambda: switch._process.poll() is not None, 5, "it has ended")
    assert switch.lost() is None


class Pipes:
    """Both ends of a switch that runs in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        theirs, self._mine = os.pipe()
        self.answers, out = os.pipe()
        self._open = [theirs, self.answers, out, self._mine]
        self._stdin = os.fdopen(os.dup(theirs), "rb", buffering=0)
        monkeypatch.setattr("sys.stdin", self._stdin)
        write = os.write
        monkeypatch.setattr(os, "write", lambda where, data: write(out if where == 1 else where, data))

    def say(self, *lines: bytes) -> None:
        os.write(self._mine, b"".join(line + b"\n" for line in lines))

    def hang_up(self) -> None:
        os.close(self._mine)
        self._open.remove(self._mine)

    def heard(self) -> list[bytes]:
        return os.read(self.answers, 65_536).splitlines()

    def close(self) -> None:
        self._stdin.close()
        for descriptor in self._open:
            os.close(descriptor)


@pytest.fixture
def pipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipes]:
    monkeypatch.setattr(deadman, "GRACE_S", 0.01)
    made = Pipes(monkeypatch)
    yield made
    made.close()


def hello(runner: Holder, **environ: str) -> bytes:
    return b"hello " + json.dumps({"environ": environ, "runner": asdict(runner)}).encode()


def test_without_a_first_word_it_acts(pipes: Pipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del pipes
    monkeypatch.setattr(deadman, "FIRST_WORD_WITHIN_S", 0.05)
    reason = wait_for_reason(tmp_path / "log", in_container=True)
    assert reason == "started again, and no runner is there"


def test_it_takes_over_the_variables_and_acts_when_the_runner_hangs_up(
    pipes: Pipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_THIS_TEST", "")
    log = tmp_path / "log"
    log.touch()
    pipes.say(hello(Holder.me(), TOKEN_OF_THIS_TEST="hunter2"), b"deadline %d" % in_s(FAR_S))
    pipes.hang_up()

    assert wait_for_reason(log, in_container=True) == "the runner is gone"

    assert pipes.heard() == [b"ready", b"armed"]
    assert os.environ["TOKEN_OF_THIS_TEST"] == "hunter2"


def test_it_refuses_to_serve_a_runner_that_it_cannot_see(pipes: Pipes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    pipes.say(hello(Holder(os.getpid(), 1.0)), b"deadline %d" % in_s(FAR_S), b"disarm")

    assert wait_for_reason(log, in_container=True) is None

    wanted = f"refused the runner, pid {os.getpid()}, is no process of the engine's machine".encode()
    assert pipes.heard() == [wanted, wanted]


def test_it_is_not_armed_without_the_log_of_undos(pipes: Pipes, tmp_path: Path) -> None:
    pipes.say(hello(Holder.me()), b"deadline %d" % in_s(FAR_S), b"disarm")

    assert wait_for_reason(tmp_path / "log", in_container=True) is None

    ready, refused = pipes.heard()
    assert ready == b"ready"
    assert refused.startswith(b"refused there is no ")


def test_the_earliest_deadline_counts(pipes: Pipes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    pipes.say(hello(Holder.me()), b"deadline %d" % in_s(0.1), b"deadline %d" % in_s(FAR_S))

    assert wait_for_reason(log, in_container=True) == "the fault outlived its time-to-live"
