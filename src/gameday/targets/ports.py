"""Ports that stay ours while their component is down.

A port that the kernel hands out (`bind` to 0) lies in the range of outgoing connections: while a killed
database is down, any connection on this machine may get its port as source, even a client's own attempts to
reach it (a TCP self-connection), and the restart fails. So ports are taken from below that range, where only
servers bind. Who shares a machine with others that look for ports says in `GAMEDAY_PORTS` which are his.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
from collections.abc import Collection, Iterable
from pathlib import Path

from gameday.errors import TargetError, UsageError

HOST = "127.0.0.1"
VARIABLE = "GAMEDAY_PORTS"
"""From which ports these are taken, `LOWEST-HIGHEST`. Where it is not set: 20000 to 29999, and none of the outgoing."""
USUAL = range(20_000, 30_000)
"""From 30000 on a Kubernetes node leads connections elsewhere, those to its loopback too."""
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def find_free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """`count` different free ports, none of them in `taken`; all are held until all are found.

    Raises:
        TargetError: there are not that many.
        UsageError: `GAMEDAY_PORTS` is no range.
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
    given = os.environ.get(VARIABLE)
    if given:
        own = _range(given)
        yield from random.sample(own, len(own))
        return
    try:
        lowest_ephemeral = int(_EPHEMERAL.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        lowest_ephemeral = 32_768
    below = range(USUAL.start, min(lowest_ephemeral, USUAL.stop))
    yield from random.sample(below, min(len(below), 2000))
    yield from (0 for _ in range(200))  # a machine that gives its whole range to outgoing connections


def _range(text: str) -> range:
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if found is None or not 1024 <= (lowest := int(found[1])) <= (highest := int(found[2])) <= 65_535:
        raise UsageError(
            f"{VARIABLE} is {text!r}; it must be a range of ports from 1024 to 65535, such as 21000-21999"
        )
    return range(lowest, highest + 1)
