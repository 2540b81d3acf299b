"""The log of a game day: append-only JSON, one entry a line, each on disk (fsync) before anything goes on.

Several processes write it: whoever runs the game day, and everybody who notes something from another terminal. A
line is written under a lock of the file, by one who has read all lines before it; so the numbers have no gaps, and
what a killed writer left of its last line is cut off by the next one.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from gameday.clock import Instant
from gameday.errors import InvalidFile, Problem, UsageError
from gameday.gamedays.entries import Entry, Started, entry_from, name_of

FILE = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Logged:
    """One line: what, and when it happened."""

    seq: int
    at: Instant
    entry: Entry

    def to_line(self) -> bytes:
        value = {
            "seq": self.seq,
            "entry": name_of(self.entry),
            "at": self.at.to_json(),
            "data": self.entry.model_dump(mode="json"),
        }
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        # half of a surrogate pair, from a terminal in another encoding, becomes the JSON escape for it
        return text.encode("utf-8", "backslashreplace") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Logged:
        value = json.loads(line)
        return cls(value["seq"], Instant.from_json(value["at"]), entry_from(value["entry"], value["data"]))


class GameDayLog:
    """The log of one game day, to read and to append to; for several threads. Close it, or use it as a context."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where it cannot be written."""
        self.folder = folder
        self.path = folder / FILE
        # one value, so that a signal that interrupts a reader leaves both or none
        self._known: tuple[tuple[Logged, ...], int] = ((), 0)
        self._mine = threading.RLock()
        try:
            # without a buffer: what could not be written must not be written later
            self._file: RawIOBase = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error}") from error

    @property
    def lines(self) -> tuple[Logged, ...]:
        """All that is known: what was written here, and what others had written at the last `refresh`."""
        return self._known[0]

    def append(self, entry: Entry, at: Instant | None = None) -> Logged:
        """Write one entry and return when it is on disk. `at` is now, unless it happened earlier.

        Raises:
            UsageError: it cannot be written.
            InvalidFile: what is there already is no log.
        """
        when = at or Instant.now()
        with self._mine, self._locked():
            self._read()
            logged = Logged(len(self.lines), when, entry)
            line = logged.to_line()
            try:
                os.truncate(self.path, self._known[1])  # what a killed writer left of a line
                _write_all(self._file, line)
                os.fsync(self._file.fileno())
            except OSError as error:
                raise UsageError(f"cannot write {self.path}: {error}") from error
            self._read()
            return logged

    def refresh(self) -> tuple[Logged, ...]:
        """Read what others have written since; returns that."""
        with self._mine:
            known = len(self.lines)
            self._read()
            return self.lines[known:]

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read(self) -> None:
        """Whole lines only: the last one may be being written, or may never have been finished."""
        lines, size = self._known
        self._file.seek(size)
        new = self._file.read() or b""
        whole = new[: new.rfind(b"\n") + 1]
        texts = whole.split(b"\n")[:-1]
        added = tuple(_parsed(self.path, number, text) for number, text in enumerate(texts, len(lines)))
        self._known = ((*lines, *added), size + len(whole))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write_all(file: RawIOBase, content: bytes) -> None:
    while content:
        content = content[file.write(content) or 0 :]


def read_log(folder: Path) -> tuple[Logged, ...]:
    """All whole lines of a game day's log.

    Raises:
        InvalidFile: there is none, or a line is no entry.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidFile([Problem(path, 1, "", f"cannot be read: {error}")]) from error
    whole = content[: content.rfind(b"\n") + 1].split(b"\n")[:-1]
    return tuple(_parsed(path, number, line) for number, line in enumerate(whole))


def _parsed(path: Path, number: int, line: bytes) -> Logged:
    try:
        logged = Logged.from_line(line)
        if logged.seq != number:
            raise ValueError(f"its number is {logged.seq}, expected {number}")
        if (number == 0) != isinstance(logged.entry, Started):
            raise ValueError("game-day.started stands first, and only there")
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        what = str(error).splitlines()[0]
        raise InvalidFile([Problem(path, number + 1, "", f"not an entry of a game day: {what}")]) from error
    return logged
