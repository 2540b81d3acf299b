"""Programs that run to their end on a component's behalf: initdb, pg_basebackup, cp, a runbook's command."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Execution
from gameday.targets.bounded import Bounded
from gameday.targets.privilege import Footing
from gameday.targets.program import Place, base_environment
from gameday.targets.supervise import COMPONENT_VARIABLE, HELPER_SUFFIX, Row, kill_all, process_table
from gameday.targets.waiting import Deadline

OUTPUT_LIMIT = 64 * 1024
_POLL_S = 0.02
_AFTER_KILL_S = 10.0


def run(argv: Sequence[str], *, place: Place, footing: Footing, deadline: Deadline) -> str:
    """Run a helper of a component; its output.

    Raises:
        TargetError: it failed; the message has what it said.
        OperationTimedOut: it did not end in time and was killed.
    """
    env = base_environment(place.mark)
    mark = place.mark + HELPER_SUFFIX
    done = execute(argv, mark=mark, env=env, cwd=Path("/"), footing=footing, deadline=deadline)
    if done.exit_code != 0:
        program = Path(argv[0]).name
        raise TargetError(
            f"{place.name}: {program} ended with exit code {done.exit_code}:\n{done.output.strip()}"
        )
    return done.output


def execute(
    argv: Sequence[str], *, mark: str, env: Mapping[str, str], cwd: Path, footing: Footing, deadline: Deadline
) -> Execution:
    """Run a command in a session of its own and collect its output, cut in the middle beyond 64 KiB.

    What it left in the background is killed. A daemon that opened a session of its own stays, as an operator
    would expect of a command that starts one; its mark is how `down` finds it.
    """
    started = time.monotonic()
    try:
        child = subprocess.Popen(
            [*footing.prefix, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**env, COMPONENT_VARIABLE: mark},
            cwd=cwd,
            start_new_session=True,
            close_fds=True,
            **footing.popen_options(),
        )
    except OSError as error:
        raise TargetError(f"cannot run {argv[0]!r} in {cwd}: {error.strerror or error}") from error
    output = Bounded(OUTPUT_LIMIT)
    try:
        ended = _collect(child, output, deadline)
    finally:
        _kill_session(child.pid)  # before it is collected: until then its number is nobody else's
        child.wait(timeout=_AFTER_KILL_S)
        if child.stdout is not None:
            child.stdout.close()
    if not ended:
        raise OperationTimedOut(
            f"{' '.join(argv)!r} did not end within {deadline.timeout_s:g} s and was killed; "
            f"its last output: {output.text()[-500:].strip() or 'none'}"
        )
    return Execution(tuple(argv), child.returncode, output.text(), time.monotonic() - started)


def _collect(child: subprocess.Popen[bytes], output: Bounded, deadline: Deadline) -> bool:
    """Read until the process has ended and what it wrote is read; False if the deadline passes first."""
    stream = child.stdout
    if stream is None:  # cannot be: a pipe was asked for
        raise TargetError("no pipe to the command")
    descriptor = stream.fileno()
    os.set_blocking(descriptor, False)
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        open_ = True
        while True:
            # asked before reading: what was written before the end is then still read below
            ended = _has_ended(child.pid)
            if open_ and selector.select(0 if ended else min(_POLL_S, deadline.left_s())):
                open_ = _drain(descriptor, output, deadline)
            elif not ended:
                time.sleep(0 if open_ else 0.001)
            if ended or deadline.passed():
                return ended


def _drain(descriptor: int, output: Bounded, deadline: Deadline) -> bool:
    """Read what is there; False at the end of the stream."""
    while not deadline.passed():
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return True
        if not data:
            return False
        output.add(data)
    return True


def _has_ended(pid: int) -> bool:
    """Whether our child has ended, without collecting it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_session(number: int) -> None:
    """Kill what is left of it, and wait until it is gone: what is dying still holds its ports and files."""

    def left() -> list[Row]:
        return [row for row in process_table().values() if row.session == number]

    with contextlib.suppress(PermissionError):  # another user's, by its own set-user-id
        kill_all(left, Deadline.after(_AFTER_KILL_S))
