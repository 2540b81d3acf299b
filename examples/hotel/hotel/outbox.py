"""Work that must reach another system, but on which no guest waits.

The queue is the table itself: rows whose status is 'pending'. It survives every crash, memory holds one batch
at a time, and when the other system is back the queue drains, oldest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from hotel.background import stop_task
from hotel.logs import EventLog
from hotel.reservations import Outcome, Reservation

BATCH = 50
AT_ONCE = 4
FAILURES_TO_STOP = 4
MAX_BACKOFF_S = 2.0


class Delivered(Enum):
    """`WITHHELD`: not attempted, and pointless to attempt for the rest of the batch."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    WITHHELD = "withheld"


class Round(Enum):
    """What one look at the queue says about the next."""

    IDLE = "idle"
    MORE_WAITS = "more waits"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Queue:
    """What an outbox works off: `settle` stores what became of a batch.

    `prepare` comes before each batch, and says whether it wants to be called again at once.
    """

    name: str
    ready: Callable[[], bool]
    pending: Callable[[int], Awaitable[list[Reservation]]]
    count: Callable[[], Awaitable[int]]
    settle: Callable[[Outcome], Awaitable[None]]
    deliver: Callable[[Reservation], Awaitable[Delivered]]
    show_length: Callable[[int], None]
    prepare: Callable[[], Awaitable[bool]] | None = None


class Outbox:
    """One background task. `interval_s` is how often an idle queue is looked at."""

    def __init__(self, queue: Queue, log: EventLog, interval_s: float) -> None:
        self._queue = queue
        self._log = log
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name=f"outbox-{self._queue.name}")

    async def stop(self) -> None:
        await stop_task(self._task)

    def wake(self) -> None:
        """Look at the queue now, whatever pause is under way."""
        self._woken.set()

    async def _work(self) -> None:
        pause_s = self._interval_s
        while True:
            try:
                verdict = await self._round() if self._queue.ready() else Round.IDLE
            except Exception as error:  # noqa: BLE001 - a queue that nobody works off would fill unseen
                self._log.trouble(f"outbox-{self._queue.name}-paused", error)
                verdict = Round.FAILING
            pause_s = min(pause_s * 2, MAX_BACKOFF_S) if verdict is Round.FAILING else self._interval_s
            if verdict is not Round.MORE_WAITS:
                await self._pause(pause_s)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    async def _round(self) -> Round:
        """Deliver one batch."""
        if self._queue.prepare is not None and await self._queue.prepare():
            return Round.MORE_WAITS
        rows = await self._queue.pending(BATCH)
        full = len(rows) == BATCH
        self._queue.show_length(await self._queue.count() if full else len(rows))
        results = await self._deliver(rows)
        await self._queue.settle(
            Outcome(
                done=[key for key, result in results.items() if result is Delivered.DONE],
                refused=[key for key, result in results.items() if result is Delivered.REFUSED],
                failed=[key for key, result in results.items() if result is Delivered.FAILED],
            )
        )
        settled = sum(result in {Delivered.DONE, Delivered.REFUSED} for result in results.values())
        if not full:
            self._queue.show_length(len(rows) - settled)
        if Delivered.FAILED in results.values():
            return Round.FAILING
        return Round.MORE_WAITS if full and settled == len(rows) else Round.IDLE

    async def _deliver(self, rows: list[Reservation]) -> dict[int, Delivered]:
        """A few at once; stops early when the other system is plainly unwell."""
        results: dict[int, Delivered] = {}
        waiting = iter(rows)

        async def courier() -> None:
            for row in waiting:
                failures = sum(result is Delivered.FAILED for result in results.values())
                if failures >= FAILURES_TO_STOP or Delivered.WITHHELD in results.values():
                    return
                results[row.id] = await self._queue.deliver(row)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(rows))):
                group.create_task(courier())
        return results
