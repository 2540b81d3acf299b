"""Packet loss, as an application behind TCP sees it: nothing is missing, some of it comes late.

A lost packet is sent again after the retransmission time-out, which doubles with each further loss (RFC 6298,
section 5.5), and everything behind it waits, as a stream keeps its order.
"""

from __future__ import annotations

import random
import time
from typing import Annotated, Literal

from pydantic import Field

from gameday.proxy.toxics.base import Direction, Effect, Host, Sink, TimedStage

FIRST_RETRY_S = 0.2
"""Linux's shortest retransmission time-out (TCP_RTO_MIN), which is what a path of a few milliseconds gets."""
MAX_LOSSES = 9
"""One packet is lost at most so often in a row: it is then 102 s late, and who waits for it has given up."""
PACKET_BYTES = 1448
"""What a packet carries on Ethernet."""


class Loss(Effect):
    """Lose `percent` of the packets, each by a draw of its own."""

    kind: Literal["loss"] = "loss"
    percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class LossStage(TimedStage[Loss]):
    room = 4 * 1024 * 1024

    def __init__(self, effect: Loss, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(effect, host, direction, next_, seed)
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret

    def feed(self, data: bytes) -> None:
        packets = -(-len(data) // PACKET_BYTES)
        self.hold(data, time.monotonic() + max(self._late_s() for _ in range(packets)))

    def _late_s(self) -> float:
        losses = 0
        while losses < MAX_LOSSES and self._random.random() * 100 < self.effect.percent:
            losses += 1
        return float(FIRST_RETRY_S * (2**losses - 1))
