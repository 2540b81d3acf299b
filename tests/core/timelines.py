"""Literal timelines: one drill in which everything held, which tests change in one place each.

Times are seconds after the fault was injected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import yaml

from core.good_files import SCENARIO
from gameday.clock import Instant
from gameday.fields import parse
from gameday.scenario import Scenario
from gameday.timeline import Event, Kind, Phase, Timeline

ZERO = Instant(1_000_000_000_000, datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
ALERT = "it_is_down"


def scenario(**changes: Any) -> Scenario:
    """fires_within 3m, resolves_within 10m, RTO and RPO 15m, effect within 10s; `changes` by dotted name."""
    tree = yaml.safe_load(SCENARIO)
    for name, value in changes.items():
        *parents, last = name.split("__")
        part = tree
        for parent in parents:
            part = part[parent]
        if value is None:
            del part[last]
        else:
            part[last] = value
    return parse(Scenario, tree)


@dataclass(frozen=True)
class Happened:
    at_s: float
    kind: Kind
    phase: Phase
    data: dict[str, Any]


@dataclass(frozen=True)
class Drill:
    """What happened in one drill, in the order in which it was written."""

    events: tuple[Happened, ...] = ()

    def then(self, at_s: float, kind: Kind, **data: Any) -> Drill:
        phase = self.events[-1].phase if self.events else Phase.PREFLIGHT
        return Drill((*self.events, Happened(at_s, kind, phase, data)))

    def enter(self, at_s: float, phase: Phase) -> Drill:
        return Drill((*self.events, Happened(at_s, Kind.PHASE_STARTED, phase, {"budget_s": 60.0})))

    def without(self, *kinds: Kind) -> Drill:
        return Drill(tuple(event for event in self.events if event.kind not in kinds))

    def changed(self, changed: Kind, /, *, at_s: float | None = None, **data: Any) -> Drill:
        """All events of one kind, with another time or other data."""
        assert any(event.kind is changed for event in self.events)
        return Drill(
            tuple(
                replace(event, at_s=event.at_s if at_s is None else at_s, data={**event.data, **data})
                if event.kind is changed
                else event
                for event in self.events
            )
        )

    def before(self, kind: Kind, at_s: float, other: Kind, **data: Any) -> Drill:
        """Another event, written before the first one of `kind`."""
        index = next(index for index, event in enumerate(self.events) if event.kind is kind)
        event = Happened(at_s, other, self.events[index].phase, data)
        return Drill((*self.events[:index], event, *self.events[index:]))

    def until(self, kind: Kind) -> Drill:
        """Only what was written before the first event of `kind`."""
        index = next(index for index, event in enumerate(self.events) if event.kind is kind)
        return Drill(self.events[:index])

    def cut(self, length: int) -> Drill:
        return Drill(self.events[:length])

    def scaled(self, speed: float) -> Drill:
        """The same drill, `speed` times as fast, resolutions and durations included."""
        return Drill(
            tuple(
                replace(
                    event,
                    at_s=event.at_s / speed,
                    data={
                        name: value / speed if name.endswith("_s") and value is not None else value
                        for name, value in event.data.items()
                    },
                )
                for event in self.events
            )
        )

    def timeline(self) -> Timeline:
        return Timeline(
            tuple(
                Event(seq, event.kind, ZERO.plus(event.at_s), event.phase, event.data)
                for seq, event in enumerate(self.events)
            )
        )


def _step(drill: Drill, start_s: float, end_s: float, heading: str, *, acts: bool) -> Drill:
    data = {"heading": heading, "section": "Resolution Steps", "budget_s": 60.0, "acts": acts}
    drill = drill.then(start_s, Kind.STEP_STARTED, action=heading, **data)
    ended = {"outcome": "done", "over_budget": False, "duration_s": end_s - start_s, "output": ""}
    return drill.then(end_s, Kind.STEP_ENDED, **data, **ended)


def passing() -> Drill:
    """Injected at 0, effective at 1, firing at 31, recovered at 61, resolved at 121; sampled each 0.1 s."""
    undo = {"id": 0, "operation": "start", "component": "database"}
    alert = {"alert": ALERT, "expected": True, "resolution_s": 1.0}
    probes = {"probes": ["answers"], "stable_for_s": 10.0}
    account = {"acknowledged": 600, "missing": 0, "oldest_missing_s": None, "ok": True, "detail": "looked up"}
    drill = (
        Drill()
        .then(-10, Kind.DRILL_STARTED, drill="d", speed=1.0, instance="demo")
        .enter(-10, Phase.PREFLIGHT)
    )
    drill = drill.then(-9, Kind.DETECTOR_HEALTH, ok=True, detail="evaluates")
    drill = drill.then(-5, Kind.PREFLIGHT_CHECKED, check="alert", ok=True, detail="quiet")
    drill = drill.enter(-4, Phase.ARM).then(-3, Kind.UNDO_RECORDED, **undo, ttl_s=1200.0)
    drill = drill.then(-2, Kind.DEADMAN_ARMED, pid=1, ttl_s=1200.0).enter(-1, Phase.INJECT)
    drill = drill.then(0, Kind.FAULT_INJECTING, fault="kill database", targets=["database"])
    drill = drill.then(0.5, Kind.FAULT_INJECTED, detail="killed")
    drill = drill.then(1, Kind.FAULT_EFFECTIVE, probe="answers", resolution_s=0.1, detail="refused")
    drill = drill.enter(1.5, Phase.DETECT).then(11, Kind.ALERT_PENDING, **alert)
    drill = drill.then(31, Kind.ALERT_FIRING, **alert).then(31, Kind.DETECT_ENDED, outcome="firing")
    drill = drill.enter(31.5, Phase.RESPOND).then(32, Kind.RUNBOOK_STARTED, runbook="01-demo", title="Demo")
    drill = _step(drill, 33, 40, "Look at the log", acts=False)
    drill = _step(drill, 41, 60, "Start it again", acts=True)
    drill = drill.then(60.5, Kind.RUNBOOK_ENDED, completed=True, reason="").enter(60.7, Phase.RECOVER)
    drill = drill.then(61, Kind.SERVICE_RECOVERED, **probes, resolution_s=0.1).enter(72, Phase.ACCOUNT)
    drill = drill.then(73, Kind.CANARY_ACCOUNTED, **account, resolution_s=0.0)
    drill = drill.then(121, Kind.ALERT_RESOLVED, **alert).then(121, Kind.RESOLVE_ENDED, outcome="resolved")
    drill = drill.enter(122, Phase.UNDO).then(123, Kind.UNDO_STARTED, **undo)
    drill = drill.then(124, Kind.UNDO_ENDED, **undo, ok=True, detail="was up already", by="runner")
    drill = drill.then(125, Kind.LEFTOVERS_CHECKED, ok=True, detail="nothing is left")
    return drill.enter(126, Phase.JUDGE).then(127, Kind.DRILL_ENDED)
