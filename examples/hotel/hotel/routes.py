"""What guests and their channels call."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from hotel.pms_client import PmsOutcome
from hotel.reservations import MAX_NIGHTS, ReferenceTakenError, Request, Reservation, RoomType
from hotel.service import Service
from hotel.web import problem

ReservationId = Annotated[int, Path(ge=1, le=2**63 - 1)]

CONFIRM_PROBLEMS = {
    PmsOutcome.TIMEOUT: (504, "PMS did not answer in time"),
    PmsOutcome.ERROR: (502, "PMS failed"),
    PmsOutcome.BAD_PAYLOAD: (502, "PMS sent an unreadable answer"),
    PmsOutcome.UNAUTHORIZED: (502, "PMS refused our credentials"),
    PmsOutcome.RATE_LIMITED: (503, "PMS limits our rate"),
    PmsOutcome.REJECTED: (409, "PMS rejected the booking"),
}


class NewReservation(BaseModel):
    """The body of `POST /reservations`. `confirm`: answer when the PMS has it, not only when the table has."""

    model_config = ConfigDict(extra="forbid")

    guest: Annotated[str, Field(min_length=1, max_length=200)]
    room_type: RoomType
    arrival: date
    nights: Annotated[int, Field(ge=1, le=MAX_NIGHTS)]
    reference: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    confirm: bool = False


class GuestRoutes:
    """Reservations and availability."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def router(self) -> APIRouter:
        router = APIRouter(dependencies=[Depends(self._service.faults.interfere)])
        router.add_api_route("/reservations", self.create, methods=["POST"], status_code=201)
        router.add_api_route("/reservations", self.find, methods=["GET"])
        router.add_api_route("/reservations/{reservation_id}", self.read, methods=["GET"])
        router.add_api_route("/reservations/{reservation_id}/confirm", self.confirm, methods=["POST"])
        router.add_api_route("/availability", self.availability, methods=["GET"])
        return router

    async def create(self, body: NewReservation) -> Response:
        """201 once the row is committed; 200 when the same reference already asked for the same.

        Neither the PMS nor WhatsApp is asked here: both are told later, from the table. A guest who asks for
        confirmation waits for the PMS, unless bookings are queued for it: 503 when it fails, and repeating the
        request is safe.
        """
        request = Request(
            reference=body.reference or str(uuid.uuid4()),
            guest=body.guest,
            room_type=body.room_type.value,
            arrival=body.arrival,
            nights=body.nights,
        )
        try:
            reservation, added = await self._service.book(request)
        except ReferenceTakenError:
            return problem(409, "Reference taken", f"{request.reference!r} belongs to another reservation")
        status = 201 if added else 200
        if not body.confirm or reservation.pms_status != "pending":
            return JSONResponse(reservation.to_json(), status)
        return await self._confirmed(reservation, status)

    async def _confirmed(self, reservation: Reservation, status: int) -> Response:
        """The answer to a booking that waits for the PMS."""
        outcome = await self._service.confirm(reservation)
        if outcome is None:
            return JSONResponse(reservation.to_json(), status)
        if outcome is PmsOutcome.OK:
            return JSONResponse({**reservation.to_json(), "pms_status": "confirmed"}, status)
        if outcome is PmsOutcome.REJECTED:
            return problem(*CONFIRM_PROBLEMS[outcome])
        short = outcome is PmsOutcome.SHORT_CIRCUITED
        title = "PMS circuit breaker open" if short else CONFIRM_PROBLEMS[outcome][1]
        detail = (
            f"the reservation is kept and will be confirmed; repeat {reservation.reference!r} to ask again"
        )
        return problem(503, title, detail, retry_after_s=self._service.pms.retry_after_s() if short else 1)

    async def find(self, reference: Annotated[str, Query(min_length=1, max_length=200)]) -> Response:
        """The reservation with this reference."""
        reservation = await self._service.reservations.by_reference(reference)
        return (
            problem(404, "No such reservation")
            if reservation is None
            else JSONResponse(reservation.to_json())
        )

    async def read(self, reservation_id: ReservationId) -> Response:
        reservation = await self._service.reservations.get(reservation_id)
        return (
            problem(404, "No such reservation")
            if reservation is None
            else JSONResponse(reservation.to_json())
        )

    async def confirm(self, reservation_id: ReservationId) -> Response:
        """Ask the PMS now, for a guest at the desk; 202 where bookings are queued for it."""
        reservation = await self._service.reservations.get(reservation_id)
        if reservation is None:
            return problem(404, "No such reservation")
        outcome = await self._service.confirm(reservation)
        if outcome is None:
            return JSONResponse(reservation.to_json(), 202)
        if outcome is PmsOutcome.OK:
            return JSONResponse({**reservation.to_json(), "pms_status": "confirmed"})
        if outcome is PmsOutcome.SHORT_CIRCUITED:
            return problem(503, "PMS circuit breaker open", retry_after_s=self._service.pms.retry_after_s())
        status, title = CONFIRM_PROBLEMS[outcome]
        return problem(status, title)

    async def availability(self, arrival: date, room_type: RoomType) -> dict[str, Any]:
        """Free rooms in the night of arrival; `source` tells whether the cache answered."""
        free, source = await self._service.free_rooms(room_type.value, arrival)
        return {"arrival": arrival.isoformat(), "room_type": room_type.value, "free": free, "source": source}
