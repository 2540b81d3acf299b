"""A detector for the target `fake`: its one alert fires as soon as the component that it watches is not up."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gameday.clock import Instant
from gameday.detectors.base import (
    Alert,
    AlertState,
    Health,
    OnHealth,
    OnTransition,
    RuleInfo,
    Transition,
)
from gameday.errors import TargetError
from gameday.targets.base import Running
from gameday.targets.fake import read_states

POLL_S = 0.002


class FakeDetector:
    """Implements `Detector` on the file of a `FakeTarget`."""

    def __init__(
        self, alert: str, component: str, path: Path, *, on_transition: OnTransition, on_health: OnHealth
    ) -> None:
        self._alert = Alert(alert, state=AlertState.UNKNOWN, summary=True)
        self._component = component
        self._path = path
        self._on_transition = on_transition
        self._on_health = on_health
        self._health = Health(ok=False, detail="not started")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def alerts(self) -> tuple[Alert, ...]:
        return (self._alert,)

    def health(self) -> Health:
        return self._health

    def rules(self) -> tuple[RuleInfo, ...]:
        return (RuleInfo(self._alert.name, 0.0),)

    def describe(self) -> dict[str, object]:
        return {"kind": "fake", "interval_s": POLL_S, "alert": self._alert.name, "watches": self._component}

    async def _run(self) -> None:
        while True:
            try:
                up = read_states(self._path).get(self._component) is Running.UP
            except TargetError as error:
                self._tell(Health(ok=False, detail=str(error)))
            else:
                self._tell(Health(ok=True, detail="reads the fake target's state", last_good=Instant.now()))
                self._step(up)
            await asyncio.sleep(POLL_S)

    def _tell(self, health: Health) -> None:
        changed = health.ok is not self._health.ok or self._alert.state is AlertState.UNKNOWN
        self._health = health
        if changed:
            self._on_health(health)

    def _step(self, up: bool) -> None:
        now = Instant.now()
        state = AlertState.INACTIVE if up else AlertState.FIRING
        before = self._alert.state
        if state is before:
            return
        since = None if up else now
        self._alert = Alert(
            self._alert.name, state=state, pending_since=since, firing_since=since, summary=True
        )
        if before is AlertState.UNKNOWN and up:
            return
        if not up:
            self._change(AlertState.INACTIVE, AlertState.PENDING, now)
            before = AlertState.PENDING
        self._change(before, state, now)

    def _change(self, before: AlertState, after: AlertState, at: Instant) -> None:
        self._on_transition(Transition(self._alert.name, {}, before, after, at, POLL_S, summary=True))
