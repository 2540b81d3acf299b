"""Delay: every piece of data arrives later, and none overtakes another."""

from __future__ import annotations

import random
import time
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gameday.proxy.toxics.base import Direction, Effect, Host, Sink, TimedStage


class Latency(Effect):
    """Delay all data by `latency_s`, give or take up to `jitter_s` (uniform), one way."""

    kind: Literal["latency"] = "latency"
    latency_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
    jitter_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _never_early(self) -> Latency:
        if self.jitter_s > self.latency_s:
            raise ValueError(
                f"jitter_s {self.jitter_s:g} is more than latency_s {self.latency_s:g}: data would leave early"
            )
        return self


class LatencyStage(TimedStage[Latency]):
    room = (
        4 * 1024 * 1024
    )  # as much as Linux lets a TCP window hold: a delay must not be a throughput limit too

    def __init__(self, effect: Latency, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(effect, host, direction, next_, seed)
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret

    def feed(self, data: bytes) -> None:
        jitter_s = self.effect.jitter_s
        delay_s = self.effect.latency_s + (self._random.uniform(-jitter_s, jitter_s) if jitter_s else 0.0)
        self.hold(data, time.monotonic() + delay_s)
