"""Data vanishes, and after a while the connection is closed: Toxiproxy's `timeout`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from pydantic import Field

from gameday.proxy.toxics.base import Direction, Effect, EffectStage, Host, Sink


class Timeout(Effect):
    """Drop all data; close the connection after `after_s`, or with 0 when the toxic is removed, as the stream
    then has a hole in it."""

    kind: Literal["timeout"] = "timeout"
    after_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 0.0


class TimeoutStage(EffectStage[Timeout]):
    def __init__(self, effect: Timeout, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(effect, host, direction, next_, seed)
        self._timer: asyncio.TimerHandle | None = None

    def started(self, *, fresh: bool) -> None:  # noqa: ARG002
        if self._timer is not None:
            self._timer.cancel()
        if self.effect.after_s > 0:
            self._timer = self.host.loop.call_later(self.effect.after_s, self.host.close)

    def feed(self, data: bytes) -> None:
        self.host.discard(self, len(data))

    def flush(self) -> None:
        self.cancel()
        self.host.close()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
