"""The stand-ins fail in every way that they are told to, and only then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI

from hotel.pms import Pms
from hotel.whatsapp import WhatsApp

BOOKING = {"reference": "r-1", "guest": "Ana", "room_type": "double", "arrival": "2030-05-01", "nights": 2}
MESSAGE = {"id": "r-1", "to": "Ana", "text": "Your room is reserved."}
BEARER = {"Authorization": "Bearer fresh"}


def with_client(app: FastAPI, steps: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def run() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://standin") as client:
            await steps(client)

    asyncio.run(run())


async def set_mode(client: httpx.AsyncClient, **mode: object) -> None:
    assert (await client.put("/mode", json=mode)).status_code == 200


def test_a_booking_is_made_once_and_can_be_read() -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        first = await client.post("/bookings", json=BOOKING)
        again = await client.post("/bookings", json=BOOKING)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json() == {**BOOKING, "status": "confirmed"}
        assert (await client.get("/bookings/r-1")).json()["status"] == "confirmed"
        assert (await client.get("/bookings/r-2")).status_code == 404
        assert "standin_received 1.0" in (await client.get("/metrics")).text
        free = await client.get("/availability", params={"arrival": "2030-05-01", "room_type": "double"})
        assert free.json()["free"] == 79

    with_client(Pms().app(), steps)


@pytest.mark.parametrize(
    ("mode", "status"),
    [("errors", 500), ("timeout", 504), ("unauthorized", 401), ("rate-limited", 429), ("bad-payload", 200)],
)
def test_each_mode_fails_as_its_name_says_and_keeps_nothing(mode: str, status: int) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        await set_mode(client, mode=mode, delay_s=0.01)
        response = await client.post("/bookings", json=BOOKING)
        assert response.status_code == status
        assert ("Retry-After" in response.headers) == (mode == "rate-limited")
        if mode == "bad-payload":
            with pytest.raises(ValueError, match="Unterminated string"):
                response.json()
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.delete("/mode")).json()["mode"] == "ok"
        assert (await client.get("/bookings/r-1")).status_code == 404
        assert (await client.post("/bookings", json=BOOKING)).status_code == 201

    with_client(Pms().app(), steps)


def test_slow_answers_are_right_but_late() -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        await set_mode(client, mode="slow", delay_s=0.2)
        began_at = time.monotonic()
        assert (await client.post("/bookings", json=BOOKING)).status_code == 201
        assert time.monotonic() - began_at >= 0.2

    with_client(Pms().app(), steps)


def test_a_held_request_is_let_go_when_the_mode_changes() -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        await set_mode(client, mode="timeout", delay_s=30)
        held = asyncio.create_task(client.post("/bookings", json=BOOKING))
        await asyncio.sleep(0.05)
        assert not held.done()
        await client.delete("/mode")
        assert (await asyncio.wait_for(held, 1)).status_code == 504

    with_client(Pms().app(), steps)


@pytest.mark.parametrize(
    ("share", "hits"), [(0.0, 0), (0.01, 2), (0.25, 50), (0.3, 60), (0.9, 180), (1.0, 200)]
)
def test_a_share_of_requests_is_hit_exactly(share: float, hits: int) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        await set_mode(client, mode="errors", share=share)
        statuses = [(await client.post("/bookings", json=BOOKING)).status_code for _ in range(200)]
        assert statuses.count(500) == hits

    with_client(Pms().app(), steps)


def test_a_mode_ends_by_itself_and_lets_go_what_it_held() -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        await set_mode(client, mode="timeout", delay_s=30, ttl_s=0.2)
        assert 0 < (await client.get("/mode")).json()["remaining_s"] <= 0.2
        held = await asyncio.wait_for(client.post("/bookings", json=BOOKING), 1)
        assert held.status_code == 504
        assert (await client.get("/mode")).json() == {"mode": "ok", "share": 1.0, "delay_s": 0.0}
        assert (await client.post("/bookings", json=BOOKING)).status_code == 201

    with_client(Pms().app(), steps)


def test_the_end_of_an_earlier_mode_does_not_end_a_later_one() -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        await set_mode(client, mode="errors", ttl_s=0.1)
        await set_mode(client, mode="rate-limited")
        await asyncio.sleep(0.2)
        assert (await client.get("/mode")).json()["mode"] == "rate-limited"

    with_client(Pms().app(), steps)


def test_only_whatsapp_has_receipts_to_withhold() -> None:
    async def refused(client: httpx.AsyncClient) -> None:
        answer = await client.put("/mode", json={"mode": "no-receipts"})
        assert answer.status_code == 422
        assert "rate-limited" in answer.json()["detail"]

    async def known(client: httpx.AsyncClient) -> None:
        await set_mode(client, mode="no-receipts")
        assert (await client.post("/v1/messages", json=MESSAGE, headers=BEARER)).status_code == 200

    with_client(Pms().app(), refused)
    with_client(WhatsApp("fresh").app(), known)


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "sulk"},
        {"mode": "errors", "share": 2},
        {"mode": "slow", "delay_s": 3600},
        {"mode": "errors", "ttl_s": 0},
        {},
    ],
)
def test_a_mode_that_makes_no_sense_or_has_no_end_is_refused(body: dict[str, object]) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        assert (await client.put("/mode", json=body)).status_code == 422
        assert (await client.get("/mode")).json()["mode"] == "ok"

    with_client(Pms().app(), steps)


def test_messages_need_the_token_and_are_sent_once() -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/messages", json=MESSAGE)).status_code == 401
        stale = {"Authorization": "Bearer stale"}
        assert (await client.post("/v1/messages", json=MESSAGE, headers=stale)).status_code == 401
        for _ in range(2):
            assert (await client.post("/v1/messages", json=MESSAGE, headers=BEARER)).status_code == 200
        assert (await client.get("/v1/messages")).json() == {"count": 1, "messages": [MESSAGE]}

    with_client(WhatsApp("fresh").app(), steps)
