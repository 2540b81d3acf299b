"""Stand-in for the WhatsApp Business API: `python -m hotel.whatsapp`.

Given WEBHOOK_URL it reports each accepted message as delivered, as the real one does, in the background.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Query
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from hotel.logs import EventLog, quiet_libraries
from hotel.receipts import Receipts
from hotel.settings import Environ, Listen, SettingError, fail_on_settings
from hotel.standin import Mode, StandIn
from hotel.web import problem, serve

MAX_KEPT = 200_000


class OutgoingMessage(BaseModel):
    """The body of `POST /v1/messages`."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    to: Annotated[str, Field(min_length=1)]
    text: Annotated[str, Field(min_length=1, max_length=4096)]


class WhatsApp:
    """Keeps messages in memory, the newest `MAX_KEPT`. Without `token` any bearer token is good."""

    def __init__(self, token: str | None, webhook_url: str | None = None) -> None:
        self.standin = StandIn("WhatsApp", frozenset(Mode))
        self._token = token
        self._receipts = Receipts(webhook_url, self._withheld, self.standin.registry) if webhook_url else None
        self._messages: dict[str, dict[str, Any]] = {}

    def app(self) -> FastAPI:
        router = APIRouter()
        router.add_api_route("/v1/messages", self.send, methods=["POST"])
        router.add_api_route("/v1/messages", self.messages, methods=["GET"])
        return self.standin.app(router, self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        if self._receipts is not None:
            self._receipts.start()
        yield
        if self._receipts is not None:
            await self._receipts.stop()

    def _withheld(self) -> bool:
        return self.standin.switch.current.mode is Mode.NO_RECEIPTS

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
        if self._receipts is not None:
            self._receipts.put(body.id)
        return JSONResponse({"id": body.id, "status": "accepted"})

    async def messages(self, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        """The latest messages, newest last; never interfered with, so that a drill can look."""
        return {"count": len(self._messages), "messages": list(self._messages.values())[-limit:]}


def webhook_url(environ: Environ) -> str | None:
    """Where receipts go, or None. Raises SettingError."""
    url = environ.optional("WEBHOOK_URL")
    if url is not None and not url.startswith(("http://", "https://")):
        raise SettingError(f"WEBHOOK_URL={url!r}: expected a URL that begins with http:// or https://")
    return url


def main() -> None:
    quiet_libraries()
    environ = Environ(os.environ)
    try:
        listen = Listen.read(environ, 8102)
        webhook = webhook_url(environ)
    except SettingError as error:
        fail_on_settings(error)
    EventLog("whatsapp").event("starting", port=listen.port)
    whatsapp = WhatsApp(environ.optional("WHATSAPP_TOKEN"), webhook)
    serve(whatsapp.app(), listen)


if __name__ == "__main__":
    main()
