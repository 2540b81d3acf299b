"""An observer of its own: what a drill measures, seen by code that shares nothing with gameday.

Raw sockets, one process, one file of results. While nothing is expected it asks little; from the arming of the
dead-man switch until the failure, and from the runbook until the recovery, every 5 ms. (It learns from the
timeline when to look closely, never what it sees.) What is under way is capped, so that a service that hangs is
not buried by its observer.

    python -m bench.observer SETTINGS.json
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from urllib.parse import urlsplit

EVERY_S = 0.005
CALM_S = 0.1
TIMEOUT_S = 1.0
MAX_FLYING = 32
SCRAPE_S = 0.1
AFTER_S = 0.3
"""How long it goes on looking closely after the event that ends a close look."""
CLOSER = frozenset({"deadman.armed", "runbook.started"})
CALMER = frozenset({"fault.effective", "service.recovered", "fault.ineffective", "service.down"})
BOOKING = b'{"guest":"O","room_type":"single","arrival":"2030-01-01","nights":1,"reference":"observer"}'
ERRORS = re.compile(rb"^database_connection_errors_total(?:\{[^}]*\})? ([0-9.e+]+)", re.MULTILINE)


@dataclass
class Observer:
    """What all watchers share: the file of results, and whether to look closely now."""

    out: TextIO
    close_until: float = 0.0
    flying: int = 0
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    def note(self, kind: str, started_ns: int, ended_ns: int, value: Any) -> None:
        self.out.write(json.dumps([kind, started_ns, ended_ns, value]) + "\n")

    @property
    def every_s(self) -> float:
        return EVERY_S if time.monotonic() < self.close_until else CALM_S

    async def regularly(self, ask: Callable[[], None]) -> None:
        """Call at the rate of the moment, whatever became of earlier questions."""
        due = time.monotonic()
        while True:
            ask()
            due = max(due + self.every_s, time.monotonic() - self.every_s)
            while (left := due - time.monotonic()) > 0:
                await asyncio.sleep(min(left, EVERY_S))  # a close look must begin at once
                due = min(due, time.monotonic() + self.every_s)


class Bookings:
    """Asks for one and the same booking again and again: all of the way through API and database, and one row."""

    def __init__(self, observer: Observer, url: str) -> None:
        parts = urlsplit(url)
        self._observer = observer
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._book = self._request("POST", "/reservations", BOOKING)
        self._scrape = self._request("GET", "/metrics", b"")
        self._tasks: set[asyncio.Task[None]] = set()

    def _request(self, method: str, path: str, body: bytes) -> bytes:
        head = (
            f"{method} {path} HTTP/1.1",
            f"Host: {self._host}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        return "\r\n".join((*head, "", "")).encode() + body

    def ask(self) -> None:
        if self._observer.flying >= MAX_FLYING:
            return
        self._observer.flying += 1
        task = asyncio.create_task(self._ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self) -> None:
        started_ns = time.monotonic_ns()
        try:
            status, _ = await self._exchange(self._book)
            ok = status in (200, 201)  # it was there, or is now
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            ok = False
        finally:
            self._observer.flying -= 1
        self._observer.note("bookings", started_ns, time.monotonic_ns(), ok)

    async def scrape(self) -> None:
        """The counter that the rule looks at, at a rate of our own."""
        while True:
            started_ns = time.monotonic_ns()
            try:
                _, body = await self._exchange(self._scrape)
                match = ERRORS.search(body)
                if match:
                    self._observer.note("errors", started_ns, time.monotonic_ns(), float(match.group(1)))
            except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
                pass  # a gap in the log is seen by whoever reads it
            await asyncio.sleep(SCRAPE_S)

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        async with asyncio.timeout(TIMEOUT_S):
            idle = self._observer.idle
            reader, writer = idle.pop() if idle else await asyncio.open_connection(self._host, self._port)
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length.group(1)) if length else 0)
            except BaseException:
                writer.close()
                raise
            idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), body


class Queries:
    """`select 1` in PostgreSQL's own protocol over one connection; a broken one is made anew each time."""

    def __init__(self, observer: Observer, url: str) -> None:
        parts = urlsplit(url)
        self._observer = observer
        self._host, self._port = str(parts.hostname), int(parts.port or 5432)
        words = ("user", parts.username or "", "database", parts.path.lstrip("/"))
        body = struct.pack("!I", 196608) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
        self._hello = struct.pack("!I", len(body) + 4) + body
        self._query = b"Q" + struct.pack("!I", 4 + 9) + b"select 1\0"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        started_ns = time.monotonic_ns()
        ok = True
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._host, self._port)
                    await self._send(self._hello)
                await self._send(self._query)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            ok = False
            if self._streams is not None:
                self._streams[1].close()
                self._streams = None
        self._observer.note("database", started_ns, time.monotonic_ns(), ok)

    async def _send(self, message: bytes) -> None:
        """Send, and read until the server is ready for a query."""
        if self._streams is None:
            raise ValueError("not connected")
        reader, writer = self._streams
        writer.write(message)
        while True:
            kind, length = struct.unpack("!cI", await reader.readexactly(5))
            await reader.readexactly(length - 4)
            if kind == b"E":
                raise ValueError("the server refused")
            if kind == b"Z":
                return


async def watch_process(observer: Observer, pid: int) -> None:
    """The instant at which a process ended, from the kernel."""
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        await ended.wait()
        now_ns = time.monotonic_ns()
        observer.note("ended", now_ns, now_ns, pid)
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


class TimelineTail:
    """The lines that a drill adds to its timeline, from the moment at which there is one."""

    def __init__(self, reports: Path) -> None:
        self._reports = reports
        self._file: BinaryIO | None = None
        self._rest = b""

    def added(self) -> list[dict[str, Any]]:
        """Events that were written since the last call."""
        if self._file is None:
            path = next(self._reports.glob("*/timeline.jsonl"), None)
            if path is None:
                return []
            self._file = path.open("rb")
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


async def watch_timeline(observer: Observer, reports: Path) -> None:
    """When each event can be read by others; and when to look closely."""
    with closing(TimelineTail(reports)) as tail:
        while True:
            for event in tail.added():
                what = [event["event"], event["data"].get("alert")]
                observer.note("event", int(event["at"]["mono_ns"]), time.monotonic_ns(), what)
                if event["event"] in CLOSER:
                    observer.close_until = float("inf")
                elif event["event"] in CALMER:
                    observer.close_until = time.monotonic() + AFTER_S
            await asyncio.sleep(EVERY_S)


def main(settings: dict[str, Any]) -> None:
    """Observe until SIGTERM."""
    with Path(settings["output"]).open("w", encoding="utf-8") as out:
        asyncio.run(observe(settings, Observer(out)))


async def observe(settings: dict[str, Any], observer: Observer) -> None:
    bookings = Bookings(observer, settings["api"])
    queries = Queries(observer, settings["database"])
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(observer.regularly(bookings.ask)),
            group.create_task(observer.regularly(queries.ask)),
            group.create_task(bookings.scrape()),
            group.create_task(watch_process(observer, int(settings["pid"]))),
            group.create_task(watch_timeline(observer, Path(settings["reports"]))),
        ]
        await stopped.wait()
        for task in tasks:
            task.cancel()
    now_ns = time.monotonic_ns()
    observer.note("cpu", now_ns, now_ns, time.process_time())


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
