"""Asking a PostgreSQL as its superuser: by its own psql beside it, over its socket, where no password is needed.

PostgreSQL keeps a few connections for superusers, so this works when clients have taken all others. How the command
gets to where the server is, each target knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Execution
from gameday.targets.postgresql import CLIENTS
from gameday.targets.waiting import Deadline, wait_until

APPLICATION = "gameday"
ASK_TIMEOUT_S = 10.0
_POLL_S = 0.02

Answer = Callable[[str], list[str]]
"""Gives the rows of one statement, columns apart by `|`."""


def command(superuser: str, statements: Sequence[str]) -> list[str]:
    """Runs statements, each in a transaction of its own, until one fails; a line for each row, `|` between columns."""
    argv = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", superuser, "-d", "postgres"]
    for statement in statements:
        argv += ["-c", statement]
    return argv


def variables(timeout_s: int) -> dict[str, str]:
    """What `command` needs in its environment."""
    return {
        "PGAPPNAME": APPLICATION,
        "PGHOST": "",  # the socket, whatever the container's own variables say
        "PGCONNECT_TIMEOUT": str(timeout_s),
        "PGOPTIONS": f"-c standard_conforming_strings=on -c statement_timeout={timeout_s * 1000}",
    }


def rows(done: Execution, what: str) -> list[str]:
    """Those that it said.

    Raises:
        TargetError: it failed; the message begins with `what` and has what psql said.
    """
    if done.exit_code != 0:
        raise TargetError(f"{what}: psql ended with exit code {done.exit_code}: {done.output.strip()[-500:]}")
    return done.output.splitlines()


def literal(text: str) -> str:
    """As SQL, with `standard_conforming_strings` on."""
    return "'" + text.replace("'", "''") + "'"


def is_superuser(user: str) -> str:
    """A statement that has a row where that user is one."""
    return f"select 1 from pg_roles where rolsuper and rolname = {literal(user)}"  # noqa: S608


def end_sessions(answer: Answer, keep: Sequence[str], what: str, deadline: Deadline) -> list[str]:
    """End those of all clients but those named; their names.

    Raises:
        OperationTimedOut: sessions are left at the deadline.
    """
    kept = ", ".join(literal(name) for name in keep)
    others = f"{CLIENTS} and not application_name = any(array[{kept}]::text[])"
    statement = f"select pid, pg_terminate_backend(pid), application_name {others}"
    ended = [row.split("|", 2) for row in answer(statement) if row.count("|") >= 2]
    if not ended:
        return []
    pids = ", ".join(pid for pid, *_ in ended)
    left = f"select pid {CLIENTS} and pid in ({pids})"
    if not wait_until(lambda: not answer(left), deadline, _POLL_S):
        raise OperationTimedOut(f"{what}: sessions are left after {deadline.timeout_s:g} s")
    return [name for _, _, name in ended]
