"""The dead-man switch: a process of its own that reverts a drill when its runner cannot.

It acts when the runner is gone (the pipe between them closes without a word) or when a fault outlives its
time-to-live. Until then it imports next to nothing and sleeps in `select`, so that arming it costs little.

    python -m gameday.deadman UNDO_LOG
"""

from __future__ import annotations

import select
import subprocess
import sys
import time
from pathlib import Path

from gameday.waiting import wait_ended

GRACE_S = 0.5
RECOVER_TIMEOUT_S = 600
DISARM = b"disarm\n"
ARM = b"deadline "


class DeadManSwitch:
    """The runner's end. `arm` returns when the switch answers, so that a fault is never without it."""

    def __init__(self, log: Path, output: Path) -> None:
        self._output = output.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gameday.deadman", str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            start_new_session=True,
            cwd="/",
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def arm(self, deadline_ns: int, timeout_s: float = 10.0) -> None:
        """Tell the earliest deadline. Raises UndoError when the switch does not confirm it."""
        from gameday.errors import UndoError

        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise UndoError("the dead-man switch has no pipe")
        try:
            stdin.write(ARM + str(deadline_ns).encode() + b"\n")
            stdin.flush()
            ready, _, _ = select.select([stdout], [], [], timeout_s)
            answer = stdout.readline() if ready else b""
        except OSError as error:
            raise UndoError(f"the dead-man switch is gone: {error}") from error
        if answer != b"armed\n":
            raise UndoError(
                f"the dead-man switch did not confirm within {timeout_s:g} s; see {self._output.name}"
            )

    def disarm(self) -> None:
        """Nothing is left to revert: let it end."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(DISARM)
                self._process.stdin.close()
            except OSError as error:
                print(f"dead-man switch: already gone: {error}", file=sys.stderr)
        if wait_ended(self._process, 5) is None:
            self._process.kill()
            self._process.wait(timeout=5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._output.close()


def main(log_path: str) -> int:
    """Wait for a reason to act; returns the exit code: 0 nothing to do or all reverted, 5 something left."""
    deadline_ns: int | None = None
    stdin = sys.stdin.buffer
    while True:
        timeout_s = None if deadline_ns is None else max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9)
        ready, _, _ = select.select([stdin], [], [], timeout_s)
        if not ready:
            return _act(Path(log_path), "the fault outlived its time-to-live")
        line = stdin.readline()
        if line == DISARM:
            return 0
        if line.startswith(ARM):
            new_ns = int(line.removeprefix(ARM))
            deadline_ns = new_ns if deadline_ns is None else min(deadline_ns, new_ns)
            sys.stdout.buffer.write(b"armed\n")
            sys.stdout.buffer.flush()
        elif not line:
            time.sleep(GRACE_S)  # the kernel closes the pipe before it has ended the runner's child processes
            return _act(Path(log_path), "the runner is gone")


def _act(log: Path, reason: str) -> int:
    """`gameday recover` does it: there is one way to put a drill back, whoever asks for it."""
    if not log.exists():
        return 0
    print(f"{reason}: reverting {log}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "gameday", "recover", "--log", str(log)]
    command += ["--by", "dead-man switch", "--reason", reason]
    # our own standard output is the pipe to a runner that may be gone
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=RECOVER_TIMEOUT_S
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
