"""What guests and their channels call."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from hotel.pms_client import PmsOutcome
from hotel.reservations import MAX_NIGHTS, ReferenceTakenError, Request, RoomType
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
    """The body of `POST /reservations`."""

    model_config = ConfigDict(extra="forbid")

    guest: Annotated[str, Field(min_length=1, max_length=200)]
    room_type: RoomType
    arrival: date
    nights: Annotated[int, Field(ge=1, le=MAX_NIGHTS)]
    reference: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class GuestRoutes:
    """Reservations and availability."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/reservations", self.create, methods=["POST"], status_code=201)
        router.add_api_route("/reservations", self.find, methods=["GET"])
        router.add_api_route("/reservations/{reservation_id}", self.read, methods=["GET"])
        router.add_api_route("/reservations/{reservation_id}/confirm", self.confirm, methods=["POST"])
        router.add_api_route("/availability", self.availability, methods=["GET"])
        return router

    async def create(self, body: NewReservation) -> Response:
        """201 once the row is committed; 200 when the same reference already asked for the same.

        Neither the PMS nor WhatsApp is asked here: both are told later, from the table.
        """
        request = Request(
            reference=body.reference or str(uuid.uuid4()),
            guest=body.guest,
            room_type=body.room_type.value,
            arrival=body.arrival,
            nights=body.nights,
        )
        try:
            reservation, added = await self._service.reservations.add(request)
        except ReferenceTakenError:
            return problem(409, "Reference taken", f"{request.reference!r} belongs to another reservation")
        return JSONResponse(reservation.to_json(), 201 if added else 200)

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
        """Ask the PMS now, for a guest at the desk: the one place where a caller sees the PMS fail."""
        reservation = await self._service.reservations.get(reservation_id)
        if reservation is None:
            return problem(404, "No such reservation")
        outcome = await self._service.pms.confirm(reservation)
        if outcome is PmsOutcome.OK:
            await self._service.reservations.confirmed(reservation_id)
            return JSONResponse({**reservation.to_json(), "pms_status": "confirmed"})
        if outcome is PmsOutcome.SHORT_CIRCUITED:
            return problem(503, "PMS circuit breaker open", retry_after_s=self._service.pms.retry_after_s())
        status, title = CONFIRM_PROBLEMS[outcome]
        return problem(status, title)

    async def availability(self, arrival: date, room_type: RoomType) -> dict[str, Any]:
        """Free rooms in the night of arrival; `source` tells whether the cache answered."""
        free, source = await self._service.free_rooms(room_type.value, arrival)
        return {"arrival": arrival.isoformat(), "room_type": room_type.value, "free": free, "source": source}
