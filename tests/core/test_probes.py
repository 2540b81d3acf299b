"""Probes against a real server on this machine: what they answer, at which rate, and in which order."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from core.server import nobody_there, serving
from core.worlds import fake_target
from gameday.environment import AnyProbe, Probe
from gameday.errors import UsageError
from gameday.exposition import Increase
from gameday.probes import Answer, Sampler, fill
from gameday.targets.base import Address

PROBE: TypeAdapter[AnyProbe] = TypeAdapter(Probe)


def probe(**fields: Any) -> AnyProbe:
    return PROBE.validate_python({"component": "api", "every": "10ms", "timeout": "2s", **fields})


async def sample(
    question: AnyProbe,
    address: Address,
    enough: Callable[[list[Answer]], bool] = bool,
    within_s: float = 10.0,
) -> list[Answer]:
    """Answers until there are `enough`, and those that were under way then."""
    answers: list[Answer] = []
    there_are = asyncio.Event()

    def add(answer: Answer) -> None:
        answers.append(answer)
        if enough(answers):
            there_are.set()

    sampler = Sampler("books", question, address, "gameday-a1-", add)
    sampler.start()
    async with asyncio.timeout(within_s):
        await there_are.wait()
    await sampler.stop()
    return answers


def ask(question: AnyProbe, address: Address) -> Answer:
    return asyncio.run(sample(question, address))[0]


def ask_server(question: AnyProbe, **settings: Any) -> Answer:
    async def go() -> Answer:
        async with serving(**settings) as server:
            return (await sample(question, server.address))[0]

    return asyncio.run(go())


# --- rate and order -----------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_asking_even_when_the_first_is_the_slowest() -> None:
    async def go() -> list[Answer]:
        async with serving(delays_s=[0.3, 0.0, 0.1]) as server:
            return await sample(probe(http="GET /"), server.address, lambda answers: len(answers) >= 8)

    answers = asyncio.run(go())
    assert [answer.key for answer in answers] == [f"gameday-a1-books-{n + 1}" for n in range(len(answers))]
    assert all(answer.ok for answer in answers)
    assert answers[0].ended - answers[0].started >= 0.3
    assert answers[1].ended < answers[0].ended, "asked later, answered earlier"
    starts = [answer.started.mono_ns for answer in answers]
    assert starts == sorted(starts)


def test_a_hanging_server_is_asked_at_the_same_rate_and_each_sample_fails_in_time() -> None:
    async def go() -> tuple[list[Answer], int]:
        async with serving(hanging=True) as server:
            question = probe(http="GET /", every="20ms", timeout="400ms")
            answers = await sample(question, server.address, lambda answers: len(answers) >= 1)
            return answers, len(server.requests)

    answers, asked = asyncio.run(go())
    assert asked >= 8, "some 20 fit into the time-out of the first; one by one it would have been 1"
    assert {(answer.ok, answer.detail) for answer in answers} == {(False, "no answer within 0.4 s")}
    assert all(0.39 <= answer.ended - answer.started < 2 for answer in answers)
    assert len(answers) >= asked - 1, "what was under way when the sampler stopped is delivered too"


def test_haste_asks_more_often() -> None:
    async def go() -> tuple[int, int]:
        async with serving() as server:
            answers: list[Answer] = []
            sampler = Sampler(
                "books", probe(http="GET /", every="200ms"), server.address, "p-", answers.append
            )
            sampler.start()
            await asyncio.sleep(0.5)
            slow = len(answers)
            sampler.pace = 10.0
            await asyncio.sleep(0.7)
            await sampler.stop()
            return slow, len(answers) - slow

    slow, fast = asyncio.run(go())
    assert 1 <= slow <= 4
    assert fast >= 8


def test_a_sampler_that_stopped_asks_no_more_and_stopping_again_is_no_error() -> None:
    async def go() -> tuple[int, int]:
        async with serving() as server:
            answers: list[Answer] = []
            sampler = Sampler("books", probe(http="GET /"), server.address, "p-", answers.append)
            await sampler.stop()
            sampler.start()
            await asyncio.sleep(0.1)
            await sampler.stop()
            asked = len(server.requests)
            await sampler.stop()
            await asyncio.sleep(0.1)
            return asked, len(server.requests)

    before, after = asyncio.run(go())
    assert before == after


# --- HTTP ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "settings", "ok", "detail"),
    [
        pytest.param({}, {}, True, "status 200", id="as-expected"),
        pytest.param({}, {"status": 503}, False, "status 503, expected 200", id="another-status"),
        pytest.param(
            {"expect": {"status": 201}}, {}, False, "status 200, expected 201", id="200-is-not-enough"
        ),
        pytest.param({"expect": {"contains": "el"}}, {}, True, "status 200", id="contains"),
        pytest.param(
            {"expect": {"contains": "ok"}}, {}, False, "status 200, without 'ok'", id="without-the-text"
        ),
    ],
)
def test_an_http_answer_is_as_expected_or_says_why_not(
    fields: dict[str, Any], settings: dict[str, Any], ok: bool, detail: str
) -> None:
    answer = ask_server(probe(http="GET /health", **fields), **settings)
    assert (answer.ok, answer.detail) == (ok, detail)


def test_each_request_carries_its_own_key_the_date_and_secrets_from_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", "s3cret")
    question = probe(
        http="POST /bookings?x=1",
        body={"reference": "${key}", "days": ["${today}", 3], "guest": {"name": "Drill ${key}"}},
        headers={"Authorization": "Bearer ${env:TOKEN_OF_TEST}"},
    )

    async def go() -> tuple[list[Answer], list[Any]]:
        async with serving() as server:
            return await sample(question, server.address, lambda answers: len(answers) >= 2), server.requests

    answers, requests = asyncio.run(go())
    by_key = {
        request[2]["reference"]: request for request in requests
    }  # they overlap: their order is not sure
    assert len(by_key) == len(requests)
    assert [answer.key for answer in answers[:2]] == ["gameday-a1-books-1", "gameday-a1-books-2"]
    assert {answer.key for answer in answers[:2]} <= by_key.keys()
    first, headers, body = by_key["gameday-a1-books-1"]
    assert first == "POST /bookings?x=1 HTTP/1.1"
    assert headers["authorization"] == "Bearer s3cret"
    assert body["guest"] == {"name": "Drill gameday-a1-books-1"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", body["days"][0])
    assert body["days"][1] == 3


def test_a_secret_that_is_not_set_is_told_before_anything_is_asked() -> None:
    question = probe(http="GET /", headers={"Authorization": "${env:NEVER_SET_HERE}"})
    with pytest.raises(UsageError, match="environment variable NEVER_SET_HERE is not set"):
        Sampler("books", question, Address("127.0.0.1", 1, "http://127.0.0.1:1"), "p-", lambda _: None)


def test_a_server_that_is_gone_fails_at_once() -> None:
    closed, address = nobody_there()
    with closed:
        answer = ask(probe(http="GET /"), address)
    assert (answer.ok, answer.detail) == (False, "ConnectError: All connection attempts failed")
    assert answer.ended - answer.started < 1


def test_a_question_that_cannot_even_be_asked_has_failed() -> None:
    answer = ask(probe(http="GET /"), Address("x", 1, "http://127.0.0.1:port"))
    assert not answer.ok
    assert answer.detail.startswith("InvalidURL: ")


# --- TCP, SQL, state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "ok", "detail"),
    [
        pytest.param({"tcp": ""}, True, "connected", id="accepted"),
        pytest.param(
            {"tcp": "GET / HTTP/1.1\r\n\r\n", "expect": "200"}, True, "answered 'HTTP/1.1 200 x", id="answer"
        ),
        pytest.param(
            {"tcp": "GET / HTTP/1.1\r\n\r\n", "expect": "PONG"},
            False,
            "answered 'HTTP/1.1 200 x",
            id="wrong-answer",
        ),
        pytest.param(
            {"tcp": "", "expect": "hello", "timeout": "200ms"}, False, "no answer within 0.2 s", id="silence"
        ),
    ],
)
def test_a_tcp_exchange(fields: dict[str, Any], ok: bool, detail: str) -> None:
    answer = ask_server(probe(**fields))
    assert answer.ok is ok
    assert answer.detail.startswith(detail)


def test_tcp_to_nobody_fails() -> None:
    closed, address = nobody_there()
    with closed:
        answer = ask(probe(tcp=""), address)
    assert not answer.ok
    assert answer.detail.startswith("ConnectionRefusedError: ")


def test_a_query_to_nobody_fails_and_goes_on_asking() -> None:
    closed, address = nobody_there()
    with closed:
        url = f"postgresql://hotel@127.0.0.1:{address.port}/hotel"
        answers = asyncio.run(
            sample(probe(sql="select 1"), Address("127.0.0.1", address.port, url), lambda got: len(got) >= 3)
        )
    assert not any(answer.ok for answer in answers)
    assert all(answer.detail.startswith("OperationalError: ") for answer in answers)


def test_a_server_that_accepts_and_never_speaks_is_no_database() -> None:
    async def go() -> list[Answer]:
        async with serving(hanging=True) as server:
            url = f"postgresql://hotel@127.0.0.1:{server.port}/hotel?sslmode=disable"
            question = probe(sql="select 1", timeout="200ms")
            return await sample(question, Address("127.0.0.1", server.port, url), lambda got: len(got) >= 3)

    assert {(answer.ok, answer.detail) for answer in asyncio.run(go())} == {(False, "no answer within 0.2 s")}


def test_the_state_of_a_fake_component_also_where_the_path_has_spaces(tmp_path: Path) -> None:
    root = tmp_path / "my project %20"
    target = fake_target(root)
    question = probe(state="up", component="database")
    answer = ask(question, target.address("database"))
    assert (answer.ok, answer.detail) == (True, "up")
    target.pause("database", 1)
    answer = ask(question, target.address("database"))
    assert (answer.ok, answer.detail) == (False, "paused")
    target.path.write_text("[]")
    answer = ask(question, target.address("database"))
    assert not answer.ok
    assert answer.detail.startswith("TargetError: ")


# --- metrics ------------------------------------------------------------------------------------------------

PAGE = r"""# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{status="200",path="/a}b"} 41 1700000000000
http_requests_total{status="200",path="/\"q\" \\ \n"} 1
http_requests_total{status="500"} 3
http_requests_total_created 9e9
queue_length 7.5
odd NaN
huge +Inf
redis_up{} 1
"""


@pytest.mark.parametrize(
    ("fields", "ok", "detail"),
    [
        pytest.param({"metric": "redis_up"}, True, "1", id="present"),
        pytest.param({"metric": "redis_down"}, False, "no series redis_down", id="absent"),
        pytest.param({"metric": "redis"}, False, "no series redis", id="not-by-its-beginning"),
        pytest.param({"metric": "http_requests_total", "at_most": 45}, True, "45", id="sum"),
        pytest.param(
            {"metric": "http_requests_total", "labels": {"status": "5.."}, "at_most": 2},
            False,
            "3, expected at most 2",
            id="labels-are-patterns",
        ),
        pytest.param(
            {"metric": "http_requests_total", "labels": {"status": "5"}},
            False,
            "no series http_requests_total with these labels",
            id="of-the-whole-value",
        ),
        pytest.param(
            {"metric": "http_requests_total", "labels": {"path": ""}},
            True,
            "3",
            id="a-label-that-lacks-is-empty",
        ),
        pytest.param(
            {"metric": "http_requests_total", "labels": {"path": "/a}b"}}, True, "41", id="a-brace-in-a-value"
        ),
        pytest.param(
            {"metric": "http_requests_total", "labels": {"path": r'/"q" \\ \n'}}, True, "1", id="escapes"
        ),
        pytest.param(
            {"metric": "queue_length", "at_least": 8}, False, "7.5, expected at least 8", id="too-little"
        ),
        pytest.param({"metric": "queue_length", "at_least": 7.5, "at_most": 7.5}, True, "7.5", id="between"),
        pytest.param({"metric": "odd", "at_most": 1}, False, "nan, expected at most 1", id="nan-at-most"),
        pytest.param({"metric": "odd", "at_least": 1}, False, "nan, expected at least 1", id="nan-at-least"),
        pytest.param({"metric": "huge", "at_least": 1}, True, "inf", id="infinite"),
    ],
)
def test_a_metric_is_within_its_bounds_or_says_what_it_is(
    fields: dict[str, Any], ok: bool, detail: str
) -> None:
    answer = ask_server(probe(**fields), text=PAGE)
    assert (answer.ok, answer.detail) == (ok, detail)


def test_a_metrics_page_that_cannot_be_read_does_not_hold() -> None:
    answer = ask_server(probe(metric="redis_up", path="/m"), text=PAGE, status=500)
    assert (answer.ok, answer.detail) == (False, "status 500, expected 200")
    answer = ask_server(probe(metric="redis_up", timeout="200ms"), hanging=True)
    assert (answer.ok, answer.detail) == (False, "no answer within 0.2 s")
    answer = ask_server(probe(metric="redis_up"), text="redis_up many")
    assert answer.detail.startswith("ValueError: ")


def test_a_rate_is_not_known_before_half_its_time_and_then_is_the_increase_a_second() -> None:
    question = probe(metric="lines_total", over="400ms", every="20ms", at_most=200)

    async def go() -> list[Answer]:
        async with serving(text="lines_total 5000") as server:

            async def count() -> None:
                lines, begun = 5000, asyncio.get_running_loop().time()
                while True:
                    await asyncio.sleep(0.005)
                    lines = 5000 + int(100 * (asyncio.get_running_loop().time() - begun))
                    server.text = f"lines_total {lines}"

            counting = asyncio.create_task(count())
            try:
                return await sample(question, server.address, lambda answers: len(answers) >= 40)
            finally:
                counting.cancel()

    answers = asyncio.run(go())
    first = answers[0].ended
    for answer in answers:
        if answer.ended - first < 0.19:
            assert (answer.ok, answer.detail) == (False, "not known yet")
    late = [answer for answer in answers if answer.ended - first > 0.3]
    assert len(late) > 10
    assert all(answer.ok for answer in late)
    assert all(60 <= float(answer.detail.removesuffix(" a second")) <= 140 for answer in late)


def test_increases_follow_resets_gaps_and_series_that_appear() -> None:
    ok, failed = (("status", "200"),), (("status", "500"),)
    increase = Increase(2.0)
    assert increase.add(100.0, {ok: 1000.0}) is None
    assert increase.add(100.9, {ok: 1009.0}) is None, "not yet half of the time"
    assert increase.add(101.0, {ok: 1010.0}) == 10.0
    assert increase.add(102.0, {ok: 4.0}) == pytest.approx(14 / 2), "reset: counts from 0"
    assert increase.add(103.0, {ok: 4.0, failed: 3.0}) == pytest.approx(7 / 2), "its first event counts"
    assert increase.add(104.0, {failed: 3.0}) == pytest.approx(3 / 2), "a series that vanished adds nothing"
    assert increase.add(105.0, {ok: 5.0, failed: 3.0}) == pytest.approx(1 / 2), (
        "nor all of it when it is back"
    )
    assert increase.add(120.0, {ok: 900.0}) is None, "nothing is known of the time between"
    assert increase.add(122.0, {ok: 900.0}) == 0.0


# --- filling in ---------------------------------------------------------------------------------------------


def test_references_are_filled_in_everywhere_and_unknown_ones_refused() -> None:
    values = {"key": "k1"}
    assert fill({"a": ["${key}", ("x${key}y", 5)], "b": None}, values) == {
        "a": ["k1", ["xk1y", 5]],
        "b": None,
    }
    assert fill("$key {key} ${KEY}", values) == "$key {key} ${KEY}"
    with pytest.raises(UsageError, match=r"\$\{kye\} is not known here; known: key"):
        fill("${kye}", values)
