"""What the stand-ins for third parties share: a switch that makes them fail in the ways of third parties.

A mode hits a share of the requests, exactly and evenly (every fourth for 0.25) instead of at random, so that
two drills with the same scenario see the same.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from hotel.exposition import exposition
from hotel.web import problem

MAX_DELAY_S = 60.0
MAX_HELD = 500
RETRY_AFTER_S = 5


class Mode(StrEnum):
    OK = "ok"
    ERRORS = "errors"
    TIMEOUT = "timeout"
    SLOW = "slow"
    BAD_PAYLOAD = "bad-payload"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate-limited"


DEFAULT_DELAY_S = {Mode.TIMEOUT: 30.0, Mode.SLOW: 1.0}


class ModeRequest(BaseModel):
    """The body of `PUT /mode`."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode
    share: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    delay_s: Annotated[float, Field(ge=0.0, le=MAX_DELAY_S)] | None = None


@dataclass(frozen=True, slots=True)
class FailureMode:
    """`delay_s` matters to 'slow' and 'timeout' only."""

    mode: Mode = Mode.OK
    share: float = 1.0
    delay_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"mode": self.mode.value, "share": self.share, "delay_s": self.delay_s}


class FailureSwitch:
    """Decides per request what goes wrong with it."""

    def __init__(self) -> None:
        self._current = FailureMode()
        self._due = 0.0
        self._held = 0
        self._changed = asyncio.Event()

    @property
    def current(self) -> FailureMode:
        return self._current

    def change(self, mode: FailureMode) -> None:
        """Takes effect at once, also for requests that are being held."""
        self._current = mode
        self._due = 0.0
        self._changed.set()
        self._changed = asyncio.Event()

    def draw(self) -> FailureMode:
        """The mode for the next request: the current one for its share of requests, otherwise 'ok'."""
        if self._current.mode is Mode.OK:
            return self._current
        self._due += self._current.share
        if self._due < 1.0 - 1e-9:
            return FailureMode()
        self._due -= 1.0
        return self._current

    async def hold(self, seconds: float) -> None:
        """Keep a request waiting, until the time is over or the mode changes."""
        if self._held >= MAX_HELD:
            return
        self._held += 1
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._held -= 1

    async def interfere(self, drawn: FailureMode) -> Response | None:
        """The failure that a request gets instead of its answer, or None when it shall be answered."""
        if drawn.mode in DEFAULT_DELAY_S:
            await self.hold(drawn.delay_s)
        return failure_of(drawn.mode)


def failure_of(mode: Mode) -> Response | None:
    """What a caller gets in this mode; None where it gets its answer."""
    match mode:
        case Mode.TIMEOUT:
            return problem(504, "Gateway time-out")
        case Mode.ERRORS:
            return problem(500, "Internal error")
        case Mode.BAD_PAYLOAD:
            return Response('{"status": "confirm', 200, media_type="application/json")
        case Mode.UNAUTHORIZED:
            return problem(401, "Token expired")
        case Mode.RATE_LIMITED:
            return problem(429, "Too many requests", retry_after_s=RETRY_AFTER_S)
        case _:
            return None


class StandIn:
    """The control, health and metrics endpoints of one stand-in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.switch = FailureSwitch()
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "standin_requests_total", "Requests by the mode that hit them.", ["mode"], registry=self.registry
        )
        for mode in Mode:
            self._requests.labels(mode.value)
        self.received = Gauge("standin_received", "Items that the stand-in keeps.", registry=self.registry)

    async def interfere(self) -> Response | None:
        """What goes wrong with the next request, if anything; counted."""
        drawn = self.switch.draw()
        self._requests.labels(drawn.mode.value).inc()
        return await self.switch.interfere(drawn)

    def app(self, business: APIRouter) -> FastAPI:
        app = FastAPI(title=f"{self.name} stand-in")
        app.include_router(business)
        app.add_api_route("/health/live", self.live, methods=["GET"])
        app.add_api_route("/metrics", self.metrics, methods=["GET"])
        app.add_api_route("/mode", self.show_mode, methods=["GET"])
        app.add_api_route("/mode", self.set_mode, methods=["PUT"])
        app.add_api_route("/mode", self.clear_mode, methods=["DELETE"])
        return app

    async def live(self) -> dict[str, str]:
        return {"status": "live"}

    async def metrics(self) -> Response:
        return exposition(self.registry)

    async def show_mode(self) -> JSONResponse:
        return JSONResponse(self.switch.current.to_json())

    async def set_mode(self, body: ModeRequest) -> JSONResponse:
        delay_s = DEFAULT_DELAY_S.get(body.mode, 0.0) if body.delay_s is None else body.delay_s
        self.switch.change(FailureMode(body.mode, body.share, delay_s))
        return await self.show_mode()

    async def clear_mode(self) -> JSONResponse:
        """Back to 'ok'. Safe to repeat."""
        self.switch.change(FailureMode())
        return await self.show_mode()
