"""Alertmanager against a scripted server: silenced and inhibited are seen, with by whom and until when."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from detectors.api_server import ApiServer, FakePrometheus, rfc
from detectors.stack import FIRING, UNKNOWN, Recorder, opened, run, summary, until
from gameday.detectors.base import Detector, NoticeKind
from gameday.detectors.floor import read_routes
from gameday.errors import DetectorError

SILENCE = "0f4b1d3e-8a1b-4a64-9f0d-2d2d6a3f6a11"
ROUTES = """
global: {resolve_timeout: 5m}
route:
  receiver: all
  group_wait: 20s
  routes:
  - {matchers: ['severity="SEV1"'], group_wait: 1s, receiver: all}
  - matchers: ['severity=~"SEV[23]"', 'team!="b"']
    receiver: all
    routes: [{match: {alertname: down}, group_wait: 5s}]
  - {matchers: ['instance="x"'], group_wait: 3m, receiver: all}
"""


class FakeAlertmanager(ApiServer):
    def __init__(self) -> None:
        super().__init__()
        self.alerts: list[dict[str, Any]] = []
        self.paths = {
            "/api/v2/alerts": lambda: self.alerts,
            "/api/v2/status": {"config": {"original": ROUTES}},
            f"/api/v2/silence/{SILENCE}": {
                "id": SILENCE,
                "endsAt": "2026-11-21T18:00:00.000Z",
                "createdBy": "anna",
                "comment": "password is hunter2",
            },
        }

    def put(
        self, name: str, state: str, silenced: tuple[str, ...] = (), inhibited: tuple[str, ...] = ()
    ) -> None:
        status = {"state": state, "silencedBy": list(silenced), "inhibitedBy": list(inhibited)}
        self.alerts.append(
            {"labels": {"alertname": name}, "status": status, "fingerprint": f"{len(self.alerts):016x}"}
        )


@contextlib.asynccontextmanager
async def stack(
    root: Path, recorder: Recorder, **settings: Any
) -> AsyncIterator[tuple[FakePrometheus, FakeAlertmanager, Detector]]:
    async with FakePrometheus() as prometheus, FakeAlertmanager() as alertmanager:
        prometheus.rule("down", labels={"severity": "SEV1"})
        prometheus.rule("slow", labels={"severity": "SEV2", "team": "a"})
        where = {"url": alertmanager.url, "every": "50ms", "access": {"timeout": "300ms"}}
        detector = opened(root, prometheus.url, recorder, alertmanager=where, **settings)
        await detector.start()
        try:
            yield prometheus, alertmanager, detector
        finally:
            await detector.stop()


def test_an_alert_that_is_silenced_is_said_to_be_so_and_by_whom(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with stack(tmp_path, recorder) as (prometheus, alertmanager, detector):
            prometheus.fire("down")
            alertmanager.put("down", "suppressed", silenced=(SILENCE,))
            await until(lambda: recorder.kinds("down") == [NoticeKind.SUPPRESSED])
            await until(lambda: summary(detector, "down").state is FIRING)
            notice = recorder.notices[0]
            assert notice.from_the_start
            assert notice.detail == f"silenced by {SILENCE}, until 2026-11-21 18:00:00 UTC, by anna"
            assert 0 < notice.resolution_s < 0.5
            alertmanager.alerts.clear()
            alertmanager.put("down", "active")
            await until(lambda: recorder.kinds("down") == [NoticeKind.SUPPRESSED, NoticeKind.RELEASED])

    run(body)


def test_an_alert_that_is_inhibited_is_said_to_be_so_and_by_which(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with stack(tmp_path, recorder) as (_, alertmanager, _detector):
            alertmanager.put("down", "active")
            alertmanager.put("slow", "suppressed", inhibited=(f"{0:016x}",))
            await until(lambda: recorder.kinds("slow"))
            assert recorder.notices[0].detail == "inhibited by down"
            assert recorder.kinds("down") == []

    run(body)


def test_silenced_after_it_could_be_seen_is_not_from_the_start(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with stack(tmp_path, recorder) as (_, alertmanager, _detector):
            alertmanager.put("down", "active")
            seen = len(alertmanager.requests)
            await until(lambda: len(alertmanager.requests) > seen + 2)
            alertmanager.alerts.clear()
            alertmanager.put("down", "suppressed", silenced=(SILENCE,))
            await until(lambda: recorder.notices)
            assert not recorder.notices[0].from_the_start

    run(body)


def test_an_alert_of_which_one_label_set_is_active_is_not_suppressed(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with stack(tmp_path, recorder) as (_, alertmanager, _detector):
            alertmanager.put("down", "suppressed", silenced=(SILENCE,))
            alertmanager.put("down", "active")
            alertmanager.put("slow", "unprocessed")
            seen = len(alertmanager.requests)
            await until(lambda: len(alertmanager.requests) > seen + 3)
            assert recorder.notices == []

    run(body)


@pytest.mark.parametrize("failure", ["dies", "hangs", "500", "wrong", "strange state"])
def test_an_alertmanager_that_cannot_tell_makes_the_stack_blind(tmp_path: Path, failure: str) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with stack(tmp_path, recorder) as (_, alertmanager, detector):
            assert detector.health().ok
            if failure == "dies":
                await alertmanager.die()
            elif failure == "hangs":
                alertmanager.hang = True
            elif failure == "500":
                alertmanager.status = 500
            elif failure == "wrong":
                alertmanager.paths["/api/v2/alerts"] = {"alerts": []}
            else:
                alertmanager.put("down", "elsewhere")
            await until(lambda: not detector.health().ok)
            assert "Alertmanager" in detector.health().detail
            assert [health.ok for health in recorder.health] == [True, False]
            if failure == "dies":
                await alertmanager.listen()
            alertmanager.hang, alertmanager.status = False, 200
            alertmanager.alerts.clear()
            alertmanager.paths["/api/v2/alerts"] = lambda: alertmanager.alerts
            await until(lambda: detector.health().ok)

    run(body)


def test_a_stack_whose_alertmanager_is_not_there_refuses_to_start(tmp_path: Path) -> None:
    async def body() -> None:
        async with FakePrometheus() as prometheus:
            prometheus.rule("down")
            detector = opened(tmp_path, prometheus.url, alertmanager={"url": "http://127.0.0.1:1"})
            with pytest.raises(DetectorError, match="Alertmanager"):
                await detector.start()

    run(body)


def test_the_floor_has_the_group_wait_of_the_alerts_route(tmp_path: Path) -> None:
    async def body() -> None:
        async with stack(tmp_path, Recorder()) as (_, _alertmanager, detector):
            floors = {rule.name: rule.floor for rule in detector.rules()}
            assert floors["down"]["group_wait_s"] == 1.0
            assert floors["down"]["notifies_s"] == 5.0 + 0.1 + 1.0
            assert floors["slow"]["group_wait_s"] == 20.0

    run(body)


@pytest.mark.parametrize(
    ("labels", "wait_s"),
    [
        ({"severity": "SEV1", "alertname": "a"}, 1.0),
        ({"severity": "SEV2", "team": "a", "alertname": "down"}, 5.0),
        ({"severity": "SEV2", "team": "a", "alertname": "up"}, 20.0),
        (
            {"severity": "SEV2", "alertname": "down"},
            180.0,
        ),  # a team and an instance may be among its series' labels
        ({"severity": "SEV2", "team": "b", "instance": "y", "alertname": "up"}, 20.0),
        ({"severity": "SEV9", "instance": "x", "alertname": "up"}, 180.0),
    ],
)
def test_routes_are_walked_as_alertmanager_does(labels: dict[str, str], wait_s: float) -> None:
    assert read_routes({"config": {"original": ROUTES}}).group_wait_s(labels) == wait_s


@pytest.mark.parametrize(
    "answer", [None, {}, {"config": {"original": "a: [b"}}, {"config": {"original": "a: 1"}}]
)
def test_routes_that_cannot_be_read_are_not_guessed(answer: Any) -> None:
    with pytest.raises(DetectorError):
        read_routes(answer)


@pytest.mark.parametrize(("since_s", "told"), [(-60.0, []), (1.0, [NoticeKind.NOTIFIED])])
@pytest.mark.parametrize("ahead_s", [0.0, 300.0])
def test_a_notification_of_an_earlier_spell_that_comes_late_is_none_of_this_watch(
    tmp_path: Path, ahead_s: float, since_s: float, told: list[NoticeKind]
) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as prometheus:
            prometheus.clock_ahead_s = ahead_s
            prometheus.rule("down")
            detector = opened(tmp_path, prometheus.url, recorder, webhook={"listen": "127.0.0.1:0"})
            await detector.start()
            where = urlsplit(str(detector.describe()["webhook"]))
            started = rfc(prometheus.now_s() + since_s)
            alert = {"status": "firing", "labels": {"alertname": "down"}, "startsAt": started}
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(where.geturl(), json={"version": "4", "alerts": [alert]})
            assert answer.status_code == 200
            assert recorder.kinds("down") == told
            await detector.stop()

    run(body)


def test_the_webhook_of_the_stack_tells_with_the_alert(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with stack(tmp_path, recorder, webhook={"listen": "127.0.0.1:0"}) as (prometheus, _, detector):
            told = detector.describe()
            assert str(told["webhook"]).startswith("http://127.0.0.1:")
            assert str(told["alertmanager"]).startswith("http://127.0.0.1:")
            assert [health.ok for health in recorder.health] == [True]
            await prometheus.die()
            await until(lambda: not detector.health().ok)
            assert {alert.state for alert in detector.alerts()} == {UNKNOWN}

    run(body)
