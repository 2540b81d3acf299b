"""Detectors that evaluate PromQL beside their rules, and drills that such a reading ends: an answer or an error."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.plays import begin, recorded
from core.test_session import nothing_is_left
from core.worlds import fake_environment, fake_project, fake_scenario
from detectors.api_server import FakePrometheus
from detectors.metrics_server import MetricsServer
from detectors.real_stack import ALERTMANAGER, PROMETHEUS, QUIET, SCRAPE_S, RealStack
from detectors.stack import opened, run, until
from detectors.test_embedded import INTERVAL_S, rule_set
from gameday.detector_settings import PrometheusDetector as Settings
from gameday.detectors.base import Queries, Sample
from gameday.detectors.embedded import EmbeddedDetector
from gameday.detectors.prometheus_query import read_query_answer
from gameday.detectors.promql import UnsupportedError
from gameday.detectors.scrape import ScrapeTarget
from gameday.errors import Aborted, DetectorError, Refused, UsageError
from gameday.fields import parse
from gameday.project import Project
from gameday.session import Session
from gameday.stop_spec import QueryStop
from gameday.stopping import read
from gameday.striking import in_s
from gameday.timeline import Kind

# --- the embedded detector ----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    one = MetricsServer()
    one.page = "errors 3\nbusy 0\n"
    one.start()
    yield one
    one.close()


def embedded(tmp_path: Path, server: MetricsServer, *queries: str, speed: float = 1.0) -> EmbeddedDetector:
    rules = rule_set(tmp_path, speed, r="busy > 1")
    targets = [ScrapeTarget("app", "a", server.url)]
    return EmbeddedDetector(rules, targets, interval_s=INTERVAL_S, queries=queries)


async def watching(detector: EmbeddedDetector, body: Callable[[], Awaitable[None]]) -> None:
    await detector.start()
    try:
        await body()
    finally:
        await detector.stop()


def test_the_embedded_detector_answers_from_its_own_samples(tmp_path: Path, server: MetricsServer) -> None:
    detector = embedded(tmp_path, server, "errors > 2", "rate(errors[2s])", speed=2)

    async def body() -> None:
        with pytest.raises(DetectorError, match="the embedded detector is blind: no evaluation yet"):
            await detector.query("errors > 2")
        await until(lambda: detector.health().ok)
        labels = {"__name__": "errors", "job": "app", "instance": "a"}
        assert await detector.query("errors > 2") == (Sample(labels, 3.0),)
        assert await detector.query("errors > 3") == ()
        assert await detector.query("absent_at_all > 3") == ()
        await until(lambda: detector._ticks_evaluated >= 2)
        server.page = "errors 1003\n"
        await asyncio.sleep(2 * INTERVAL_S)
        (rate,) = await detector.query("rate(errors[2s])")
        assert rate.value > 100
        await asyncio.sleep(1.0 + 2 * INTERVAL_S)  # the window, divided by the speed
        assert [found.value for found in await detector.query("rate(errors[2s])")] == [0.0]

    assert isinstance(detector, Queries)
    run(lambda: watching(detector, body))


def test_a_window_of_a_query_is_kept_even_where_no_rule_has_one(
    tmp_path: Path, server: MetricsServer
) -> None:
    detector = embedded(tmp_path, server, "increase(errors[1m]) > 0")
    assert detector._evaluator._storage._retention_ms >= 60_000


def test_a_window_is_not_known_before_two_scrapes(tmp_path: Path, server: MetricsServer) -> None:
    detector = embedded(tmp_path, server)
    detector._ticks_evaluated = 1

    async def body() -> None:
        await until(lambda: detector.health().ok)
        detector._ticks_evaluated = 1
        with pytest.raises(DetectorError, match="a window needs two scrapes"):
            await detector.query("rate(errors[2s])")

    run(lambda: watching(detector, body))


def test_a_query_beyond_the_embedded_evaluator_is_refused_before_anything_is_contacted(
    tmp_path: Path, server: MetricsServer
) -> None:
    with pytest.raises(UnsupportedError, match=r"uses `avg_over_time\(\)`"):
        embedded(tmp_path, server, "avg_over_time(errors[1m])")
    with pytest.raises(UsageError, match=r"`rate\(errors\[300ms\]\)`: its window of 0.3 s"):
        embedded(tmp_path, server, "rate(errors[300ms])")
    assert server.requests == 0


def test_a_detector_that_stands_still_answers_nothing(tmp_path: Path, server: MetricsServer) -> None:
    detector = embedded(tmp_path, server)

    async def body() -> None:
        await until(lambda: detector.health().ok)
        detector._tasks[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(DetectorError, match="blind"):
            await detector.query("errors")

    run(lambda: watching(detector, body))


def test_series_of_a_target_that_hangs_vanish_which_only_the_condition_can_judge(
    tmp_path: Path, server: MetricsServer
) -> None:
    detector = embedded(tmp_path, server)
    quiet = parse(QueryStop, {"promql": "errors > 5"})
    unread = parse(QueryStop, {"promql": "errors > 5", "absent_is": "unread"})

    async def body() -> None:
        await until(lambda: detector.health().ok)
        assert await read(unread, detector) == ()
        server.hang.set()
        await until(detector.down)
        assert await read(quiet, detector) == ()
        with pytest.raises(DetectorError, match=r"there is no series errors\{\}"):
            await read(unread, detector)
        server.release.set()

    run(lambda: watching(detector, body))


# --- Prometheus' answers ------------------------------------------------------------------------------------


def vector(*series: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(series)}, **more}


ONE = {"metric": {"job": "api"}, "value": [1.0, "7"]}


def test_an_answer_is_samples() -> None:
    assert read_query_answer(vector(ONE)) == (Sample({"job": "api"}, 7.0),)
    assert read_query_answer(vector()) == ()
    assert read_query_answer(vector(ONE, warnings=["a store did not answer"])) == (
        Sample({"job": "api"}, 7.0),
    )
    counted = {"metric": {}, "histogram": [1.0, {"count": "3", "sum": "9"}]}
    assert read_query_answer(vector(counted)) == (Sample({}, 3.0),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"status": "error", "error": "x"}, "status 'error'"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "a result of type 'matrix'"),
        (
            vector(warnings=["a store did not\nanswer"]),
            "an empty answer with a warning: a store did not answer",
        ),
        (vector({"metric": {}, "value": [1.0, "x"]}), "not an answer of the query API"),
        (vector({"value": [1.0, "1"]}), "not an answer of the query API"),
        ([], "not an answer of the query API"),
        (None, "not an answer of the query API"),
        ({"status": "success"}, "not an answer of the query API"),
    ],
)
def test_whatever_is_no_answer_is_an_error(value: Any, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        read_query_answer(value)


def test_a_sample_is_shown_as_prometheus_writes_it() -> None:
    assert str(Sample({"__name__": "up", "job": "api"}, 0.0)) == 'up{job="api"} 0'
    assert str(Sample({"__name__": "up"}, 0.5)) == "up 0.5"
    assert str(Sample({}, 73.25)) == "73.25"


# --- drills -------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("gameday.plan.PREFLIGHT_S", 2.0)
    return fake_project(tmp_path)


def session_at(project: Project, url: str, stop: dict[str, Any], alert: str, **access: str) -> Session:
    """A drill of nothing whose detector is a Prometheus."""
    settings = {"kind": "prometheus", "url": url, "every": "50ms", "access": access}
    environment = fake_environment().model_copy(
        update={"detector": Settings.model_validate(settings), "stop_when": (parse(QueryStop, stop),)}
    )
    (project.root / "runbooks" / "01-demo.md").write_text(
        (project.root / "runbooks" / "01-demo.md").read_text().replace("it_is_down", alert)
    )
    return Session(project, environment, "fake", fake_scenario(("it_is_down", alert)))


def drilled(
    project: Project, stop: dict[str, Any], act: Callable[[FakePrometheus, Session], Awaitable[None]]
) -> Session:
    async def go() -> Session:
        async with FakePrometheus() as server:
            server.rule("it_is_down")
            server.paths["/api/v1/query"] = vector()
            session = session_at(project, server.url, stop, "it_is_down", timeout="300ms")
            async with session:
                await act(server, session)
            return session

    return asyncio.run(go())


async def aborted(session: Session, why: str) -> None:
    with pytest.raises(Aborted, match=why):
        await session.until(lambda: False, in_s(6))


def met(session: Session) -> dict[str, Any]:
    record = recorded(session)
    assert record.verdict.exit_code == 4
    nothing_is_left(session)
    (event,) = record.timeline.all(Kind.STOP_CONDITION)
    return dict(event.data)


STOP = {"promql": "errors > 5", "holds_for": "400ms", "every": "100ms", "grace": "1500ms"}


def test_an_expression_that_holds_for_its_time_ends_the_drill(project: Project) -> None:
    async def act(server: FakePrometheus, session: Session) -> None:
        await begin(session)
        server.paths["/api/v1/query"] = vector(ONE)
        await aborted(session, 'it does since .*: {job="api"} 7')

    told = met(drilled(project, STOP, act))
    assert (told["of"], told["outcome"]) == ("environment", "holds")
    assert 0.4 <= told["for_s"] < 1.0


def test_one_that_holds_for_less_does_not(project: Project) -> None:
    async def act(server: FakePrometheus, session: Session) -> None:
        await begin(session)
        for _ in range(3):
            server.paths["/api/v1/query"] = vector(ONE)
            await asyncio.sleep(0.2)
            server.paths["/api/v1/query"] = vector()
            await asyncio.sleep(0.3)

    session = drilled(project, STOP, act)
    assert recorded(session).timeline.first(Kind.STOP_CONDITION) is None
    assert session.aborted is None


@pytest.mark.parametrize("how", ["hangs", "dies", "fails"])
def test_a_prometheus_that_cannot_be_read_ends_the_drill_after_the_grace_and_not_before(
    project: Project, how: str
) -> None:
    async def act(server: FakePrometheus, session: Session) -> None:
        await begin(session)
        if how == "hangs":
            server.hang = True
        elif how == "dies":
            await server.die()
        else:
            server.status = 503
        await aborted(session, r"it was not read since .*grace 1.5s\): Prometheus at http")

    told = met(drilled(project, STOP, act))
    assert told["outcome"] == "unread"
    assert 1.5 <= told["for_s"] < 2.2


def test_an_outage_that_is_shorter_than_the_grace_ends_nothing(project: Project) -> None:
    async def act(server: FakePrometheus, session: Session) -> None:
        await begin(session)
        for _ in range(2):
            server.status = 503
            await asyncio.sleep(1.0)
            server.status = 200
            await asyncio.sleep(0.6)

    session = drilled(project, STOP, act)
    assert session.aborted is None
    assert recorded(session).timeline.first(Kind.STOP_CONDITION) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (vector(ONE), r"it holds already: \{job=\"api\"\} 7"),
        (vector(warnings=["partial"]), "it cannot be read: Prometheus at .*an empty answer with a warning"),
    ],
)
def test_what_holds_already_or_cannot_be_read_refuses_the_drill(
    project: Project, answer: Any, said: str
) -> None:
    async def act(server: FakePrometheus, session: Session) -> None:
        server.paths["/api/v1/query"] = answer
        await asyncio.sleep(0.3)
        with pytest.raises(Refused, match=said):
            await begin(session)

    # not even for its time: a limit that is broken already protects nothing
    session = drilled(project, {**STOP, "holds_for": "1m"}, act)
    record = recorded(session)
    assert (record.verdict.exit_code, record.timeline.first(Kind.UNDO_RECORDED)) == (3, None)


# --- a real Prometheus --------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.xdist_group("prometheus")
@pytest.mark.skipif(
    PROMETHEUS is None or ALERTMANAGER is None,
    reason="no Prometheus and Alertmanager on PATH (Debian: prometheus, prometheus-alertmanager)",
)
def test_a_real_prometheus_is_asked_and_one_that_stops_ends_the_drill(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stack = RealStack(tmp_path_factory.mktemp("real"))

    async def scraped(detector: Queries) -> None:
        """Twice: a window has a rate."""
        while not await detector.query('rate(busy{job="app"}[10s])'):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)

    async def asked() -> None:
        detector = opened(stack.folder, stack.url)
        assert isinstance(detector, Queries)
        await detector.start()
        try:
            await scraped(detector)
            (found,) = await detector.query('busy{job="app"}')
            assert (found.labels["__name__"], found.value) == ("busy", 0.0)
            assert await detector.query("busy > 0") == ()
            both = "left * on(job) group_left() right"
            assert [sample.value for sample in await detector.query(both)] == [0.0]
            with pytest.raises(DetectorError, match=r"status 400.*parse error"):
                await detector.query("busy >")
            unread = {"promql": "rate(busy[10s]) > 5 or gone offset 5m > 1", "absent_is": "unread"}
            with pytest.raises(DetectorError, match=r"there is no series gone\{\} offset 5m"):
                await read(parse(QueryStop, unread), detector)
        finally:
            await detector.stop()

    async def drilled_on_it(act: Callable[[Session], Awaitable[None]]) -> Session:
        stop = {"promql": 'left{job="app"} > 5', "holds_for": "1s", "every": "250ms", "grace": "2s"}
        session = session_at(project, stack.url, stop, "busy", timeout="500ms")
        async with session:
            await begin(session)
            await act(session)
        return session

    async def high(session: Session) -> None:
        stack.app.page = QUIET.replace("left 0", "left 9")
        await aborted(session, r'left\{.*job="app".*\} 9')

    async def still(session: Session) -> None:
        stack.signal("prometheus", signal.SIGSTOP)
        await aborted(session, r"grace 2s\): Prometheus at")

    try:
        stack.open()
        run(asked)
        told = met(asyncio.run(drilled_on_it(high)))
        assert (told["outcome"], 1.0 <= told["for_s"] < 2.0) == ("holds", True)
        stack.app.page = QUIET
        stack.until_quiet()
        time.sleep(3 * SCRAPE_S)
        told = met(asyncio.run(drilled_on_it(still)))
        assert (told["outcome"], 2.0 <= told["for_s"] < 3.5) == ("unread", True)
    finally:
        stack.close()
