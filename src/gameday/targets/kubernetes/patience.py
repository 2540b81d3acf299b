"""Waiting for something in a cluster whose API server may be away for a while."""

from __future__ import annotations

from collections.abc import Callable

from gameday.errors import OperationTimedOut
from gameday.targets.kubernetes.cluster import ClusterAway
from gameday.targets.waiting import Deadline, wait_until


def wait_patiently(condition: Callable[[], bool], deadline: Deadline, every_s: float) -> bool:
    """`wait_until`, where a question that finds no API server, or no answer, counts as not yet.

    Raises:
        ClusterAway, OperationTimedOut: so it was to the end.
    """
    away: ClusterAway | OperationTimedOut | None = None

    def holds() -> bool:
        nonlocal away
        try:
            held = condition()
        except (ClusterAway, OperationTimedOut) as error:
            away = error
            return False
        away = None
        return held

    if wait_until(holds, deadline, every_s):
        return True
    if away is not None:
        raise away
    return False
