"""The 56 bytes of System V shared memory by which PostgreSQL notices orphans of a killed postmaster.

A restart frees them; a cluster that is killed and then removed would leave them until the machine restarts.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

_IPC_RMID = 0
_LINE = 6  # of postmaster.pid, counted from 0: "key id"


def release(lock_file: Path) -> None:
    """Free the segment that a dead postmaster's lock file names, if it still is the one with that key."""
    try:
        lines = lock_file.read_text(encoding="utf-8", errors="replace").splitlines()
        key, identifier = (int(word) for word in lines[_LINE].split())
    except (OSError, IndexError, ValueError):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    signed = ctypes.c_int(key & 0xFFFFFFFF).value
    if libc.shmget(signed, 0, 0) == identifier:
        libc.shmctl(identifier, _IPC_RMID, None)
