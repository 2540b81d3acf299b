"""What is typed: keys, lines, and what must not be taken for either."""

from __future__ import annotations

import os
import pty
import termios
import threading
import time

import pytest

from gameday.commands.keyboard import Keyboard, Prompt, Typing
from gameday.errors import RunbookError


class Desk:
    """Keys `n` (which asks for a note) and `X` (which counts), and what was written down."""

    def __init__(self) -> None:
        self.aborted = 0
        self.written: list[str] = []
        self.typing = Typing({"n": self.note, "X": self.abort}, urgent="X")

    def note(self) -> None:
        self.typing.put(Prompt("Note", self.written.append, optional=True))

    def abort(self) -> None:
        self.aborted += 1

    def asked(self) -> list[tuple[str, str]]:
        return [(prompt.label, prompt.buffer) for prompt in self.typing.asked]


def test_a_key_asks_and_a_line_answers() -> None:
    desk = Desk()
    desk.typing.feed("xyz")
    assert desk.asked() == []
    desk.typing.feed("nThe desk is slow")
    assert desk.asked() == [("Note", "The desk is slow")]
    desk.typing.feed("\r")
    assert desk.written == ["The desk is slow"]
    assert desk.asked() == []


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("abc\x7f\x7fd\r", "ad"),
        ("abc\x15d\r", "d"),
        ("a\x1b[Ab\x1b[1;5Cc\x1bOPd\r", "abcd"),
        ("  a b  \n", "a b"),
        ("\r\ra\r", "a"),
        ("señal 鍵\r", "señal 鍵"),
        ("a\x00\x07\x9bb\u202ec\r", "abc"),
        ("x" * 5000 + "\r", "x" * 2000),
    ],
)
def test_lines_are_edited_and_have_no_control_characters(typed: str, line: str) -> None:
    desk = Desk()
    desk.typing.feed("n" + typed)
    assert desk.written == [line]


def test_escape_ends_a_note_and_only_empties_an_answer() -> None:
    desk, answers = Desk(), []
    desk.typing.feed("nnot that\x1b")
    assert desk.asked() == []
    desk.typing.put(Prompt("Ready?", answers.append))
    desk.typing.feed("ye\x1bno\r")
    assert answers == ["no"]
    assert desk.written == []


def test_the_key_that_aborts_does_so_whoever_is_asked_unless_it_is_within_a_line() -> None:
    desk, answers = Desk(), []
    desk.typing.feed("X")
    desk.typing.put(Prompt("Ready?", answers.append))
    desk.typing.feed("X")
    assert desk.aborted == 2
    desk.typing.feed("not X\r")
    assert desk.aborted == 2
    assert answers == ["not X"]


def test_a_question_waits_for_the_line_that_somebody_is_typing_and_precedes_an_empty_one() -> None:
    desk, answers = Desk(), []
    desk.typing.feed("nhalf a no")
    desk.typing.put(Prompt("Ready?", answers.append))
    assert [label for label, _ in desk.asked()] == ["Note", "Ready?"]
    desk.typing.feed("te\ryes\r")
    assert (desk.written, answers) == (["half a note"], ["yes"])

    desk.typing.feed("n")
    desk.typing.put(Prompt("Again?", answers.append))
    assert [label for label, _ in desk.asked()] == ["Again?", "Note"]
    desk.typing.feed("no\rlater\r")
    assert (desk.written, answers) == (["half a note", "later"], ["yes", "no"])


def test_what_is_not_accepted_is_asked_again_and_keys_rest_between_questions() -> None:
    desk, answers = Desk(), []
    desk.typing.put(Prompt("Ready?", answers.append, accepted=lambda text: text == "yes"))
    desk.typing.feed("perhaps\ryes\r")
    assert answers == ["yes"]
    desk.typing.resting = True
    desk.typing.feed("no\r")
    assert desk.asked() == [], "it was meant for the next question"
    desk.typing.feed("X")
    assert desk.aborted == 1


def test_keys_come_at_once_from_a_terminal_which_is_put_back_as_it_was() -> None:
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        desk = Desk()
        with Keyboard(slave, desk.typing, lambda: None, raw=True) as keyboard:
            assert not termios.tcgetattr(slave)[3] & termios.ICANON
            threading.Timer(0.2, os.write, (master, b"y\xc3")).start()
            threading.Timer(0.4, os.write, (master, b"\xa9s\r")).start()
            assert keyboard.ask("Ready?", 10.0) == "yés"
            assert keyboard.ask("Anybody?", 0.3) is None
            assert keyboard.ask("Anybody?", 60.0, lambda: True) is None
            assert desk.typing.asked == ()
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(slave)
        os.close(master)


def test_a_terminal_that_a_killed_runner_left_without_echo_gets_it_back() -> None:
    master, slave = pty.openpty()
    try:
        modes = termios.tcgetattr(slave)
        modes[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        with Keyboard(slave, Typing({}), lambda: None, raw=True):
            pass
        assert termios.tcgetattr(slave)[3] & termios.ECHO
        assert termios.tcgetattr(slave)[3] & termios.ICANON
    finally:
        os.close(slave)
        os.close(master)


def test_a_terminal_that_is_gone_answers_nothing() -> None:
    read, write = os.pipe()
    os.close(write)
    with Keyboard(read, Typing({}), lambda: None, raw=True) as keyboard:
        begun = time.monotonic()
        with pytest.raises(RunbookError, match="the terminal's input is closed"):
            keyboard.ask("Ready?", 60.0)
        assert time.monotonic() - begun < 10
    os.close(read)


def test_what_was_seen_before_a_question_is_not_drawn_over_it() -> None:
    typing, drawn, looked = Typing({}), list[list[str]](), threading.Event()

    def draw() -> None:
        seen = [prompt.label for prompt in typing.asked]
        if not looked.is_set():
            looked.set()
            time.sleep(0.3)
        drawn.append(seen)

    master, slave = pty.openpty()
    try:
        with Keyboard(slave, typing, draw, raw=True) as keyboard:
            os.write(master, b"z")  # the reader draws that nobody is asked, slowly
            assert looked.wait(5)
            keyboard.offer(Prompt("Does the desk know?", lambda _: None))
            keyboard.offer(Prompt("Note", lambda _: None))
    finally:
        os.close(master)
        os.close(slave)
    assert drawn == [[], ["Does the desk know?"], ["Does the desk know?", "Note"]]
