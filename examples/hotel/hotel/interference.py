"""What switches for drills share: an exact share of requests, and requests that are kept waiting.

A share is hit evenly (one of each four for 0.25) instead of at random, and by the same draw each time, so that two
drills with the same scenario see the same.
"""

from __future__ import annotations

import asyncio
import random

SEED = 20


class EvenShare:
    """Answers 'hit' for exactly a share (0 to 1) of the calls: one in each block of 1 / share calls.

    Its place in the block varies. Always the last one would always hit the same caller where callers come in turn,
    and spare all others.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._random = random.Random(SEED)  # noqa: S311  # repeatable, not secret
        self._due = 0.0
        self._block = 0
        self._place = self._random.random()

    def hit(self) -> bool:
        self._due += self._share
        if self._due < self._block + self._place + 1e-9:
            return False
        self._block += 1
        self._place = self._random.random()
        return True


class Holding:
    """Keeps at most `limit` requests waiting; those beyond it do not wait."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._released = asyncio.Event()

    async def hold(self, seconds: float) -> None:
        """Return when the time is over, or when everybody is released."""
        if self._held >= self._limit:
            return
        self._held += 1
        try:
            async with asyncio.timeout(seconds):
                await self._released.wait()
        except TimeoutError:
            return
        finally:
            self._held -= 1

    def release(self) -> None:
        """Let go who waits now; who comes later waits again."""
        self._released.set()
        self._released = asyncio.Event()
