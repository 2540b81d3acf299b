"""Bookings that wait for the PMS, and the degraded modes that an operator chooses while others are down."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

if TYPE_CHECKING:
    from conftest import Hotel, Module

pytestmark = pytest.mark.process

ADMIN = {"X-Admin-Token": "let-me-in"}
BOOKING = {"guest": "Ana", "room_type": "double", "arrival": "2030-05-01", "nights": 2}
CONFIGURED = {"pms_mode": "normal", "notification_channel": "whatsapp", "log_level": "info", "overridden": []}
Eventually = Callable[[Callable[[], Any], float, str], float]


@pytest.fixture
def api(
    healthy: Hotel, another_api: Callable[..., Module], own_database: str, eventually: Eventually
) -> Module:
    """An API whose PMS queue nobody else works off, and itself only once a minute."""
    api = another_api(DATABASE_URL=own_database, OUTBOX_INTERVAL_S="60", PMS_BREAKER_RECOVERY_S="60")
    ready = f"{api.url}/health/ready"
    eventually(lambda: httpx.get(ready, trust_env=False).json()["status"] == "ready", 5, "ready")
    return api


def client_of(api: Module) -> httpx.Client:
    return httpx.Client(base_url=api.url, trust_env=False, timeout=10)


def confirmed(client: httpx.Client, **changes: Any) -> httpx.Response:
    return client.post("/reservations", json={**BOOKING, "confirm": True, **changes})


def set_mode(standin: Module, **mode: Any) -> None:
    assert httpx.put(f"{standin.url}/mode", json=mode, trust_env=False).status_code == 200


def override(client: httpx.Client, path: str, **body: str) -> dict[str, Any]:
    answer = client.put(f"/admin/{path}", headers=ADMIN, json=body)
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()
    return state


def test_a_confirmed_booking_is_in_the_pms_when_it_is_answered(healthy: Hotel, api: Module) -> None:
    with client_of(api) as client:
        answer = confirmed(client)
        assert (answer.status_code, answer.json()["pms_status"]) == (201, "confirmed")
        booked = httpx.get(f"{healthy.pms.url}/bookings/{answer.json()['reference']}", trust_env=False)
        assert booked.json()["status"] == "confirmed"
        assert client.get(f"/reservations/{answer.json()['id']}").json()["pms_status"] == "confirmed"
        unconfirmed = client.post("/reservations", json=BOOKING).json()
        assert unconfirmed["pms_status"] == "pending"


@pytest.mark.parametrize("mode", ["errors", "timeout", "bad-payload", "unauthorized", "rate-limited"])
def test_while_the_pms_fails_a_confirmed_booking_is_kept_refused_and_safe_to_repeat(
    healthy: Hotel, api: Module, mode: str
) -> None:
    reference = str(uuid.uuid4())
    with client_of(api) as client:
        set_mode(healthy.pms, mode=mode, delay_s=2)
        answer = confirmed(client, reference=reference)
        assert answer.status_code == 503
        assert reference in answer.json()["detail"]
        kept = client.get("/reservations", params={"reference": reference}).json()
        assert kept["pms_status"] == "pending"
        set_mode(healthy.pms, mode="ok")
        again = confirmed(client, reference=reference)
        assert (again.status_code, again.json()["pms_status"]) == (200, "confirmed")
        assert again.json()["id"] == kept["id"]


def test_no_database_connection_is_held_while_the_pms_is_asked(
    healthy: Hotel, another_api: Callable[..., Module], own_database: str, eventually: Eventually
) -> None:
    api = another_api(
        DATABASE_URL=own_database, DATABASE_POOL_MAX="1", PMS_TIMEOUT_S="3", OUTBOX_INTERVAL_S="60"
    )
    ready = f"{api.url}/health/ready"
    eventually(lambda: httpx.get(ready, trust_env=False).json()["status"] == "ready", 5, "ready")
    set_mode(healthy.pms, mode="slow", delay_s=1.5)
    with client_of(api) as client, httpx.Client(base_url=api.url, trust_env=False, timeout=0.2) as hasty:
        with pytest.raises(httpx.ReadTimeout):
            confirmed(hasty)
        began_at = time.monotonic()
        assert client.post("/reservations", json=BOOKING).status_code == 201
        assert time.monotonic() - began_at < 0.7


def test_in_queue_mode_nobody_waits_for_the_pms_and_later_it_is_told(
    healthy: Hotel, another_api: Callable[..., Module], own_database: str, eventually: Eventually
) -> None:
    api = another_api(DATABASE_URL=own_database, PMS_BREAKER_RECOVERY_S="0.5")
    with client_of(api) as client:
        eventually(lambda: client.get("/health/ready").json()["status"] == "ready", 5, "ready")
        client.put("/faults", headers=ADMIN, json={"mode": "breaker-stuck", "ttl_s": 60})
        assert confirmed(client).status_code == 503
        state = override(client, "pms/mode", mode="queue")
        assert (state["pms_mode"], state["overridden"]) == ("queue", ["pms_mode"])
        short = 'pms_requests_total{outcome="short-circuited"}'
        time.sleep(0.3)
        answer = confirmed(client)
        assert (answer.status_code, answer.json()["pms_status"]) == (201, "pending")
        by_hand = client.post(f"/reservations/{answer.json()['id']}/confirm")
        assert (by_hand.status_code, by_hand.json()["pms_status"]) == (202, "pending")
        assert api.metric(short) >= 1
        client.delete("/faults", headers=ADMIN)
        path = f"/reservations/{answer.json()['id']}"
        eventually(lambda: client.get(path).json()["pms_status"] == "confirmed", 5, "told later")
        assert client.delete("/admin/overrides", headers=ADMIN).json() == CONFIGURED
        assert confirmed(client).json()["pms_status"] == "confirmed"


def statuses(url: str) -> set[str]:
    with psycopg.connect(url, client_encoding="utf8") as connection:
        rows = connection.execute("SELECT DISTINCT whatsapp_status FROM reservations").fetchall()
    return {row[0] for row in rows}


def test_the_desk_tells_the_guests_at_once_and_without_whatsapp(
    healthy: Hotel, another_api: Callable[..., Module], own_database: str, eventually: Eventually
) -> None:
    desk = 'guest_notifications_total{channel="desk"}'
    api = another_api(DATABASE_URL=own_database)
    set_mode(healthy.whatsapp, mode="errors")
    with client_of(api) as client:
        eventually(lambda: client.get("/health/ready").status_code == 200, 5, "ready")
        for _ in range(60):
            assert client.post("/reservations", json=BOOKING).status_code == 201
        eventually(lambda: api.metric("whatsapp_unconfirmed_messages") == 60, 5, "60 wait")
        time.sleep(3)  # until the outbox pauses for long between its attempts
        state = override(client, "notifications", channel="desk")
        assert (state["notification_channel"], state["overridden"]) == ("desk", ["notification_channel"])
        took_s = eventually(lambda: api.metric("whatsapp_unconfirmed_messages") == 0, 5, "handed over")
        assert took_s < 1.0
        assert (statuses(own_database), api.metric(desk)) == ({"desk"}, 60)
        attempts = api.metric('whatsapp_messages_total{status="failed"}')
        client.post("/reservations", json=BOOKING)
        eventually(lambda: api.metric(desk) == 61, 3, "the next one too")
        assert api.metric('whatsapp_messages_total{status="failed"}') == attempts
        set_mode(healthy.whatsapp, mode="ok")
        assert client.delete("/admin/overrides", headers=ADMIN).json() == CONFIGURED
        key = client.post("/reservations", json=BOOKING).json()["id"]
        path = f"/reservations/{key}"
        eventually(lambda: client.get(path).json()["whatsapp_status"] == "sent", 5, "by WhatsApp again")
        assert api.metric('guest_notifications_total{channel="whatsapp"}') == 1


def test_overrides_need_the_token_make_sense_and_go_back_to_what_is_configured(
    healthy: Hotel, another_api: Callable[..., Module]
) -> None:
    api = another_api(PMS_MODE="queue", LOG_LEVEL="warning")
    with client_of(api) as client:
        configured = {**CONFIGURED, "pms_mode": "queue", "log_level": "warning"}
        assert client.get("/admin/overrides", headers=ADMIN).json() == configured
        for path, body in (
            ("pms/mode", {"mode": "normal"}),
            ("notifications", {"channel": "desk"}),
            ("log-level", {"level": "info"}),
        ):
            assert client.put(f"/admin/{path}", json=body).status_code == 403
            wrong = client.put(f"/admin/{path}", headers=ADMIN, json={next(iter(body)): "perhaps"})
            assert wrong.status_code == 422
            assert "Input should be" in wrong.json()["detail"]
            override(client, path, **body)
        overridden = client.get("/admin/overrides", headers=ADMIN).json()["overridden"]
        assert overridden == ["pms_mode", "notification_channel", "log_level"]
        assert client.delete("/admin/overrides").status_code == 403
        for _ in range(2):
            assert client.delete("/admin/overrides", headers=ADMIN).json() == configured


def clients_of(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(b"CLIENT LIST\r\n")
        return connection.recv(65536)


def test_operators_can_tell_the_service_from_other_clients(healthy: Hotel) -> None:
    with psycopg.connect(healthy.database.url, client_encoding="utf8") as connection:
        rows = connection.execute("SELECT DISTINCT application_name FROM pg_stat_activity").fetchall()
    assert "agente-api" in {row[0] for row in rows}
    with healthy.client() as client:
        client.get("/availability?arrival=2030-05-01&room_type=double")
    assert b"name=agente-api" in clients_of(healthy.cache.port)


def test_without_cache_metrics_the_series_is_gone_and_everything_else_works(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually
) -> None:
    api = another_api(CACHE_METRICS="off")
    with client_of(api) as client:
        eventually(lambda: client.get("/health/ready").json()["status"] == "ready", 5, "ready")
        page = client.get("/metrics").text
        assert "redis_up" not in page
        assert "redis_cache_hits_total" in page
        query = {"arrival": "2031-04-01", "room_type": "family"}
        sources = [client.get("/availability", params=query).json()["source"] for _ in range(2)]
        assert sources[1] == "cache"
