"""What is typed on the terminal of a game day: single keys, and lines where somebody is asked.

The screen goes on while somebody types, so the line is edited here and drawn by whoever draws the screen. On a
terminal that cannot be redrawn the terminal edits lines itself, and the first letter of a line is the key.
"""

from __future__ import annotations

import codecs
import os
import select
import termios
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from gameday.errors import RunbookError

POLL_S = 0.1
LIMIT = 2000
_ENTER, _ERASE, _CLEAR, _ESCAPE = "\r\n", "\x7f\b", "\x15", "\x1b"


@dataclass(slots=True)
class Prompt:
    """A line that somebody is asked for. `on_line` gets one that is `accepted`; an `optional` one ends with Escape."""

    label: str
    on_line: Callable[[str], None]
    optional: bool = False
    accepted: Callable[[str], bool] = bool
    buffer: str = ""
    answered: threading.Event = field(default_factory=threading.Event)


class Typing:
    """Folds what comes from a terminal into keys and lines; knows no terminal.

    A key that is `urgent` is one at the beginning of any line too, whoever is asked.
    """

    def __init__(self, keys: Mapping[str, Callable[[], None]], urgent: str = "") -> None:
        self._keys = keys
        self._urgent = urgent
        self._prompts: list[Prompt] = []
        self._mine = threading.RLock()
        self._sequence = ""
        self.resting = False
        """Keys mean nothing but those that are urgent: one question follows another."""

    @property
    def asked(self) -> tuple[Prompt, ...]:
        """The prompts, the one that is being answered first."""
        with self._mine:
            return tuple(self._prompts)

    def put(self, prompt: Prompt) -> None:
        """Ask. What somebody is typing already is finished first; an empty optional line gives way."""
        with self._mine:
            first = self._prompts[0] if self._prompts else None
            if first is not None and not (first.optional and not first.buffer):
                self._prompts.append(prompt)
            else:
                self._prompts.insert(0, prompt)

    def remove(self, prompt: Prompt) -> None:
        with self._mine, suppress(ValueError):
            self._prompts.remove(prompt)

    def feed(self, text: str) -> None:
        """Take what was typed. Escape sequences (arrow keys) mean nothing; Escape alone empties a line, and ends an
        optional one."""
        for index, letter in enumerate(text):
            if self._sequence:
                self._in_sequence(letter)
            elif letter == _ESCAPE and text[index + 1 : index + 2] in ("[", "O"):
                self._sequence = letter
            else:
                self._take(letter)

    def _in_sequence(self, letter: str) -> None:
        self._sequence += letter
        if len(self._sequence) > 2 and "@" <= letter <= "~":
            self._sequence = ""

    def _take(self, letter: str) -> None:
        with self._mine:
            prompt = self._prompts[0] if self._prompts else None
            act: Callable[[], None] | None
            if letter in self._urgent and (prompt is None or not prompt.buffer):
                act = self._keys.get(letter)
            elif prompt is not None:
                act = self._edit(prompt, letter)
            else:
                act = None if self.resting else self._keys.get(letter)
        if act is not None:
            act()

    def _edit(self, prompt: Prompt, letter: str) -> Callable[[], None] | None:
        """What is to be done with the line, when it is over."""
        if letter in _ENTER:
            line = prompt.buffer.strip()
            if not prompt.accepted(line):
                prompt.buffer = ""
                return None
            self.remove(prompt)
            return lambda: self._answered(prompt, line)
        if letter in _ERASE:
            prompt.buffer = prompt.buffer[:-1]
        elif letter == _CLEAR:
            prompt.buffer = ""
        elif letter == _ESCAPE:
            prompt.buffer = ""
            if prompt.optional:
                self.remove(prompt)
        elif letter.isprintable() and len(prompt.buffer) < LIMIT:
            prompt.buffer += letter
        return None

    @staticmethod
    def _answered(prompt: Prompt, line: str) -> None:
        prompt.on_line(line)
        prompt.answered.set()


class Keyboard:
    """The terminal's input, read on a thread of its own while used as a context; put back as it was afterwards.

    With `raw` each key arrives at once and nothing is echoed. Ctrl-C stays a signal.
    """

    def __init__(self, fd: int, typing: Typing, on_change: Callable[[], None], *, raw: bool) -> None:
        self.typing = typing
        self._fd = fd
        self._raw = raw
        self._on_change = on_change
        self._telling = threading.RLock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._closed = threading.Event()
        self._gone = False
        self._before: list[object] | None = None
        self._reader = threading.Thread(target=self._read, name="gameday-keyboard", daemon=True)

    def ask(
        self,
        label: str,
        timeout_s: float | None = None,
        given_up: Callable[[], bool] = lambda: False,
        accepted: Callable[[str], bool] = bool,
    ) -> str | None:
        """One line, from any thread; None when none came in time or nobody waits for it any more.

        Raises:
            RunbookError: the terminal is gone.
        """
        lines: list[str] = []
        prompt = Prompt(label, lines.append, accepted=accepted)
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self.offer(prompt)
        try:
            while not prompt.answered.wait(POLL_S):
                if self._gone:
                    raise RunbookError("nobody can be asked: the terminal's input is closed")
                if given_up() or (deadline_s is not None and time.monotonic() >= deadline_s):
                    return None
        finally:
            self.typing.remove(prompt)
            self._changed()
        return lines[0]

    def offer(self, prompt: Prompt) -> None:
        """Ask without waiting."""
        self.typing.put(prompt)
        self._changed()

    def _changed(self) -> None:
        """One thread at a time, or what one has seen before another asked would be drawn over the question."""
        with self._telling:
            self._on_change()

    def _read(self) -> None:
        while not self._closed.is_set():
            ready, _, _ = select.select([self._fd], [], [], POLL_S)
            if not ready:
                continue
            try:
                typed = os.read(self._fd, 4096)
            except OSError:
                typed = b""
            if not typed:
                self._gone = True
                return
            self.typing.feed(self._decoder.decode(typed))
            self._changed()

    def __enter__(self) -> Self:
        with suppress(termios.error, OSError):
            modes = termios.tcgetattr(self._fd)
            # echo and lines, whatever a runner that was killed has left
            modes[3] |= termios.ECHO | termios.ICANON
            self._before = [*modes]
            if self._raw:
                modes[3] &= ~(termios.ECHO | termios.ICANON)
                termios.tcsetattr(self._fd, termios.TCSANOW, modes)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._reader.join(5 * POLL_S)
        if self._before is not None:
            with suppress(termios.error, OSError):
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]
