"""A log of undos that is kept elsewhere too: what is reverted according to either is reverted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.worlds import fake_target
from gameday.errors import TargetError, UndoError
from gameday.journal import Undo, UndoLog
from gameday.undo import revert_all


class Shelf:
    """A place that several machines reach."""

    def __init__(self) -> None:
        self.lines: tuple[str, ...] | None = None
        self.away = False
        self.ours = True
        self.inside = 0

    def merge(self, lines: Sequence[str], *, create: bool = False) -> tuple[str, ...] | None:
        if self.away:
            raise TargetError("nobody answers")
        if self.lines is None and not create:
            return None
        there = self.lines or ()
        self.lines = (
            *there,
            *(line for line in lines if line not in there and not (there and line == lines[0])),
        )
        return self.lines

    @contextmanager
    def exclusive(self, timeout_s: float) -> Iterator[bool]:  # noqa: ARG002 - nobody waits here
        if self.away:
            raise UndoError("who else reverts it cannot be known")
        self.inside += 1
        yield self.ours
        self.inside -= 1

    def remove(self) -> None:
        if self.away:
            raise TargetError("nobody answers")
        self.lines = None


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def log(tmp_path: Path, shelf: Shelf) -> UndoLog:
    return UndoLog.create(tmp_path / "undo", "d1", {"instance": "fake"}, shelf)


def test_an_undo_is_in_both_when_record_returns(log: UndoLog, shelf: Shelf) -> None:
    assert shelf.lines is None
    log.record(Undo("start", "database"), 20.0)
    assert shelf.lines == tuple(log.path.read_text().splitlines())
    log.record(Undo("start", "api"), 20.0)
    assert shelf.lines == tuple(log.path.read_text().splitlines())
    assert len(shelf.lines) == 3


def test_what_only_this_machine_would_know_is_not_done(log: UndoLog, shelf: Shelf) -> None:
    shelf.away = True
    with pytest.raises(UndoError, match="on this machine alone, so nothing is done: nobody answers"):
        log.record(Undo("start", "database"), 20.0)


def test_what_another_has_reverted_is_not_reverted_again(log: UndoLog, shelf: Shelf, tmp_path: Path) -> None:
    first = log.record(Undo("start", "database"), 20.0)
    log.record(Undo("start", "api"), 20.0)
    elsewhere = UndoLog.copied(tmp_path / "elsewhere", "d1", shelf.lines or ())
    elsewhere.mirror = shelf
    elsewhere.mark(first, ok=True, by="another", detail="done")

    with log.exclusive():
        assert [one.undo.component for one in log.pending()] == ["api"]


def test_what_is_reverted_here_is_known_there(log: UndoLog, shelf: Shelf, tmp_path: Path) -> None:
    target = fake_target(tmp_path)
    log.record(Undo("start", "database"), 20.0)
    target.kill("database", "SIGKILL", 1)
    assert [one.ok for one in revert_all(log, target, "runner")] == [True]

    assert UndoLog.copied(tmp_path / "elsewhere", "d1", shelf.lines or ()).pending() == ()
    assert shelf.inside == 0


def test_a_mark_is_told_later_where_nobody_answered(log: UndoLog, shelf: Shelf) -> None:
    recorded = log.record(Undo("start", "database"), 20.0)
    shelf.away = True
    log.mark(recorded, ok=True, by="runner", detail="done")
    assert len(shelf.lines or ()) == 2
    shelf.away = False
    with log.exclusive():
        pass
    assert len(shelf.lines or ()) == 3


def test_nothing_is_reverted_after_another_drill_has_begun(log: UndoLog, shelf: Shelf) -> None:
    log.record(Undo("start", "database"), 20.0)
    shelf.ours, shelf.lines = False, None
    with log.exclusive():
        assert log.pending() == ()


def test_both_are_removed_and_the_file_even_where_nobody_answers(log: UndoLog, shelf: Shelf) -> None:
    log.record(Undo("start", "database"), 20.0)
    shelf.away = True
    with pytest.raises(TargetError):
        log.remove()
    assert not log.path.exists()
    shelf.away = False
    log.remove()
    assert shelf.lines is None
