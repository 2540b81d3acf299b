"""Delivery receipts: WhatsApp says what arrived, and a message without a receipt is not delivered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

if TYPE_CHECKING:
    from conftest import Hotel, Module

pytestmark = pytest.mark.process

ADMIN = {"X-Admin-Token": "let-me-in"}
BOOKING = {"guest": "Ana", "room_type": "double", "arrival": "2030-05-01", "nights": 2}
UNCONFIRMED = "whatsapp_unconfirmed_messages"
Eventually = Callable[[Callable[[], Any], float, str], float]


@dataclass
class Pair:
    """An API and the WhatsApp that reports to it, on a database of their own."""

    api: Module
    whatsapp: Module
    database: str

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.api.url, trust_env=False, timeout=10)

    def book(self, client: httpx.Client, count: int = 1) -> None:
        for _ in range(count):
            assert client.post("/reservations", json=BOOKING).status_code == 201

    def statuses(self) -> dict[str, int]:
        with psycopg.connect(self.database, client_encoding="utf8") as connection:
            rows = connection.execute(
                "SELECT whatsapp_status, count(*) FROM reservations GROUP BY whatsapp_status"
            ).fetchall()
        return {row[0]: int(row[1]) for row in rows}

    def mode(self, mode: str, **settings: Any) -> None:
        body = {"mode": mode, **settings}
        assert httpx.put(f"{self.whatsapp.url}/mode", json=body, trust_env=False).status_code == 200


@pytest.fixture
def pair(
    healthy: Hotel,
    another_api: Callable[..., Module],
    module: Callable[..., Module],
    own_database: str,
    a_free_port: int,
    eventually: Eventually,
) -> Pair:
    whatsapp = module("whatsapp", WEBHOOK_URL=f"http://127.0.0.1:{a_free_port}/webhooks/whatsapp")
    api = another_api(
        PORT=str(a_free_port),
        DATABASE_URL=own_database,
        WHATSAPP_URL=whatsapp.url,
        WHATSAPP_RECEIPTS="on",
        WHATSAPP_RECEIPT_WITHIN_S="12",
    )
    eventually(lambda: httpx.get(f"{api.url}/health/ready", trust_env=False).status_code == 200, 5, "ready")
    return Pair(api, whatsapp, own_database)


def test_each_accepted_message_is_reported_and_the_row_becomes_delivered(
    pair: Pair, eventually: Eventually
) -> None:
    series = 'http_requests_total{method="POST",path="/webhooks/whatsapp",status="200"}'
    with pair.client() as client:
        pair.book(client, 20)
        eventually(lambda: pair.statuses() == {"delivered": 20}, 5, "delivered")
        eventually(lambda: pair.api.metric(UNCONFIRMED) == 0, 3, "nothing unconfirmed")
        assert series not in client.get("/metrics").text


def test_a_message_without_a_receipt_is_unconfirmed_until_it_comes(
    pair: Pair, eventually: Eventually
) -> None:
    pair.mode("no-receipts", ttl_s=60)
    with pair.client() as client:
        pair.book(client, 30)
        eventually(lambda: pair.statuses() == {"sent": 30}, 5, "accepted")
        eventually(lambda: pair.api.metric(UNCONFIRMED) == 30, 3, "30 unconfirmed")
        assert pair.api.metric("whatsapp_pending_messages") == 0
        time.sleep(0.5)
        assert pair.api.metric(UNCONFIRMED) == 30
    pair.mode("ok")
    eventually(lambda: pair.statuses() == {"delivered": 30}, 5, "delivered")
    eventually(lambda: pair.api.metric(UNCONFIRMED) == 0, 3, "nothing unconfirmed")


def test_the_desk_takes_what_is_unconfirmed_and_a_late_receipt_changes_nothing(
    pair: Pair, eventually: Eventually
) -> None:
    pair.mode("no-receipts")
    with pair.client() as client:
        pair.book(client, 30)
        eventually(lambda: pair.statuses() == {"sent": 30}, 5, "accepted")
        client.put("/admin/notifications", headers=ADMIN, json={"channel": "desk"})
        eventually(lambda: pair.api.metric(UNCONFIRMED) == 0, 3, "handed over")
        assert pair.statuses() == {"desk": 30}
        pair.mode("ok")
        delivered = 'standin_receipts_total{outcome="delivered"}'
        eventually(lambda: pair.whatsapp.metric(delivered) == 30, 5, "late receipts")
        assert pair.statuses() == {"desk": 30}


def test_a_message_whose_receipt_was_lost_is_sent_again_and_reported_again(
    pair: Pair, eventually: Eventually
) -> None:
    with pair.client() as client:
        pair.book(client, 30)
        eventually(lambda: pair.statuses() == {"delivered": 30}, 15, "delivered")
    with psycopg.connect(pair.database, autocommit=True, client_encoding="utf8") as connection:
        # as after a restore to a time before the receipts came
        connection.execute(
            "UPDATE reservations SET whatsapp_status = 'sent', whatsapp_receipt_due = true, whatsapp_sent_at = now()"
        )
    eventually(lambda: pair.api.metric(UNCONFIRMED) == 30, 10, "30 unconfirmed")

    eventually(lambda: pair.statuses() == {"delivered": 30}, 40, "delivered again")

    eventually(lambda: pair.api.metric(UNCONFIRMED) == 0, 10, "nothing unconfirmed")
    with httpx.Client(base_url=pair.whatsapp.url, trust_env=False) as whatsapp:
        assert whatsapp.get("/v1/messages").json()["count"] == 30, "each guest has one message"


def test_receipts_wait_for_an_api_that_is_down_and_do_not_hold_up_answers(
    pair: Pair, eventually: Eventually
) -> None:
    assert pair.api.process is not None
    assert pair.api.errors is not None
    with pair.client() as client:
        pair.book(client, 1)
        eventually(lambda: pair.statuses() == {"delivered": 1}, 5, "delivered")
    pair.api.process.kill()
    pair.api.process.wait(5)
    # an answer that waited for its receipt would never come: the API is down
    with httpx.Client(base_url=pair.whatsapp.url, trust_env=False, timeout=10) as client:
        for number in range(20):
            message = {"id": f"m-{number}", "to": "Ana", "text": "Hello"}
            answer = client.post("/v1/messages", json=message, headers={"Authorization": "Bearer any"})
            assert answer.status_code == 200
    eventually(lambda: pair.whatsapp.metric('standin_receipts_total{outcome="failed"}') > 0, 3, "tried")
    pair.api.start(pair.api.errors.parent)
    # Nobody here sent these messages: the API says so, and they are not repeated.
    eventually(lambda: pair.whatsapp.metric('standin_receipts_total{outcome="refused"}') == 20, 8, "refused")


def test_a_receipt_may_come_before_the_answer_is_stored(
    healthy: Hotel, another_api: Callable[..., Module], own_database: str, eventually: Eventually
) -> None:
    """This WhatsApp sends no receipts itself, so nothing puts right what the late answer would overwrite."""
    api = another_api(DATABASE_URL=own_database, WHATSAPP_RECEIPTS="on", WHATSAPP_TIMEOUT_S="5")
    slow = {"mode": "slow", "delay_s": 1.0}
    assert httpx.put(f"{healthy.whatsapp.url}/mode", json=slow, trust_env=False).status_code == 200
    sent = 'whatsapp_messages_total{status="sent"}'
    with httpx.Client(base_url=api.url, trust_env=False, timeout=10) as client:
        eventually(lambda: client.get("/health/ready").status_code == 200, 5, "ready")
        answer = client.post("/reservations", json=BOOKING).json()
        receipt = {"id": answer["reference"], "status": "delivered"}
        time.sleep(0.4)  # the outbox has begun to send
        early = client.post("/webhooks/whatsapp", json=receipt)
        assert (early.status_code, early.json()["status"]) == (200, "delivered")
        eventually(lambda: api.metric(sent) == 1, 5, "the answer to a message that was under way")
        time.sleep(0.3)
        assert client.get(f"/reservations/{answer['id']}").json()["whatsapp_status"] == "delivered"
        assert client.post("/webhooks/whatsapp", json=receipt).json()["status"] == "delivered"


def test_a_receipt_that_makes_no_sense_is_refused(pair: Pair) -> None:
    with pair.client() as client:
        unknown = client.post("/webhooks/whatsapp", json={"id": "nobody's", "status": "delivered"})
        assert unknown.status_code == 404
        assert client.post("/webhooks/whatsapp", json={"id": "x", "status": "lost"}).status_code == 422


def test_where_no_receipts_are_expected_a_sent_message_is_enough(
    healthy: Hotel, another_api: Callable[..., Module], own_database: str, eventually: Eventually
) -> None:
    api = another_api(DATABASE_URL=own_database)
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        eventually(lambda: client.get("/health/ready").status_code == 200, 5, "ready")
        key = client.post("/reservations", json=BOOKING).json()["id"]
        sent = f"/reservations/{key}"
        eventually(lambda: client.get(sent).json()["whatsapp_status"] == "sent", 5, "sent")
        time.sleep(1.2)
        assert api.metric(UNCONFIRMED) == 0


def test_a_webhook_that_is_no_url_ends_the_process_at_once(module: Callable[..., Module]) -> None:
    with pytest.raises(pytest.fail.Exception, match="WEBHOOK_URL='api': expected a URL"):
        module("whatsapp", WEBHOOK_URL="api")
