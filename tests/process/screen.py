"""A command at a pseudo-terminal that asks one question."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def answered(
    command: Sequence[str],
    cwd: Path,
    environ: Mapping[str, str],
    *,
    when: str,
    answer: str,
    silent_s: float,
) -> tuple[int, str]:
    """Type `answer` when the screen shows `when`, once; the exit code, and all that was shown. Over when nothing more
    is shown for `silent_s`."""
    keyboard, tty = pty.openpty()
    asking = subprocess.Popen(
        command, stdin=tty, stdout=tty, stderr=tty, cwd=cwd, env=environ, start_new_session=True
    )
    os.close(tty)
    screen = ""
    try:
        while chunk := _read(keyboard, silent_s):
            asked = when in screen
            screen += chunk
            if not asked and when in screen:
                os.write(keyboard, f"{answer}\n".encode())
        return asking.wait(timeout=30), screen
    finally:
        asking.kill()
        os.close(keyboard)


def _read(terminal: int, silent_s: float) -> str:
    """What the screen shows next; empty when the last process has closed it."""
    ready, _, _ = select.select([terminal], [], [], silent_s)
    try:
        return os.read(terminal, 65536).decode(errors="replace") if ready else ""
    except OSError:
        return ""
