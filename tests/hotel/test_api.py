"""The API against real PostgreSQL, a real cache and the stand-ins."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

if TYPE_CHECKING:
    from conftest import Hotel, Module

pytestmark = pytest.mark.process

ADMIN = {"X-Admin-Token": "let-me-in"}
Eventually = Callable[[Callable[[], Any], float, str], float]

# What the ten alert rules read.
RULE_SERIES = (
    'http_requests_total{method="POST",path="/reservations",status="201"}',
    'http_requests_total{method="POST",path="/reservations",status="503"}',
    'http_request_duration_seconds_bucket{le="+Inf",path="/reservations"}',
    'http_request_duration_seconds_bucket{le="0.005",path="/availability"}',
    "database_connection_errors_total",
    "redis_up",
    "redis_cache_hits_total",
    "redis_cache_misses_total",
    "pms_circuit_breaker_state",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
)


def booking(**changes: Any) -> dict[str, Any]:
    return {"guest": "Ana", "room_type": "double", "arrival": "2030-05-01", "nights": 2, **changes}


def made(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    response = client.post("/reservations", json=booking(**changes))
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def row(hotel: Hotel, reservation_id: int) -> tuple[str, str] | None:
    with psycopg.connect(hotel.database.url, client_encoding="utf8") as connection:
        found = connection.execute(
            "SELECT pms_status, whatsapp_status FROM reservations WHERE id = %s", [reservation_id]
        ).fetchone()
    return None if found is None else (found[0], found[1])


def test_an_acknowledged_reservation_is_committed_and_can_be_found(healthy: Hotel) -> None:
    with healthy.client() as client:
        reference = str(uuid.uuid4())
        answer = made(client, reference=reference)
        assert row(healthy, answer["id"]) is not None
        by_id = client.get(f"/reservations/{answer['id']}").json()
        assert by_id == client.get("/reservations", params={"reference": reference}).json()
        assert by_id["guest"] == "Ana"
        assert client.get("/reservations", params={"reference": "nobody's"}).status_code == 404
        assert client.get("/reservations/999999999").status_code == 404


def test_repeating_a_reference_is_safe_and_reusing_it_is_refused(healthy: Hotel) -> None:
    with healthy.client() as client:
        reference = str(uuid.uuid4())
        first = made(client, reference=reference)
        again = client.post("/reservations", json=booking(reference=reference))
        assert (again.status_code, again.json()["id"]) == (200, first["id"])
        other = client.post("/reservations", json=booking(reference=reference, nights=3))
        assert other.status_code == 409


@pytest.mark.parametrize(
    "changes",
    [
        {"nights": 0},
        {"arrival": "soon"},
        {"room_type": "igloo"},
        {"guest": ""},
        {"surprise": 1},
        {"nights": 91},
    ],
)
def test_what_makes_no_sense_is_a_problem_document(healthy: Hotel, changes: dict[str, Any]) -> None:
    with healthy.client() as client:
        response = client.post("/reservations", json=booking(**changes))
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert next(iter(changes)) in response.json()["detail"]


def test_pms_and_guest_are_told_in_the_background(healthy: Hotel, eventually: Eventually) -> None:
    with healthy.client() as client:
        answer = made(client)
    assert (answer["pms_status"], answer["whatsapp_status"]) == ("pending", "pending")
    eventually(lambda: row(healthy, answer["id"]) == ("confirmed", "sent"), 5, "confirmed and sent")
    booked = httpx.get(f"{healthy.pms.url}/bookings/{answer['reference']}", trust_env=False).json()
    assert booked["status"] == "confirmed"
    messages = httpx.get(f"{healthy.whatsapp.url}/v1/messages", trust_env=False).json()["messages"]
    assert answer["reference"] in {message["id"] for message in messages}


def test_the_page_has_every_series_of_the_rules_and_stays_small(healthy: Hotel) -> None:
    counted = "http_requests_total"
    page = httpx.get(f"{healthy.api.url}/metrics", trust_env=False).text
    lines = {line.rpartition(" ")[0] for line in page.splitlines()}
    assert not [series for series in RULE_SERIES if series not in lines]
    assert len(page.splitlines()) <= 160  # 146 from the start; a few more for what the other tests provoked
    assert not [
        line for line in lines if line.startswith(counted) and ("health" in line or "metrics" in line)
    ]


def test_requests_are_counted_by_template_and_status(healthy: Hotel) -> None:
    series = 'http_requests_total{method="GET",path="/reservations/{reservation_id}",status="404"}'
    before = healthy.api.metric(series)
    with healthy.client() as client:
        for number in (999999991, 999999992):
            client.get(f"/reservations/{number}")
        client.get("/no/such/path")
    assert healthy.api.metric(series) == before + 2
    unmatched = 'http_requests_total{method="GET",path="unmatched",status="404"}'
    assert healthy.api.metric(unmatched) == 1


def test_a_synthetic_request_is_answered_like_any_other_and_left_out_of_the_figures(healthy: Hotel) -> None:
    series = 'http_requests_total{method="POST",path="/reservations",status="201"}'
    with healthy.client() as client:
        before = healthy.api.metric(series)
        response = client.post("/reservations", json=booking(), headers={"X-Synthetic-Monitor": "drill"})
        assert response.status_code == 201
        assert healthy.api.metric(series) == before
        made(client)
        assert healthy.api.metric(series) == before + 1


def test_availability_comes_from_the_database_then_from_the_cache(healthy: Hotel) -> None:
    query = {"arrival": "2031-03-01", "room_type": "suite"}
    hits, misses = (f"redis_cache_{kind}_total" for kind in ("hits", "misses"))
    before = healthy.api.metric(hits), healthy.api.metric(misses)
    with healthy.client() as client:
        made(client, room_type="suite", arrival="2031-02-28", nights=2)
        made(client, room_type="suite", arrival="2031-02-27", nights=2)  # leaves on the day
        first, second = (client.get("/availability", params=query).json() for _ in range(2))
    assert (first["free"], first["source"]) == (11, "database")
    assert (second["free"], second["source"]) == (11, "cache")
    assert (healthy.api.metric(hits), healthy.api.metric(misses)) == (before[0] + 1, before[1] + 1)


def test_without_its_cache_the_service_is_degraded_and_ready(healthy: Hotel, eventually: Eventually) -> None:
    errors = healthy.api.metric("redis_cache_errors_total")
    healthy.cache.kill()
    with healthy.client() as client:
        arrival = (date(2032, 1, 1) + timedelta(days=int(time.time()) % 300)).isoformat()
        began_at = time.monotonic()
        answer = client.get("/availability", params={"arrival": arrival, "room_type": "single"})
        assert time.monotonic() - began_at < 1
        assert (answer.status_code, answer.json()["source"]) == (200, "database")
        eventually(lambda: healthy.api.metric("redis_up") == 0, 3, "redis_up 0")
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert healthy.api.metric("redis_cache_errors_total") > errors
        healthy.cache.start()
        eventually(lambda: healthy.api.metric("redis_up") == 1, 3, "redis_up 1")


@pytest.mark.parametrize(
    ("mode", "status"),
    [("errors", 502), ("timeout", 504), ("bad-payload", 502), ("unauthorized", 502), ("rate-limited", 503)],
)
def test_pms_trouble_reaches_who_asks_for_it_opens_the_breaker_and_drains(
    healthy: Hotel, eventually: Eventually, mode: str, status: int
) -> None:
    with healthy.client() as client:
        first = made(client)
        eventually(lambda: row(healthy, first["id"]) == ("confirmed", "sent"), 5, "settled")
        set_mode(healthy.pms, mode=mode, delay_s=1)
        answer = client.post(f"/reservations/{first['id']}/confirm")
        assert answer.status_code == status
        queued = [made(client)["id"] for _ in range(3)]
        eventually(lambda: healthy.api.metric("pms_circuit_breaker_state") >= 1, 5, "breaker open")
        assert healthy.api.metric(f'pms_requests_total{{outcome="{outcome_of(mode)}"}}') >= 1
        assert {row(healthy, key)[0] for key in queued} == {"pending"}
        eventually(lambda: healthy.api.metric("pms_pending_reservations") >= 3, 3, "queue seen")
        httpx.delete(f"{healthy.pms.url}/mode", trust_env=False)
        eventually(lambda: {row(healthy, key)[0] for key in queued} == {"confirmed"}, 8, "drained")
        assert healthy.api.metric("pms_circuit_breaker_state") == 0
        assert client.post(f"/reservations/{first['id']}/confirm").json()["pms_status"] == "confirmed"


def outcome_of(mode: str) -> str:
    return "error" if mode == "errors" else mode


def set_mode(standin: Module, **mode: Any) -> None:
    assert httpx.put(f"{standin.url}/mode", json=mode, trust_env=False).status_code == 200


def test_a_breaker_told_to_stay_open_waits_for_an_operator(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually
) -> None:
    api = another_api(PMS_BREAKER_STAYS_OPEN="true", PMS_BREAKER_RECOVERY_S="0.05", PMS_BREAKER_FAILURES="1")
    breaker = "/admin/pms/circuit-breaker"
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        eventually(lambda: client.get("/health/ready").status_code == 200, 5, "ready")
        key = made(client)["id"]
        set_mode(healthy.pms, mode="errors")
        client.post(f"/reservations/{key}/confirm")
        httpx.delete(f"{healthy.pms.url}/mode", trust_env=False)
        time.sleep(0.3)
        refused = client.post(f"/reservations/{key}/confirm")
        assert (refused.status_code, refused.json()["title"]) == (503, "PMS circuit breaker open")
        assert client.get("/health/ready").json()["dependencies"]["pms"] == "circuit breaker open"
        assert client.post(f"{breaker}/reset").status_code == 403
        assert client.post(f"{breaker}/reset", headers={"X-Admin-Token": "wrong"}).status_code == 403
        assert client.get(breaker, headers=ADMIN).json()["state"] == "open"
        assert client.post(f"{breaker}/reset", headers=ADMIN).json()["state"] == "closed"
        assert client.post(f"/reservations/{key}/confirm").status_code == 200


def test_without_a_token_administration_is_off(healthy: Hotel, another_api: Callable[..., Module]) -> None:
    api = another_api(ADMIN_TOKEN="")
    answer = httpx.post(
        f"{api.url}/admin/pms/circuit-breaker/reset", headers={"X-Admin-Token": ""}, trust_env=False
    )
    assert answer.status_code == 403


def test_messages_wait_for_whatsapp_and_are_sent_when_it_is_back(
    healthy: Hotel, eventually: Eventually
) -> None:
    failed = 'whatsapp_messages_total{status="failed"}'
    before = healthy.api.metric(failed)
    set_mode(healthy.whatsapp, mode="unauthorized")
    with healthy.client() as client:
        key = made(client)["id"]
    eventually(lambda: healthy.api.metric(failed) > before, 5, "failures counted")
    assert row(healthy, key)[1] == "pending"
    httpx.delete(f"{healthy.whatsapp.url}/mode", trust_env=False)
    eventually(lambda: row(healthy, key)[1] == "sent", 5, "sent")


def test_messages_that_were_given_up_can_be_queued_again(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually
) -> None:
    set_mode(healthy.whatsapp, mode="errors")
    api = another_api(WHATSAPP_GIVE_UP_S="0.1")
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        eventually(lambda: client.get("/health/ready").status_code == 200, 5, "ready")
        key = made(client)["id"]
        eventually(lambda: row(healthy, key)[1] == "failed", 5, "given up")
        httpx.delete(f"{healthy.whatsapp.url}/mode", trust_env=False)
        assert client.post("/admin/whatsapp/retry", headers=ADMIN).json()["queued"] >= 1
        eventually(lambda: row(healthy, key)[1] == "sent", 5, "sent")


def test_sigterm_lets_a_request_under_way_finish(healthy: Hotel, another_api: Callable[..., Module]) -> None:
    api = another_api(PMS_TIMEOUT_S="3")
    with healthy.client() as client:
        key = made(client)["id"]
    set_mode(healthy.pms, mode="slow", delay_s=0.6)
    answers: list[int] = []

    def confirm() -> None:
        url = f"{api.url}/reservations/{key}/confirm"
        answers.append(httpx.post(url, timeout=5, trust_env=False).status_code)

    caller = threading.Thread(target=confirm)
    caller.start()
    time.sleep(0.2)
    assert api.stop() == 0
    caller.join(5)
    assert answers == [200]


def test_the_load_generator_counts_what_it_did_and_ends_by_itself(
    healthy: Hotel, module: Callable[..., Module], eventually: Eventually
) -> None:
    load = module("load", "--url", healthy.api.url, "--rate", "40", "--max-requests", "60")
    seen: list[float] = []

    def watch() -> bool:
        if load.process.poll() is None:
            seen.append(load.metric("load_started_total"))
        return load.process.poll() is not None

    eventually(watch, 8, "the load ends")
    assert load.process.returncode == 0
    assert 0 < max(seen) <= 60


def test_a_setting_that_makes_no_sense_ends_the_process_at_once(module: Callable[..., Module]) -> None:
    with pytest.raises(pytest.fail.Exception, match="PMS_TIMEOUT_S='soon': expected a number"):
        module("api", PMS_TIMEOUT_S="soon")
