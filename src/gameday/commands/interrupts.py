"""What Ctrl-C, SIGTERM and SIGHUP mean around a drill whose environment is brought up for it, and around waiting.

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
        self._received: str | None = None
        self.raised: str | None = None
        """The signal that was raised: for callers through whose libraries it may come as another exception."""

    def hold(self) -> None:
        """From now on what is being done is finished whatever comes."""
        self._held = True

    def release(self) -> None:
        """End a `hold`: what came meanwhile is raised now."""
        self._held = False
        if self._received is not None:
            self.raised, self._received = self._received, None
            raise KeyboardInterrupt(self.raised)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._held:
            self._received = name
            print(f"{name} received: putting everything back, please wait", file=sys.stderr, flush=True)
            return
        self.raised = name
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
