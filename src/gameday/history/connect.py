"""Connections and transactions of the history, made for several processes that write at once.

SQLite: a write transaction takes the write lock when it begins (`BEGIN IMMEDIATE`), so that writers queue on the
busy time-out instead of failing when they upgrade a read lock; the write-ahead log lets readers go on meanwhile.
PostgreSQL: a connection has a time for each thing that may hang. The last of them is kept on this side, for a server
that does not answer any more: it could not end its statement itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from gameday.errors import GamedayError
from gameday.text import one_line

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
LOCK_TIMEOUT_S = 20
TRANSACTION_TIMEOUT_S = 90.0
"""Of a whole transaction, which may bring megabytes over a slow line."""
_WRITE = "gameday_write"
_WATCH = "gameday_watch"
# without an encoding psycopg gives bytes for the text of a SQL_ASCII database
_POSTGRESQL = {"connect_timeout": CONNECT_TIMEOUT_S, "client_encoding": "utf8", "application_name": "gameday"}


class HistoryError(GamedayError):
    """The history cannot be read or written. The drill's evidence folder is complete all the same."""


def open_engine(url: URL, busy_timeout_s: float, transaction_s: float = TRANSACTION_TIMEOUT_S) -> Engine:
    """An engine that contacts nothing yet and keeps no connection between transactions."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url, poolclass=NullPool, connect_args={"timeout": busy_timeout_s}, hide_parameters=True
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=NullPool, connect_args=_POSTGRESQL, hide_parameters=True)
    _limit(engine, transaction_s)
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that will write."""
    return engine.execution_options(**{_WRITE: True})


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = (
        None  # the driver's own idea of transactions leaves DDL outside; ours is below
    )
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes, `rebuild` brings back


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _limit(engine: Engine, transaction_s: float) -> None:
    """Times for a PostgreSQL. A connection is one transaction, so what limits the one limits the other."""

    def begin(connection: Any, record: Any) -> None:
        ours = socket.socket(fileno=os.dup(connection.fileno()))  # of our own: its number is nobody else's
        timer = threading.Timer(transaction_s, _cut, (ours,))
        timer.daemon = True
        timer.start()
        record.info[_WATCH] = (timer, ours)
        # not as options of the connection, which poolers refuse
        for name, seconds in (("statement_timeout", STATEMENT_TIMEOUT_S), ("lock_timeout", LOCK_TIMEOUT_S)):
            connection.execute(f"SET {name} = '{seconds}s'")
        connection.commit()

    def end(_connection: Any, record: Any) -> None:
        if watch := record.info.pop(_WATCH, None):
            timer, ours = watch
            timer.cancel()
            ours.close()

    event.listen(engine, "connect", begin)
    event.listen(engine, "close", end)


def _cut(connection: socket.socket) -> None:
    """Whoever waits for the server learns that it is lost."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def prepare_file(engine: Engine, busy_timeout_s: float) -> None:
    """Folder and write-ahead log. Switching the log on does not wait for other connections, so it is retried."""
    if engine.url.database and engine.url.database != ":memory:":
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + busy_timeout_s
    while True:
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise OperationalError("PRAGMA journal_mode=WAL", None, error) from error
            if time.monotonic() > deadline:
                raise OperationalError("PRAGMA journal_mode=WAL", None, error) from error
            time.sleep(0.02)
        finally:
            connection.close()


def shown(url: URL) -> str:
    """A URL for people: without its password, and without its query, which may hold another."""
    return url.set(query={}).render_as_string(hide_password=True)


def reason(error: BaseException, url: URL | None = None) -> str:
    """What a library's error says, on one line and without its statement, a link to its manual or a password."""
    original = getattr(error, "orig", None) or error
    said = str(original).strip()
    text = said.splitlines()[0] if said else type(original).__name__
    if url is not None and url.password:
        text = text.replace(str(url.password), "***")
    return one_line(text, 500)
