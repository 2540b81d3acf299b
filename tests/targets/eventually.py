"""Waiting for what a test expects to come, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], within_s: float = 10.0, every_s: float = 0.05) -> bool:
    """Whether it held within that time. It is asked at least once."""
    ends = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(every_s)
    return True
