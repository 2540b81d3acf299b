"""`python -m gameday.agents.exhaust [--url URL] --ttl S`: a report job that opens connection after connection, keeps
them all, and takes each that becomes free, until an operator ends one of its sessions.

A pool gives its connections back one by one, over minutes or never. So that every connection is taken, and not only
every free one, the sessions of others of the same role are ended, and their places taken.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from typing import Any

import psycopg
from psycopg import errors

from gameday.agents import BEGUN, URL_VARIABLE

NAME = "nightly-report"
EVERY_S = 0.05
_CONNECT_TIMEOUT_S = 5
_FULL = ("too many clients", "remaining connection slots", "too many connections")


class Ended(Exception):
    """An operator ended one of its sessions."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gameday.agents.exhaust")
    parser.add_argument(
        "--url",
        default=os.environ.get(URL_VARIABLE),
        help=f"default: ${URL_VARIABLE}, which no list of processes shows",
    )
    parser.add_argument("--ttl", type=float, required=True, help="seconds after which it ends by itself")
    options = parser.parse_args(arguments)
    if not options.url:
        parser.error(f"expected --url, or {URL_VARIABLE}")
    ends = time.monotonic() + options.ttl
    held: list[psycopg.Connection[Any]] = []
    begun = False
    try:
        while time.monotonic() < ends:
            full = _take(options.url, held, begun, ends)
            if full and held and _push_out(held[0]):
                full = _take(options.url, held, begun, ends)
            if full and not begun:
                begun = True
                print(f"{BEGUN}holds {len(held)} connections, none is left", flush=True)
            held[:] = [one for one in held if not _lost(one)]
            time.sleep(EVERY_S)
        print(f"ended with {len(held)} connections: its time was over", flush=True)
    except Ended:
        print(f"ended with {len(held)} connections: an operator ended its session", flush=True)
    except psycopg.OperationalError as error:
        print(f"cannot connect: {str(error).strip()}", flush=True)
        return 1
    finally:
        for one in held:
            one.close()
    return 0


def _take(url: str, held: list[psycopg.Connection[Any]], begun: bool, ends: float) -> bool:
    """Connect until refused for want of room; False when refused for another reason, which is only waited out
    once it has begun: a database that comes back is exhausted again.

    Raises:
        psycopg.OperationalError: it cannot even begin.
    """
    while time.monotonic() < ends:
        try:
            held.append(
                psycopg.connect(
                    url, application_name=NAME, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
                )
            )
        except psycopg.OperationalError as error:
            if any(words in str(error) for words in _FULL):
                return True
            if not begun:
                raise
            return False
    return False


_OTHERS = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where backend_type = 'client backend' and usename = current_user and application_name <> %s
"""


def _push_out(connection: psycopg.Connection[Any]) -> int:
    """End the sessions of others; how many there were.

    Raises:
        Ended: an operator ended this one.
    """
    try:
        row = connection.execute(_OTHERS, [NAME]).fetchone()
    except psycopg.Error as error:
        _end_if_ordered(error)
        return 0
    return int(row[0]) if row else 0


def _lost(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server ended this session. An idle session is sent nothing else.

    Raises:
        Ended: an operator did.
    """
    if connection.closed:
        return True
    readable, _, _ = select.select([connection.fileno()], [], [], 0)
    if not readable:
        return False
    try:
        connection.execute("select 1")
    except psycopg.Error as error:
        _end_if_ordered(error)
        connection.close()
        return True
    return False


def _end_if_ordered(error: psycopg.Error) -> None:
    """Raises Ended for a session that an operator ended. One whose server was killed says 57P01 too, "due to
    unexpected postmaster exit"."""
    if isinstance(error, errors.AdminShutdown) and "administrator command" in str(error):
        raise Ended from error


if __name__ == "__main__":
    sys.exit(main())
