"""The monitoring stack against real Prometheus and Alertmanager: instants beside an independent observer's."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from detectors.real_stack import (
    EVALUATION_S,
    FOR_S,
    NEEDS_SERVERS,
    QUIET,
    SCRAPE_S,
    WAIT_S,
    RealStack,
)
from detectors.stack import FIRING, INACTIVE, PENDING, UNKNOWN, Recorder, opened, run, summary, until
from gameday.clock import Instant
from gameday.detectors.base import Detector, NoticeKind

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("prometheus"),
    NEEDS_SERVERS,
]
# the accuracy that was promised: one look, and what a busy machine adds to either side
POLL_S, SLACK_S = 0.2, 0.06


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    stack = RealStack(tmp_path_factory.mktemp("stack"))
    try:
        stack.open()
        yield stack
    finally:
        stack.close()


@pytest.fixture
def servers(real: RealStack) -> RealStack:
    real.until_quiet()
    return real


@asynccontextmanager
async def watching(
    root: Path, servers: RealStack, recorder: Recorder, **settings: Any
) -> AsyncIterator[Detector]:
    detector = opened(root, servers.url, recorder, every="200ms", **settings)
    await detector.start()
    try:
        yield detector
    finally:
        await detector.stop()


class Observer:
    """Asks the rules API every 10 ms on a thread of its own: when did the answers first show each state?"""

    def __init__(self, url: str, alert: str) -> None:
        self.seen: list[tuple[str, float, float]] = []  # state, between which two instants (monotonic)
        self._url, self._alert = url, alert
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(5)

    def _watch(self) -> None:
        last, before_s = "inactive", time.monotonic()
        while not self._end.wait(0.01):
            sent_s = time.monotonic()
            with urllib.request.urlopen(f"{self._url}/api/v1/rules?type=alert", timeout=5) as answer:
                groups = json.load(answer)["data"]["groups"]
            received_s = time.monotonic()
            rules = [rule for group in groups for rule in group["rules"] if rule["name"] == self._alert]
            state = rules[0]["state"]
            if state != last:
                self.seen.append((state, before_s, received_s))
            last, before_s = state, sent_s


def test_instants_agree_with_an_observer_that_asks_every_10_ms(tmp_path: Path, servers: RealStack) -> None:
    recorder = Recorder()

    async def body() -> None:
        async with watching(tmp_path, servers, recorder):
            servers.app.page = QUIET.replace("busy 0", "busy 1")
            await until(lambda: recorder.states("busy") == [PENDING, FIRING], 15)
            servers.app.page = QUIET
            await until(lambda: recorder.states("busy") == [PENDING, FIRING, INACTIVE], 15)
            await asyncio.sleep(0.1)

    with Observer(servers.url, "busy") as observer:
        run(body, 60)
    found = recorder.of("busy")
    assert [state for state, _, _ in observer.seen] == ["pending", "firing", "inactive"]
    for transition, (state, first_s, last_s) in zip(found, observer.seen, strict=True):
        at_s = transition.at.mono_ns / 1e9
        assert abs(at_s - last_s) <= POLL_S + SLACK_S, state
        # both bound the same change: their bounds meet
        assert at_s - transition.resolution_s <= last_s + SLACK_S, state
        assert first_s <= at_s + SLACK_S, state
        assert transition.resolution_s <= POLL_S + SLACK_S, state
    assert found[1].at - found[0].at == pytest.approx(FOR_S, abs=0.25)


def test_the_floor_is_that_of_both_configurations_and_holds(tmp_path: Path, servers: RealStack) -> None:
    servers.forget_groups()
    recorder = Recorder()
    hook = {"listen": f"127.0.0.1:{servers.hook_port}", "path": "/told", "secret": "${file:hook}"}
    (tmp_path / "hook").write_text("hush\n")

    async def body() -> None:
        async with watching(
            tmp_path, servers, recorder, alertmanager={"url": servers.alertmanager_url}, webhook=hook
        ) as detector:
            floor = next(rule.floor for rule in detector.rules() if rule.name == "busy")
            assert floor == {
                "scrape_s": SCRAPE_S,
                "evaluation_s": EVALUATION_S,
                "for_s": FOR_S,
                "group_wait_s": WAIT_S,
                "fires_s": SCRAPE_S + EVALUATION_S + FOR_S,
                "notifies_s": SCRAPE_S + EVALUATION_S + FOR_S + WAIT_S,
            }
            servers.app.page = QUIET.replace("busy 0", "busy 1")
            began = Instant.now()
            await until(lambda: NoticeKind.NOTIFIED in recorder.kinds("busy"), 15)
            firing = recorder.of("busy")[1]
            told = recorder.notices[0]
            assert firing.state_to is FIRING
            assert FOR_S <= firing.at - began <= SCRAPE_S + EVALUATION_S + FOR_S + 0.5
            assert told.at - firing.at >= WAIT_S - 0.1
            assert told.at - began <= SCRAPE_S + EVALUATION_S + FOR_S + WAIT_S + 0.7
            servers.app.page = QUIET
            await until(lambda: NoticeKind.END_NOTIFIED in recorder.kinds("busy"), 20)
            assert "hush" not in json.dumps(detector.describe()) + detector.health().detail

    run(body, 60)


def test_a_silenced_alert_fires_and_nobody_is_told(tmp_path: Path, servers: RealStack) -> None:
    recorder = Recorder()
    hook = {"listen": f"127.0.0.1:{servers.hook_port}", "path": "/told/hush"}
    silence = servers.silence("busy")

    async def body() -> None:
        async with watching(
            tmp_path, servers, recorder, alertmanager={"url": servers.alertmanager_url}, webhook=hook
        ):
            servers.app.page = QUIET.replace("busy 0", "busy 1")
            await until(lambda: recorder.kinds("busy") == [NoticeKind.SUPPRESSED], 15)
            await asyncio.sleep(2 * WAIT_S)
            assert FIRING in recorder.states("busy")
            assert recorder.notices[0].from_the_start
            assert recorder.notices[0].detail.startswith(f"silenced by {silence}, until ")
            assert recorder.notices[0].detail.endswith(", by anna")
            assert recorder.kinds("busy") == [NoticeKind.SUPPRESSED]
            servers.expire(silence)
            await until(lambda: NoticeKind.RELEASED in recorder.kinds("busy"), 10)
            await until(lambda: NoticeKind.NOTIFIED in recorder.kinds("busy"), 15)

    try:
        run(body, 60)
    finally:
        if not recorder.notices or recorder.notices[-1].kind is NoticeKind.SUPPRESSED:
            servers.expire(silence)


def test_an_inhibited_alert_is_named_with_what_inhibits_it(tmp_path: Path, servers: RealStack) -> None:
    recorder = Recorder()

    async def body() -> None:
        async with watching(tmp_path, servers, recorder, alertmanager={"url": servers.alertmanager_url}):
            servers.app.page = QUIET.replace("busy 0", "busy 1")
            await until(lambda: FIRING in recorder.states("busy"), 15)
            servers.app.page = QUIET.replace("busy 0", "busy 1").replace("kept 0", "kept 1")
            await until(lambda: NoticeKind.SUPPRESSED in recorder.kinds("kept"), 15)
            found = next(notice for notice in recorder.notices if notice.alert == "kept")
            assert found.detail == "inhibited by busy"

    run(body, 60)


def test_keep_firing_for_keeps_it_firing(tmp_path: Path, servers: RealStack) -> None:
    recorder = Recorder()

    async def body() -> None:
        async with watching(tmp_path, servers, recorder):
            servers.app.page = QUIET.replace("kept 0", "kept 1")
            await until(lambda: recorder.states("kept") == [PENDING, FIRING], 10)
            servers.app.page = QUIET
            gone = Instant.now()
            await until(lambda: recorder.states("kept") == [PENDING, FIRING, INACTIVE], 15)
            assert 3.0 <= recorder.of("kept")[-1].at - gone <= 3.0 + SCRAPE_S + 2 * EVALUATION_S + 0.5

    run(body, 60)


def test_a_rule_that_fails_is_unknown_until_it_works_again(tmp_path: Path, servers: RealStack) -> None:
    recorder = Recorder()

    async def body() -> None:
        async with watching(tmp_path, servers, recorder) as detector:
            servers.app.page = QUIET + 'right{a="1"} 1\n'
            await until(lambda: not detector.health().ok, 10)
            assert "rule mixed: health err" in detector.health().detail
            assert "duplicate" in detector.health().detail
            assert summary(detector, "mixed").state is UNKNOWN
            assert summary(detector, "busy").state is INACTIVE
            servers.app.page = QUIET
            await until(lambda: detector.health().ok, 10)
            assert summary(detector, "mixed").state is INACTIVE

    run(body, 60)


def test_a_prometheus_that_stalls_dies_and_comes_back_is_unknown_and_resolves_nothing(
    tmp_path: Path, servers: RealStack
) -> None:
    recorder = Recorder()

    async def body() -> None:
        async with watching(tmp_path, servers, recorder, access={"timeout": "500ms"}) as detector:
            servers.app.page = QUIET.replace("busy 0", "busy 1")
            await until(lambda: FIRING in recorder.states("busy"), 15)
            servers.signal("prometheus", signal.SIGSTOP)
            await until(lambda: not detector.health().ok, 5)
            assert {alert.state for alert in detector.alerts()} == {UNKNOWN}
            servers.signal("prometheus", signal.SIGCONT)
            await until(lambda: detector.health().ok, 10)
            assert summary(detector, "busy").state is FIRING
            servers.signal("prometheus", signal.SIGKILL)
            await until(lambda: not detector.health().ok, 5)
            servers.app.page = QUIET
            servers.start_prometheus()
            await until(lambda: detector.health().ok, 20)
            assert summary(detector, "busy").state is not FIRING
            assert INACTIVE not in recorder.states("busy")

    run(body, 90)
