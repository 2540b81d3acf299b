"""As much of the Redis protocol (RESP2) as an operator's few commands need."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, unquote

Reply = str | int | None


class RespError(Exception):
    """The server answered with an error."""


class RespClient:
    """One connection. Each command is answered within `timeout_s`, or raises TimeoutError; a connection that the
    server ended raises ConnectionError."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._buffer = b""

    def command(self, *words: str) -> Reply:
        """Send one command; its answer as text, a number, or None."""
        parts = [word.encode() for word in words]
        head = b"*%d\r\n" % len(parts)
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(head + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
        return self._reply(time.monotonic() + self._timeout_s)

    def authenticate(self, url: SplitResult) -> None:
        """As the URL says; nothing where it has no password."""
        if url.password is not None:
            user = [unquote(url.username)] if url.username else []
            self.command("AUTH", *user, unquote(url.password))

    def _reply(self, until: float) -> Reply:
        line = self._line(until)
        kind, rest = line[:1], line[1:].decode(errors="replace")
        match kind:
            case b"+":
                return rest
            case b"-":
                raise RespError(rest)
            case b":":
                return int(rest)
            case b"$":
                size = int(rest)
                return None if size < 0 else self._exactly(size + 2, until)[:-2].decode(errors="replace")
        raise RespError(f"an answer of another kind: {line[:60]!r}")

    def _line(self, until: float) -> bytes:
        while b"\r\n" not in self._buffer:
            self._receive(until)
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, size: int, until: float) -> bytes:
        while len(self._buffer) < size:
            self._receive(until)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self, until: float) -> None:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"no answer within {self._timeout_s:g} s")
        self._socket.settimeout(left_s)
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionResetError("the server ended the connection")
        self._buffer += data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
