"""The Docker target: a container's death and a partition, against the commands that people type.

Death is told by the kernel (a pidfd of the container's process), the partition by a client that asks again and again
from inside its container: neither by the engine nor by gameday.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.arithmetic import alternate
from bench.processes import ROOT, BenchError
from bench.result import Result

if TYPE_CHECKING:
    from containers.worlds import World
    from gameday.targets.docker.target import DockerTarget

PAIRS = 15
PARTITIONS = 10
_WITHIN_S = 10.0
# Asks every 5 ms over new connections; writes the monotonic instant of each question, and whether it was answered.
# It ends by itself: who ends `docker exec` does not end what it runs.
_ASKER = """
import socket, sys, time
server, end = socket.gethostbyname(sys.argv[1]), time.monotonic() + 20
while time.monotonic() < end:
    begun = time.monotonic_ns()
    try:
        socket.create_connection((server, 8000), timeout=0.1).close()
        ok = 1
    except OSError:
        ok = 0
    print(begun, ok, flush=True)
    time.sleep(0.005)
"""


def measure(work: Path) -> list[Result]:
    if shutil.which("docker") is None:
        raise BenchError("there is no `docker` command on this machine")
    sys.path.insert(0, str(ROOT / "tests"))
    from containers.worlds import world
    from gameday.errors import TargetError
    from gameday.targets.docker.engine import Engine

    try:
        Engine.connect()
    except TargetError as error:
        raise BenchError(str(error)) from error
    with world(work) as small:
        small.run("database")
        small.run("api")
        target = small.target()
        target.prepare()
        return [_kill(small, target), _partition(small, target)]


def _kill(small: World, target: DockerTarget) -> Result:
    """From the decision to the death: the fault as a drill applies it, and `docker kill`."""
    name = f"{small.prefix}-database-1"
    command = ["docker", "kill", name]

    def dies(kill: Callable[[], object]) -> float:
        target.start("database", 30)
        handle = os.pidfd_open(small.inspect("database")["State"]["Pid"])
        try:
            begun = time.monotonic()
            kill_began = _in_background(kill)
            if not select.select([handle], [], [], _WITHIN_S)[0]:
                raise BenchError(f"{name} did not die within {_WITHIN_S:g} s")
            died = time.monotonic()
            kill_began()
            return died - begun
        finally:
            os.close(handle)

    ours, theirs = alternate(
        lambda: dies(lambda: target.kill("database", "SIGKILL", 15)),
        lambda: dies(lambda: subprocess.run(command, check=True, capture_output=True, timeout=30)),
        PAIRS,
    )
    return Result(
        "kill of a container: decision to death",
        "s",
        tuple(ours),
        "docker kill",
        tuple(theirs),
        bar=1.15,
        judged="ratio",
        note="the end of the container's process, as the kernel tells it",
    )


def _in_background(call: Callable[[], object]) -> Callable[[], None]:
    """Begin it on a thread; what is returned waits for its end and raises what it raised."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    future = pool.submit(call)

    def end() -> None:
        future.result(timeout=_WITHIN_S)
        pool.shutdown()

    return end


def _partition(small: World, target: DockerTarget) -> Result:
    """From the call until the first question of the client that gets no answer was asked."""
    from gameday.fault_spec import PartitionFault

    fault = PartitionFault(partition="database", client="api")
    delays = []
    target.start("database", 30)
    for _ in range(PARTITIONS):
        asker = subprocess.Popen(
            [
                "docker",
                "exec",
                f"{small.prefix}-api-1",
                "python3",
                "-u",
                "-c",
                _ASKER,
                f"{small.prefix}-database-1",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            _until(asker, ok=True)
            begun = time.monotonic_ns()
            target.impair(fault, "gameday-partition", 60, 15)
            delays.append((_until(asker, ok=False, since=begun) - begun) / 1e9)
        finally:
            asker.kill()
            asker.wait(timeout=10)
            target.heal("database", "api", "gameday-partition", 30)
    return Result(
        "partition in force",
        "s",
        tuple(delays),
        bar=0.5,
        judged="maximum",
        note="from the call to the first question of the client that was in vain; every 5 ms",
    )


def _until(asker: subprocess.Popen[str], *, ok: bool, since: int = 0) -> int:
    """The monotonic instant of the first question asked after `since` that ended so."""
    deadline = time.monotonic() + _WITHIN_S
    for line in asker.stdout or ():
        asked, answered = line.split()
        if int(asked) >= since and bool(int(answered)) is ok:
            return int(asked)
        if time.monotonic() > deadline:
            break
    raise BenchError(f"no question {'was answered' if ok else 'was in vain'} within {_WITHIN_S:g} s")
