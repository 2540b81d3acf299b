"""Delivery receipts: what WhatsApp reports to its customer's webhook after it accepted a message.

They are sent in the background, in order, one at a time. A receiver that is down gets them later: a lost receipt
would leave a delivered message unconfirmed for ever. What waits is bounded; beyond it the oldest is dropped.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import httpx
from prometheus_client import CollectorRegistry, Counter

from hotel.background import stop_task
from hotel.http_client import http_client

MAX_WAITING = 100_000
TIMEOUT_S = 2.0
FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 2.0
OUTCOMES = ("delivered", "refused", "failed", "dropped")


class Receipts:
    """One background task. While `withheld` says so nothing is sent, and what waits is sent afterwards."""

    def __init__(self, url: str, withheld: Callable[[], bool], registry: CollectorRegistry) -> None:
        self._url = url
        self._withheld = withheld
        self._http = http_client("", TIMEOUT_S)
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._count = Counter(
            "standin_receipts_total",
            "Delivery receipts by what became of them.",
            ["outcome"],
            registry=registry,
        )
        for outcome in OUTCOMES:
            self._count.labels(outcome)

    def start(self) -> None:
        self._task = asyncio.create_task(self._send_for_ever(), name="receipts")

    async def stop(self) -> None:
        await stop_task(self._task)
        await self._http.aclose()

    def put(self, message: str) -> None:
        """Report this message as delivered, later; once, where it waits already."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popitem(last=False)
            self._count.labels("dropped").inc()
        self._waiting.setdefault(message)
        self._arrived.set()

    async def _send_for_ever(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            if not self._withheld() and await self._send(self._waiting.popitem(last=False)[0]):
                pause_s = FIRST_PAUSE_S
                continue
            await asyncio.sleep(pause_s)
            pause_s = FIRST_PAUSE_S if self._withheld() else min(2 * pause_s, MAX_PAUSE_S)

    async def _send(self, message: str) -> bool:
        """False where it must be repeated, and waits again in front; a refusal is final."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                response = await self._http.post(self._url, json={"id": message, "status": "delivered"})
        except (TimeoutError, httpx.HTTPError):
            outcome = "failed"
        else:
            final = "delivered" if response.is_success else "refused"
            outcome = "failed" if response.status_code >= 500 else final
        self._count.labels(outcome).inc()
        if outcome == "failed":
            self._waiting[message] = None
            self._waiting.move_to_end(message, last=False)
        return outcome != "failed"
