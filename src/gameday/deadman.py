"""The dead-man switch: a process of its own that reverts a drill when its runner cannot.

It acts when the runner is gone (the pipe between them closes without a word) or when a fault outlives its
time-to-live. Until then it imports next to nothing and sleeps in `select`, so that arming it costs little.

    python -m gameday.deadman UNDO_LOG [--container NAME --output FILE]

With `--container` it is the main process of the container of that name, which it removes when all is reverted. The
engine starts that one again after a restart, and when it has failed; then nobody is there to tell it anything, and it
acts by itself soon.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gameday.targets.switch_lines import ARM, ARMED, DISARM, HELLO, READY, REFUSED
from gameday.waiting import wait_ended

GRACE_S = 0.5
RECOVER_TIMEOUT_S = 600
FIRST_WORD_WITHIN_S = 15.0
"""In a container: without a word by then there is no runner."""
_CHUNK = 65_536


class DeadManSwitch:
    """The runner's end. `arm` returns when the switch answers, so that a fault is never without it."""

    def __init__(self, log: Path, output: Path) -> None:
        self._output = output.open("ab")
        self._deadline_ns: int | None = None
        self._disarmed = False
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

    @property
    def where(self) -> str:
        return f"pid {self.pid}"

    def confirm(self, timeout_s: float = 30.0) -> None:
        """It answers when it is armed."""

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
        if answer != ARMED + b"\n":
            raise UndoError(
                f"the dead-man switch did not confirm within {timeout_s:g} s; see {self._output.name}"
            )
        self._deadline_ns = deadline_ns if self._deadline_ns is None else min(self._deadline_ns, deadline_ns)

    def lost(self) -> str | None:
        """Why it is no longer behind the drill; None while it is, and when its time has come: then it has acted."""
        if self._disarmed or self._process.poll() is None:
            return None
        if self._deadline_ns is not None and time.monotonic_ns() >= self._deadline_ns:
            return None
        return f"its process {self.pid} has ended (exit code {self._process.returncode})"

    def disarm(self) -> None:
        """Nothing is left to revert: let it end."""
        self._disarmed = True
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(DISARM + b"\n")
                self._process.stdin.close()
            except OSError as error:
                print(f"dead-man switch: already gone: {error}", file=sys.stderr)
        if wait_ended(self._process, 5) is None:
            self._process.kill()
            self._process.wait(timeout=5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._output.close()


class _Lines:
    """Lines of a descriptor, with a time-out for each; a buffered file would hide from `select` what it has read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    def next(self, timeout_s: float | None) -> bytes | None:
        """Without its end; None when none comes in time; empty when the other side is gone."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            left_s = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._descriptor], [], [], left_s)[0]:
                return None
            chunk = os.read(self._descriptor, _CHUNK)
            if not chunk:
                return b""
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def wait_for_reason(log: Path, *, in_container: bool = False) -> str | None:
    """Until there is a reason to act, which is returned; None when there is nothing more to do."""
    lines = _Lines(sys.stdin.fileno())
    deadline_ns: int | None = None
    heard, refusal = not in_container, None
    while True:
        timeout_s = None if heard else FIRST_WORD_WITHIN_S
        if deadline_ns is not None:
            timeout_s = max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9)
        line = lines.next(timeout_s)
        if line is None:
            return "the fault outlived its time-to-live" if heard else "started again, and no runner is there"
        heard = True
        if line == DISARM:
            return None
        if line.startswith(HELLO):
            refusal = _greeted(line.removeprefix(HELLO))
            _answer(READY, refusal)
        elif line.startswith(ARM):
            if refusal is None and not log.exists():
                refusal = f"there is no {log}: the folder is another one here than the runner's"
            if refusal is None:
                new_ns = int(line.removeprefix(ARM))
                deadline_ns = new_ns if deadline_ns is None else min(deadline_ns, new_ns)
            _answer(ARMED, refusal)
        elif not line:
            time.sleep(GRACE_S)  # the kernel closes the pipe before it has ended the runner's child processes
            return "the runner is gone"


def _answer(good: bytes, refusal: str | None) -> None:
    os.write(1, (good if refusal is None else REFUSED + refusal.encode()) + b"\n")


def _greeted(words: bytes) -> str | None:
    """Take over what the runner knows and this container's variables must not show; why it cannot serve, if so."""
    import json

    from gameday.journal import Holder

    told = json.loads(words)
    os.environ.update(told["environ"])
    if not Holder(**told["runner"]).alive:
        return f"the runner, pid {told['runner']['pid']}, is no process of the engine's machine"
    return None


def _act(log: Path, reason: str) -> int:
    """`gameday recover` does it: there is one way to put a drill back, whoever asks for it."""
    if not log.exists():
        # all is reverted; the runner may have ended between the removal of the log and that of its lock
        log.with_suffix(".lock").unlink(missing_ok=True)
        return 0
    print(f"{reason}: reverting {log}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "gameday", "recover", "--log", str(log)]
    command += ["--by", "dead-man switch", "--reason", reason]
    # our own standard output is the pipe to a runner that may be gone
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=RECOVER_TIMEOUT_S
    )
    return done.returncode


def _write_to(output: Path) -> None:
    """What is said goes into the evidence; where that cannot be written, to the container's log."""
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        print(f"{output}: {error}", file=sys.stderr, flush=True)
        return
    os.dup2(descriptor, sys.stderr.fileno())
    os.close(descriptor)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0 nothing to do or all reverted, 5 something left."""
    log, more = Path(arguments[0]), dict(zip(arguments[1::2], arguments[2::2], strict=True))
    container = more.get("--container")
    reason = wait_for_reason(log, in_container=container is not None)
    if container is None:
        return 0 if reason is None else _act(log, reason)
    _write_to(Path(more["--output"]))
    code = 0 if reason is None else _act(log, reason)
    if code == 0:  # else the engine starts it again, and what could not be reverted is tried once more
        from gameday.targets.docker.switch_container import remove_self

        remove_self(container)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
