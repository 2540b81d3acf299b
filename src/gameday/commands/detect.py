"""`gameday detect`: the environment's detector alone."""

from __future__ import annotations

import asyncio
import json
import sys

from gameday.detectors import open_detector
from gameday.detectors.base import Alert, AlertState
from gameday.detectors.watch import watch
from gameday.errors import UsageError
from gameday.project import Project
from gameday.targets.base import OwnedTarget


def detect(
    project: Project,
    target: OwnedTarget,
    interval: float | None,
    *,
    speed: float,
    once: bool,
    as_json: bool,
) -> int:
    """Watch until interrupted, or evaluate once. With `once`: 1 when an alert fires, 3 when one is unknown."""
    settings = target.environment.detector
    if settings.kind != "embedded":
        raise UsageError(
            f"environment {target.instance} has the detector {settings.kind}, which is not run alone"
        )
    every_s = interval or (min(settings.every, 1.0) if once else settings.every)
    detector = open_detector(
        settings.model_copy(update={"every": every_s}),
        target.address,
        project.root,
        speed=speed,
        on_transition=lambda _: None,
        on_health=lambda _: None,
    )
    if speed != 1:
        print(f"rehearsal at {speed:g} times speed", file=sys.stderr)

    def out(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    try:
        alerts = asyncio.run(watch(detector, once=once, out=out, timeout_s=max(30.0, 3 * every_s)))
    except KeyboardInterrupt:
        return 0
    if as_json:
        print(json.dumps([_row(alert) for alert in alerts], indent=2))
    states = {alert.state for alert in alerts}
    if AlertState.FIRING in states:
        return 1
    return 3 if AlertState.UNKNOWN in states else 0


def _row(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.name,
        "labels": dict(alert.labels),
        "state": alert.state.value,
        "pending_since": alert.pending_since.utc.isoformat() if alert.pending_since else None,
        "firing_since": alert.firing_since.utc.isoformat() if alert.firing_since else None,
        "value": alert.value,
    }
