"""The parts of the API process, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

from hotel.background import stop_task
from hotel.cache import Cache
from hotel.database import Database, DatabaseUnavailableError
from hotel.disk import Disk
from hotel.faults import Effect, FaultRequest, FaultSwitch, effect_of
from hotel.logs import EventLog
from hotel.metrics import Metrics
from hotel.notifications import Notifications
from hotel.outbox import Delivered, Outbox, Queue
from hotel.overrides import Overrides, PmsMode
from hotel.pms_client import HEALTHY_OUTCOMES, PmsClient, PmsOutcome
from hotel.reservations import ROOMS, Request, Reservation, Reservations
from hotel.settings import ApiSettings
from hotel.whatsapp_client import WhatsAppClient


class Service:
    """Starts whatever the state of its dependencies: a process that waits for a database cannot say so."""

    def __init__(self, settings: ApiSettings, log: EventLog) -> None:
        self.settings = settings
        self.log = log
        self.metrics = Metrics(cache_state=settings.cache.metrics)
        log.on_line = self.metrics.log_lines.inc
        self.overrides = Overrides(settings.modes, log)
        self.disk = self._disk()
        self.database = Database(settings.database, self.metrics, log)
        self.reservations = Reservations(self.database)
        self.cache = Cache(settings.cache, self.metrics, log)
        self.pms = PmsClient(settings.pms, self.metrics, log)
        self.whatsapp = WhatsAppClient(settings.whatsapp, self.metrics, log)
        self.faults = FaultSwitch(self._effect, log)
        self._notifications = Notifications(
            self.reservations,
            self.whatsapp,
            self.overrides,
            self.metrics,
            receipts=settings.whatsapp.receipts,
            receipt_within_s=settings.whatsapp.receipt_within_s,
        )
        self._pms_outbox = Outbox(self._pms_queue(), log, settings.outbox_interval_s)
        self._whatsapp_outbox = Outbox(self._whatsapp_queue(), log, settings.outbox_interval_s)
        self._warming: asyncio.Task[None] | None = None
        self._outboxes = [self._pms_outbox, self._whatsapp_outbox]

    async def start(self) -> None:
        if self.disk is not None:
            self.disk.start()
        await self.database.start()
        await self.cache.start()
        for outbox in self._outboxes:
            await outbox.start()
        if self.settings.cache.warm_days:
            self._warming = asyncio.create_task(self._warm_cache(), name="warm-cache")
        self.log.event("started", port=self.settings.listen.port)

    async def stop(self) -> None:
        await self.faults.end()
        await stop_task(self._warming)
        for outbox in self._outboxes:
            await outbox.stop()
        await self.pms.stop()
        await self.whatsapp.stop()
        await self.cache.stop()
        await self.database.stop()
        self.log.event("stopped")

    async def _warm_cache(self) -> None:
        """Put what is asked for most into the cache: a release must not look like a cache that is of no use."""
        await self.cache.seen_up.wait()
        today = datetime.now(UTC).date()
        try:
            for day in range(self.settings.cache.warm_days):
                for room_type in ROOMS:
                    arrival = today + timedelta(days=day)
                    free = await self.reservations.free_rooms(room_type, arrival)
                    await self.cache.put(availability_key(room_type, arrival), str(free))
        except DatabaseUnavailableError as error:
            self.log.trouble("cache-not-warmed", error)

    async def free_rooms(self, room_type: str, arrival: date) -> tuple[int, str]:
        """Rooms free, and where the figure comes from: 'cache' or 'database'.

        A figure from the cache may be as old as the cache's time-to-live: it informs, it does not reserve.
        """
        key = availability_key(room_type, arrival)
        cached = await self.cache.get(key)
        if cached is not None and cached.isdigit():
            return int(cached), "cache"
        free = await self.reservations.free_rooms(room_type, arrival)
        await self.cache.put(key, str(free))
        return free, "database"

    async def book(self, request: Request) -> tuple[Reservation, bool]:
        """The stored reservation, and whether it is new; audited before it is committed, if there is a disk.

        Raises ReferenceTakenError, DatabaseUnavailableError, DiskUnavailableError.
        """
        return await self.reservations.add(request, None if self.disk is None else self.disk.audit)

    async def confirm(self, reservation: Reservation) -> PmsOutcome | None:
        """Book it in the PMS now and store what became of it; None where bookings do not wait for the PMS.

        No database connection is held while the PMS is asked.
        """
        if self.overrides.current.pms_mode is PmsMode.QUEUE:
            return None
        outcome = await self.pms.confirm(reservation)
        if outcome is PmsOutcome.OK:
            await self.reservations.confirmed(reservation.id)
        elif outcome is PmsOutcome.REJECTED:
            await self.reservations.rejected(reservation.id)
        return outcome

    async def reset_breaker(self) -> None:
        """An operator closes the breaker, which also ends a fault that keeps it open."""
        self.pms.reset()
        await self.faults.end("breaker-stuck")

    def notifications_changed(self) -> None:
        """Act on the channel now, not after the outbox's pause."""
        self._whatsapp_outbox.wake()

    def _effect(self, request: FaultRequest) -> Effect:
        return effect_of(request, self.pms, self.log)

    def _disk(self) -> Disk | None:
        if self.settings.disk is None:
            return None
        disk = Disk(self.settings.disk, self.log)
        self.metrics.observe_disk(disk.size_bytes, disk.free_bytes)
        return disk

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
            show_length=self.metrics.pms_pending.set,
        )

    def _whatsapp_queue(self) -> Queue:
        return Queue(
            name="whatsapp",
            ready=self.database.ready,
            pending=self.reservations.whatsapp_pending,
            count=self.reservations.count_whatsapp_pending,
            settle=self._notifications.settle,
            deliver=self._notifications.deliver,
            show_length=self._notifications.show_pending,
            prepare=self._notifications.prepare,
        )


def availability_key(room_type: str, arrival: date) -> str:
    """Where the cache keeps the free rooms of one night."""
    return f"availability:{room_type}:{arrival.isoformat()}"
