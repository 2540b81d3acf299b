"""Who answers the questions of manual steps: nobody, a file prepared beforehand, or a person at the terminal.

A step that asks is part of the runbook's time: the answer is waited for within the step's budget, and no answer
is never taken for a yes.
"""

from __future__ import annotations

import select
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from gameday.errors import InvalidFile, Problem, RunbookError
from gameday.fields import exact_duration, format_duration, parse_duration_s, shown
from gameday.files import Document, load_yaml
from gameday.runbook.model import Runbook, key
from gameday.text import one_line

POLL_S = 0.1


class Manual(Protocol):
    """Who answers. `ask` may wait; `cancel`, from another thread, ends every wait."""

    def can_answer(self, heading: str) -> bool:
        """Whether the step's question would reach somebody: asked before anything is touched."""
        ...

    def ask(self, heading: str, question: str, timeout_s: float) -> str | None:
        """The answer, None where none came in time.

        Raises:
            RunbookError: nobody can be asked; the runbook ends, since no answer is not the answer `no`.
        """
        ...

    def cancel(self) -> None:
        """The drill ends: nobody waits for an answer any more."""
        ...


class NoManual:
    """Nobody is there, as in CI: a manual step is an error, never a silent yes."""

    def can_answer(self, heading: str) -> bool:  # noqa: ARG002
        return False

    def ask(self, heading: str, question: str, timeout_s: float) -> str | None:  # noqa: ARG002
        raise RunbookError(
            f"manual step {heading!r} needs an interactive game day or an answer prepared for it "
            f"(--interactive, --answers): {question}"
        )

    def cancel(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer, and how long a person would have taken for it."""

    answer: str
    after_s: float = 0.0


class AnsweredManual:
    """Answers prepared beforehand, by heading. YAML's `yes` and `no` arrive as booleans; both forms work."""

    def __init__(self, answers: Mapping[str, str | bool | Prepared], speed: float = 1.0) -> None:
        self._answers = {key(heading): _prepared(answer) for heading, answer in answers.items()}
        self._speed = speed
        self._cancelled = threading.Event()

    def can_answer(self, heading: str) -> bool:
        return key(heading) in self._answers

    def ask(self, heading: str, question: str, timeout_s: float) -> str | None:
        found = self._answers.get(key(heading))
        if found is None:
            raise RunbookError(f"manual step {heading!r} has no prepared answer: {question}")
        wait_s = found.after_s / self._speed
        if wait_s > 0:
            self._cancelled.wait(min(wait_s, timeout_s))
        return None if wait_s > timeout_s or self._cancelled.is_set() else found.answer

    def cancel(self) -> None:
        self._cancelled.set()


class TerminalManual:
    """A person at the terminal. `showing` gives the terminal free while it is asked."""

    def __init__(
        self,
        showing: Callable[[], AbstractContextManager[object]] = nullcontext,
        stdin: IO[str] | None = None,
        out: IO[str] | None = None,
    ) -> None:
        self._showing = showing
        self._stdin = stdin or sys.stdin
        self._out = out or sys.stderr
        self._cancelled = threading.Event()

    def can_answer(self, heading: str) -> bool:  # noqa: ARG002
        return True

    def ask(self, heading: str, question: str, timeout_s: float) -> str | None:
        deadline = time.monotonic() + timeout_s
        with self._showing():
            with suppress(termios.error, OSError, ValueError):  # no terminal: nothing is typed ahead
                termios.tcflush(self._stdin.fileno(), termios.TCIFLUSH)
            self._say(f"\n? {one_line(heading)}: {one_line(question, 1000)}\n")
            while True:
                self._say(f"  yes, no or a sentence, within {format_duration(round(timeout_s, 1))} > ")
                line = self._line(deadline)
                if line is None:
                    self._say("\n  no answer\n")
                    return None
                if line.strip():
                    return line.strip()

    def cancel(self) -> None:
        self._cancelled.set()

    def _say(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def _line(self, deadline: float) -> str | None:
        """One line, or None when the time is up or the drill ends."""
        while not self._cancelled.is_set():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            ready, _, _ = select.select([self._stdin], [], [], min(left_s, POLL_S))
            if ready:
                line = self._stdin.readline()
                if not line:
                    raise RunbookError("nobody can be asked: the terminal's input is closed")
                return line
        return None


# --- the file of answers ----------------------------------------------------------------------------------


def load_answers(path: Path, runbooks: Iterable[Runbook]) -> dict[str, Prepared]:
    """Answers by heading, from a YAML file: `Heading of the step: yes`, or a mapping of `answer` and `after`.

    Raises:
        InvalidFile: with file, line and field of every problem; an answer to what no runbook of the run asks
            is one.
    """
    document = load_yaml(path)
    if not isinstance(document.value, dict):
        message = f"expected a mapping of steps' headings to answers, found {shown(document.value)}"
        raise InvalidFile([document.problem((), message)])
    asked = {key(step.heading): step.heading for runbook in runbooks for step in runbook.manual_steps}
    problems: list[Problem] = []
    answers: dict[str, Prepared] = {}
    for heading, value in document.value.items():
        if key(heading) not in asked:
            known = f"; they ask: {', '.join(asked.values())}" if asked else "; they ask nothing"
            problems.append(document.problem((heading,), f"no runbook of this run asks that{known}"))
            continue
        try:
            answers[asked[key(heading)]] = _answer(document, heading, value)
        except InvalidFile as error:
            problems += error.problems
    if problems:
        raise InvalidFile(problems)
    return answers


def answers_for(answers: Mapping[str, Prepared], runbook: Runbook) -> dict[str, dict[str, str]]:
    """The answers that one runbook asks for, as plain data in the form of the file."""
    asked = {key(step.heading) for step in runbook.manual_steps}
    return {
        heading: {"answer": given.answer, "after": exact_duration(given.after_s)}
        for heading, given in answers.items()
        if key(heading) in asked
    }


def _answer(document: Document, heading: str, value: Any) -> Prepared:
    if isinstance(value, str | bool) and value != "":
        return _prepared(value)
    if not isinstance(value, dict):
        message = f"expected yes, no, a text, or a mapping of answer and after; found {shown(value)}"
        raise InvalidFile([document.problem((heading,), message)])
    problems = [
        document.problem((heading, name), "unknown field; known here: answer, after")
        for name in value
        if name not in ("answer", "after")
    ]
    answer, after = value.get("answer"), value.get("after", "0s")
    if not isinstance(answer, str | bool) or answer == "":
        found = shown(answer) if "answer" in value else "nothing"
        problems.append(document.problem((heading, "answer"), f"expected yes, no or a text, found {found}"))
    after_s = 0.0
    try:
        after_s = parse_duration_s(after)
    except ValueError as error:
        problems.append(document.problem((heading, "after"), str(error)))
    if problems:
        raise InvalidFile(problems)
    return Prepared(_words(answer), after_s)


def _prepared(answer: str | bool | Prepared) -> Prepared:
    return answer if isinstance(answer, Prepared) else Prepared(_words(answer))


def _words(answer: Any) -> str:
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return str(answer)
