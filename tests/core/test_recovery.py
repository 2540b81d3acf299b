"""Putting a drill back without its runner: by `gameday recover`, or by the dead-man switch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from core.worlds import fake_project, fake_target
from gameday.commands.recover import recover
from gameday.errors import UndoError
from gameday.journal import Holder, Undo, UndoLog
from gameday.project import Project
from gameday.recovery import recover_log
from gameday.targets.base import Running
from gameday.timeline import Kind, Phase, TimelineWriter, read_timeline

DEAD = Holder(os.getpid(), 1.0)
"""A process with our pid, long ago."""

RUNNER = """
import asyncio, os, signal, sys
from pathlib import Path
from core.plays import begin, session_of
from gameday.project import Project

async def go():
    async with session_of(Project(Path(sys.argv[1]))) as session:
        await begin(session)
        await session.effective()
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(go())
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("GAMEDAY_PROJECT", str(tmp_path))
    return fake_project(tmp_path)


def left(project: Project, holder: Holder = DEAD, drill: str = "d1", evidence: str = "reports/d1") -> UndoLog:
    """The log of a drill that killed the database and went no further."""
    target = fake_target(project.root)
    header = {
        "instance": "fake",
        "environment": target.environment.model_dump(mode="json", exclude_unset=True),
        "project": str(project.root),
        "evidence": str(project.root / evidence),
        "holder": asdict(holder),
    }
    log = UndoLog.create(project.state / "undo", drill, header)
    log.record(Undo("start", "database"), 20.0)
    target.kill("database", "SIGKILL", 1)
    return log


def running(project: Project, component: str = "database") -> Running:
    from core.worlds import fake_environment
    from gameday.targets.fake import FakeTarget

    return FakeTarget(fake_environment(), "fake", project).status()[component].running


def test_a_drill_without_evidence_is_put_back_all_the_same(project: Project) -> None:
    log = left(project)
    done = recover_log(log.path, "gameday recover", "asked for")
    assert done is not None
    assert (done.clean, done.detail) == (True, "reverted; its evidence is gone")
    assert running(project) is Running.UP
    assert not log.path.exists()


def test_the_evidence_of_a_drill_that_broke_off_is_brought_to_its_end(project: Project) -> None:
    log = left(project)
    path = project.root / "reports" / "d1" / "timeline.jsonl"
    path.parent.mkdir(parents=True)
    with TimelineWriter(path) as writer:
        writer.record(Kind.DRILL_STARTED, drill="d1")
        writer.enter(Phase.INJECT, 20.0)
        writer.record(Kind.UNDO_RECORDED, id=0, operation="start", component="database", ttl_s=20.0)
    path.write_bytes(path.read_bytes() + b'{"seq":3,"ev')
    assert recover_log(log.path, "gameday recover", "the runner died") is not None
    events = read_timeline(path).events
    assert [event.kind for event in events[3:]] == [
        Kind.DRILL_ABORTED, Kind.PHASE_STARTED, Kind.UNDO_STARTED, Kind.UNDO_ENDED, Kind.LEFTOVERS_CHECKED,
        Kind.PHASE_STARTED, Kind.DRILL_ENDED,
    ]  # fmt: skip
    assert events[3].data == {"reason": "the runner died"}
    assert events[6].data["by"] == "gameday recover"
    assert [event.seq for event in events] == list(range(10))


def test_the_switch_reverts_a_drill_whose_runner_lives_and_leaves_its_log_and_evidence_to_it(
    project: Project,
) -> None:
    log = left(project, Holder.me())
    done = recover_log(log.path, "dead-man switch", "the fault outlived its time-to-live")
    assert done is not None
    assert (done.clean, done.detail, done.evidence) == (True, "reverted; its runner goes on", None)
    assert running(project) is Running.UP
    assert log.pending() == ()


def test_one_log_that_cannot_be_read_does_not_keep_the_others_from_being_recovered(project: Project) -> None:
    damaged = project.state / "undo" / "a-damaged.jsonl"
    left(project, drill="b-whole")
    damaged.write_text("{\n")
    partial = UndoLog.create(project.state / "undo", "c-partial", {"instance": "fake"})
    for environment in (None, "fake"):
        said: list[str] = []
        code = recover(environment, None, "gameday recover", "asked for", said.append)
        assert code == 5
        assert said[0].startswith(f"a-damaged: {damaged}:1: damaged entry: ")
        assert said[-1] == (
            f"c-partial: {partial.path}: damaged: its first line is without project, environment, evidence, holder"
        )
        assert running(project) is Running.UP
    assert [log.path.stem for log in UndoLog.find(project.state / "undo")] == ["a-damaged", "c-partial"]


def test_only_the_environment_that_is_asked_for_is_recovered(project: Project) -> None:
    left(project)
    said: list[str] = []
    assert recover("fake@blue", None, "gameday recover", "asked for", said.append) == 0
    assert (said, running(project)) == ([], Running.DOWN)


def test_a_log_that_cannot_be_read_is_an_error_and_stays(project: Project) -> None:
    log = left(project)
    log.path.write_text("5\n")
    with pytest.raises(UndoError, match="damaged entry"):
        recover_log(log.path, "gameday recover", "asked for")
    assert log.path.exists()


def test_a_drill_whose_runner_is_killed_is_put_back_without_anybody_asking(project: Project) -> None:
    command = [sys.executable, "-c", RUNNER, str(project.root)]
    tests = str(Path(__file__).parents[1])
    died = subprocess.run(command, env={**os.environ, "PYTHONPATH": tests}, check=False, timeout=30)
    assert died.returncode == -9
    deadline = time.monotonic() + 30
    undo = project.state / "undo"
    while (running(project) is not Running.UP or any(undo.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(project) is Running.UP
    assert list(undo.iterdir()) == []
    (evidence,) = project.reports.iterdir()
    events = read_timeline(evidence / "timeline.jsonl")
    aborted, undone = events.first(Kind.DRILL_ABORTED), events.first(Kind.UNDO_ENDED)
    assert aborted is not None
    assert aborted.data == {"reason": "the runner is gone"}
    assert undone is not None
    assert undone.data["by"] == "dead-man switch"
    assert events.last(Kind.DRILL_ENDED) is not None
