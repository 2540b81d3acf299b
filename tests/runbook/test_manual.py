"""Who answers manual steps: prepared answers, a person at a terminal, nobody."""

from __future__ import annotations

import os
import pty
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from gameday.errors import InvalidFile, RunbookError
from gameday.runbook.manual import (
    AnsweredManual,
    NoManual,
    Prepared,
    TerminalManual,
    answers_for,
    load_answers,
)
from gameday.runbook.model import Runbook
from runbook.documents import runbook, step

ASKING = step("Tell the front desk", "ask: Does it know?\nbudget: 10s") + step(
    "Call the provider", "ask: Do they confirm?\nbudget: 10s"
)


def a_runbook() -> Runbook:
    return runbook(resolution_steps=ASKING)


def answers(path: Path, text: str) -> dict[str, Prepared]:
    file = path / "answers.yaml"
    file.write_text(text, encoding="utf-8")
    return load_answers(file, [a_runbook()])


def test_an_answer_is_a_word_or_a_mapping_with_the_time_it_takes(tmp_path: Path) -> None:
    found = answers(tmp_path, "tell the front  desk: yes\nCall the provider: {answer: ticket 7, after: 5s}\n")
    assert found == {
        "Tell the front desk": Prepared("yes"),
        "Call the provider": Prepared("ticket 7", 5.0),
    }
    assert answers_for(found, a_runbook())["Call the provider"] == {"answer": "ticket 7", "after": "5s"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Tell the front desk: yes\nCall nobody: yes\n", ":2: Call nobody: no runbook of this run asks that"),
        ("Tell the front desk: 7\n", ":1: Tell the front desk: expected yes, no, a text"),
        ("Tell the front desk: {after: 5s}\n", ":1: Tell the front desk.answer: expected yes, no or a text"),
        ("Tell the front desk: {answer: yes, after: 5}\n", ".after: 5 is not a duration"),
        ("Tell the front desk: {answer: yes, then: 5s}\n", ".then: unknown field"),
        ("- yes\n", "expected a mapping of steps' headings to answers"),
        ("Tell the front desk: yes\nTell the front desk: no\n", "stands twice"),
    ],
)
def test_a_wrong_file_of_answers_is_told_with_line_and_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        answers(tmp_path, text)
    assert told in str(caught.value)


def test_a_prepared_answer_comes_after_its_time_and_faster_in_a_rehearsal() -> None:
    manual = AnsweredManual({"Step": Prepared("yes", 1.0)}, speed=10)
    begun = time.monotonic()
    assert manual.ask("step", "Well?", 5.0) == "yes"
    assert 0.09 <= time.monotonic() - begun < 0.9


def test_an_answer_that_takes_longer_than_there_is_time_is_none() -> None:
    manual = AnsweredManual({"Step": Prepared("yes", 10.0)})
    begun = time.monotonic()
    assert manual.ask("Step", "Well?", 0.1) is None
    assert time.monotonic() - begun < 5


def test_a_drill_that_ends_does_not_wait_for_an_answer() -> None:
    manual = AnsweredManual({"Step": Prepared("yes", 60.0)})
    threading.Timer(0.1, manual.cancel).start()
    begun = time.monotonic()
    assert manual.ask("Step", "Well?", 60.0) is None
    assert time.monotonic() - begun < 10


def test_preflight_learns_who_can_answer() -> None:
    assert not NoManual().can_answer("Step")
    assert AnsweredManual({"Step": True}).can_answer(" step ")
    assert not AnsweredManual({"Step": True}).can_answer("Other")


# --- a person at a terminal -----------------------------------------------------------------------------------


class Desk:
    """A terminal with somebody in front of it."""

    def __init__(self) -> None:
        self.keyboard, tty = pty.openpty()
        self.stdin = os.fdopen(tty, "r", encoding="utf-8")
        self.screen = StringIO()
        self.shown: list[str] = []
        self.manual = TerminalManual(self.showing, self.stdin, self.screen)

    @contextmanager
    def showing(self) -> Iterator[None]:
        self.shown.append("paused")
        yield
        self.shown.append("resumed")

    def types(self, text: str, after_s: float = 0.2) -> None:
        threading.Timer(after_s, os.write, (self.keyboard, text.encode())).start()


@pytest.fixture
def desk() -> Iterator[Desk]:
    there = Desk()
    yield there
    there.stdin.close()
    os.close(there.keyboard)


def test_a_person_is_asked_while_the_live_display_rests(desk: Desk) -> None:
    desk.types("\n")
    desk.types("yes, ticket 7\n", after_s=0.4)
    assert desk.manual.ask("Tell the desk", "Does it\x1b[2J know?", 10.0) == "yes, ticket 7"
    assert desk.shown == ["paused", "resumed"]
    assert "Tell the desk: Does it<U+001B>[2J know?" in desk.screen.getvalue()
    assert desk.screen.getvalue().count("within 10s >") == 2, "an empty line is no answer"


def test_what_was_typed_before_the_question_is_no_answer_to_it(desk: Desk) -> None:
    os.write(desk.keyboard, b"yes\n")
    time.sleep(0.1)
    assert desk.manual.ask("Step", "Well?", 0.3) is None


def test_no_answer_in_time_is_none_and_the_end_of_the_drill_too(desk: Desk) -> None:
    assert desk.manual.ask("Step", "Well?", 0.2) is None
    threading.Timer(0.1, desk.manual.cancel).start()
    begun = time.monotonic()
    assert desk.manual.ask("Step", "Well?", 60.0) is None
    assert time.monotonic() - begun < 10


def test_a_closed_input_means_that_nobody_can_be_asked() -> None:
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read, "r") as stdin, pytest.raises(RunbookError, match="nobody can be asked"):
        TerminalManual(stdin=stdin, out=StringIO()).ask("Step", "Well?", 1.0)
