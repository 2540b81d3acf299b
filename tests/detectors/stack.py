"""What the tests of the monitoring detectors share: a recorder, and waiting for what it records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gameday.detector_settings import PrometheusDetector as Settings
from gameday.detectors import open_detector
from gameday.detectors.base import Alert, AlertState, Detector, Health, Notice, NoticeKind, Transition
from gameday.environment import DetectorSettings
from gameday.targets.base import Address

INACTIVE, PENDING, FIRING, UNKNOWN = (
    AlertState.INACTIVE,
    AlertState.PENDING,
    AlertState.FIRING,
    AlertState.UNKNOWN,
)


class Recorder:
    """What a detector told, in order."""

    def __init__(self) -> None:
        self.transitions: list[Transition] = []
        self.health: list[Health] = []
        self.notices: list[Notice] = []

    def of(self, name: str) -> list[Transition]:
        return [
            transition for transition in self.transitions if transition.summary and transition.alert == name
        ]

    def states(self, name: str) -> list[AlertState]:
        return [transition.state_to for transition in self.of(name)]

    def kinds(self, name: str) -> list[NoticeKind]:
        return [notice.kind for notice in self.notices if notice.alert == name]


def opened(root: Path, url: str, recorder: Recorder | None = None, **settings: Any) -> Detector:
    """The detector that an environment with these settings gets."""
    kept = recorder or Recorder()
    parsed = Settings.model_validate({"kind": "prometheus", "url": url, "every": "50ms", **settings})
    return opened_by(parsed, root, kept)


def opened_by(settings: DetectorSettings, root: Path, kept: Recorder) -> Detector:
    """A detector with these settings, all that it tells kept."""
    return open_detector(
        settings,
        lambda _: Address("127.0.0.1", 1, "http://127.0.0.1:1"),
        root,
        speed=1.0,
        on_transition=kept.transitions.append,
        on_health=kept.health.append,
        on_notice=kept.notices.append,
    )


def run(body: Callable[[], Awaitable[None]], limit_s: float = 30.0) -> None:
    async def main() -> None:
        async with asyncio.timeout(limit_s):
            await body()

    asyncio.run(main())


async def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 (what is waited for is told by no event)
            await asyncio.sleep(0.01)


def summary(detector: Detector, name: str) -> Alert:
    return next(alert for alert in detector.alerts() if alert.name == name and alert.summary)
