"""Unix sockets at paths of any length: the kernel takes 107 bytes, a project's folder may have more."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PRIVATE = 0o177


@contextmanager
def _short(path: Path) -> Iterator[str]:
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def connect(path: Path, timeout_s: float) -> socket.socket:
    return _open(path, timeout_s, socket.socket.connect)


def listen(path: Path) -> socket.socket:
    """Nobody but this user (and root) can connect: the socket's mode is 0600 from its first moment."""
    path.unlink(missing_ok=True)
    before = os.umask(_PRIVATE)
    try:
        bound = _open(path, None, socket.socket.bind)
    finally:
        os.umask(before)
    bound.listen(16)
    return bound


def _open(path: Path, timeout_s: float | None, action: Callable[[socket.socket, str], None]) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.settimeout(timeout_s)
        with _short(path) as short:
            action(opened, short)
    except BaseException:
        opened.close()
        raise
    return opened
