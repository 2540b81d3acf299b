"""How guests learn that their reservation is made: by WhatsApp, or from the front desk while an operator says so."""

from __future__ import annotations

import time
from collections.abc import Callable

from hotel.metrics import Metrics
from hotel.outbox import Delivered
from hotel.overrides import Channel, Overrides
from hotel.reservations import Outcome, Reservation, Reservations
from hotel.whatsapp_client import Delivery, WhatsAppClient

COUNT_EVERY_S = 1.0
RESEND_BATCH = 20
DESK_BATCH = 2000

DELIVERIES = {
    Delivery.SENT: Delivered.DONE,
    Delivery.FAILED: Delivered.FAILED,
    Delivery.GIVEN_UP: Delivered.REFUSED,
}


class Notifications:
    """The work of the WhatsApp outbox.

    `receipts`: whether a message needs one to count as delivered. Sent again where it has not come within
    `receipt_within_s`: WhatsApp knows a message by its id, delivers it once and reports it again.
    """

    def __init__(
        self,
        reservations: Reservations,
        whatsapp: WhatsAppClient,
        overrides: Overrides,
        metrics: Metrics,
        *,
        receipts: bool,
        receipt_within_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reservations = reservations
        self._whatsapp = whatsapp
        self._overrides = overrides
        self._metrics = metrics
        self._receipts = receipts
        self._receipt_within_s = receipt_within_s
        self._clock = clock
        self._pending = 0
        self._awaited = 0
        self._counted_at = float("-inf")

    async def prepare(self) -> bool:
        """Before each round: hand over to the desk, count what lacks a receipt. True when there is more to do."""
        handed = 0
        if self._to_desk():
            handed = await self._reservations.hand_to_desk(DESK_BATCH)
            self._metrics.guest_notifications.labels(Channel.DESK.value).inc(handed)
        if self._receipts and (handed or self._clock() - self._counted_at >= COUNT_EVERY_S):
            if not self._to_desk():
                await self._reservations.requeue_unconfirmed(self._receipt_within_s, RESEND_BATCH)
            self._awaited = await self._reservations.count_receipts_awaited()
            self._counted_at = self._clock()
            self._show()
        return handed >= DESK_BATCH

    async def deliver(self, reservation: Reservation) -> Delivered:
        if self._to_desk():
            return Delivered.WITHHELD  # the next round hands it over
        delivery = await self._whatsapp.notify(reservation)
        if delivery is Delivery.SENT:
            self._metrics.guest_notifications.labels(Channel.WHATSAPP.value).inc()
        return DELIVERIES[delivery]

    def show_pending(self, messages: int) -> None:
        """Take note of the queue's length."""
        self._pending = messages
        self._show()

    async def settle(self, outcome: Outcome) -> None:
        await self._reservations.settle_whatsapp(outcome, receipt_due=self._receipts)

    def _to_desk(self) -> bool:
        return self._overrides.current.notification_channel is Channel.DESK

    def _show(self) -> None:
        self._metrics.whatsapp_pending.set(self._pending)
        self._metrics.whatsapp_unconfirmed.set(self._pending + self._awaited)
