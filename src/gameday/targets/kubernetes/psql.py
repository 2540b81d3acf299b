"""Asking a PostgreSQL in a pod as its superuser."""

from __future__ import annotations

from collections.abc import Sequence

from gameday.targets import psql
from gameday.targets.base import Execution
from gameday.targets.kubernetes.cluster import Cluster
from gameday.targets.waiting import Deadline

_MARGIN_S = 3.0


def ask(
    cluster: Cluster, pod: str, container: str, superuser: str, statements: Sequence[str], deadline: Deadline
) -> Execution:
    """Run statements until one fails.

    Raises:
        TargetError: psql could not be run. That it failed is no error: its exit code says it.
    """
    within = deadline.at_most(psql.ASK_TIMEOUT_S)
    known = psql.variables(max(1, round(within.left_s())))
    # it ends by itself before it is killed: a server that is its container's first process would take a killed one for
    # one of its own, and start again
    within = Deadline.after(within.left_s() + _MARGIN_S)
    argv = ["env", *(f"{name}={value}" for name, value in known.items())]
    return cluster.execute(pod, container, [*argv, *psql.command(superuser, statements)], within)


def answer(
    cluster: Cluster,
    pod: str,
    container: str,
    superuser: str,
    statement: str,
    deadline: Deadline,
    what: str,
) -> list[str]:
    """The rows of one statement.

    Raises:
        TargetError: it failed; the message begins with `what` and has what psql said.
    """
    return psql.rows(ask(cluster, pod, container, superuser, [statement], deadline), what)
