"""Changing an object that others change too: read, decide, write what was read, and again when somebody was quicker."""

from __future__ import annotations

from collections.abc import Callable

from gameday.targets.kubernetes.cluster import Conflict

_ATTEMPTS = 5


def until_nobody_interferes(change: Callable[[], bool]) -> bool:
    """`change` reads, and writes only over exactly what it read; it is asked again when that was changed meanwhile.
    Returns what it does: whether there was anything to write.

    Raises:
        Conflict: others change it all the time.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return change()
        except Conflict:
            continue
    return change()
