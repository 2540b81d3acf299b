"""Alertmanager alone and notifications alone as detectors: what they know, and what they must not claim to know."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from detectors.api_server import rfc
from detectors.stack import FIRING, INACTIVE, UNKNOWN, Recorder, opened_by, run, summary, until
from detectors.test_alertmanager import SILENCE, FakeAlertmanager
from gameday.clock import Instant
from gameday.detectors.base import Detector, NoticeKind
from gameday.detectors.foreign_rules import load_foreign_rules
from gameday.environment import DetectorSettings
from gameday.errors import DetectorError, InvalidFile, UsageError

RULES = """
groups:
- name: g
  interval: 2s
  rules:
  - {record: x, expr: sum(y)}
  - {alert: down, expr: up == 0, for: 3s, labels: {severity: SEV1, team: '{{ $labels.team }}'}}
  - {alert: slow, expr: 'slow > 1'}
  - {alert: Watchdog, expr: vector(1)}
"""


def made(root: Path, recorder: Recorder, text: str = RULES, **settings: Any) -> Detector:
    (root / "rules.yml").write_text(text)
    parsed = TypeAdapter(DetectorSettings).validate_python({"rules": "rules.yml", **settings})
    return opened_by(parsed, root, recorder)


def send(server: FakeAlertmanager, name: str, *, age_s: float = 0.0, ends_in_s: float = 240.0) -> None:
    """As Prometheus does: it says until when the alert is valid."""
    server.alerts = [alert for alert in server.alerts if alert["labels"]["alertname"] != name]
    server.put(name, "active")
    server.alerts[-1] |= {"updatedAt": rfc(time.time() - age_s), "endsAt": rfc(time.time() + ends_in_s)}


def drop(server: FakeAlertmanager, name: str) -> None:
    server.alerts = [alert for alert in server.alerts if alert["labels"]["alertname"] != name]


@asynccontextmanager
async def watched(
    root: Path, recorder: Recorder, **settings: Any
) -> AsyncIterator[tuple[FakeAlertmanager, Detector]]:
    async with FakeAlertmanager() as server:
        send(server, "Watchdog")
        access = {"timeout": "200ms"}
        where = {"kind": "alertmanager", "url": server.url, "every": "50ms", "access": access}
        detector = made(root, recorder, **{**where, "heartbeat": "Watchdog", **settings})
        await detector.start()
        try:
            yield server, detector
        finally:
            await detector.stop()


# --- Alertmanager -----------------------------------------------------------------------------------------


def test_what_alertmanager_has_fires_and_ends_when_it_is_resolved(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with watched(tmp_path, recorder) as (server, detector):
            assert detector.health().ok
            assert summary(detector, "down").state is INACTIVE
            began = Instant.now()
            send(server, "down")
            await until(lambda: summary(detector, "down").state is FIRING)
            drop(server, "down")
            await until(lambda: summary(detector, "down").state is INACTIVE)
            fired, ended = recorder.of("down")
            assert (fired.state_to, fired.seen, ended.resolved) == (FIRING, "observed", True)
            assert fired.at.plus(-fired.resolution_s) <= began.plus(0.1)
            assert fired.resolution_s < 0.5
            assert summary(detector, "slow").state is INACTIVE

    run(body)


def test_a_silenced_alert_is_reported_as_such_from_the_start(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with watched(tmp_path, recorder) as (server, _):
            server.put("down", "suppressed", silenced=(SILENCE,))
            await until(lambda: recorder.notices)
            (notice,) = recorder.notices
            assert (notice.kind, notice.alert, notice.from_the_start) == (
                NoticeKind.SUPPRESSED,
                "down",
                True,
            )
            assert "by anna" in notice.detail

    run(body)


def test_without_a_heartbeat_an_alert_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with watched(tmp_path, recorder, heartbeat=None) as (server, detector):
            assert not detector.health().ok
            assert "proves nothing" in detector.health().detail
            assert summary(detector, "down").state is UNKNOWN
            send(server, "down")
            await until(lambda: summary(detector, "down").state is FIRING)
            drop(server, "down")
            await until(lambda: summary(detector, "down").state is UNKNOWN)
            assert recorder.states("down") == [FIRING]  # and nothing "resolved"

    run(body)


@pytest.mark.parametrize("how", ["gone", "old"])
def test_a_heartbeat_that_is_gone_or_old_makes_absence_unknown(tmp_path: Path, how: str) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with watched(tmp_path, recorder) as (server, detector):
            if how == "gone":
                drop(server, "Watchdog")
            else:
                send(server, "Watchdog", age_s=200, ends_in_s=40)
            await until(lambda: not detector.health().ok)
            assert "heartbeat Watchdog" in detector.health().detail
            assert summary(detector, "down").state is UNKNOWN
            send(server, "Watchdog")
            await until(lambda: detector.health().ok)
            assert [health.ok for health in recorder.health] == [True, False, True]

    run(body)


def test_an_alert_that_expires_is_unknown_until_a_heartbeat_that_was_sent_later(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with watched(tmp_path, recorder) as (server, detector):
            send(server, "down", ends_in_s=0.3)
            await until(lambda: summary(detector, "down").state is FIRING)
            drop(server, "down")
            await until(lambda: summary(detector, "down").state is UNKNOWN)
            await asyncio.sleep(0.2)
            assert recorder.states("down") == [FIRING]
            send(server, "Watchdog")
            await until(lambda: summary(detector, "down").state is INACTIVE)
            assert recorder.of("down")[-1].resolution_s >= 0.2

    run(body)


@pytest.mark.parametrize("ill", ["slow", "status", "garbage", "truncated", "another", "dead"])
def test_an_alertmanager_that_is_slow_wrong_or_gone_makes_all_unknown(tmp_path: Path, ill: str) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with watched(tmp_path, recorder) as (server, detector):
            send(server, "slow")
            await until(lambda: summary(detector, "slow").state is FIRING)
            match ill:
                case "slow":
                    server.delay_s = 5
                case "status":
                    server.status = 503
                case "garbage":
                    server.paths["/api/v2/alerts"] = b"<html>"
                case "truncated":
                    server.truncate = True
                case "another":
                    server.paths["/api/v2/alerts"] = [{"labels": ["x"], "status": {}}]
                case "dead":
                    await server.die()
            await until(lambda: not detector.health().ok)
            assert {alert.state for alert in detector.alerts()} == {UNKNOWN}
            assert recorder.states("slow") == [FIRING]

    run(body)


def test_an_alertmanager_that_is_not_there_is_no_detector(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("gameday.detectors.alertmanager._FIRST_ANSWER_S", 0.3)
    detector = made(tmp_path, Recorder(), kind="alertmanager", url="http://127.0.0.1:1", every="50ms")
    with pytest.raises(DetectorError, match="Alertmanager"):
        run(detector.start)


def test_the_floor_says_what_files_and_routes_tell_and_no_more(tmp_path: Path) -> None:
    async def body() -> None:
        async with watched(tmp_path, Recorder()) as (_, detector):
            down, slow, _ = detector.rules()
            assert dict(down.floor) == {
                "scrape_s": None, "evaluation_s": 2.0, "for_s": 4.0, "group_wait_s": 1.0,
                "fires_s": None, "notifies_s": None,
            }  # fmt: skip
            assert down.severity == "SEV1"
            assert "team" not in down.labels
            assert slow.floor["group_wait_s"] == 180.0

    run(body)


def test_files_that_are_no_rules_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("groups: [{name: g, rules: [{alert: x, for: soon}, {}]}]")
    with pytest.raises(InvalidFile, match=r"no Prometheus duration(?s:.*)expected a rule"):
        load_foreign_rules([tmp_path / "a.yml"])
    (tmp_path / "b.yml").write_text("groups: [{name: g, rules: [{record: x, expr: y}]}]")
    with pytest.raises(InvalidFile, match="no alerting rule"):
        load_foreign_rules([tmp_path / "b.yml"])


# --- notifications ----------------------------------------------------------------------------------------


class Hook:
    def __init__(self, detector: Detector) -> None:
        self.url = str(detector.describe()["webhook"])

    async def tell(self, name: str, status: str = "firing", began_s: float | None = None) -> None:
        at = rfc(time.time() + 1 if began_s is None else began_s)
        alert = {"status": status, "labels": {"alertname": name}, "startsAt": at}
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(self.url, json={"version": "4", "alerts": [alert]})
            assert answer.status_code == 200


@asynccontextmanager
async def listening(root: Path, recorder: Recorder, **settings: Any) -> AsyncIterator[tuple[Hook, Detector]]:
    detector = made(root, recorder, kind="webhook", listen="127.0.0.1:0", **settings)
    await detector.start()
    try:
        yield Hook(detector), detector
    finally:
        await detector.stop()


BEAT = {"heartbeat": {"alert": "Watchdog", "within": "700ms"}}


def test_a_notification_is_the_instant_at_which_an_alert_fires_and_ends(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with listening(tmp_path, recorder, **BEAT) as (hook, detector):
            assert summary(detector, "down").state is UNKNOWN
            await hook.tell("Watchdog")
            assert summary(detector, "down").state is INACTIVE
            began = Instant.now()
            await hook.tell("down")
            await hook.tell("down", "resolved")
            fired, ended = recorder.of("down")
            assert (fired.state_to, fired.seen, ended.resolved) == (FIRING, "notified", True)
            assert 0 <= fired.at - began < 0.5
            assert recorder.kinds("down") == [NoticeKind.NOTIFIED, NoticeKind.END_NOTIFIED]

    run(body)


def test_without_its_heartbeat_nothing_is_known_any_more(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with listening(tmp_path, recorder, **BEAT) as (hook, detector):
            await hook.tell("Watchdog")
            await hook.tell("down")
            await until(lambda: len(recorder.health) == 3)
            assert [health.ok for health in recorder.health] == [False, True, False]
            assert "expected within 0.7 s" in recorder.health[-1].detail
            assert {alert.state for alert in detector.alerts()} == {UNKNOWN}
            assert recorder.states("down") == [FIRING]

    run(body)


def test_without_a_heartbeat_what_is_told_fires_and_the_rest_is_unknown(tmp_path: Path) -> None:
    async def body() -> None:
        async with listening(tmp_path, Recorder()) as (hook, detector):
            await hook.tell("down")
            assert summary(detector, "down").state is FIRING
            assert summary(detector, "slow").state is UNKNOWN
            assert not detector.health().ok

    run(body)


def test_what_began_before_the_watch_is_not_dated_into_it(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with listening(tmp_path, recorder) as (hook, _):
            started = Instant.now()
            await asyncio.sleep(0.2)
            await hook.tell("down", began_s=time.time() - 60)
            assert recorder.of("down")[0].at <= started

    run(body)


def test_what_is_no_notification_makes_all_unknown(tmp_path: Path) -> None:
    async def body() -> None:
        async with listening(tmp_path, Recorder(), **BEAT) as (hook, detector):
            await hook.tell("Watchdog")
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.post(hook.url, content=b"{}")
            assert not detector.health().ok
            assert {alert.state for alert in detector.alerts()} == {UNKNOWN}

    run(body)


def test_ports_and_secrets_that_no_target_gives_are_named(tmp_path: Path) -> None:
    secret = {"secret": "${secret:hook}"}
    with pytest.raises(UsageError, match=r"\$\{secret:hook\}"):
        made(tmp_path, Recorder(), kind="webhook", listen="0.0.0.0:0", **secret)
    with pytest.raises(UsageError, match=r"\$\{PORT\}"):
        made(tmp_path, Recorder(), kind="webhook", listen="127.0.0.1:${PORT}")
