"""Connections that break: RST instead of an orderly end."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from pydantic import Field

from gameday.proxy.toxics.base import Direction, Effect, EffectStage, Host, Sink


class Reset(Effect):
    """Reset connections after `after_s`: those that are open when it comes into force, those that come while it
    is, or both. In one direction, the side it leads to sees RST and the other an ordinary end."""

    kind: Literal["reset"] = "reset"
    after_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 0.0
    connections: Literal["all", "open", "new"] = "all"


class ResetStage(EffectStage[Reset]):
    def __init__(self, effect: Reset, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(effect, host, direction, next_, seed)
        self._timer: asyncio.TimerHandle | None = None

    def started(self, *, fresh: bool) -> None:
        self.cancel()
        if self.effect.connections not in {"all", "new" if fresh else "open"}:
            return
        if self.effect.after_s > 0:
            self._timer = self.host.loop.call_later(self.effect.after_s, self._fire)
        else:
            self._fire()

    def _fire(self) -> None:
        self.host.reset(self.span)

    def flush(self) -> None:
        self.cancel()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
