"""A proxy process with links to echo servers that the test owns, and questions asked from outside."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gameday.proxy import ProxyClient, Toxic, launch
from gameday.targets.ports import find_free_ports

TIMEOUT_S = 5.0
SILENCE_S = 0.25


class Echo:
    """A server that sends back what it gets, and remembers its connections."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.received = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.received += data
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.listener.close()
        for connection in self.connections:
            connection.close()


class World:
    """One proxy with one link, `db`, to an echo server."""

    def __init__(self, folder: Path, seed: int = 7) -> None:
        self.folder = folder
        self.echo = Echo()
        self._clients: list[socket.socket] = []
        self.port = find_free_ports(1)[0]
        link = {"name": "db", "listen": f"127.0.0.1:{self.port}", "upstream": f"127.0.0.1:{self.echo.port}"}
        self.config = folder / "proxy.json"
        document = {"links": [link], "control": "control.sock", "state": "state.json", "seed": seed}
        self.config.write_text(json.dumps(document))
        self.output = folder / "output.log"
        self.control = folder / "control.sock"
        self.client = ProxyClient(self.control)
        self.process = launch(self.config, self.output)

    def put(self, effect: Any, **more: Any) -> int:
        more = {"name": "toxic", "ttl_s": 60.0, **more}
        return self.client.put("db", Toxic(effect=effect, **more)).connections

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
        self._clients.append(connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def open(self) -> socket.socket:
        """A connection that has been through to the server and back."""
        connection = self.connect()
        assert exchange(connection, b"hello") == b"hello"
        return connection

    def restart(self) -> None:
        self.process = launch(self.config, self.output)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(timeout=TIMEOUT_S) == 0, self.output.read_text()
        assert "Traceback" not in self.output.read_text()
        self.echo.close()
        for connection in self._clients:
            connection.close()


def exchange(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        data = connection.recv(65536)
        if not data:
            break
        got += data
    return bytes(got)


def silent(connection: socket.socket) -> bool:
    """Whether nothing at all arrives for a while, neither data nor an end."""
    connection.settimeout(SILENCE_S)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(TIMEOUT_S)
    return False


@contextlib.contextmanager
def timed(at_least: float, at_most: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert at_least <= took <= at_most, took
