"""Who measures what needs the machine for itself runs beside nobody; everybody else beside each other."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCK = Path(tempfile.gettempdir()) / f"gameday-machine-{os.getuid()}.lock"


@contextlib.contextmanager
def machine_taken(*, alone: bool = False) -> Iterator[None]:
    """Wait until nobody holds it alone, or until nobody holds it at all."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
