"""The WhatsApp Business API: tells the guest that the reservation is made."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from enum import Enum

import httpx

from hotel.http_client import http_client
from hotel.logs import EventLog
from hotel.metrics import Metrics
from hotel.reservations import Reservation
from hotel.settings import WhatsAppSettings

# The message itself is at fault; sending it again cannot help.
REFUSALS = frozenset({400, 404, 413, 422})


class Delivery(Enum):
    SENT = "sent"
    FAILED = "failed"
    GIVEN_UP = "given-up"


class WhatsAppClient:
    """Sends a message at most once: the reference is the idempotency key."""

    def __init__(self, settings: WhatsAppSettings, metrics: Metrics, log: EventLog) -> None:
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._http = http_client(
            settings.url, settings.timeout_s, {"Authorization": f"Bearer {settings.token}"}
        )

    async def stop(self) -> None:
        await self._http.aclose()

    async def notify(self, reservation: Reservation) -> Delivery:
        """Never raises for what the other side does."""
        problem = await self._send(reservation)
        delivery = Delivery.SENT
        if problem is not None:
            self._log.trouble("whatsapp-failed", problem)
            age_s = (datetime.now(UTC) - reservation.created_at).total_seconds()
            hopeless = problem == "refused" or age_s >= self._settings.give_up_s
            delivery = Delivery.GIVEN_UP if hopeless else Delivery.FAILED
        self._metrics.whatsapp_messages.labels(delivery.value).inc()
        return delivery

    async def _send(self, reservation: Reservation) -> str | None:
        """What went wrong, or None."""
        message = {
            "id": reservation.reference,
            "to": reservation.guest,
            "text": f"Your room is reserved from {reservation.arrival.isoformat()}.",
        }
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                response = await self._http.post("/v1/messages", json=message)
        except (TimeoutError, httpx.TimeoutException):
            return "timeout"
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        if response.status_code in REFUSALS:
            return "refused"
        if not response.is_success:
            return f"status {response.status_code}"
        try:
            answer = response.json()
        except ValueError:
            return "bad payload"
        accepted = isinstance(answer, dict) and answer.get("id") == reservation.reference
        return None if accepted else "bad payload"
