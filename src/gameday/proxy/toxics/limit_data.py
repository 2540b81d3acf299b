"""A connection that breaks in the middle of an answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gameday.proxy.toxics.base import Direction, Effect, EffectStage, End, Host, Sink


class LimitData(Effect):
    """Close the connection once `max_bytes` passed, counted for each direction since the toxic came into force."""

    kind: Literal["limit_data"] = "limit_data"
    max_bytes: Annotated[int, Field(ge=0, le=10**15)]


class LimitDataStage(EffectStage[LimitData]):
    def __init__(self, effect: LimitData, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(effect, host, direction, next_, seed)
        self._passed = 0

    def feed(self, data: bytes) -> None:
        left = max(0, self.effect.max_bytes - self._passed)
        passing = data[:left]
        self._passed += len(passing)
        if len(passing) < len(data):
            self.host.discard(self, len(data) - len(passing))
        if passing:
            self.next.feed(passing)
        if self._passed >= self.effect.max_bytes:
            self.next.finish(End.CLOSE)
