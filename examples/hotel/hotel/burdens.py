"""Real load on the process that carries it: memory, processor time and log lines.

Each burden can be taken off again without a trace, and leaves the API able to answer while it lasts.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import threading
import time

from hotel.background import stop_task
from hotel.logs import EventLog

MIB = 2**20
TICK_S = 0.05
LINES_AT_ONCE = 100
BURN_BUFFER = 4 * MIB
JOIN_TIMEOUT_S = 5.0
FLOOD_TEXT = "availability recomputed for a room that nobody asked for; see the configured log level"


class MemoryLeak:
    """Grows by `bytes_per_s` to `up_to_bytes`, then stays.

    Blocks are private mappings of their own: what the interpreter's allocator gets it need not give back.
    """

    def __init__(self, bytes_per_s: float, up_to_bytes: int, log: EventLog) -> None:
        self._bytes_per_s = bytes_per_s
        self._up_to_bytes = up_to_bytes
        self._log = log
        self._blocks: list[mmap.mmap] = []
        self._held = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._grow(), name="memory-leak")

    async def stop(self) -> None:
        await stop_task(self._task)
        for block in self._blocks:
            block.close()
        self._blocks.clear()

    async def _grow(self) -> None:
        began_at = time.monotonic()
        while self._held < self._up_to_bytes:
            due = min(self._up_to_bytes, (time.monotonic() - began_at) * self._bytes_per_s)
            missing = self._up_to_bytes - self._held
            size = missing if missing < 2 * MIB else MIB
            if due - self._held < size:
                await asyncio.sleep(TICK_S)
                continue
            try:
                self._take(size)
            except (OSError, MemoryError) as error:
                self._log.trouble("memory-leak-stopped", error, held_bytes=self._held)
                return
            await asyncio.sleep(0)

    def _take(self, size: int) -> None:
        block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.write(b"\x5a" * size)  # an untouched page is no memory
        self._blocks.append(block)
        self._held += size


class CpuBurn:
    """Keeps `threads` cores busy. Hashing a large buffer lets go of the interpreter, so the API still answers."""

    def __init__(self, threads: int) -> None:
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._burn, name=f"cpu-burn-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        self._enough.set()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)

    def _burn(self) -> None:
        buffer = bytes(BURN_BUFFER)
        while not self._enough.is_set():
            hashlib.sha256(buffer).digest()


class LogFlood:
    """Writes `lines` lines at `lines_per_s` through the service's own log, then falls silent.

    A raised log level suppresses the lines, not the flood: they are due all the same.
    """

    def __init__(self, lines_per_s: float, lines: int, log: EventLog) -> None:
        self._lines_per_s = lines_per_s
        self._lines = lines
        self._log = log
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._flood(), name="log-flood")

    async def stop(self) -> None:
        await stop_task(self._task)

    async def _flood(self) -> None:
        began_at, done = time.monotonic(), 0
        while done < self._lines:
            due = min(self._lines, int((time.monotonic() - began_at) * self._lines_per_s))
            if done >= due:
                await asyncio.sleep(TICK_S)
                continue
            for number in range(done, min(due, done + LINES_AT_ONCE)):
                self._log.event("log-flood", number=number + 1, of=self._lines, text=FLOOD_TEXT)
            done = min(due, done + LINES_AT_ONCE)
            await asyncio.sleep(0)
