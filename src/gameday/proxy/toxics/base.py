"""What a toxic is: a frozen value that people and clients write, and a stage that acts on one direction of one
connection.

Stages of one direction form a chain in the order in which their toxics were put. A stage passes data to `next`
at once, later, or not at all; what it holds back is never lost when its toxic is removed, but passed on in
order, as TCP would have retransmitted it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from enum import StrEnum
from typing import ClassVar, Generic, Protocol, TypeVar

from gameday.fields import Model


class Direction(StrEnum):
    """Which way data flows that a toxic acts on."""

    UPSTREAM = "upstream"  # client to server
    DOWNSTREAM = "downstream"  # server to client
    BOTH = "both"


class End(StrEnum):
    """How a direction ends. It travels through the chain behind the data."""

    EOF = "eof"  # FIN: this direction only
    CLOSE = "close"  # both directions, with FIN
    RESET = "reset"  # both directions, with RST


class Effect(Model):
    """What a toxic does. `kind` tells effects apart in JSON."""

    whole_link: ClassVar[bool] = False
    """True when it acts on the listener: no direction and no share of connections can be chosen."""


class Sink(Protocol):
    """Where a stage passes things on to: the next stage, or the socket at the end of the chain."""

    def feed(self, data: bytes) -> None: ...

    def finish(self, end: End) -> None: ...


class Host(Protocol):
    """The connection, as a stage sees it."""

    loop: asyncio.AbstractEventLoop

    def close(self) -> None:
        """End it with FIN on both sides."""
        ...

    def reset(self, direction: Direction) -> None:
        """End it: RST where `direction` leads to, FIN on the other side."""
        ...

    def discard(self, stage: Stage, size: int) -> None:
        """The stage dropped so many bytes; they no longer count against the memory limit."""
        ...


Kind = TypeVar("Kind", bound=Effect)


class Stage:
    """Passes everything on. Each toxic overrides what it changes."""

    room = 256 * 1024
    """Bytes held back in this direction before the sender is made to wait."""
    holds_connecting = False
    """Whether new connections wait instead of reaching the server."""
    span = Direction.BOTH
    """What the toxic was put on; `direction` is the one of them that this stage acts on."""

    def __init__(self, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        self.host = host
        self.direction = direction
        self.next = next_
        self.seed = seed

    def started(self, *, fresh: bool) -> None:
        """It is in force now; `fresh` when its connection has just been accepted."""

    def changed(self, effect: Effect) -> None:
        """The toxic was put again with other values."""

    def feed(self, data: bytes) -> None:
        self.next.feed(data)

    def finish(self, end: End) -> None:
        self.next.finish(end)

    def flush(self) -> None:
        """The toxic is removed: pass on everything that is held, in order."""

    def cancel(self) -> None:
        """The direction is dead: forget what is held, end timers."""


class EffectStage(Stage, Generic[Kind]):
    """A stage with its effect's values, which may change while it holds data."""

    def __init__(self, effect: Kind, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(host, direction, next_, seed)
        self.effect = effect

    def changed(self, effect: Effect) -> None:
        if isinstance(effect, type(self.effect)):
            self.effect = effect


class TimedStage(EffectStage[Kind]):
    """Holds each piece until its instant; pieces and the end keep their order."""

    def __init__(self, effect: Kind, host: Host, direction: Direction, next_: Sink, seed: str) -> None:
        super().__init__(effect, host, direction, next_, seed)
        self._queue: deque[tuple[float, bytes | End]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._last_due = 0.0

    def hold(self, piece: bytes | End, due: float) -> None:
        """Pass `piece` on at the monotonic instant `due` (seconds), or after the piece before it if that is later."""
        self._last_due = max(self._last_due, due)
        self._queue.append((self._last_due, piece))
        if self._timer is None:
            self._wait()

    @property
    def last_due(self) -> float:
        """When the newest held piece leaves; in the past when nothing is held."""
        return self._last_due

    def finish(self, end: End) -> None:
        self.hold(end, time.monotonic())

    def flush(self) -> None:
        self._stop()
        while self._queue:
            self._pass_on(self._queue.popleft()[1])

    def cancel(self) -> None:
        self._stop()
        self._queue.clear()

    def _release(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._queue and self._queue[0][0] <= now:
            self._pass_on(self._queue.popleft()[1])
        if self._queue and self._timer is None:
            self._wait()

    def _wait(self) -> None:
        """Instants are the clock's own: a loop's time is as old as its last turn, and a delay would be short."""
        left_s = self._queue[0][0] - time.monotonic()
        self._timer = self.host.loop.call_later(max(0.0, left_s), self._release)

    def _pass_on(self, piece: bytes | End) -> None:
        if isinstance(piece, End):
            self.next.finish(piece)
        else:
            self.next.feed(piece)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
