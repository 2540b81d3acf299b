"""The runner's end of the engine process: started early, fed later, ended whatever happens.

Chaos Toolkit takes as long to import as all of the runner. So the process is started first of all and imports
while the runner reads its files; it learns what to do over the socket, when the drill's session answers.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from gameday.waiting import wait_ended

LINK_VARIABLE = "GAMEDAY_LINK"
KILL_TIMEOUT_S = 10.0


class EngineProcess:
    """One engine process. Use as a context: it never outlives it."""

    def __init__(self) -> None:
        self.connection, theirs = socket.socketpair()
        self._early = tempfile.TemporaryFile()  # noqa: SIM115 - until the evidence has a place for it
        with theirs:
            # a session of its own: Ctrl-C at the terminal is for the runner, which decides what it means
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gameday.engine", str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, LINK_VARIABLE: str(theirs.fileno())},
                stdin=subprocess.DEVNULL,
                stdout=self._early,
                stderr=self._early,
                start_new_session=True,
            )

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code as soon as it ends, None when it has not by then."""
        return wait_ended(self._process, timeout_s)

    def kill(self) -> None:
        """End the process at once; no-op when it has ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=KILL_TIMEOUT_S)

    def save_early_output(self, log: Path) -> None:
        """What it said before it had a log of its own, such as why it could not even start."""
        self._early.seek(0)
        text = self._early.read()
        if text:
            with log.open("ab") as file:
                file.write(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.connection.close()
        self._early.close()
