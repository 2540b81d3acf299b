"""Faults inside the API are real, one at a time, and gone without a trace when they end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from hotel.faults import FaultRequestError, parse_fault

if TYPE_CHECKING:
    from conftest import Hotel, Module

pytestmark = pytest.mark.process

ADMIN = {"X-Admin-Token": "let-me-in"}
BOOKING = {"guest": "Ana", "room_type": "double", "arrival": "2030-05-01", "nights": 2}
AVAILABILITY = "/availability?arrival=2030-05-01&room_type=double"
MIB = 2**20
Eventually = Callable[[Callable[[], Any], float, str], float]


def begin(client: httpx.Client, mode: str, ttl_s: float = 30, **settings: Any) -> dict[str, Any]:
    answer = client.put("/faults", headers=ADMIN, json={"mode": mode, "ttl_s": ttl_s, **settings})
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()
    return state


def end(client: httpx.Client) -> None:
    answer = client.delete("/faults", headers=ADMIN)
    assert (answer.status_code, answer.json()) == (200, {"mode": "ok"})


def process_of(module: Module) -> psutil.Process:
    assert module.process is not None
    return psutil.Process(module.process.pid)


@pytest.mark.parametrize("share", [0.25, 0.0, 1.0])
def test_exactly_a_share_of_the_business_requests_fails_and_is_counted(healthy: Hotel, share: float) -> None:
    series = 'http_requests_total{method="GET",path="/availability",status="500"}'
    before = healthy.api.metric(series)
    with healthy.client() as client:
        state = begin(client, "errors", share=share)
        assert (state["mode"], state["share"]) == ("errors", share)
        assert 29 < state["remaining_s"] <= 30
        statuses = [client.get(AVAILABILITY).status_code for _ in range(40)]
        assert statuses.count(500) == 40 * share
        assert statuses.count(200) == 40 - 40 * share
        assert client.get("/health/ready").status_code == 200
        end(client)
        assert client.get(AVAILABILITY).status_code == 200
    assert healthy.api.metric(series) - before == 40 * share


def test_a_booking_that_fails_leaves_nothing_behind(healthy: Hotel) -> None:
    with healthy.client() as client:
        begin(client, "errors")
        answer = client.post("/reservations", json={**BOOKING, "reference": "never"})
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        end(client)
        assert client.get("/reservations?reference=never").status_code == 404


def test_slow_answers_are_right_but_late_and_let_go_when_the_fault_ends(healthy: Hotel) -> None:
    with healthy.client() as client:
        begin(client, "slow", share=0.5, delay_s=0.4)
        took: list[float] = []
        for _ in range(4):
            began_at = time.monotonic()
            assert client.get(AVAILABILITY).status_code == 200
            took.append(time.monotonic() - began_at)
        assert [seconds >= 0.4 for seconds in took] == [False, True, False, True]
        begin(client, "slow", delay_s=50, ttl_s=0.5)
        began_at = time.monotonic()
        assert client.get(AVAILABILITY).status_code == 200
        assert 0.3 < time.monotonic() - began_at < 2


def test_a_leak_takes_real_memory_stays_and_gives_it_back(healthy: Hotel, eventually: Eventually) -> None:
    process = process_of(healthy.api)
    before = process.memory_info().rss
    with healthy.client() as client:
        began_at = time.monotonic()
        begin(client, "memory-leak", bytes_per_s=100 * MIB, up_to_bytes=60 * MIB + 5)
        eventually(lambda: process.memory_info().rss - before >= 60 * MIB, 5, "the memory is taken")
        assert time.monotonic() - began_at >= 0.55
        resident = healthy.api.metric("process_resident_memory_bytes")
        time.sleep(0.4)
        assert process.memory_info().rss - before < 75 * MIB
        assert resident - before > 55 * MIB
        assert client.get(AVAILABILITY).status_code == 200
        end(client)
    assert process.memory_info().rss - before < 15 * MIB


def test_a_burn_takes_a_core_while_the_api_answers(healthy: Hotel, eventually: Eventually) -> None:
    process = process_of(healthy.api)

    def cpu_s() -> float:
        times = process.cpu_times()
        return times.user + times.system

    with healthy.client() as client:
        busy = cpu_s()
        begin(client, "cpu-burn", threads=1)

        def burnt() -> bool:
            assert client.get("/health/live", timeout=2).status_code == 200
            return cpu_s() - busy > 1.5

        # Two seconds on an idle machine; the one that runs this may be busy.
        eventually(burnt, 20, "1.5 s of processor time are burnt")
        end(client)
        busy = cpu_s()
        time.sleep(1.0)
        assert cpu_s() - busy < 0.4


def flood_lines(module: Module) -> list[dict[str, Any]]:
    assert module.errors is not None
    lines = (json.loads(line) for line in module.errors.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == "log-flood"]


def test_a_flood_writes_its_lines_at_its_rate_and_stops_at_the_total(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually
) -> None:
    api = another_api()
    before = api.metric("log_lines_total")
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        began_at = time.monotonic()
        begin(client, "log-flood", lines_per_s=1000, lines=700)
        eventually(lambda: len(flood_lines(api)) >= 700, 5, "the lines are written")
        assert 0.65 < time.monotonic() - began_at < 2.0
        time.sleep(0.3)
        lines = flood_lines(api)
        assert (len(lines), lines[-1]["number"], lines[0]["level"]) == (700, 700, "info")
        assert 700 <= api.metric("log_lines_total") - before < 720


def test_a_raised_log_level_quenches_a_flood_until_it_is_lowered(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually
) -> None:
    api = another_api()
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        begin(client, "log-flood", lines_per_s=500, lines=100_000)
        eventually(lambda: api.metric("log_lines_total") > 100, 3, "the flood")
        answer = client.put("/admin/log-level", headers=ADMIN, json={"level": "warning"}).json()
        assert (answer["log_level"], answer["overridden"]) == ("warning", ["log_level"])
        quiet = api.metric("log_lines_total")
        time.sleep(0.5)
        assert api.metric("log_lines_total") == quiet
        assert client.delete("/admin/overrides", headers=ADMIN).json()["log_level"] == "info"
        eventually(lambda: api.metric("log_lines_total") > quiet + 50, 3, "the flood is back")
        end(client)
        ended = api.metric("log_lines_total")
        time.sleep(0.2)
        assert api.metric("log_lines_total") == ended


@pytest.mark.parametrize("by", ["an operator", "the switch", "its time"])
def test_a_stuck_breaker_never_tries_until_it_is_ended(
    healthy: Hotel, eventually: Eventually, by: str
) -> None:
    calls = 'pms_requests_total{outcome="ok"}'
    with healthy.client() as client:
        key = client.post("/reservations", json=BOOKING).json()["id"]
        eventually(lambda: client.get(f"/reservations/{key}").json()["pms_status"] == "confirmed", 5, "told")
        begin(client, "breaker-stuck", ttl_s=2.0 if by == "its time" else 30)
        before = healthy.api.metric(calls)
        waiting = client.post("/reservations", json=BOOKING).json()["id"]
        time.sleep(1.0)  # twice the recovery time of this breaker
        assert healthy.api.metric("pms_circuit_breaker_state") == 1
        assert healthy.api.metric(calls) == before
        assert client.post(f"/reservations/{key}/confirm").json()["title"] == "PMS circuit breaker open"
        if by == "an operator":
            client.post("/admin/pms/circuit-breaker/reset", headers=ADMIN)
        elif by == "the switch":
            end(client)
        eventually(lambda: client.get("/faults", headers=ADMIN).json() == {"mode": "ok"}, 3, "ended")
        assert healthy.api.metric("pms_circuit_breaker_state") == 0
        eventually(
            lambda: client.get(f"/reservations/{waiting}").json()["pms_status"] == "confirmed", 3, "drained"
        )


def test_a_fault_ends_by_itself_and_its_end_does_not_touch_a_later_one(healthy: Hotel) -> None:
    with healthy.client() as client:
        begin(client, "errors", ttl_s=0.3)
        assert client.get(AVAILABILITY).status_code == 500
        time.sleep(0.4)
        assert client.get(AVAILABILITY).status_code == 200
        assert client.get("/faults", headers=ADMIN).json() == {"mode": "ok"}
        begin(client, "errors", ttl_s=0.3)
        begin(client, "slow", delay_s=0)
        time.sleep(0.4)
        assert client.get("/faults", headers=ADMIN).json()["mode"] == "slow"
        end(client)
        end(client)


def test_the_switch_needs_the_token_and_the_setting(
    healthy: Hotel, another_api: Callable[..., Module]
) -> None:
    fault = {"mode": "errors", "ttl_s": 5}
    with healthy.client() as client:
        assert client.put("/faults", json=fault).status_code == 403
        assert client.get("/faults").status_code == 403
        assert client.delete("/faults", headers={"X-Admin-Token": "wrong"}).status_code == 403
    off = another_api(FAULTS="off")
    for method in ("GET", "PUT", "DELETE"):
        body = fault if method == "PUT" else None
        answer = httpx.request(method, f"{off.url}/faults", headers=ADMIN, json=body, trust_env=False)
        assert answer.status_code == 403
        assert "FAULTS=on" in answer.json()["detail"]
    assert httpx.get(f"{off.url}{AVAILABILITY}", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"mode": "sulk", "ttl_s": 1}, "one of errors, slow, memory-leak"),
        ({"ttl_s": 1}, "one of errors, slow, memory-leak"),
        ([], "one of errors, slow, memory-leak"),
        ({"mode": "errors", "share": 0.5}, "ttl_s: Field required"),
        ({"mode": "errors", "ttl_s": 0}, "above 0 and at most 86400"),
        ({"mode": "errors", "ttl_s": 86401}, "above 0 and at most 86400"),
        ({"mode": "errors", "ttl_s": float("nan")}, "ttl_s"),
        ({"mode": "errors", "ttl_s": 1, "share": 1.1}, "share: Input should be less than or equal to 1"),
        ({"mode": "errors", "ttl_s": 1, "delay_s": 1}, "for errors: ttl_s, share (1.0 unless given)"),
        ({"mode": "memory-leak", "ttl_s": 1, "bytes_per_s": 1, "up_to_bytes": 2**32 + 1}, "4294967296"),
        ({"mode": "cpu-burn", "ttl_s": 1, "threads": 9}, "less than or equal to 8"),
        ({"mode": "log-flood", "ttl_s": 1}, "lines_per_s: Field required"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_what_would_be_right(body: object, says: str) -> None:
    with pytest.raises(FaultRequestError) as caught:
        parse_fault(body)
    assert says in str(caught.value)


def test_a_refused_fault_changes_nothing(healthy: Hotel) -> None:
    with healthy.client() as client:
        begin(client, "slow", delay_s=0)
        answer = client.put("/faults", headers=ADMIN, json={"mode": "sulk", "ttl_s": 1})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert "one of errors" in answer.json()["detail"]
        assert client.put("/faults", headers=ADMIN, content="{").status_code == 422
        assert client.get("/faults", headers=ADMIN).json()["mode"] == "slow"
