"""Reservations as values, and every SQL statement of the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, LiteralString

from psycopg.rows import class_row

from hotel.database import Connection, Database

MAX_NIGHTS = 90
ROOMS: dict[str, int] = {"single": 40, "double": 80, "suite": 12, "family": 20}


class RoomType(StrEnum):
    SINGLE = "single"
    DOUBLE = "double"
    SUITE = "suite"
    FAMILY = "family"


@dataclass(frozen=True, slots=True)
class Request:
    """What a guest asks for. `reference` makes repeating the request safe."""

    reference: str
    guest: str
    room_type: str
    arrival: date
    nights: int


@dataclass(frozen=True, slots=True)
class Reservation(Request):
    """A row of the table."""

    id: int
    created_at: datetime
    pms_status: str
    whatsapp_status: str

    def asks_the_same(self, request: Request) -> bool:
        return (self.guest, self.room_type, self.arrival, self.nights) == (
            request.guest,
            request.room_type,
            request.arrival,
            request.nights,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "arrival": self.arrival.isoformat(),
            "created_at": self.created_at.isoformat(),
        }


class ReferenceTakenError(Exception):
    """The reference belongs to a reservation that asks for something else."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round of deliveries did to the rows that it took up."""

    done: Sequence[int] = ()
    refused: Sequence[int] = ()
    failed: Sequence[int] = ()


class Reservations:
    """Every method raises DatabaseUnavailableError when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, request: Request, before_commit: Callable[[Reservation], None] | None = None
    ) -> tuple[Reservation, bool]:
        """The stored reservation, and whether this call made it. Returns only after COMMIT.

        Nothing is committed when `before_commit` raises; it is called for new reservations only and must not
        block. Raises ReferenceTakenError.
        """
        async with self._database.connection() as connection:
            async with connection.transaction():
                added = await _one(connection, _INSERT, asdict(request))
                if added is not None and before_commit is not None:
                    before_commit(added)
            if added is not None:
                return added, True
            earlier = await self._by_reference(connection, request.reference)
        if earlier is None or not earlier.asks_the_same(request):
            raise ReferenceTakenError(request.reference)
        return earlier, False

    async def get(self, reservation_id: int) -> Reservation | None:
        async with self._database.connection() as connection:
            return await _one(connection, _SELECT + " WHERE id = %(id)s", {"id": reservation_id})

    async def by_reference(self, reference: str) -> Reservation | None:
        async with self._database.connection() as connection:
            return await self._by_reference(connection, reference)

    async def free_rooms(self, room_type: str, arrival: date) -> int:
        """Rooms without a guest in the night of `arrival`; never negative: the desk handles overbooking."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM reservations WHERE room_type = %(room_type)s"
                " AND arrival > %(arrival)s::date - %(max_nights)s AND arrival <= %(arrival)s::date"
                " AND arrival + nights > %(arrival)s::date",
                {"room_type": room_type, "arrival": arrival, "max_nights": MAX_NIGHTS},
            )
            row = await cursor.fetchone()
        booked = int(row[0]) if row else 0
        return max(0, ROOMS[room_type] - booked)

    async def confirmed(self, reservation_id: int) -> None:
        await self.settle_pms(Outcome(done=[reservation_id]))

    async def rejected(self, reservation_id: int) -> None:
        await self.settle_pms(Outcome(refused=[reservation_id]))

    async def pms_pending(self, limit: int) -> list[Reservation]:
        return await self._pending(_PMS_PENDING, limit)

    async def whatsapp_pending(self, limit: int) -> list[Reservation]:
        return await self._pending(_WHATSAPP_PENDING, limit)

    async def count_pms_pending(self) -> int:
        return await self._count("SELECT count(*) FROM reservations WHERE pms_status = 'pending'")

    async def count_whatsapp_pending(self) -> int:
        return await self._count("SELECT count(*) FROM reservations WHERE whatsapp_status = 'pending'")

    async def settle_pms(self, outcome: Outcome) -> None:
        """Rows that failed stay pending, behind those that were tried less often."""
        await self._settle(_PMS_SETTLE, outcome)

    async def settle_whatsapp(self, outcome: Outcome, *, receipt_due: bool) -> None:
        """Touches pending rows only: a receipt may come before the answer to the message is stored."""
        await self._settle(_WHATSAPP_SETTLE, outcome, {"receipt_due": receipt_due})

    async def delivered(self, reference: str) -> str | None:
        """Note a receipt; the message's status now, or None where there is no such reservation."""
        async with self._database.connection() as connection:
            row = await (await connection.execute(_DELIVERED, {"reference": reference})).fetchone()
            if row is not None:
                return str(row[0])
            known = await self._by_reference(connection, reference)
        return None if known is None else known.whatsapp_status

    async def count_receipts_awaited(self) -> int:
        return await self._count(
            "SELECT count(*) FROM reservations WHERE whatsapp_status = 'sent' AND whatsapp_receipt_due"
        )

    async def requeue_unconfirmed(self, older_than_s: float, limit: int) -> int:
        """Queue messages again whose receipt has not come for so long, the oldest first. Returns how many.

        A receipt is lost when WhatsApp loses it, and when the database is restored to a time before it came.
        """
        async with self._database.connection() as connection:
            values = {"older_than_s": older_than_s, "limit": limit}
            return (await connection.execute(_UNCONFIRMED_AGAIN, values)).rowcount

    async def hand_to_desk(self, limit: int) -> int:
        """Settle messages that wait for delivery or for a receipt, at most `limit` of each. Returns how many."""
        async with self._database.connection() as connection:
            pending = await connection.execute(_PENDING_TO_DESK, {"limit": limit})
            unconfirmed = await connection.execute(_UNCONFIRMED_TO_DESK, {"limit": limit})
            return pending.rowcount + unconfirmed.rowcount

    async def retry_whatsapp(self) -> int:
        """Queue the messages again that were given up. Returns how many."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "UPDATE reservations SET whatsapp_status = 'pending', whatsapp_attempts = 0"
                " WHERE whatsapp_status = 'failed'"
            )
            return cursor.rowcount

    async def _by_reference(self, connection: Connection, reference: str) -> Reservation | None:
        return await _one(
            connection,
            _SELECT + " WHERE reference = %(reference)s",
            {"reference": reference},
        )

    async def _pending(self, statement: LiteralString, limit: int) -> list[Reservation]:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Reservation))
            await cursor.execute(statement, {"limit": limit})
            return await cursor.fetchall()

    async def _count(self, statement: LiteralString) -> int:
        async with self._database.connection() as connection:
            row = await (await connection.execute(statement)).fetchone()
            return int(row[0]) if row else 0

    async def _settle(
        self, statement: LiteralString, outcome: Outcome, more: dict[str, Any] | None = None
    ) -> None:
        touched = [*outcome.done, *outcome.refused, *outcome.failed]
        if not touched:
            return
        values = {
            "touched": touched,
            "done": list(outcome.done),
            "refused": list(outcome.refused),
            **(more or {}),
        }
        async with self._database.connection() as connection:
            await connection.execute(statement, values)


_SELECT: LiteralString = (
    "SELECT id, reference, guest, room_type, arrival, nights, created_at, pms_status, whatsapp_status"
    " FROM reservations"
)
_INSERT: LiteralString = (
    "INSERT INTO reservations (reference, guest, room_type, arrival, nights)"
    " VALUES (%(reference)s, %(guest)s, %(room_type)s, %(arrival)s, %(nights)s)"
    " ON CONFLICT (reference) DO NOTHING"
    " RETURNING id, reference, guest, room_type, arrival, nights, created_at, pms_status, whatsapp_status"
)
_PMS_PENDING: LiteralString = (
    _SELECT + " WHERE pms_status = 'pending' ORDER BY pms_attempts, id LIMIT %(limit)s"
)
_WHATSAPP_PENDING: LiteralString = (
    _SELECT + " WHERE whatsapp_status = 'pending' ORDER BY whatsapp_attempts, id LIMIT %(limit)s"
)
_PMS_SETTLE: LiteralString = (
    "UPDATE reservations SET pms_attempts = pms_attempts + 1,"
    " pms_status = CASE WHEN id = ANY(%(done)s::bigint[]) THEN 'confirmed'"
    " WHEN id = ANY(%(refused)s::bigint[]) THEN 'rejected' ELSE pms_status END"
    " WHERE id = ANY(%(touched)s::bigint[])"
)
_WHATSAPP_SETTLE: LiteralString = (
    "UPDATE reservations SET whatsapp_attempts = whatsapp_attempts + 1,"
    " whatsapp_receipt_due = %(receipt_due)s AND id = ANY(%(done)s::bigint[]),"
    " whatsapp_sent_at = CASE WHEN id = ANY(%(done)s::bigint[]) THEN now() ELSE whatsapp_sent_at END,"
    " whatsapp_status = CASE WHEN id = ANY(%(done)s::bigint[]) THEN 'sent'"
    " WHEN id = ANY(%(refused)s::bigint[]) THEN 'failed' ELSE whatsapp_status END"
    " WHERE id = ANY(%(touched)s::bigint[]) AND whatsapp_status = 'pending'"
)
_UNCONFIRMED_AGAIN: LiteralString = (
    "UPDATE reservations SET whatsapp_status = 'pending' WHERE whatsapp_status = 'sent' AND id IN"
    " (SELECT id FROM reservations WHERE whatsapp_status = 'sent' AND whatsapp_receipt_due"
    " AND coalesce(whatsapp_sent_at, created_at) < now() - make_interval(secs => %(older_than_s)s)"
    " ORDER BY id LIMIT %(limit)s)"
)
# The desk has told the guest already: a late receipt changes nothing.
_DELIVERED: LiteralString = (
    "UPDATE reservations SET whatsapp_status = 'delivered'"
    " WHERE reference = %(reference)s AND whatsapp_status IN ('pending', 'sent', 'failed')"
    " RETURNING whatsapp_status"
)
# The inner status is asked again outside: a row that another process settled meanwhile is not the desk's.
_PENDING_TO_DESK: LiteralString = (
    "UPDATE reservations SET whatsapp_status = 'desk' WHERE whatsapp_status = 'pending' AND id IN"
    " (SELECT id FROM reservations WHERE whatsapp_status = 'pending'"
    " ORDER BY whatsapp_attempts, id LIMIT %(limit)s)"
)
_UNCONFIRMED_TO_DESK: LiteralString = (
    "UPDATE reservations SET whatsapp_status = 'desk' WHERE whatsapp_status = 'sent' AND id IN"
    " (SELECT id FROM reservations WHERE whatsapp_status = 'sent' AND whatsapp_receipt_due"
    " ORDER BY id LIMIT %(limit)s)"
)


async def _one(
    connection: Connection, statement: LiteralString, values: dict[str, Any]
) -> Reservation | None:
    cursor = connection.cursor(row_factory=class_row(Reservation))
    await cursor.execute(statement, values)
    return await cursor.fetchone()
