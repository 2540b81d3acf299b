"""PostgreSQL behind a pool: nothing hangs, every failure is counted, recovery is quick.

What a pool does by default turns a short outage into a long one: it backs off between connection attempts and
hands out connections that died long ago. Here the pool gives up at once (`reconnect_timeout=0`), a watcher
asks for a connection several times a second for as long as there is trouble, and a connection whose peer has
hung up is replaced before it is used. Callers wait for the watcher, not in the pool: its queue keeps those whose
time ran out until a connection comes, and a full queue would keep the watcher out for ever.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from hotel.background import stop_task
from hotel.logs import EventLog
from hotel.metrics import Metrics
from hotel.settings import DatabaseSettings

Connection = AsyncConnection[TupleRow]

SCHEMA = """
CREATE TABLE IF NOT EXISTS reservations (
    id bigserial PRIMARY KEY,
    reference text NOT NULL UNIQUE,
    guest text NOT NULL,
    room_type text NOT NULL,
    arrival date NOT NULL,
    nights integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    pms_status text NOT NULL DEFAULT 'pending',
    pms_attempts integer NOT NULL DEFAULT 0,
    whatsapp_status text NOT NULL DEFAULT 'pending',
    whatsapp_attempts integer NOT NULL DEFAULT 0
);
-- Whether a message that was sent counts as undelivered until its receipt comes.
ALTER TABLE reservations ADD COLUMN IF NOT EXISTS whatsapp_receipt_due boolean NOT NULL DEFAULT false;
ALTER TABLE reservations ADD COLUMN IF NOT EXISTS whatsapp_sent_at timestamptz;
CREATE INDEX IF NOT EXISTS reservations_stays ON reservations (room_type, arrival);
CREATE INDEX IF NOT EXISTS reservations_pms_pending ON reservations (pms_attempts, id)
    WHERE pms_status = 'pending';
CREATE INDEX IF NOT EXISTS reservations_whatsapp_pending ON reservations (whatsapp_attempts, id)
    WHERE whatsapp_status = 'pending';
CREATE INDEX IF NOT EXISTS reservations_whatsapp_receipt_due ON reservations (id)
    WHERE whatsapp_status = 'sent' AND whatsapp_receipt_due;
"""

# Two API processes that start together would race for `CREATE TABLE IF NOT EXISTS`.
SCHEMA_LOCK = "SELECT pg_advisory_xact_lock(7205759403792793)"

WATCH_CHECKOUT_S = 0.15
WATCH_PAUSE_S = 0.1


class DatabaseUnavailableError(Exception):
    """The database cannot be reached, or did not finish in time: whether a COMMIT took effect is unknown."""


class Database:
    """The pool, its watcher and the schema. `connection` is the only way in."""

    def __init__(self, settings: DatabaseSettings, metrics: Metrics, log: EventLog) -> None:
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._trouble = asyncio.Event()
        self._calm = asyncio.Event()
        self._schema_exists = False
        self._watcher: asyncio.Task[None] | None = None
        self._pool = AsyncConnectionPool(
            settings.url,
            connection_class=counted_connection(settings.connect_timeout_s, self._failed),
            kwargs={
                "autocommit": True,
                "application_name": "agente-api",
                "client_encoding": "utf8",  # a cluster of locale C may say SQL_ASCII, and text would be bytes
                "options": f"-c statement_timeout={round(settings.query_timeout_s * 1000)}",
            },
            min_size=settings.pool_min,
            max_size=settings.pool_max,
            max_lifetime=settings.max_lifetime_s,
            reconnect_timeout=0,
            open=False,
        )
        metrics.observe_pool(self._pool.get_stats)

    async def start(self) -> None:
        """Return at once; the watcher creates the schema as soon as the database answers."""
        self._be_in_trouble()
        await self._pool.open()
        self._watcher = asyncio.create_task(self._watch(), name="database-watcher")

    async def stop(self) -> None:
        await stop_task(self._watcher)
        await self._pool.close(timeout=2.0)

    def ready(self) -> bool:
        """Whether the schema is there and nothing has failed since the database last answered."""
        return self._schema_exists and not self._trouble.is_set()

    @asynccontextmanager
    async def connection(self, checkout_timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """A connection in autocommit mode; use `connection.transaction()` for more than one statement.

        Raises DatabaseUnavailableError when no connection can be had, when it breaks, and when the work in
        the block takes longer than the query time-out.
        """
        timeout_s = self._settings.checkout_timeout_s if checkout_timeout_s is None else checkout_timeout_s
        give_up_at = asyncio.get_running_loop().time() + timeout_s
        await self._wait_for_calm(give_up_at)
        async with self._connection(give_up_at) as connection:
            yield connection

    @asynccontextmanager
    async def _connection(self, give_up_at: float) -> AsyncIterator[Connection]:
        try:
            connection = await self._checkout(give_up_at)
            deadline = asyncio.get_running_loop().call_later(self._settings.query_timeout_s, cut, connection)
            try:
                yield connection
            finally:
                deadline.cancel()
                await self._pool.putconn(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._failed(error)
            raise DatabaseUnavailableError(str(error).strip()) from error
        except psycopg.errors.UndefinedTable as error:
            # Somebody put an empty database in the place of ours.
            self._schema_exists = False
            self._be_in_trouble()
            raise DatabaseUnavailableError("the schema is not there yet") from error

    async def ping(self, timeout_s: float) -> None:
        """Ask the database a question. Raises DatabaseUnavailableError, also while the schema is not there."""
        if not self._schema_exists:
            raise DatabaseUnavailableError("not reached yet, or the schema is not there")
        try:
            async with asyncio.timeout(timeout_s + self._settings.query_timeout_s):
                async with self.connection(timeout_s) as connection:
                    await connection.execute("SELECT 1")
        except TimeoutError as error:
            raise DatabaseUnavailableError("no answer in time") from error

    async def _wait_for_calm(self, give_up_at: float) -> None:
        try:
            async with asyncio.timeout_at(give_up_at):
                await self._calm.wait()
        except TimeoutError as error:
            self._failed(error)
            raise DatabaseUnavailableError("no connection in time") from error

    async def _checkout(self, give_up_at: float) -> Connection:
        """A connection whose peer has not hung up; dead ones go back, for the pool to replace."""
        loop = asyncio.get_running_loop()
        while True:
            connection = await self._pool.getconn(timeout=max(0.001, give_up_at - loop.time()))
            try:
                if not has_news(connection):
                    return connection
                await self._ask(connection, give_up_at)
            except (psycopg.Error, OSError) as error:
                self._failed(error)
                await connection.close()
                await self._pool.putconn(connection)
            else:
                return connection

    async def _ask(self, connection: Connection, give_up_at: float) -> None:
        """The server sent something to an idle connection: a notice, or its last words."""
        deadline = asyncio.get_running_loop().call_at(give_up_at, cut, connection)
        try:
            await connection.execute("")
        finally:
            deadline.cancel()

    def _failed(self, error: BaseException) -> None:
        self._metrics.database_connection_errors.inc()
        self._log.trouble("database-unavailable", error)
        stats = self._pool.get_stats()
        exhausted = isinstance(error, PoolTimeout) and stats["pool_size"] >= self._settings.pool_max
        if not exhausted:  # every connection is in use: the next one to come back is the cure
            self._be_in_trouble()

    def _be_in_trouble(self) -> None:
        self._calm.clear()
        self._trouble.set()

    async def _watch(self) -> None:
        """While there is trouble, try again several times a second: recovery must not wait for a caller."""
        while True:
            await self._trouble.wait()
            try:
                await self._recover()
            except DatabaseUnavailableError:
                await asyncio.sleep(WATCH_PAUSE_S)
            except psycopg.Error as error:
                self._log.trouble("schema-not-created", error)
                await asyncio.sleep(1.0)
            else:
                self._trouble.clear()
                self._calm.set()
                self._log.event("database-available")

    async def _recover(self) -> None:
        give_up_at = asyncio.get_running_loop().time() + WATCH_CHECKOUT_S
        async with self._connection(give_up_at) as connection:
            if self._schema_exists:
                await connection.execute("SELECT 1")
                return
            async with connection.transaction():
                await connection.execute(SCHEMA_LOCK)
                await connection.execute(SCHEMA)
            self._schema_exists = True


def counted_connection(timeout_s: float, failed: Callable[[BaseException], None]) -> type[Connection]:
    """A connection class whose failed attempts to connect are counted and end in time.

    The driver rounds its own `connect_timeout` up to two seconds.
    """

    class CountedConnection(AsyncConnection[TupleRow]):
        @classmethod
        async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
            try:
                async with asyncio.timeout(timeout_s):
                    return await super().connect(conninfo, **kwargs)
            except (psycopg.Error, TimeoutError, OSError) as error:
                failed(error)
                raise

    return CountedConnection


def has_news(connection: Connection) -> bool:
    """Whether an idle connection has something to read: most likely the end. Costs no round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLRDHUP)
    return bool(poll.poll(0))


def cut(connection: Connection) -> None:
    """Hang up, so that whatever waits for this connection fails now.

    Cancelling would make the driver ask a server that no longer answers to cancel the query, and wait for it.
    """
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as handle:
        handle.shutdown(socket.SHUT_RDWR)
