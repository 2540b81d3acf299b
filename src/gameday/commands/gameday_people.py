"""Who answers during a game day: people at its terminal, or the game day's file where there are none."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from gameday.commands.gameday_files import Loaded, prepared_answers, spoken
from gameday.commands.keyboard import Keyboard
from gameday.errors import GamedayError, UsageError
from gameday.gamedays import entries as e
from gameday.gamedays.log import GameDayLog
from gameday.gamedays.model import Question
from gameday.runbook.manual import AnsweredManual, Manual

_YES, _NO = ("y", "yes"), ("n", "no")
THE_FILE = "the game day's file"


class People(Protocol):
    """Who answers, whoever that is."""

    @property
    def name(self) -> str:
        """For the record."""
        ...

    def checklist(self, question: Question) -> tuple[str, bool]:
        """The answer to a question of the go/no-go list, and whether it is a yes."""
        ...

    def go(self, what: str) -> tuple[str, bool]:
        """The last word before something is broken, when everything else says go: as `checklist`."""
        ...

    def interrupted(self, what: str) -> Literal["repeat", "skip"]:
        """What becomes of a drill whose runner died."""
        ...

    def manual(self, speed: float) -> Manual:
        """Who answers the manual steps of one drill."""
        ...


class FromTheFile:
    """Nobody is there, and the file says what somebody would have said."""

    name = THE_FILE

    def __init__(self, loaded: Loaded) -> None:
        """Raises UsageError where it does not say everything."""
        self._answers = loaded.day.answers
        self._steps = prepared_answers(loaded)
        self._path = loaded.path

    def checklist(self, question: Question) -> tuple[str, bool]:
        answer = self._answers.checklist[question.question]
        return spoken(answer), answer

    def go(self, what: str) -> tuple[str, bool]:  # noqa: ARG002 - that is what --yes says
        return "yes", True

    def interrupted(self, what: str) -> Literal["repeat", "skip"]:
        if self._answers.interrupted is None:
            raise UsageError(f"{self._path}: answers.interrupted: expected repeat or skip, since {what}")
        return self._answers.interrupted

    def manual(self, speed: float) -> Manual:
        return AnsweredManual(self._steps, speed)


class AtTheTerminal:
    """Somebody is there."""

    def __init__(self, keyboard: Keyboard, who: Callable[[], str]) -> None:
        self._keyboard = keyboard
        self._who = who

    @property
    def name(self) -> str:
        return self._who()

    def checklist(self, question: Question) -> tuple[str, bool]:
        return self.go(question.ask)

    def go(self, what: str) -> tuple[str, bool]:
        """Yes or no, with what somebody adds to it: `no: the status page is down`."""
        known = (*_YES, *_NO)
        answer = self._keyboard.ask(f"{what} [yes/no]", accepted=lambda text: _first_word(text) in known)
        return answer or "no", _first_word(answer or "no") in _YES

    def interrupted(self, what: str) -> Literal["repeat", "skip"]:
        known = ("r", "repeat", "s", "skip")
        answer = self._keyboard.ask(f"{what} [repeat/skip]", accepted=lambda text: _first_word(text) in known)
        return "repeat" if _first_word(answer or "skip").startswith("r") else "skip"

    def manual(self, speed: float) -> Manual:
        del speed  # people are as fast as they are
        return KeyboardManual(self._keyboard)


def _first_word(text: str) -> str:
    """Of an answer to which somebody adds why: `no: the status page is down`."""
    words = re.findall(r"\w+", text.lower())
    return str(words[0]) if words else ""


class KeyboardManual:
    """A manual step is asked below the running drill, while its clocks go on."""

    def __init__(self, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self._cancelled = threading.Event()

    def can_answer(self, heading: str) -> bool:  # noqa: ARG002
        return True

    def ask(self, heading: str, question: str, timeout_s: float) -> str | None:
        return self._keyboard.ask(f"{heading}: {question}", timeout_s, self._cancelled.is_set)

    def cancel(self) -> None:
        self._cancelled.set()


class RecordedManual:
    """Writes down what was answered to manual steps, and how long that took."""

    def __init__(self, manual: Manual, log: GameDayLog, number: int, by: Callable[[], str]) -> None:
        self._manual = manual
        self._log = log
        self._number = number
        self._by = by

    def can_answer(self, heading: str) -> bool:
        return self._manual.can_answer(heading)

    def ask(self, heading: str, question: str, timeout_s: float) -> str | None:
        asked_s = time.monotonic()
        answer: str | None = None
        try:
            answer = self._manual.ask(heading, question, timeout_s)
        finally:
            self._record(heading, question, answer, time.monotonic() - asked_s)
        return answer

    def cancel(self) -> None:
        self._manual.cancel()

    def _record(self, heading: str, question: str, answer: str | None, took_s: float) -> None:
        entry = e.StepAnswered(
            number=self._number,
            heading=heading,
            question=question,
            answer=answer,
            took_s=round(took_s, 3),
            by=self._by(),
        )
        try:
            self._log.append(entry)
        except GamedayError:
            # the drill's own timeline has the answer too; that it cannot be noted must not end the runbook
            return
