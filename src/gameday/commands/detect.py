"""`gameday detect`: the environment's detector alone."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from gameday.commands.interrupts import Interrupts
from gameday.detectors import given_by, open_detector
from gameday.detectors.base import Alert, AlertState
from gameday.detectors.watch import describe_notice, watch
from gameday.errors import Aborted, UsageError
from gameday.project import Project
from gameday.targets.base import OwnedTarget


@dataclass(frozen=True, slots=True)
class Watch:
    """How the detector is run. `interval_s` is None for the environment's own; `report` needs `once`."""

    interval_s: float | None = None
    speed: float = 1.0
    once: bool = False
    up: bool = False
    report: Path | None = None
    as_json: bool = False


def detect(project: Project, target: OwnedTarget, how: Watch) -> int:
    """Watch until interrupted, or evaluate once. With `once`: 1 when an alert fires, 3 when one is unknown."""
    settings = target.environment.detector
    if settings.kind == "fake":
        raise UsageError(
            f"environment {target.instance} has the detector {settings.kind}, which is not run alone"
        )
    if settings.kind != "embedded" and how.speed != 1:
        raise UsageError(f"speed {how.speed:g}: the detector {settings.kind} keeps its own time")
    if how.report is not None and not how.once:
        raise UsageError("--report: expected together with --once")
    if not how.up:
        return _detect(project, target, how)
    with Interrupts() as interrupts:
        started: tuple[str, ...] = ()
        try:
            started = target.up(on_progress=lambda line: print(line, file=sys.stderr))
            return _detect(project, target, how)
        except KeyboardInterrupt as error:
            raise Aborted(f"{error} received") from error
        finally:
            interrupts.hold()
            if started:
                print(f"{target.instance} was brought up for this: stopping it", file=sys.stderr)
                target.down()


def _detect(project: Project, target: OwnedTarget, how: Watch) -> int:
    settings = target.environment.detector
    every_s = 0.0  # one that is told does not look
    if settings.kind == "webhook":
        if how.interval_s is not None:
            raise UsageError(f"interval {how.interval_s:g} s: the detector webhook does not look, it is told")
    elif settings.kind != "fake":
        every_s = how.interval_s or (min(settings.every, 1.0) if how.once else settings.every)
        settings = settings.model_copy(update={"every": every_s})

    def out(line: str) -> None:
        print(line, file=sys.stderr if how.as_json else sys.stdout, flush=True)

    detector = open_detector(
        settings,
        target.address,
        project.root,
        speed=how.speed,
        on_transition=lambda _: None,
        on_health=lambda _: None,
        on_notice=lambda notice: out(describe_notice(notice)),
        **given_by(target),
    )
    if how.speed != 1:
        print(f"rehearsal at {how.speed:g} times speed", file=sys.stderr)

    # one that is told may not be told anything for long, which is shown and not waited for
    patience_s = 0.0 if settings.kind == "webhook" and not how.once else max(30.0, 3 * every_s)
    try:
        alerts = asyncio.run(watch(detector, once=how.once, out=out, timeout_s=patience_s))
    except KeyboardInterrupt:
        return 0
    text = json.dumps([_row(alert) for alert in alerts], indent=2)
    if how.as_json:
        print(text)
    if how.report is not None:
        _write(how.report, text)
        out(f"Report: {how.report}")
    states = {alert.state for alert in alerts}
    if AlertState.FIRING in states:
        return 1
    return 3 if AlertState.UNKNOWN in states else 0


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}") from error


def _row(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.name,
        "labels": dict(alert.labels),
        "state": alert.state.value,
        "pending_since": alert.pending_since.utc.isoformat() if alert.pending_since else None,
        "firing_since": alert.firing_since.utc.isoformat() if alert.firing_since else None,
        "value": alert.value,
    }
