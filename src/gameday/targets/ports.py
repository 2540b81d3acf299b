"""Ports that stay ours while their component is down.

A port that the kernel hands out (`bind` to 0) lies in the range of outgoing connections: while a killed
database is down, any connection on this machine may get its port as source, even a client's own attempts to
reach it (a TCP self-connection), and the restart fails. So ports are taken from below that range, where only
servers bind.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Collection, Iterable
from pathlib import Path

from gameday.errors import TargetError

HOST = "127.0.0.1"
_LOWEST = 20_000
_HIGHEST = 60_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def find_free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """`count` different free ports, none of them in `taken`; all are held until all are found.

    Raises:
        TargetError: there are not that many.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in _candidates():
            if len(found) == count:
                return found
            if port in taken:
                continue
            listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                listener.bind((HOST, port))
            except OSError:
                continue
            found.append(listener.getsockname()[1])
    if len(found) < count:
        raise TargetError(f"only {len(found)} of {count} ports are free on {HOST}")
    return found


def is_free(port: int) -> bool:
    """Whether a server could listen there now; connections of an earlier server that still linger do not
    count.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(1)
        except OSError:
            return False
    return True


def accepts(port: int, timeout_s: float = 0.5, host: str = HOST) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            # a connection to oneself is no server
            return bool(connection.getsockname() != connection.getpeername())
    except OSError:
        return False


def _candidates() -> Iterable[int]:
    try:
        lowest_ephemeral = int(_EPHEMERAL.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        lowest_ephemeral = 32_768
    below = range(_LOWEST, min(lowest_ephemeral, _HIGHEST))
    yield from random.sample(below, min(len(below), 2000))
    yield from (0 for _ in range(200))  # a machine that gives its whole range to outgoing connections
