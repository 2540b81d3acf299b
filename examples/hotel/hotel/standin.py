"""What the stand-ins for third parties share: a switch that makes them fail in the ways of third parties."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from hotel.exposition import exposition
from hotel.interference import EvenShare, Holding
from hotel.web import problem

MAX_DELAY_S = 60.0
MAX_HELD = 500
MAX_TTL_S = 86400.0
RETRY_AFTER_S = 5


class Mode(StrEnum):
    OK = "ok"
    ERRORS = "errors"
    TIMEOUT = "timeout"
    SLOW = "slow"
    BAD_PAYLOAD = "bad-payload"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate-limited"
    NO_RECEIPTS = "no-receipts"


COMMON_MODES = frozenset(Mode) - {Mode.NO_RECEIPTS}
DEFAULT_DELAY_S = {Mode.TIMEOUT: 30.0, Mode.SLOW: 1.0}


class ModeRequest(BaseModel):
    """The body of `PUT /mode`. With `ttl_s` the mode ends by itself after so many seconds."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode
    share: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    delay_s: Annotated[float, Field(ge=0.0, le=MAX_DELAY_S)] | None = None
    ttl_s: Annotated[float, Field(gt=0.0, le=MAX_TTL_S, allow_inf_nan=False)] | None = None


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
        self._share = EvenShare(0.0)
        self._holding = Holding(MAX_HELD)
        self._timer: asyncio.TimerHandle | None = None
        self._ends_at = 0.0

    @property
    def current(self) -> FailureMode:
        return self._current

    def remaining_s(self) -> float | None:
        """Seconds until the mode ends by itself; None where it does not."""
        return None if self._timer is None else max(0.0, self._ends_at - time.monotonic())

    def change(self, mode: FailureMode, ttl_s: float | None = None) -> None:
        """Takes effect at once, also for requests that are being held; ends after `ttl_s`, if given."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if ttl_s is not None:
            self._ends_at = time.monotonic() + ttl_s
            self._timer = asyncio.get_running_loop().call_later(ttl_s, self.change, FailureMode())
        self._current = mode
        self._share = EvenShare(mode.share)
        self._holding.release()

    def draw(self) -> FailureMode:
        """The mode for the next request: the current one for its share of requests, otherwise 'ok'."""
        if self._current.mode is Mode.OK:
            return self._current
        return self._current if self._share.hit() else FailureMode()

    async def interfere(self, drawn: FailureMode) -> Response | None:
        """The failure that a request gets instead of its answer, or None when it shall be answered."""
        if drawn.mode in DEFAULT_DELAY_S:
            await self._holding.hold(drawn.delay_s)
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
    """The control, health and metrics endpoints of one stand-in, which knows these failure modes."""

    def __init__(self, name: str, modes: frozenset[Mode] = COMMON_MODES) -> None:
        self.name = name
        self._modes = modes
        self.switch = FailureSwitch()
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "standin_requests_total", "Requests by the mode that hit them.", ["mode"], registry=self.registry
        )
        for mode in modes:
            self._requests.labels(mode.value)
        self.received = Gauge("standin_received", "Items that the stand-in keeps.", registry=self.registry)

    async def interfere(self) -> Response | None:
        """What goes wrong with the next request, if anything; counted."""
        drawn = self.switch.draw()
        self._requests.labels(drawn.mode.value).inc()
        return await self.switch.interfere(drawn)

    def app(
        self,
        business: APIRouter,
        lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    ) -> FastAPI:
        app = FastAPI(title=f"{self.name} stand-in", lifespan=lifespan)
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
        remaining_s = self.switch.remaining_s()
        ends = {} if remaining_s is None else {"remaining_s": round(remaining_s, 3)}
        return JSONResponse({**self.switch.current.to_json(), **ends})

    async def set_mode(self, body: ModeRequest) -> JSONResponse:
        if body.mode not in self._modes:
            known = ", ".join(sorted(mode.value for mode in self._modes))
            return problem(
                422, f"The {self.name} stand-in has no mode {body.mode.value}", f"expected: {known}"
            )
        delay_s = DEFAULT_DELAY_S.get(body.mode, 0.0) if body.delay_s is None else body.delay_s
        self.switch.change(FailureMode(body.mode, body.share, delay_s), body.ttl_s)
        return await self.show_mode()

    async def clear_mode(self) -> JSONResponse:
        """Back to 'ok'. Safe to repeat."""
        self.switch.change(FailureMode())
        return await self.show_mode()
