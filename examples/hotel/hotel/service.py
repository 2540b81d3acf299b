"""The parts of the API process, and the order in which they start and stop."""

from __future__ import annotations

from datetime import date

from hotel.cache import Cache
from hotel.database import Database
from hotel.logs import EventLog
from hotel.metrics import Metrics
from hotel.outbox import Delivered, Outbox, Queue
from hotel.pms_client import HEALTHY_OUTCOMES, PmsClient, PmsOutcome
from hotel.reservations import Reservation, Reservations
from hotel.settings import ApiSettings
from hotel.whatsapp_client import Delivery, WhatsAppClient

DELIVERIES = {
    Delivery.SENT: Delivered.DONE,
    Delivery.FAILED: Delivered.FAILED,
    Delivery.GIVEN_UP: Delivered.REFUSED,
}


class Service:
    """Starts whatever the state of its dependencies: a process that waits for a database cannot say so."""

    def __init__(self, settings: ApiSettings, log: EventLog) -> None:
        self.settings = settings
        self.log = log
        self.metrics = Metrics()
        self.database = Database(settings.database, self.metrics, log)
        self.reservations = Reservations(self.database)
        self.cache = Cache(settings.cache, self.metrics, log)
        self.pms = PmsClient(settings.pms, self.metrics, log)
        self.whatsapp = WhatsAppClient(settings.whatsapp, self.metrics, log)
        self._outboxes = [
            Outbox(queue, log, settings.outbox_interval_s)
            for queue in (self._pms_queue(), self._whatsapp_queue())
        ]

    async def start(self) -> None:
        await self.database.start()
        await self.cache.start()
        for outbox in self._outboxes:
            await outbox.start()
        self.log.event("started", port=self.settings.listen.port)

    async def stop(self) -> None:
        for outbox in self._outboxes:
            await outbox.stop()
        await self.pms.stop()
        await self.whatsapp.stop()
        await self.cache.stop()
        await self.database.stop()
        self.log.event("stopped")

    async def free_rooms(self, room_type: str, arrival: date) -> tuple[int, str]:
        """Rooms free, and where the figure comes from: 'cache' or 'database'.

        A figure from the cache may be as old as the cache's time-to-live: it informs, it does not reserve.
        """
        key = f"availability:{room_type}:{arrival.isoformat()}"
        cached = await self.cache.get(key)
        if cached is not None and cached.isdigit():
            return int(cached), "cache"
        free = await self.reservations.free_rooms(room_type, arrival)
        await self.cache.put(key, str(free))
        return free, "database"

    def _pms_queue(self) -> Queue:
        async def deliver(reservation: Reservation) -> Delivered:
            outcome = await self.pms.confirm(reservation)
            if outcome in HEALTHY_OUTCOMES:
                return Delivered.DONE if outcome is PmsOutcome.OK else Delivered.REFUSED
            return Delivered.WITHHELD if outcome is PmsOutcome.SHORT_CIRCUITED else Delivered.FAILED

        return Queue(
            name="pms",
            ready=self.database.ready,
            pending=self.reservations.pms_pending,
            count=self.reservations.count_pms_pending,
            settle=self.reservations.settle_pms,
            deliver=deliver,
            length=self.metrics.pms_pending,
        )

    def _whatsapp_queue(self) -> Queue:
        async def deliver(reservation: Reservation) -> Delivered:
            return DELIVERIES[await self.whatsapp.notify(reservation)]

        return Queue(
            name="whatsapp",
            ready=self.database.ready,
            pending=self.reservations.whatsapp_pending,
            count=self.reservations.count_whatsapp_pending,
            settle=self.reservations.settle_whatsapp,
            deliver=deliver,
            length=self.metrics.whatsapp_pending,
        )
