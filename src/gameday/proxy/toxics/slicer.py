"""Data in small pieces, as a busy network delivers it: finds readers that take one read for one message."""

from __future__ import annotations

import random
import time
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gameday.proxy.toxics.base import Direction, Effect, Host, Sink, TimedStage


class Slicer(Effect):
    """Cut data into pieces of `average_size` bytes, give or take `size_variation`, `delay_s` apart."""

    kind: Literal["slicer"] = "slicer"
    average_size: Annotated[int, Field(ge=1, le=2**20)]
    size_variation: Annotated[int, Field(ge=0, le=2**20)] = 0
    delay_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _never_empty(self) -> Slicer:
        if self.size_variation >= self.average_size:
            raise ValueError(
                f"size_variation {self.size_variation} must be less than average_size {self.average_size}"
            )
        return self


class SlicerStage(TimedStage[Slicer]):
    def __init__(self, effect: Slicer, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(effect, host, direction, next_, seed)
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret

    def feed(self, data: bytes) -> None:
        effect, start = self.effect, 0
        due = max(time.monotonic(), self.last_due)
        while start < len(data):
            size = effect.average_size
            if effect.size_variation:
                size += self._random.randint(-effect.size_variation, effect.size_variation)
            self.hold(data[start : start + size], due)
            start += size
            due += effect.delay_s
