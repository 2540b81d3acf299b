"""What Ctrl-C, SIGTERM and SIGHUP mean around a drill whose environment is brought up for it.

Without this, SIGTERM while the environment starts ends the process at once and leaves half of it running.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Use as a context. Until `hold`, a signal raises KeyboardInterrupt; afterwards it is only answered."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._held = False

    def hold(self) -> None:
        """From now on what is being done is finished whatever comes."""
        self._held = True

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._held:
            print(f"{name} received: putting everything back, please wait", file=sys.stderr, flush=True)
            return
        raise KeyboardInterrupt(name)

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
