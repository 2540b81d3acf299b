"""A small HTTP server on this machine that answers, dawdles or hangs as it is told."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gameday.targets.base import Address


@dataclass
class Server:
    port: int = 0
    status: int = 200
    text: str = "well"
    delays_s: list[float] = field(default_factory=list)
    """How long the next requests wait for their answers; afterwards none waits."""
    hanging: bool = False
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    """First line, headers and JSON body of what was asked."""

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port, f"http://127.0.0.1:{self.port}/")

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                first, *rest = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((first, headers, json.loads(body) if body else None))
                await asyncio.sleep(60 if self.hanging else self.delays_s.pop(0) if self.delays_s else 0)
                answer = f"HTTP/1.1 {self.status} x\r\ncontent-length: {len(self.text)}\r\n\r\n{self.text}"
                writer.write(answer.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Server]:
    """A server on a free port; what hangs in it is ended with it."""
    server, tasks = Server(**settings), set[asyncio.Task[None]]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(task := asyncio.ensure_future(server.handle(reader, writer)))
        await asyncio.gather(task, return_exceptions=True)

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def nobody_there() -> tuple[socket.socket, Address]:
    """An address that refuses connections while the socket is open."""
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    return closed, Address("127.0.0.1", port, f"http://127.0.0.1:{port}")
