"""The component `database` as its clients see it, and its table `kept`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from gameday.targets.base import Target


def connect(target: Target, name: str = "") -> psycopg.Connection[Any]:
    url = target.address("database").url
    return psycopg.connect(url, autocommit=True, connect_timeout=5, application_name=name)


def is_full(target: Target) -> bool:
    """Whether it refuses a client for its number of connections."""
    try:
        connect(target).close()
    except psycopg.OperationalError as error:
        return "connection slots" in str(error) or "too many clients" in str(error)
    return False


def insert(target: Target, numbers: Iterable[int]) -> None:
    with connect(target) as client, client.cursor() as cursor:
        cursor.executemany("insert into kept values (%s)", [(number,) for number in numbers])


def rows(target: Target) -> list[int]:
    with connect(target) as client:
        return [row[0] for row in client.execute("select id from kept order by id")]
