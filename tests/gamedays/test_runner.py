"""The runner where no terminal is needed: signals that a library takes for an error of its own."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from typing import Literal

import pytest

from gameday.commands import gameday_files
from gameday.commands.gameday_runner import Runner
from gameday.commands.interrupts import Interrupts
from gameday.gamedays.log import GameDayLog
from gameday.gamedays.model import Question
from gameday.gamedays.state import fold
from gameday.project import Project
from gameday.reporting.gameday_console import GameDayConsole
from gameday.runbook.manual import AnsweredManual, Manual
from gamedays.world import TAKEN_UP, logged, small_project, write_log


class Library:
    """Answers with the help of something that is interrupted, and makes of that what it likes."""

    name = "Dora"

    def __init__(self, how: Literal["wraps", "swallows"]) -> None:
        self.how = how

    def checklist(self, question: Question) -> tuple[str, bool]:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            if self.how == "wraps":
                raise ValueError(f"could not serialize {question.question}") from error
        return "yes", True

    def go(self, what: str) -> tuple[str, bool]:
        return what, True

    def interrupted(self, what: str) -> Literal["repeat", "skip"]:
        raise AssertionError(what)

    def manual(self, speed: float) -> Manual:
        return AnsweredManual({"Tell the desk": True}, speed)


@pytest.mark.parametrize("how", ["wraps", "swallows"])
def test_a_signal_ends_the_day_whatever_a_library_makes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Literal["wraps", "swallows"]
) -> None:
    root = small_project(tmp_path)
    monkeypatch.setenv("GAMEDAY_PROJECT", str(root))
    folder = write_log(root / "reports" / "gamedays" / "20261210T090000Z-small", logged(TAKEN_UP))
    before = signal.getsignal(signal.SIGTERM)
    with GameDayLog(folder) as log, Interrupts() as interrupts:
        log.refresh()
        loaded = gameday_files.load(Project(root), "small")
        runner = Runner(loaded, log, GameDayConsole(io.StringIO()), interrupts, up=False)
        runner.people = Library(how)
        assert runner.carry_on() == 4
        state = fold(log.lines)
    assert state.aborted == "SIGTERM received"
    assert not list((root / "reports").glob("*/timeline.jsonl"))
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_no_signal_is_no_abort(tmp_path: Path) -> None:
    class Broken(Library):
        def checklist(self, question: Question) -> tuple[str, bool]:
            raise ValueError(f"a defect in {question.question}")

    root = small_project(tmp_path)
    folder = write_log(root / "reports" / "gamedays" / "20261210T090000Z-small", logged(TAKEN_UP))
    with GameDayLog(folder) as log, Interrupts() as interrupts:
        log.refresh()
        loaded = gameday_files.load(Project(root), "small")
        runner = Runner(loaded, log, GameDayConsole(io.StringIO()), interrupts, up=False)
        runner.people = Broken("wraps")
        with pytest.raises(ValueError, match="a defect"):
            runner.carry_on()
        assert not fold(log.lines).over, "it can be taken up"
