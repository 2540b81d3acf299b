"""Alertmanager alone and notifications alone, fed by a real Prometheus and Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from detectors.real_stack import NEEDS_SERVERS, QUIET, RealStack
from detectors.stack import FIRING, INACTIVE, Recorder, run, summary, until
from detectors.test_alone import made
from gameday.detectors.base import NoticeKind

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("prometheus"),
    NEEDS_SERVERS,
]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealStack]:
    stack = RealStack(tmp_path)
    try:
        stack.open()
        yield stack
    finally:
        stack.close()


def test_both_see_an_alert_come_and_go_and_a_silence(real: RealStack, tmp_path: Path) -> None:
    asked, told = Recorder(), Recorder()
    folder, rules = tmp_path / "other", (tmp_path / "rules.yml").read_text()
    folder.mkdir()

    async def body() -> None:
        look = made(folder, asked, rules, kind="alertmanager", url=real.alertmanager_url, heartbeat="mixed")
        hook = made(
            folder,
            told,
            rules,
            kind="webhook",
            listen=f"127.0.0.1:{real.hook_port}",
            path="/told/hush",
            heartbeat={"alert": "mixed", "within": "60s"},
        )
        beating = QUIET.replace("left 0\nright 0", "left 1\nright 1")
        real.app.page = beating
        await hook.start()
        await look.start()
        try:
            await until(lambda: look.health().ok and hook.health().ok, 20)
            real.app.page = beating.replace("busy 0", "busy 1")
            await until(lambda: summary(hook, "busy").state is FIRING, 20)
            assert summary(look, "busy").state is FIRING
            # an alert is there before somebody is told of it
            assert asked.of("busy")[0].at <= told.of("busy")[0].at
            real.app.page = beating
            await until(lambda: summary(look, "busy").state is INACTIVE, 20)
            await until(lambda: summary(hook, "busy").state is INACTIVE, 20)
            real.silence("busy")
            real.app.page = beating.replace("busy 0", "busy 1")
            await until(lambda: asked.kinds("busy") == [NoticeKind.SUPPRESSED], 20)
            assert asked.notices[-1].from_the_start
            assert told.states("busy") == [FIRING, INACTIVE]  # nobody was told
        finally:
            await look.stop()
            await hook.stop()

    run(body, 90)
