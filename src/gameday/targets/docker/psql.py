"""Asking a PostgreSQL in a container as its superuser: by its own psql, over its socket, where no password is needed.

PostgreSQL keeps a few connections for superusers, so this works when clients have taken all others.
"""

from __future__ import annotations

from collections.abc import Sequence

from gameday.errors import TargetError
from gameday.targets.base import Execution
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline

APPLICATION = "gameday"
_ASK_TIMEOUT_S = 10.0


def ask(
    engine: Engine, container: str, superuser: str, statements: Sequence[str], deadline: Deadline
) -> Execution:
    """Run statements, each in a transaction of its own, until one fails; one line for each row, `|` between columns.

    Raises:
        TargetError: psql could not be run. That it failed is no error: its exit code says it.
    """
    within = deadline.at_most(_ASK_TIMEOUT_S)
    argv = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", superuser, "-d", "postgres"]
    for statement in statements:
        argv += ["-c", statement]
    timeout_s = max(1, round(within.left_s()))
    environment = {
        "PGAPPNAME": APPLICATION,
        "PGHOST": "",  # the socket, whatever the container's own variables say
        "PGCONNECT_TIMEOUT": str(timeout_s),
        "PGOPTIONS": f"-c standard_conforming_strings=on -c statement_timeout={timeout_s * 1000}",
    }
    return engine.execute(container, argv, within, environment=environment)


def answer(
    engine: Engine, container: str, superuser: str, statement: str, deadline: Deadline, what: str
) -> list[str]:
    """The rows of one statement.

    Raises:
        TargetError: it failed; the message begins with `what` and has what psql said.
    """
    done = ask(engine, container, superuser, [statement], deadline)
    if done.exit_code != 0:
        raise TargetError(f"{what}: psql ended with exit code {done.exit_code}: {done.output.strip()[-500:]}")
    return done.output.splitlines()


def literal(text: str) -> str:
    """As SQL, with `standard_conforming_strings` on."""
    return "'" + text.replace("'", "''") + "'"
