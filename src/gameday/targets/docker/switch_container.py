"""The container of a dead-man switch: how it is made, what its labels say, and how it removes itself.

It is the lock of the environment too: its name is the environment's, and an engine has each name once, whoever asks.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

LABEL = "gameday.deadman"
_RESTARTS = 5
_SAME_WITHIN_S = 0.02
_ASK_TIMEOUT_S = 30.0
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_.-]+")
_CONTROL = Path("/var/run/docker.sock")
_RULED_BY_ROOT = ("DAC_OVERRIDE", "FOWNER", "CHOWN", "KILL", "SYS_PTRACE")
"""What root in the container needs to do what the runner's root may: its files, and ending what it had started."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the labels of a switch's container say."""

    drill: str
    scenario: str
    pid: str
    created: str
    host: str
    since: str
    project: str
    log: str
    containers: str
    """Names of all containers of the environment, separated by commas."""

    def labels(self) -> dict[str, str]:
        return {LABEL: "1", **{f"{LABEL}.{name}": value for name, value in asdict(self).items()}}

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> Held:
        return cls(**{field.name: labels.get(f"{LABEL}.{field.name}", "unknown") for field in fields(cls)})

    def runner_alive(self) -> bool:
        """Whether the process that made it lives. What is on another host is not seen from here, so it is taken to."""
        import psutil

        if self.host != socket.gethostname():
            return True
        try:
            process = psutil.Process(int(self.pid))
            same = abs(process.create_time() - float(self.created)) < _SAME_WITHIN_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, ValueError):
            return False

    def touches(self, containers: Iterable[str]) -> bool:
        return not set(filter(None, self.containers.split(","))).isdisjoint(containers)

    def __str__(self) -> str:
        return (
            f"scenario {self.scenario}, drill {self.drill}, pid {self.pid} on {self.host}, since {self.since}, "
            f"project {self.project}"
        )


def name_of(environment: str) -> str:
    """By the environment's name on the engine."""
    return f"gameday-deadman-{_NOT_IN_A_NAME.sub('-', environment)}"


def options(control: str, read_only: Iterable[Path], writable: Iterable[Path]) -> dict[str, Any]:
    """Of the container, and of its host settings under `host`. `control` is the engine's socket.

    All folders are at the places where the runner has them, so that what the log of undos says is right in it.
    """
    user, group = os.getuid(), os.getgid()
    groups = {Path(control).stat().st_gid, *os.getgroups()}
    mounts = [_mount(folder, read_only=True) for folder in sorted(set(read_only) - set(writable))]
    mounts += [_mount(folder, read_only=False) for folder in sorted({Path(control), *writable})]
    return {
        "user": f"{user}:{group}",
        "environment": {"DOCKER_HOST": f"unix://{control}", "HOME": "/tmp"},  # noqa: S108 - its own, of tmpfs
        "stdin_open": True,
        "stop_signal": "SIGKILL",  # else an engine that is stopped would wait for it
        "working_dir": "/",
        "host": {
            "mounts": mounts,
            "network_mode": "host",  # ports are published on this machine's own addresses
            "pid_mode": "host",  # whether the runner lives is asked by its process number
            "userns_mode": "host",
            "group_add": sorted(map(str, groups)),
            "read_only": True,
            "tmpfs": {"/tmp": ""},  # noqa: S108
            "cap_drop": ["ALL"],
            "cap_add": list(_RULED_BY_ROOT) if user == 0 else [],
            # a profile for containers would keep it from reading and ending processes of this machine
            "security_opt": ["no-new-privileges", "apparmor=unconfined", "label=disable"],
            # after a restart of the engine, and when not all could be reverted; not after it has ended well
            "restart_policy": {"Name": "on-failure", "MaximumRetryCount": _RESTARTS},
        },
    }


def _mount(folder: Path, *, read_only: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(folder), "Target": str(folder), "ReadOnly": read_only}


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ASK_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def remove_self(name: str) -> None:
    """The last act of a switch: its container is removed with the process that asks for it. Without the SDK, whose
    import would take longer than all else. A failure is told; the next drill removes what is left."""
    control = os.environ.get("DOCKER_HOST", f"unix://{_CONTROL}").removeprefix("unix://")
    try:
        if not stat.S_ISSOCK(Path(control).stat().st_mode):
            raise OSError(f"{control} is no socket")
        connection = _OverSocket(control)
        connection.request("DELETE", f"/containers/{name}?force=1&v=1")
        answer = connection.getresponse()
        print(f"{name} could not be removed: {answer.status} {answer.read(500)!r}", flush=True)
    except (OSError, http.client.HTTPException) as error:
        print(f"{name} could not be removed: {error}", flush=True)
