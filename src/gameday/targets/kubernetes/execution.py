"""A command in a pod, by the API server's own channel, with an end to it and a bound on what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Execution
from gameday.targets.bounded import Bounded
from gameday.targets.waiting import Deadline

if TYPE_CHECKING:
    from gameday.targets.kubernetes.cluster import Cluster

OUTPUT_LIMIT = 64 * 1024
_NO_PROGRAM = (126, 127)
_BY_TIMEOUT = (124, 137, 143)
"""Exit codes of what `timeout` ended, GNU's and BusyBox's."""
_OUTPUTS, _STATUS = (1, 2), 3
"""Channels of an execution's stream."""


def execute_in(
    cluster: Cluster,
    pod: str,
    container: str | None,
    argv: Sequence[str],
    deadline: Deadline,
    stdin: bytes,
) -> Execution:
    """See `Cluster.execute`."""
    within_s = max(1, round(deadline.left_s()))
    # SIGTERM first: `timeout` cannot reap what it ends by SIGKILL, as that ends itself; the container's first
    # process then does, and a PostgreSQL that is it takes such a child for a crash of its own
    bounded = ("timeout", "-k", "5", str(within_s), *argv)
    done = _once(cluster, pod, container, bounded, deadline, stdin)
    if done.exit_code in _NO_PROGRAM and "timeout" in done.output:
        done = _once(cluster, pod, container, tuple(argv), deadline, stdin)
    if done.exit_code in _BY_TIMEOUT and done.duration_s >= within_s:
        command = " ".join(argv)[:200]
        raise OperationTimedOut(f"{command!r} in {pod} did not end within {within_s} s and was killed")
    return Execution(tuple(argv), done.exit_code, done.output, done.duration_s)


def _once(
    cluster: Cluster, pod: str, container: str | None, argv: Sequence[str], deadline: Deadline, stdin: bytes
) -> Execution:
    from kubernetes import client
    from kubernetes.stream import stream

    begun = time.monotonic()
    what = f"execute {argv[0]} in {pod}"
    output, status = Bounded(OUTPUT_LIMIT), ""
    own = cluster.new_client()  # `stream` changes the client that it is given
    named = {} if container is None else {"container": container}
    with cluster.writing(what):
        cluster.count("GET", "pods/exec")
        connection = stream(
            client.CoreV1Api(own).connect_get_namespaced_pod_exec,
            pod,
            cluster.namespace,
            command=list(argv),
            stdout=True,
            stderr=True,
            stdin=bool(stdin),
            tty=False,
            _preload_content=False,
            _request_timeout=min(cluster.timeout_s, max(0.1, deadline.left_s())),
            **named,
        )
    try:
        if stdin:
            connection.write_stdin(stdin)
        last = Deadline.after(deadline.left_s() + 1.0)  # `timeout` in the pod comes first
        while connection.is_open() and not last.passed():
            connection.update(timeout=min(1.0, last.left_s()))
            _take(connection, output)
        _take(connection, output)
        if connection.is_open():
            raise OperationTimedOut(
                f"{what}: it did not end within {deadline.timeout_s:g} s, and may go on; its last output: "
                f"{output.text()[-500:].strip() or 'none'}"
            )
        status = connection.read_channel(_STATUS) or ""
    finally:
        connection.close()
        connection.sock.shutdown()  # which `close` leaves open where the other side ended it
    return Execution(tuple(argv), _exit_code(status, what, output), output.text(), time.monotonic() - begun)


def _take(connection: Any, output: Bounded) -> None:
    """What came so far. Not by `read_all`, which drops the status too."""
    for channel in _OUTPUTS:
        output.add((connection.read_channel(channel) or "").encode())


def _exit_code(status: str, what: str, output: Bounded) -> int:
    """Of a command, by the status that ends its stream."""
    try:
        said = json.loads(status)
    except ValueError as error:
        raise TargetError(f"{what}: the connection was lost before it ended") from error
    if said.get("status") == "Success":
        return 0
    for cause in (said.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    message = str(said.get("message"))
    if "executable file not found" in message or "no such file or directory" in message:
        output.add(message.encode())
        return _NO_PROGRAM[1]
    raise TargetError(f"{what}: {message[:500]}")
