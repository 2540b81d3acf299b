"""A connection that takes its time to close."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import Field

from gameday.proxy.toxics.base import Effect, End, TimedStage


class SlowClose(Effect):
    """Pass data at once, and the end of the stream `delay_s` after it came."""

    kind: Literal["slow_close"] = "slow_close"
    delay_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class SlowCloseStage(TimedStage[SlowClose]):
    def finish(self, end: End) -> None:
        self.hold(end, time.monotonic() + self.effect.delay_s)
