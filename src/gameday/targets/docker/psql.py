"""Asking a PostgreSQL in a container as its superuser."""

from __future__ import annotations

from collections.abc import Sequence

from gameday.targets import psql
from gameday.targets.base import Execution
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline


def ask(
    engine: Engine, container: str, superuser: str, statements: Sequence[str], deadline: Deadline
) -> Execution:
    """Run statements until one fails.

    Raises:
        TargetError: psql could not be run. That it failed is no error: its exit code says it.
    """
    within = deadline.at_most(psql.ASK_TIMEOUT_S)
    environment = psql.variables(max(1, round(within.left_s())))
    return engine.execute(container, psql.command(superuser, statements), within, environment=environment)


def answer(
    engine: Engine, container: str, superuser: str, statement: str, deadline: Deadline, what: str
) -> list[str]:
    """The rows of one statement.

    Raises:
        TargetError: it failed; the message begins with `what` and has what psql said.
    """
    return psql.rows(ask(engine, container, superuser, [statement], deadline), what)
