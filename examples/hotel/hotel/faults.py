"""Faults inside the API process, for drills: one at a time, each with an end of its own.

They exist only where the setting FAULTS says so, and end when they are told to, when their time-to-live is over
and with the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hotel.burdens import MIB, CpuBurn, LogFlood, MemoryLeak
from hotel.interference import EvenShare, Holding
from hotel.logs import EventLog, LogLevel
from hotel.pms_client import PmsClient

MAX_TTL_S = 86400.0
MAX_DELAY_S = 60.0
MAX_HELD = 2000
MAX_LEAK_BYTES = 4 * 1024 * MIB

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Base(BaseModel):
    """What every fault has: `ttl_s`, the seconds after which it ends by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    ttl_s: Annotated[float, Field(gt=0.0, le=MAX_TTL_S)]


class Errors(Base):
    mode: Literal["errors"]
    share: Share = 1.0


class Slow(Base):
    mode: Literal["slow"]
    share: Share = 1.0
    delay_s: Annotated[float, Field(ge=0.0, le=MAX_DELAY_S)] = 1.0


class Leak(Base):
    mode: Literal["memory-leak"]
    bytes_per_s: Annotated[float, Field(gt=0.0, le=1024 * MIB)]
    up_to_bytes: Annotated[int, Field(ge=MIB, le=MAX_LEAK_BYTES)]


class Burn(Base):
    mode: Literal["cpu-burn"]
    threads: Annotated[int, Field(ge=1, le=8)] = 1


class Flood(Base):
    mode: Literal["log-flood"]
    lines_per_s: Annotated[float, Field(gt=0.0, le=20_000)]
    lines: Annotated[int, Field(ge=1, le=10_000_000)]


class BreakerStuck(Base):
    mode: Literal["breaker-stuck"]


FaultRequest = Annotated[
    Errors | Slow | Leak | Burn | Flood | BreakerStuck,
    Field(discriminator="mode"),
]
MODES: dict[str, type[Base]] = {
    "errors": Errors,
    "slow": Slow,
    "memory-leak": Leak,
    "cpu-burn": Burn,
    "log-flood": Flood,
    "breaker-stuck": BreakerStuck,
}
_REQUEST: TypeAdapter[Errors | Slow | Leak | Burn | Flood | BreakerStuck] = TypeAdapter(FaultRequest)


class FaultRequestError(ValueError):
    """The request names no fault; the text says what would be right."""


class InjectedError(Exception):
    """What a request gets that an 'errors' fault hits."""


def parse_fault(body: object) -> FaultRequest:
    """Raises FaultRequestError."""
    try:
        return _REQUEST.validate_python(body)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(step) for step in part['loc'] if step not in MODES) or 'body'}: {part['msg']}"
            for part in error.errors()
        )
        raise FaultRequestError(f"{wrong}. Expected: {_expected(body)}") from None


def _expected(body: object) -> str:
    mode = body.get("mode") if isinstance(body, dict) else None
    known = MODES.get(mode) if isinstance(mode, str) else None
    if known is None:
        return f"mode, one of {', '.join(MODES)}; its settings; ttl_s"
    settings = [
        name if field.is_required() else f"{name} ({field.default} unless given)"
        for name, field in known.model_fields.items()
        if name != "mode"
    ]
    return f"for {mode}: {', '.join(settings)}; ttl_s above 0 and at most {MAX_TTL_S:g}"


class Effect(Protocol):
    """A fault at work; `stop` returns when nothing of it is left."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...


class HitRequests:
    """Makes a share of the business requests fail, or late."""

    def __init__(self, share: float, delay_s: float | None) -> None:
        self._share = EvenShare(share)
        self._delay_s = delay_s
        self._holding = Holding(MAX_HELD)

    def start(self) -> None:
        """Nothing to start: requests come by themselves."""

    async def stop(self) -> None:
        self._holding.release()

    async def interfere(self) -> None:
        """Raises InjectedError."""
        if not self._share.hit():
            return
        if self._delay_s is None:
            raise InjectedError
        await self._holding.hold(self._delay_s)


class StuckBreaker:
    """Opens the circuit breaker and keeps it from trying again."""

    def __init__(self, pms: PmsClient) -> None:
        self._pms = pms

    def start(self) -> None:
        self._pms.stick_open()

    async def stop(self) -> None:
        if self._pms.stuck:
            self._pms.reset()


def effect_of(request: FaultRequest, pms: PmsClient, log: EventLog) -> Effect:
    match request:
        case Errors():
            return HitRequests(request.share, None)
        case Slow():
            return HitRequests(request.share, request.delay_s)
        case Leak():
            return MemoryLeak(request.bytes_per_s, request.up_to_bytes, log)
        case Burn():
            return CpuBurn(request.threads)
        case Flood():
            return LogFlood(request.lines_per_s, request.lines, log)
        case BreakerStuck():
            return StuckBreaker(pms)


@dataclass(frozen=True, slots=True)
class InForce:
    """`ends_at` is a monotonic instant in seconds."""

    request: FaultRequest
    effect: Effect
    ends_at: float


class FaultSwitch:
    """Holds the one fault that is in force, if any."""

    def __init__(self, make: Callable[[FaultRequest], Effect], log: EventLog) -> None:
        self._make = make
        self._log = log
        self._current: InForce | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()

    async def begin(self, request: FaultRequest) -> None:
        """Replaces what was in force."""
        async with self._changing:
            await self._end("replaced")
            fault = InForce(request, self._make(request), time.monotonic() + request.ttl_s)
            self._current = fault
            self._timer = asyncio.get_running_loop().call_later(request.ttl_s, self._expire, fault)
            self._log.event("fault-began", at_level=LogLevel.WARNING, fault=request.model_dump())
            fault.effect.start()

    async def end(self, mode: str | None = None) -> None:
        """End what is in force, or only what is of this mode. Safe to repeat."""
        async with self._changing:
            if self._current is not None and mode in {None, self._current.request.mode}:
                await self._end("told to")

    async def interfere(self) -> None:
        """Called for every business request, before anything is done for it. Raises InjectedError."""
        if self._current is not None and isinstance(self._current.effect, HitRequests):
            await self._current.effect.interfere()

    def to_json(self) -> dict[str, Any]:
        if self._current is None:
            return {"mode": "ok"}
        remaining_s = max(0.0, self._current.ends_at - time.monotonic())
        return {**self._current.request.model_dump(), "remaining_s": round(remaining_s, 3)}

    def _expire(self, fault: InForce) -> None:
        async def end() -> None:
            async with self._changing:
                if self._current is fault:
                    await self._end("its time is over")

        self._expiry = asyncio.create_task(end(), name="fault-expiry")

    async def _end(self, why: str) -> None:
        fault, self._current = self._current, None
        if fault is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        await fault.effect.stop()
        self._log.event("fault-ended", at_level=LogLevel.WARNING, mode=fault.request.mode, why=why)
