"""Waiting for a child process without polling: the kernel says when it ends, to the millisecond."""

from __future__ import annotations

import os
import select
import subprocess


def wait_ended(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    """The exit code of `process` as soon as it ends, None when it has not within `timeout_s`.

    `Popen.wait` with a time-out sleeps up to 50 ms between its looks.
    """
    if process.poll() is not None:
        return process.returncode
    handle = os.pidfd_open(process.pid)
    try:
        select.select([handle], [], [], timeout_s)
    finally:
        os.close(handle)
    return process.poll()
