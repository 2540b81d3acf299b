"""Stand-in for the property management system: `python -m hotel.pms`."""

from __future__ import annotations

import os
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from hotel.logs import EventLog, quiet_libraries
from hotel.reservations import ROOMS, RoomType
from hotel.settings import Environ, Listen, SettingError, fail_on_settings
from hotel.standin import StandIn
from hotel.web import problem, serve

MAX_KEPT = 200_000


class Booking(BaseModel):
    """The body of `POST /bookings`."""

    reference: Annotated[str, Field(min_length=1, max_length=200)]
    guest: str
    room_type: RoomType
    arrival: date
    nights: Annotated[int, Field(ge=1)]


class Pms:
    """Keeps bookings in memory, the newest `MAX_KEPT`."""

    def __init__(self) -> None:
        self.standin = StandIn("PMS")
        self._bookings: dict[str, dict[str, Any]] = {}

    def app(self) -> FastAPI:
        router = APIRouter()
        router.add_api_route("/bookings", self.book, methods=["POST"])
        router.add_api_route("/bookings/{reference}", self.booking, methods=["GET"])
        router.add_api_route("/availability", self.availability, methods=["GET"])
        return self.standin.app(router)

    async def book(self, body: Booking) -> Response:
        """201 for a new reference, 200 for a repeated one: a booking is made once."""
        failure = await self.standin.interfere()
        if failure is not None:
            return failure
        known = self._bookings.get(body.reference)
        if known is not None:
            return JSONResponse(known, 200)
        booking = {**body.model_dump(mode="json"), "status": "confirmed"}
        self._bookings[body.reference] = booking
        if len(self._bookings) > MAX_KEPT:
            del self._bookings[next(iter(self._bookings))]
        self.standin.received.set(len(self._bookings))
        return JSONResponse(booking, 201)

    async def booking(self, reference: str) -> Response:
        failure = await self.standin.interfere()
        if failure is not None:
            return failure
        known = self._bookings.get(reference)
        return problem(404, "No such booking") if known is None else JSONResponse(known)

    async def availability(self, arrival: date, room_type: RoomType) -> Response:
        failure = await self.standin.interfere()
        if failure is not None:
            return failure
        booked = sum(
            kept["room_type"] == room_type.value and kept["arrival"] == arrival.isoformat()
            for kept in self._bookings.values()
        )
        free = max(0, ROOMS[room_type.value] - booked)
        return JSONResponse({"arrival": arrival.isoformat(), "room_type": room_type.value, "free": free})


def main() -> None:
    quiet_libraries()
    try:
        listen = Listen.read(Environ(os.environ), 8101)
    except SettingError as error:
        fail_on_settings(error)
    EventLog("pms").event("starting", port=listen.port)
    serve(Pms().app(), listen)


if __name__ == "__main__":
    main()
