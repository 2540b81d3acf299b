"""One link: a listening socket, the connections that came through it, and the toxics in force on it."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from gameday.proxy.config import LinkConfig
from gameday.proxy.connection import Connection, Endpoint
from gameday.proxy.toxics import Refuse, Toxic

BACKLOG = 1024
ACCEPTS_AT_ONCE = 64
CONNECT_TIMEOUT_S = 30.0
RETRY_S = 0.1


@dataclass(slots=True)
class Entry:
    """One toxic in force. `expires` is loop time, which is the monotonic clock."""

    toxic: Toxic
    expires: float
    timer: asyncio.TimerHandle = field(repr=False)


class Link:
    """Everything about it happens on the loop's thread, so that a change is in force when `put` returns."""

    def __init__(self, config: LinkConfig, seed: int, on_expiry: Callable[[str, Toxic], None]) -> None:
        self.config = config
        self.toxics: dict[str, Entry] = {}
        self.connections: set[Connection] = set()
        self.accepted = 0
        self._seed = seed
        self._on_expiry = on_expiry
        self._loop = asyncio.get_running_loop()
        self._listening = False
        self._tasks: set[asyncio.Task[None]] = set()
        family = socket.AF_INET6 if ":" in config.listen_host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setblocking(False)

    # --- listening -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Bind and listen. Raises OSError."""
        self._socket.bind((self.config.listen_host, self.config.listen_port))
        self._listen()

    @property
    def listening(self) -> bool:
        return self._listening

    def _listen(self) -> None:
        try:
            self._socket.listen(BACKLOG)
        except OSError as error:
            # somebody bound the port beside us; go on trying, as healing must not need a person
            print(f"{self.config.name}: cannot listen again: {error}; trying on", file=sys.stderr, flush=True)
            self._loop.call_later(RETRY_S, self._follow_refuse)
            return
        self._listening = True
        self._loop.add_reader(self._socket, self._accept)

    def _stop_listening(self) -> None:
        """Refuse, and keep the port: on Linux a listening socket that is shut down stays bound and can listen
        again, so that nobody takes the port meanwhile."""
        self._listening = False
        self._loop.remove_reader(self._socket)
        self._socket.shutdown(socket.SHUT_RDWR)

    def _follow_refuse(self) -> None:
        refused = any(isinstance(entry.toxic.effect, Refuse) for entry in self.toxics.values())
        if self._socket.fileno() != -1 and refused == self._listening:
            if refused:
                self._stop_listening()
            else:
                self._listen()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    raise
                print(f"{self.config.name}: cannot accept: {error}", file=sys.stderr, flush=True)
                self._loop.remove_reader(self._socket)
                self._loop.call_later(RETRY_S, self._accept_again)
                return
            client.setblocking(False)
            self.accepted += 1
            connection = Connection(
                self._loop, self.accepted, self._dial, self._ready, self.connections.discard
            )
            self._spawn(self._attach(client, connection))

    def _accept_again(self) -> None:
        if self._listening:
            self._loop.add_reader(self._socket, self._accept)

    async def _attach(self, client: socket.socket, connection: Connection) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: connection.client, client)
        except OSError:  # it was gone before it was attached
            client.close()

    def _dial(self, server: Endpoint) -> None:
        self._spawn(self._connect(server))

    async def _connect(self, server: Endpoint) -> None:
        """Reach the server; when it cannot be, the client sees a reset: it was accepted already."""
        connection = server.connection
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._loop.create_connection(
                    lambda: server, self.config.upstream_host, self.config.upstream_port
                )
        except OSError:  # TimeoutError is one
            connection.unreachable()

    def _spawn(self, coroutine: object) -> None:
        task: asyncio.Task[None] = self._loop.create_task(coroutine)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ready(self, connection: Connection) -> None:
        """The client's side is attached: what is in force now is in force on it."""
        self.connections.add(connection)
        for entry in list(self.toxics.values()):
            self._apply(connection, entry.toxic, fresh=True)

    # --- toxics --------------------------------------------------------------------------------------------

    def put(self, toxic: Toxic) -> int:
        """Bring it into force, on open connections too; one of the same name is replaced. Returns on how many open
        connections it acts."""
        before = self.toxics.pop(toxic.name, None)
        if before is not None:
            before.timer.cancel()
        expires = self._loop.time() + toxic.ttl_s
        entry = Entry(toxic, expires, self._loop.call_at(expires, self._expire, toxic.name))
        self.toxics[toxic.name] = entry
        self._follow_refuse()
        if isinstance(toxic.effect, Refuse):
            return self._close_open() if toxic.effect.close_open else 0
        keep = before is not None and _same_place(before.toxic, toxic)
        affected = 0
        for connection in list(self.connections):
            if not keep:
                connection.withdraw(toxic.name)
            affected += self._apply(connection, toxic, fresh=False)
        return affected

    def _apply(self, connection: Connection, toxic: Toxic, *, fresh: bool) -> bool:
        chosen = not toxic.effect.whole_link and self._chosen(connection, toxic)
        if not chosen:
            connection.withdraw(toxic.name)
        elif connection.has(toxic.name):
            connection.change(toxic)
        else:
            connection.put(toxic, self._seed_of(connection, toxic), fresh=fresh)
        return chosen

    def _chosen(self, connection: Connection, toxic: Toxic) -> bool:
        """By a draw that depends on seed, link, toxic and the connection's number alone, so that a run can be
        repeated, and putting a toxic again does not choose anew."""
        draw = random.Random(self._seed_of(connection, toxic)).random()  # noqa: S311  # repeatable, not secret
        return draw * 100 < toxic.percentage

    def _seed_of(self, connection: Connection, toxic: Toxic) -> str:
        return f"{self._seed}/{self.config.name}/{toxic.name}/{connection.number}"

    def remove(self, name: str) -> bool:
        """Heal; whether there was such a toxic."""
        entry = self.toxics.pop(name, None)
        if entry is None:
            return False
        entry.timer.cancel()
        self._follow_refuse()
        for connection in list(self.connections):
            connection.withdraw(name)
        return True

    def _expire(self, name: str) -> None:
        toxic = self.toxics[name].toxic
        self.remove(name)
        self._on_expiry(self.config.name, toxic)

    def _close_open(self) -> int:
        count = len(self.connections)
        for connection in list(self.connections):
            connection.close()
        return count

    def close(self) -> None:
        for name in list(self.toxics):
            self.toxics.pop(name).timer.cancel()
        if self._listening:
            self._loop.remove_reader(self._socket)
        self._listening = False
        self._socket.close()
        self._close_open()


def _same_place(before: Toxic, after: Toxic) -> bool:
    return type(before.effect) is type(after.effect) and before.direction is after.direction
