"""A slow line: so many bytes a second, each direction of each connection on its own."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import Field

from gameday.proxy.toxics.base import Effect, TimedStage

PIECE_S = 0.02
"""Data leaves in pieces of this much line time: small enough to look continuous."""
MAX_PIECES = 4096
"""Of one read, however slow the line: a piece costs more memory than the byte it may be."""


class Bandwidth(Effect):
    """Pass at most `bytes_per_s`."""

    kind: Literal["bandwidth"] = "bandwidth"
    bytes_per_s: Annotated[int, Field(ge=1, le=10**12)]


class BandwidthStage(TimedStage[Bandwidth]):
    """A piece leaves when its last byte would have been sent, so that there is no burst at the beginning."""

    def feed(self, data: bytes) -> None:
        rate = self.effect.bytes_per_s
        size = max(1, int(rate * PIECE_S), len(data) // MAX_PIECES)
        due = max(time.monotonic(), self.last_due)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            due += len(piece) / rate
            self.hold(piece, due)
