"""Connections, transactions and tables of the index, made for several processes that write at once.

SQLite: a write transaction takes the write lock when it begins (`BEGIN IMMEDIATE`), so that writers queue on the
busy time-out instead of failing when they upgrade a read lock; the write-ahead log lets readers go on meanwhile.
PostgreSQL: an advisory lock around the creation of tables, which `IF NOT EXISTS` alone does not make safe.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable, DropIndex

from gameday.errors import GamedayError
from gameday.history.model import AlertRow, Base, DrillRow, SchemaRow
from gameday.text import one_line

VERSION = 2
_FIRST = 1
"""Tables of this version are brought up to date where they are."""
CONNECT_TIMEOUT_S = 5
_ADVISORY_LOCK = 0x67616D65646179  # "gameday"
_WRITE = "gameday_write"
# without an encoding psycopg gives bytes for the text of a SQL_ASCII database
_POSTGRESQL = {"connect_timeout": CONNECT_TIMEOUT_S, "client_encoding": "utf8"}


class HistoryError(GamedayError):
    """The index of drills cannot be read or written. The drill's evidence folder is complete all the same."""


def open_engine(url: URL, busy_timeout_s: float) -> Engine:
    """An engine that contacts nothing yet and keeps no connection between transactions."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": busy_timeout_s})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(url, poolclass=NullPool, connect_args=_POSTGRESQL)


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


def ensure_schema(engine: Engine, busy_timeout_s: float) -> bool:
    """Create the tables where they are absent, or bring them up to date. True when they were of an old version:
    what they did not have must then be filled in from the evidence folders.

    Raises:
        HistoryError: the database has tables of another version.
        SQLAlchemyError: it cannot be reached or written.
    """
    with engine.connect() as connection:
        found = _version(connection)
    if found is None:
        if engine.dialect.name == "sqlite":
            _prepare_file(engine, busy_timeout_s)
        with writing(engine).begin() as connection:
            _create(connection)
            found = VERSION
    if found == _FIRST:
        with writing(engine).begin() as connection:
            return _migrate(connection)
    if found != VERSION:
        raise HistoryError(
            f"the history has tables of version {found}, this gameday uses {VERSION}; "
            "`gameday history rebuild` makes it anew from the evidence folders"
        )
    return False


def has_schema(engine: Engine) -> bool:
    """Whether there is something to read."""
    with engine.connect() as connection:
        return _version(connection) is not None


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(SchemaRow.__tablename__):
        return None
    return connection.scalar(select(SchemaRow.version).order_by(SchemaRow.version.desc()).limit(1))


def _migrate(connection: Connection) -> bool:
    """Version 1 lacks what became of each alert, and what a control leaves open could not be empty there."""
    _lock(connection)
    if _version(connection) != _FIRST:
        return False  # somebody else was first
    old = {name: f"{name}_v1" for name in (AlertRow.__tablename__, DrillRow.__tablename__)}
    columns = {name: [row["name"] for row in inspect(connection).get_columns(name)] for name in old}
    for name, renamed in old.items():
        for index in Base.metadata.tables[name].indexes:
            connection.execute(DropIndex(index, if_exists=True))
        connection.execute(text(f"ALTER TABLE {name} RENAME TO {renamed}"))
    _create(connection)
    for name, more in ((DrillRow.__tablename__, _MORE_OF_DRILLS), (AlertRow.__tablename__, _MORE_OF_ALERTS)):
        kept = ", ".join(columns[name])
        insertion = (
            f"INSERT INTO {name} ({kept}, {', '.join(more)}) SELECT {kept}, {', '.join(more.values())}"
        )
        connection.execute(text(f"{insertion} FROM {old[name]}"))
    for renamed in old.values():
        connection.execute(text(f"DROP TABLE {renamed}"))
    connection.execute(update(SchemaRow).values(version=VERSION))
    return True


_MORE_OF_DRILLS = {"rules": "NULL", "counted": "FALSE"}
_MORE_OF_ALERTS = {
    "outcome": "CASE WHEN expected THEN 'unknown' WHEN collateral AND fired THEN 'collateral' "
    "WHEN collateral THEN 'quiet' ELSE 'unexpected' END"
}
"""For drills whose folder is gone; all others are indexed anew after the migration."""


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def _create(connection: Connection) -> None:
    _lock(connection)
    for table in Base.metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            connection.execute(CreateIndex(index, if_not_exists=True))
    if connection.scalar(select(SchemaRow.version)) is None:  # nobody else was first
        connection.execute(insert(SchemaRow).values(version=VERSION))


def _prepare_file(engine: Engine, busy_timeout_s: float) -> None:
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


def is_unusable(engine: Engine) -> str | None:
    """Why a SQLite file must be made anew (damaged, or of another version); None when it is sound.

    Raises:
        SQLAlchemyError: it could not be examined, for example because it is locked. That is no damage.
    """
    try:
        with engine.connect() as connection:
            answer = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if answer != "ok":
                return f"damaged: {one_line(answer, 300)}"
            found = _version(connection)
    except SQLAlchemyError as error:
        code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
        if code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return f"damaged: {reason(error)}"
        raise
    return f"of version {found}" if found not in (None, _FIRST, VERSION) else None


def reason(error: BaseException) -> str:
    """What a library's error says, on one line and without its statement or a link to its manual."""
    original = getattr(error, "orig", None) or error
    return one_line(
        str(original).strip().splitlines()[0] if str(original).strip() else type(original).__name__, 500
    )
