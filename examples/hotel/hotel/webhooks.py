"""What third parties report to the service. Not counted as requests."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from hotel.service import Service
from hotel.web import problem


class Receipt(BaseModel):
    """The body of `POST /webhooks/whatsapp`; `id` is the message's, which is the reservation's reference."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    status: Literal["delivered"]


class WebhookRoutes:
    """Reports are idempotent: a sender that got no answer repeats them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/webhooks")
        router.add_api_route("/whatsapp", self.whatsapp, methods=["POST"])
        return router

    async def whatsapp(self, body: Receipt) -> Response:
        """200 with the message's status now; 404 for a message that nobody here sent."""
        status = await self._service.reservations.delivered(body.id)
        if status is None:
            return problem(404, "No such message")
        return JSONResponse({"id": body.id, "status": status})
