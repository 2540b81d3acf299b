"""The tables at the version that this gameday uses, made or brought up to date by whichever process comes first.

Looking at the version is one question; Alembic is imported only where there is something to do. Migrations are one
transaction: nobody sees half of them, and one that fails leaves what was there.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from gameday.history.connect import HistoryError, prepare_file, reason, writing
from gameday.history.listing import HEAD, VERSION_TABLE
from gameday.text import one_line

KNOWN = ("0001", "0002", HEAD)
_BEFORE = "gameday_schema"
"""Where versions were counted before there were migrations: 1 and 2."""
_ADVISORY_LOCK = 0x67616D65646179  # "gameday"


def ensure_schema(engine: Engine, busy_timeout_s: float) -> bool:
    """Make the tables, or bring them up to date. True when there were tables that lacked something: it must then be
    filled in from the evidence folders.

    Raises:
        HistoryError: a gameday that this one does not know made the tables.
        SQLAlchemyError: the database cannot be reached or written.
    """
    with engine.connect() as connection:
        found = version(connection)
    if found == HEAD:
        return False
    if found is None and engine.dialect.name == "sqlite":
        prepare_file(engine, busy_timeout_s)
    with writing(engine).begin() as connection:
        _lock(connection)
        found = version(connection)
        if found == HEAD:
            return False  # somebody else was first
        if not known(found):
            raise HistoryError(
                f"the history has tables of version {found}, this gameday uses {HEAD}; use one as new as that, or "
                "`gameday history rebuild` makes the file anew from the evidence folders"
            )
        _upgrade(connection)
    return found is not None


def known(found: str | None) -> bool:
    """Whether tables of a version can be used, or brought up to date."""
    return found is None or found in KNOWN or found in ("before 1", "before 2")


def has_schema(engine: Engine) -> bool:
    """Whether there is something to read."""
    with engine.connect() as connection:
        return version(connection) is not None


def version(connection: Connection) -> str | None:
    """Of the tables there; None where there are none."""
    there = inspect(connection)
    if there.has_table(VERSION_TABLE):
        found = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
        return None if found is None else str(found)
    if there.has_table(_BEFORE):
        return f"before {connection.scalar(text(f'SELECT max(version) FROM {_BEFORE}'))}"  # noqa: S608
    return None


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
            found = version(connection)
    except SQLAlchemyError as error:
        code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
        if code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return f"damaged: {reason(error)}"
        raise
    return None if known(found) else f"of version {found}"


def _lock(connection: Connection) -> None:
    """One migration at a time. In SQLite the transaction itself is the lock, since it writes."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
