"""What a drill writes down of a monitoring stack: how each instant is known, who was told, what the floor is."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from core.plays import recorded
from core.worlds import fake_environment, fake_project, fake_scenario
from detectors.api_server import FakePrometheus, rfc
from detectors.stack import until
from gameday.clock import Instant
from gameday.detector_settings import PrometheusDetector as Settings
from gameday.detectors.base import Notice, NoticeKind
from gameday.project import Project
from gameday.session import Session
from gameday.timeline import Kind


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return fake_project(tmp_path)


def test_a_drill_records_how_an_instant_is_known_the_floor_and_what_became_of_the_alert(
    project: Project,
) -> None:
    async def go() -> Session:
        async with FakePrometheus() as server:
            server.rule("it_is_down")
            settings = {"kind": "prometheus", "url": server.url, "every": "50ms"}
            detector = Settings.model_validate({**settings, "webhook": {"listen": "127.0.0.1:0"}})
            environment = fake_environment().model_copy(update={"detector": detector})
            session = Session(project, environment, "fake", fake_scenario())
            async with session:
                server.fire("it_is_down")
                await until(lambda: session.timeline.timeline.first(Kind.ALERT_FIRING))
                now = Instant.now()
                for kind in NoticeKind:
                    session._on_notice(Notice(kind, "it_is_down", {}, now, 0.5, "silenced by 1", True))
                alert = {
                    "status": "firing",
                    "labels": {"alertname": "other"},
                    "startsAt": rfc(time.time() + 1),
                }
                async with httpx.AsyncClient(trust_env=False) as client:
                    hook = str(session.detector.describe()["webhook"])
                    await client.post(hook, json={"version": "4", "alerts": [alert]})
            return session

    timeline = recorded(asyncio.run(go())).timeline
    firing = timeline.first(Kind.ALERT_FIRING)
    assert firing is not None
    assert firing.data["seen"] in {"observed", "evaluated", "derived"}
    rule = timeline.first(Kind.ALERT_RULE)
    assert rule is not None
    assert rule.data["floor"]["fires_s"] == pytest.approx(5.1)
    for kind in (Kind.ALERT_SUPPRESSED, Kind.ALERT_RELEASED, Kind.ALERT_END_NOTIFIED):
        (event,) = timeline.all(kind)
        assert (event.data["alert"], event.data["expected"], event.data["resolution_s"]) == (
            "it_is_down",
            True,
            0.5,
        )
        assert (event.data["detail"], event.data["from_the_start"]) == ("silenced by 1", True)
    told = [(event.data["alert"], event.data["expected"]) for event in timeline.all(Kind.ALERT_NOTIFIED)]
    assert told == [("it_is_down", True), ("other", False)]
