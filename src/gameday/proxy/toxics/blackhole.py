"""A network partition: connections stay, nothing passes, not even the news that the other side has gone.

Data is held, not dropped: a real partition drops packets, but TCP sends them again after it heals, and a stream
with a hole in it would be a fault that no network has. (`timeout` drops, as Toxiproxy's does.)
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from gameday.proxy.toxics.base import Direction, Effect, EffectStage, End, Host, Sink


class Blackhole(Effect):
    """Pass nothing. In one direction only, this is a half-open connection."""

    kind: Literal["blackhole"] = "blackhole"


class BlackholeStage(EffectStage[Blackhole]):
    def __init__(self, effect: Blackhole, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(effect, host, direction, next_, seed)
        self._held: deque[bytes | End] = deque()
        self.holds_connecting = direction is Direction.UPSTREAM  # a SYN is upstream data too

    def feed(self, data: bytes) -> None:
        self._held.append(data)

    def finish(self, end: End) -> None:
        self._held.append(end)

    def flush(self) -> None:
        while self._held:
            piece = self._held.popleft()
            if isinstance(piece, End):
                self.next.finish(piece)
            else:
                self.next.feed(piece)

    def cancel(self) -> None:
        self._held.clear()
