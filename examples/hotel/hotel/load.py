"""An open-loop load generator: `python -m hotel.load`.

Requests start on schedule whether or not earlier ones were answered, as guests do. A generator that waits for
answers slows down together with the service and hides the outage that it should show (coordinated omission).
Here latency counts from the scheduled instant. What is under way is bounded: an arrival beyond that is
dropped and counted, never queued.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from fastapi import FastAPI
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)
from starlette.responses import Response

from hotel.background import stop_task
from hotel.exposition import exposition
from hotel.http_client import http_client
from hotel.interference import EvenShare
from hotel.logs import EventLog, quiet_libraries
from hotel.settings import Environ, Listen, SettingError, fail_on_settings
from hotel.web import run, server_for

DEFAULT_MIX = "create=25,read=35,availability=38,confirm=2"
ROOM_TYPES = ("single", "double", "suite", "family")
AVAILABILITY_DAYS = 7
BOOKING_DAYS = 365
REMEMBERED = 200
OUTCOMES = ("ok", "client-error", "server-error", "timeout", "unreachable")


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """`mix` maps each operation to its weight; `rate` is arrivals per second.

    `confirm_share` of the bookings wait until the PMS has confirmed them.
    """

    url: str
    rate: float
    duration_s: float
    max_requests: int
    max_in_flight: int
    timeout_s: float
    mix: dict[str, float]
    confirm_share: float = 0.0


class LoadMetrics:
    """What the generator shows about itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "load_requests_total", "Finished requests.", ["operation", "outcome"], registry=self.registry
        )
        self.dropped = Counter(
            "load_dropped_total", "Arrivals for which there was no room.", registry=self.registry
        )
        self.started = Counter("load_started_total", "Requests started.", registry=self.registry)
        self.in_flight = Gauge("load_in_flight", "Requests under way.", registry=self.registry)
        self.latency = Histogram(
            "load_latency_seconds",
            "From the scheduled instant to the end of the answer.",
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0),
            registry=self.registry,
        )


class Guests:
    """The operations of the mix; each makes one request and returns its status code."""

    def __init__(self, http: httpx.AsyncClient, seed: int, confirm_share: float) -> None:
        self._http = http
        self._confirmed = EvenShare(confirm_share)
        self._random = random.Random(seed)  # noqa: S311 - a repeatable mix, not a secret
        self._made: deque[int] = deque(maxlen=REMEMBERED)
        self._count = 0
        self.operations: dict[str, Callable[[], Awaitable[int]]] = {
            "create": self._create,
            "read": self._read,
            "availability": self._availability,
            "confirm": self._confirm,
        }

    def pick(self, mix: dict[str, float]) -> str:
        return self._random.choices(list(mix), list(mix.values()))[0]

    async def _create(self) -> int:
        self._count += 1
        booking = {
            "guest": f"Guest {self._count}",
            "room_type": self._random.choice(ROOM_TYPES),
            "arrival": self._day(BOOKING_DAYS),
            "nights": self._random.randint(1, 7),
            "confirm": self._confirmed.hit(),
        }
        response = await self._http.post("/reservations", json=booking)
        if response.status_code == 201:
            self._made.append(response.json()["id"])
        return response.status_code

    async def _read(self) -> int:
        if not self._made:
            return await self._create()
        return (await self._http.get(f"/reservations/{self._random.choice(self._made)}")).status_code

    async def _confirm(self) -> int:
        if not self._made:
            return await self._create()
        return (await self._http.post(f"/reservations/{self._random.choice(self._made)}/confirm")).status_code

    async def _availability(self) -> int:
        query = {"arrival": self._day(AVAILABILITY_DAYS), "room_type": self._random.choice(ROOM_TYPES)}
        return (await self._http.get("/availability", params=query)).status_code

    def _day(self, within: int) -> str:
        return (datetime.now(UTC).date() + timedelta(days=self._random.randrange(within))).isoformat()


class LoadGenerator:
    """Runs one plan, once."""

    def __init__(self, plan: LoadPlan, metrics: LoadMetrics, seed: int = 0) -> None:
        self._plan = plan
        self._metrics = metrics
        self._http = http_client(plan.url, plan.timeout_s, max_connections=plan.max_in_flight)
        self._guests = Guests(self._http, seed, plan.confirm_share)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the plan's time or number of requests is over; cancelling ends what is under way too."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            for number in range(self._plan.max_requests):
                after_s = number / self._plan.rate
                if after_s >= self._plan.duration_s:
                    break
                due_at = began_at + after_s
                await asyncio.sleep(max(0.0, due_at - loop.time()))
                self._arrive(due_at)
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self._plan.timeout_s + 1)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            await self._http.aclose()

    def _arrive(self, due_at: float) -> None:
        if len(self._under_way) >= self._plan.max_in_flight:
            self._metrics.dropped.inc()
            return
        self._metrics.started.inc()
        task = asyncio.create_task(self._request(self._guests.pick(self._plan.mix), due_at))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _request(self, operation: str, due_at: float) -> None:
        self._metrics.in_flight.inc()
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                outcome = outcome_of(await self._guests.operations[operation]())
        except (TimeoutError, httpx.TimeoutException):
            outcome = "timeout"
        except (httpx.HTTPError, ValueError, KeyError):
            outcome = "unreachable"
        finally:
            self._metrics.in_flight.dec()
        self._metrics.latency.observe(asyncio.get_running_loop().time() - due_at)
        self._metrics.requests.labels(operation, outcome).inc()


def outcome_of(status: int) -> str:
    if status >= 500:
        return "server-error"
    return "client-error" if status >= 400 else "ok"


def create_app(generator: LoadGenerator, metrics: LoadMetrics, finished: Callable[[], None]) -> FastAPI:
    """Health and metrics of the generator, which runs for as long as the server does."""

    async def generate() -> None:
        await generator.run()
        finished()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(generate(), name="load")
        yield
        await stop_task(task)

    async def live() -> dict[str, str]:
        return {"status": "live"}

    async def page() -> Response:
        return exposition(metrics.registry)

    app = FastAPI(title="Load", lifespan=lifespan)
    app.add_api_route("/health/live", live, methods=["GET"])
    app.add_api_route("/metrics", page, methods=["GET"])
    return app


def parse_mix(text: str) -> dict[str, float]:
    """Weights such as 'create=1,read=3'. Raises SettingError."""
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            mix[name.strip()] = float(weight)
        except ValueError:
            raise SettingError(
                f"mix: {part!r}: expected an operation and its weight, such as read=3"
            ) from None
    unknown = set(mix) - {"create", "read", "availability", "confirm"}
    if unknown or min(mix.values()) < 0 or not sum(mix.values()) > 0:
        raise SettingError(f"mix: {text!r}: expected weights for create, read, availability, confirm")
    return mix


def parse_plan(arguments: Sequence[str] | None, environ: Environ) -> LoadPlan:
    """Options win over environment variables. Raises SettingError."""
    parser = argparse.ArgumentParser(prog="hotel.load", description="Open-loop load for the hotel's API.")
    rate = environ.number("RATE", 20.0, at_least=0.01, at_most=1000)
    duration_s = environ.number("DURATION_S", 86400.0, at_least=0.1, at_most=7 * 86400)
    in_flight = environ.whole("MAX_IN_FLIGHT", 300, at_least=1, at_most=5000)
    parser.add_argument("--url", default=environ.text("TARGET_URL", "http://127.0.0.1:8100"), help="the API")
    parser.add_argument("--rate", type=float, default=rate, help="arrivals per second")
    parser.add_argument("--duration", type=float, default=duration_s, help="seconds, then stop")
    parser.add_argument("--max-requests", type=int, default=environ.whole("MAX_REQUESTS", 10_000_000))
    parser.add_argument("--max-in-flight", type=int, default=in_flight, help="more arrivals are dropped")
    parser.add_argument(
        "--timeout", type=float, default=environ.number("TIMEOUT_S", 10.0), help="per request"
    )
    parser.add_argument("--mix", default=environ.text("MIX", DEFAULT_MIX), help="weights of the operations")
    parser.add_argument(
        "--confirm-share",
        type=float,
        default=environ.number("CONFIRM_SHARE", 0.0, at_most=1.0),
        help="share of the bookings that wait for the PMS, 0 to 1",
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.confirm_share <= 1:
        raise SettingError(f"confirm share {options.confirm_share}: expected a share from 0 to 1")
    if not 0 < options.rate <= 1000:
        raise SettingError(f"rate {options.rate}: expected arrivals per second, above 0 and at most 1000")
    return LoadPlan(
        url=options.url.rstrip("/"),
        rate=options.rate,
        duration_s=options.duration,
        max_requests=options.max_requests,
        max_in_flight=max(1, options.max_in_flight),
        timeout_s=options.timeout,
        mix=parse_mix(options.mix),
        confirm_share=options.confirm_share,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    quiet_libraries()
    environ = Environ(os.environ)
    try:
        listen = Listen.read(environ, 8103)
        plan = parse_plan(arguments, environ)
    except SettingError as error:
        fail_on_settings(error)
    log = EventLog("load")
    metrics = LoadMetrics()

    def finished() -> None:
        log.event("finished")
        server.should_exit = True

    app = create_app(LoadGenerator(plan, metrics), metrics, finished)
    server = server_for(app, listen)
    log.event("starting", port=listen.port, rate=plan.rate)
    run(server)


if __name__ == "__main__":
    main()
