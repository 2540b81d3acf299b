"""Starting, timing and ending processes. Whatever is started here is ended by its pid, and bounded in time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
GAMEDAY = str(Path(sys.executable).with_name("gameday"))
CHAOS = str(Path(sys.executable).with_name("chaos"))
TAIL = 1500
END_S = 30.0


class BenchError(Exception):
    """A measurement could not be taken; says what was run and what it printed."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One process and all that it waited for: wall clock, processor time, largest resident set."""

    wall_s: float
    cpu_s: float
    rss_mb: float
    output: str


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a measured process: ours, without what would send gameday elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GAMEDAY_")} | more


def timed(
    argv: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, timeout_s: float = 120.0
) -> Timed:
    """Run to its end and measure.

    Raises:
        BenchError: it failed, or took longer than `timeout_s` and was killed.
    """
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=surroundings() if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        killer = threading.Timer(timeout_s, process.kill)
        killer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            killer.cancel()
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode != 0:
        raise BenchError(
            f"{' '.join(argv)}: exit code {process.returncode} after {wall_s:.1f} s:\n{text[-TAIL:]}"
        )
    return Timed(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


@contextmanager
def background(
    argv: Sequence[str], log: Path, *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs beside the block and is ended after it: asked first, then killed."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=surroundings() if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=END_S)


def finished(process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> int:
    """The exit code of a background process.

    Raises:
        BenchError: it did not end in time.
    """
    try:
        return process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        tail = log.read_text(errors="replace")[-TAIL:]
        raise BenchError(f"{process.args!r} did not end within {timeout_s:g} s:\n{tail}") from None
