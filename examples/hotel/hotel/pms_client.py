"""The property management system, behind a circuit breaker and a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum

import httpx

from hotel.breaker import BreakerPolicy, BreakerState, CircuitBreaker
from hotel.http_client import http_client
from hotel.logs import EventLog
from hotel.metrics import Metrics
from hotel.reservations import Reservation
from hotel.settings import PmsSettings


class PmsOutcome(StrEnum):
    """How a call ended; the values are those of `pms_requests_total{outcome}`."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    BAD_PAYLOAD = "bad-payload"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate-limited"
    REJECTED = "rejected"
    SHORT_CIRCUITED = "short-circuited"


# The PMS understood and decided, or was not asked: neither says that it is unwell.
HEALTHY_OUTCOMES = frozenset({PmsOutcome.OK, PmsOutcome.REJECTED})
STATUS_OUTCOMES = {
    401: PmsOutcome.UNAUTHORIZED,
    403: PmsOutcome.UNAUTHORIZED,
    429: PmsOutcome.RATE_LIMITED,
    409: PmsOutcome.REJECTED,
    422: PmsOutcome.REJECTED,
}


class PmsClient:
    """Confirms bookings. Bookings are idempotent by reference, so repeating one is safe."""

    def __init__(
        self,
        settings: PmsSettings,
        metrics: Metrics,
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._http = http_client(settings.url, settings.timeout_s)
        self._breaker = CircuitBreaker(
            BreakerPolicy(settings.breaker_failures, settings.breaker_successes, settings.breaker_recovery_s)
        )
        self._show_state()

    async def stop(self) -> None:
        await self._http.aclose()

    @property
    def state(self) -> BreakerState:
        return self._breaker.state

    def retry_after_s(self) -> float | None:
        """Seconds until the breaker lets a call through; None where only a reset helps."""
        return self._breaker.retry_after_s(self._clock())

    def reset(self) -> None:
        self._breaker.reset()
        self._show_state()
        self._log.event("pms-breaker-reset")

    @property
    def stuck(self) -> bool:
        return self._breaker.stuck

    def stick_open(self) -> None:
        """For drills: the breaker is open, although the PMS may be well, until it is reset."""
        self._breaker.stick_open()
        self._show_state()

    async def confirm(self, reservation: Reservation) -> PmsOutcome:
        """Book it in the PMS, unless the breaker is open. Never raises for what the PMS does."""
        permit = self._breaker.acquire(self._clock())
        self._show_state()
        if permit is None:
            return self._counted(PmsOutcome.SHORT_CIRCUITED)
        try:
            outcome = await self._book(reservation)
        except asyncio.CancelledError:
            self._breaker.abandoned(permit)
            raise
        if outcome in HEALTHY_OUTCOMES:
            self._breaker.succeeded(permit)
        else:
            self._breaker.failed(permit, self._clock())
        self._show_state()
        return self._counted(outcome)

    async def _book(self, reservation: Reservation) -> PmsOutcome:
        booking = {
            "reference": reservation.reference,
            "guest": reservation.guest,
            "room_type": reservation.room_type,
            "arrival": reservation.arrival.isoformat(),
            "nights": reservation.nights,
        }
        try:
            # The client's own time-out is per read; a slow trickle must not outlive the deadline.
            async with asyncio.timeout(self._settings.timeout_s):
                response = await self._http.post("/bookings", json=booking)
        except (TimeoutError, httpx.TimeoutException) as error:
            self._log.trouble("pms-timeout", error)
            return PmsOutcome.TIMEOUT
        except httpx.HTTPError as error:
            self._log.trouble("pms-unreachable", error)
            return PmsOutcome.ERROR
        return self._judged(response, reservation.reference)

    def _judged(self, response: httpx.Response, reference: str) -> PmsOutcome:
        if response.status_code in STATUS_OUTCOMES:
            outcome = STATUS_OUTCOMES[response.status_code]
        elif not response.is_success:
            outcome = PmsOutcome.ERROR
        else:
            outcome = PmsOutcome.OK if _names_booking(response, reference) else PmsOutcome.BAD_PAYLOAD
        if outcome is not PmsOutcome.OK:
            self._log.trouble(f"pms-{outcome}", f"status {response.status_code}")
        return outcome

    def _counted(self, outcome: PmsOutcome) -> PmsOutcome:
        self._metrics.pms_requests.labels(outcome.value).inc()
        return outcome

    def _show_state(self) -> None:
        self._metrics.breaker_state.set(float(self._breaker.state))


def _names_booking(response: httpx.Response, reference: str) -> bool:
    """Whether the answer is the confirmation of this booking: an unreadable answer confirms nothing."""
    try:
        answer = response.json()
    except ValueError:
        return False
    return (
        isinstance(answer, dict)
        and answer.get("reference") == reference
        and answer.get("status") == "confirmed"
    )
