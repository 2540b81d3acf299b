"""The load generator keeps its rate whatever the service does."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hotel.load import LoadGenerator, LoadMetrics, LoadPlan

MIX = {"create": 0.0, "read": 0.0, "availability": 1.0, "confirm": 0.0}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Notes when requests arrive, and answers only if it is told to."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.arrivals: list[float] = []
        self.bookings: list[dict[str, Any]] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.arrivals.append(time.monotonic())
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length is not None:
                    self.bookings.append(json.loads(await reader.readexactly(int(length[1]))))
                if self.answers:
                    writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self
            await asyncio.sleep(0.05)  # let the handlers see that their clients have left


def run(server: Server, **changes: object) -> LoadMetrics:
    metrics = LoadMetrics()

    async def main() -> None:
        async with server.running():
            plan = LoadPlan(
                **{  # type: ignore[arg-type]
                    "url": server.url,
                    "rate": 50.0,
                    "duration_s": 1.0,
                    "max_requests": 1000,
                    "max_in_flight": 200,
                    "timeout_s": 0.5,
                    "mix": MIX,
                    **changes,
                }
            )
            await LoadGenerator(plan, metrics).run()

    asyncio.run(main())
    return metrics


def value(metrics: LoadMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def test_requests_start_on_schedule_while_the_server_stalls() -> None:
    server = Server(answers=False)
    metrics = run(server)
    assert value(metrics, "load_started_total") == 50
    assert len(server.arrivals) == 50
    span = server.arrivals[-1] - server.arrivals[0]
    assert 0.9 < span < 1.3
    assert value(metrics, "load_requests_total", operation="availability", outcome="timeout") == 50
    assert value(metrics, "load_in_flight") == 0


def test_arrivals_beyond_the_limit_are_dropped_and_counted_not_queued() -> None:
    server = Server(answers=False)
    metrics = run(server, max_in_flight=10, timeout_s=1.0, duration_s=0.6)
    assert value(metrics, "load_started_total") == 10
    assert value(metrics, "load_dropped_total") == 20
    assert len(server.arrivals) == 10


def test_a_healthy_server_gets_the_rate_and_no_more_than_the_maximum() -> None:
    server = Server(answers=True)
    metrics = run(server, max_requests=20, duration_s=60.0)
    assert value(metrics, "load_requests_total", operation="availability", outcome="ok") == 20
    assert 0.3 < server.arrivals[-1] - server.arrivals[0] < 0.7


def test_nobody_listening_is_an_outcome_and_not_the_end() -> None:
    server = Server(answers=True)
    metrics = run(server, url="http://127.0.0.1:1", max_requests=10)
    assert value(metrics, "load_requests_total", operation="availability", outcome="unreachable") == 10


def test_exactly_a_share_of_the_bookings_waits_for_the_pms() -> None:
    server = Server(answers=True)
    run(server, max_requests=20, duration_s=60.0, mix={"create": 1.0}, confirm_share=0.75)
    assert [booking["confirm"] for booking in server.bookings].count(True) == 15
    assert len(server.bookings) == 20
