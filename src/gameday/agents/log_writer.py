"""`python -m gameday.agents.log_writer --lines-per-s N --lines N --ttl S`: writes into a container's log, evenly.

It runs in the process namespace of that container and writes to where the container's first process has its output,
which is what the engine collects. The container's image needs nothing for it.
"""

from __future__ import annotations

import argparse
import os
import select
import stat
import sys
import time
from pathlib import Path

from gameday.agents import BEGUN

OUTPUT = Path("/proc/1/fd/1")
_ATOMIC = 4096
"""A pipe takes so many bytes at once or none, so that no line of others is torn."""
_PAUSE_S = 0.005
_PATIENCE_S = 0.2


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gameday.agents.log_writer")
    parser.add_argument(
        "--check", action="store_true", help="say whether it could be done, and write nothing"
    )
    parser.add_argument("--lines-per-s", type=int, default=1)
    parser.add_argument("--lines", type=int, default=0, help="in all")
    parser.add_argument("--ttl", type=float, default=0.0, help="seconds after which it ends by itself")
    options = parser.parse_args(arguments)
    ends = time.monotonic() + options.ttl
    try:
        # a descriptor of its own: not to wait when nobody reads is this writer's choice alone
        output = os.open(OUTPUT, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND)
        mode = os.fstat(output).st_mode
    except OSError as error:
        print(f"its first process has no output that can be written to: {error}", flush=True)
        return 1
    if not stat.S_ISFIFO(mode) and not (stat.S_ISCHR(mode) and os.isatty(output)):
        print(f"its first process does not write to the engine's log, but to {OUTPUT.readlink()}", flush=True)
        return 1
    if not options.check:
        print(f"{BEGUN}{options.lines_per_s} lines a second, {options.lines} in all", flush=True)
        _write(output, options.lines_per_s, options.lines, ends)
    return 0


def _write(output: int, lines_per_s: int, lines: int, ends: float) -> None:
    begun, written, rest = time.monotonic(), 0, b""
    while (written < lines or rest) and time.monotonic() < ends:
        if not rest:
            due = min(lines, int((time.monotonic() - begun) * lines_per_s) + 1)
            if due == written:
                time.sleep(_PAUSE_S)
                continue
            rest, written = _some(written, due, lines)
        try:
            rest = rest[os.write(output, rest) :]
        except BlockingIOError:
            select.select([], [output], [], _PATIENCE_S)


def _some(written: int, due: int, lines: int) -> tuple[bytes, int]:
    """The next lines, as many as are due and fit into one write; and how many are written then."""
    text = b""
    while written < due:
        line = f"gameday floods this log from outside: line {written + 1} of {lines}\n".encode()
        if len(text) + len(line) > _ATOMIC:
            break
        text += line
        written += 1
    return text, written


if __name__ == "__main__":
    sys.exit(main())
