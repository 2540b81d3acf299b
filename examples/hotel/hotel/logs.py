"""One JSON line per significant event, on standard error.

An outage under load must not fill the disk that the outage is investigated on: repeated trouble is written at
most once in `interval_s` per kind, with the number of lines left out.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

LIBRARY_LOG_LEVELS = {
    # The pool and the driver report each failed attempt; `database_connection_errors_total` counts them.
    "psycopg": logging.ERROR,
    "psycopg.pool": logging.ERROR,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "asyncio": logging.ERROR,
}


class LogLevel(StrEnum):
    INFO = "info"
    WARNING = "warning"


class EventLog:
    """Writes events of one process; `clock` gives monotonic seconds.

    `level` is the least that is written, `on_line` is called for each line that was.
    """

    def __init__(
        self,
        process: str,
        *,
        stream: TextIO | None = None,
        interval_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._process = process
        self._stream = stream if stream is not None else sys.stderr
        self._interval_s = interval_s
        self._clock = clock
        self.level = LogLevel.INFO
        self.on_line: Callable[[], None] | None = None
        self._written_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def event(self, name: str, *, at_level: LogLevel = LogLevel.INFO, **fields: object) -> None:
        """Write one line now, unless the log's level is above the line's."""
        if at_level is LogLevel.INFO and self.level is LogLevel.WARNING:
            return
        line: dict[str, object] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "process": self._process,
            "level": at_level.value,
            "event": name,
            **fields,
        }
        print(json.dumps(line, default=str), file=self._stream, flush=True)
        if self.on_line is not None:
            self.on_line()

    def trouble(self, name: str, error: BaseException | str, **fields: object) -> None:
        """Write one line about an error unless the same kind was written a moment ago."""
        now = self._clock()
        written_at = self._written_at.get(name)
        if written_at is not None and now - written_at < self._interval_s:
            self._left_out[name] = self._left_out.get(name, 0) + 1
            return
        self._written_at[name] = now
        left_out = self._left_out.pop(name, 0)
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}".strip()
        self.event(name, at_level=LogLevel.WARNING, error=text[:500], left_out=left_out, **fields)


def quiet_libraries() -> None:
    """Keep libraries from writing a line per failed attempt."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    for name, level in LIBRARY_LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)
