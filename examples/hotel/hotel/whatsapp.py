"""Stand-in for the WhatsApp Business API: `python -m hotel.whatsapp`."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Query
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from hotel.logs import EventLog, quiet_libraries
from hotel.settings import Environ, Listen, SettingError, fail_on_settings
from hotel.standin import StandIn
from hotel.web import problem, serve

MAX_KEPT = 200_000


class OutgoingMessage(BaseModel):
    """The body of `POST /v1/messages`."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    to: Annotated[str, Field(min_length=1)]
    text: Annotated[str, Field(min_length=1, max_length=4096)]


class WhatsApp:
    """Keeps messages in memory, the newest `MAX_KEPT`. Without `token` any bearer token is good."""

    def __init__(self, token: str | None) -> None:
        self.standin = StandIn("WhatsApp")
        self._token = token
        self._messages: dict[str, dict[str, Any]] = {}

    def app(self) -> FastAPI:
        router = APIRouter()
        router.add_api_route("/v1/messages", self.send, methods=["POST"])
        router.add_api_route("/v1/messages", self.messages, methods=["GET"])
        return self.standin.app(router)

    async def send(self, body: OutgoingMessage, authorization: Annotated[str, Header()] = "") -> Response:
        """A repeated id is accepted and not sent twice."""
        failure = await self.standin.interfere()
        if failure is not None:
            return failure
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or self._token not in {None, token}:
            return problem(401, "A valid bearer token is required")
        self._messages.setdefault(body.id, body.model_dump(mode="json"))
        if len(self._messages) > MAX_KEPT:
            del self._messages[next(iter(self._messages))]
        self.standin.received.set(len(self._messages))
        return JSONResponse({"id": body.id, "status": "accepted"})

    async def messages(self, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        """The latest messages, newest last; never interfered with, so that a drill can look."""
        return {"count": len(self._messages), "messages": list(self._messages.values())[-limit:]}


def main() -> None:
    quiet_libraries()
    environ = Environ(os.environ)
    try:
        listen = Listen.read(environ, 8102)
    except SettingError as error:
        fail_on_settings(error)
    EventLog("whatsapp").event("starting", port=listen.port)
    serve(WhatsApp(environ.optional("WHATSAPP_TOKEN")).app(), listen)


if __name__ == "__main__":
    main()
