"""A command in a pseudo-terminal, with somebody in front of it: what is typed, and what can be read on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
VERDICT = re.compile(r"[✓✗?] (PASS|FAIL|INCONCLUSIVE)\b")
"""Of a drill. A probe that `✗ FAILS` stands in the live region, above a question that is still open."""
SIZE = (40, 160)
CONTROL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
"""Makes the terminal the controlling one, so that Ctrl-C is a signal, and becomes the command."""


class Terminal:
    """Use as a context; what still runs at its end is killed."""

    def __init__(self, command: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        # xdist's workers have a size of their own there
        hidden = ("CI", "NO_COLOR", "COLUMNS", "LINES")
        live = {name: value for name, value in environ.items() if name not in hidden}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONTROL, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={**live, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self._slave = slave
        self._parts: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All that was written so far, without escape sequences."""
        return ESCAPE.sub("", "".join(self._parts)).replace("\r", "")

    def wait_for(self, pattern: str | re.Pattern[str], within_s: float = 60, since: int = 0) -> re.Match[str]:
        """The first place behind `since` where the screen shows this."""
        deadline = time.monotonic() + within_s
        while True:
            text = self.text
            found = re.compile(pattern).search(text, since)
            if found is not None:
                return found
            ended = self.process.poll() is not None
            assert not ended, f"it ended without {pattern!r}:\n{text[-4000:]}"
            assert time.monotonic() < deadline, f"no {pattern!r} within {within_s} s:\n{text[-4000:]}"
            time.sleep(0.02)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def modes(self) -> tuple[bool, bool]:
        """Whether the terminal echoes, and whether it collects lines."""
        local = termios.tcgetattr(self._slave)[3]
        return bool(local & termios.ECHO), bool(local & termios.ICANON)

    def kill(self) -> None:
        """SIGKILL to the process alone, as the system does when memory runs out."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def ended(self, within_s: float = 60) -> int:
        """Its exit code."""
        try:
            code = self.process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {within_s} s:\n{self.text[-4000:]}") from None
        time.sleep(0.1)  # what it wrote last
        return code

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 65536)
            except OSError:
                return
            if not part:
                return
            self._parts.append(part.decode("utf-8", "replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=10)
        os.close(self._slave)
        self._reader.join(2)
        os.close(self._master)
