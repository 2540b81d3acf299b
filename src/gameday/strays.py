"""Helper processes of a drill that outlived it: found by a mark in their environment, and ended.

What a runbook's command started is nobody's child once the engine process was killed. The mark is inherited by
everything that the engine starts, except components, which get an environment of their own.
"""

from __future__ import annotations

import os

import psutil

VARIABLE = "GAMEDAY_DRILL"
WAIT_S = 5.0


def end_strays(drill: str) -> int:
    """End every process that carries the drill's mark, this one aside. Returns how many there were."""
    found = [
        process for process in psutil.process_iter() if process.pid != os.getpid() and _marked(process, drill)
    ]
    for process in found:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(found, timeout=WAIT_S)
    return len(found)


def _marked(process: psutil.Process, drill: str) -> bool:
    try:
        return bool(process.environ().get(VARIABLE) == drill)
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False  # gone, or another user's: we started neither
