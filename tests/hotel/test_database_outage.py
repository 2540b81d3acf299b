"""A real PostgreSQL is really killed, stopped and started: the service says so, never hangs, and is back at once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Hotel, Module

pytestmark = pytest.mark.process

BOOKING = {"guest": "Ana", "room_type": "double", "arrival": "2030-05-01", "nights": 2}
ERRORS = "database_connection_errors_total"
Eventually = Callable[[Callable[[], Any], float, str], float]


def timed_post(client: httpx.Client) -> tuple[int, float]:
    began_at = time.monotonic()
    status = client.post("/reservations", json=BOOKING).status_code
    return status, time.monotonic() - began_at


def test_killed_and_started_again(healthy: Hotel) -> None:
    with healthy.client() as client:
        assert client.post("/reservations", json=BOOKING).status_code == 201
        before = healthy.api.metric(ERRORS)
        lines_before = healthy.api.errors.read_text().count("\n")
        healthy.database.kill()
        died_at = time.monotonic()
        while time.monotonic() - died_at < 3.0:
            status, took_s = timed_post(client)
            assert status == 503
            assert took_s < 1.5
        failures = healthy.api.metric(ERRORS) - before
        assert failures > 10
        # The failures are counted, not written down one by one.
        assert healthy.api.errors.read_text().count("\n") - lines_before < min(12, failures)
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert client.get("/health/live").status_code == 200
        healthy.database.start()
        status, took_s = timed_post(client)
        assert (status, took_s < 1.0) == (201, True)


def test_hundreds_of_callers_in_vain_do_not_keep_the_service_down(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually
) -> None:
    """Those whose time ran out stay in a pool's queue; a bounded queue then refuses everybody for ever."""
    api = another_api(DATABASE_CHECKOUT_TIMEOUT_S="0.05", OUTBOX_INTERVAL_S="60")
    eventually(lambda: httpx.get(f"{api.url}/health/ready", trust_env=False).status_code == 200, 5, "ready")
    healthy.database.kill()

    async def in_vain(client: httpx.AsyncClient) -> list[int]:
        answers = await asyncio.gather(*(client.post("/reservations", json=BOOKING) for _ in range(50)))
        return [answer.status_code for answer in answers]

    async def all_in_vain() -> list[int]:
        async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=10) as client:
            return [status for _ in range(14) for status in await in_vain(client)]

    assert set(asyncio.run(all_in_vain())) == {503}
    healthy.database.start()
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        assert eventually(lambda: timed_post(client)[0] == 201, 5, "a reservation is accepted") < 2.0


def test_a_restart_that_nobody_noticed_costs_no_request(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually
) -> None:
    """All pooled connections are dead, and the first to find out is a guest."""
    api = another_api(OUTBOX_INTERVAL_S="60", DATABASE_POOL_MIN="4")
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        eventually(lambda: client.get("/health/ready").status_code == 200, 5, "ready")
        eventually(lambda: api.metric("database_pool_available") >= 4, 5, "the pool is full")
        healthy.database.kill()
        healthy.database.start()
        assert timed_post(client)[0] == 201


def test_a_database_that_accepts_connections_but_does_not_answer_is_an_outage_too(
    healthy: Hotel, eventually: Eventually
) -> None:
    """SIGSTOP leaves the listening socket open: only a query with a time-out can tell."""
    before = healthy.api.metric(ERRORS)
    healthy.database.signal(signal.SIGSTOP)
    try:
        with healthy.client() as client:
            status, took_s = timed_post(client)
            assert (status, took_s < 3.0) == (503, True)
            assert client.get("/health/ready").status_code == 503
        assert healthy.api.metric(ERRORS) > before
    finally:
        healthy.database.signal(signal.SIGCONT)
    with healthy.client() as client:
        took_s = eventually(lambda: timed_post(client)[0] == 201, 5, "a reservation is accepted")
    assert took_s < 3.0


def test_the_process_starts_without_its_database_and_is_ready_when_it_comes(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually
) -> None:
    healthy.database.kill()
    api = another_api()
    assert httpx.get(f"{api.url}/health/live", trust_env=False).status_code == 200
    assert httpx.get(f"{api.url}/health/ready", trust_env=False).status_code == 503
    healthy.database.start()
    ready = f"{api.url}/health/ready"
    took_s = eventually(lambda: httpx.get(ready, trust_env=False).status_code == 200, 5, "ready")
    assert took_s < 1.5
