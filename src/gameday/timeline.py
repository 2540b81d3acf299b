"""The time-stamped events of one drill. Everything that a report says is computed from them.

The file is append-only JSON, one event a line, each line on disk (fsync) before the drill goes on, so that a
runner that is killed leaves all that happened until then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gameday.clock import Instant
from gameday.errors import InvalidFile, Problem


class Phase(StrEnum):
    """The nine phases of a drill, in order."""

    PREFLIGHT = "preflight"
    ARM = "arm"
    INJECT = "inject"
    DETECT = "detect"
    RESPOND = "respond"
    RECOVER = "recover"
    ACCOUNT = "account"
    UNDO = "undo"
    JUDGE = "judge"


class Kind(StrEnum):
    """What an event says. The comment names its data; instants of measurements carry `resolution_s`."""

    DRILL_STARTED = (
        "drill.started"  # drill, scenario, environment, instance, target, speed, detector, version
    )
    PHASE_STARTED = "phase.started"  # budget_s or null
    PREFLIGHT_CHECKED = "preflight.checked"  # check, ok, detail
    UNDO_RECORDED = "undo.recorded"  # id, operation, component, ttl_s
    DEADMAN_ARMED = "deadman.armed"  # pid, ttl_s
    DURING_INJECTING = "during.injecting"  # fault: what must be in force before the fault under test
    DURING_INJECTED = "during.injected"  # detail
    DURING_EFFECTIVE = "during.effective"  # probe, detail, waited_s
    DURING_INEFFECTIVE = "during.ineffective"  # probe, waited_s
    FAULT_INJECTING = "fault.injecting"  # fault, targets
    FAULT_INJECTED = "fault.injected"  # detail
    FAULT_EFFECTIVE = "fault.effective"  # probe, resolution_s, detail; at = first failed sample
    FAULT_FAILED = "fault.failed"  # detail: it could not be applied
    FAULT_INEFFECTIVE = "fault.ineffective"  # probe, waited_s
    ALERT_PENDING = "alert.pending"  # alert, expected, resolution_s
    ALERT_FIRING = "alert.firing"  # the same
    ALERT_NOTIFIED = "alert.notified"  # the same
    ALERT_SUPPRESSED = "alert.suppressed"  # the same and detail, from_the_start: nobody is told that it fires
    ALERT_RELEASED = "alert.released"  # the same: no longer suppressed
    ALERT_RESOLVED = "alert.resolved"  # the same
    ALERT_END_NOTIFIED = "alert.end-notified"  # the same: somebody was told that it resolved
    ALERT_LAPSED = "alert.lapsed"  # the same: it was pending, and its condition did not last
    ALERT_RULE = "alert.rule"  # alert, expr, for_s, floor, advice: [{code, title, explanation, instead}]
    DETECTOR_HEALTH = "detector.health"  # ok, detail
    DETECT_ENDED = "detect.ended"  # outcome: firing | expired | unknown
    WATCH_ENDED = "watch.ended"  # outcome: quiet | fired | unknown; watched_s, alerts
    RUNBOOK_STARTED = "runbook.started"  # runbook, title
    STEP_STARTED = "step.started"  # heading, section, budget_s, acts, mitigation if it is one
    STEP_ENDED = "step.ended"  # heading, section, budget_s, acts, outcome, over_budget, duration_s, output
    RUNBOOK_ENDED = "runbook.ended"  # completed, reason
    SERVICE_RECOVERED = "service.recovered"  # probes, stable_for_s, resolution_s; at = start of that window
    SERVICE_DOWN = "service.down"  # waited_s, reason: not recovered when the drill stopped waiting
    SERVICE_UNHARMED = (
        "service.unharmed"  # waited_s, probes: those of `recovered` never failed after the effect
    )
    CANARY_ACCOUNTED = "canary.accounted"  # acknowledged, missing, oldest_missing_s or null, detail; ok
    RESOLVE_ENDED = (
        "resolve.ended"  # outcome: resolved | expired | unknown | not-fired; after: recovery | undo
    )
    AFTERWARDS_ENDED = "afterwards.ended"  # ok, probes, waited_s, detail
    UNDO_STARTED = "undo.started"  # id, operation, component
    UNDO_ENDED = "undo.ended"  # id, operation, component, ok, detail
    LEFTOVERS_CHECKED = "leftovers.checked"  # ok, detail
    STOP_CONDITION = "stop.condition"  # of, condition, outcome: holds | unread; for_s, detail
    TARGET_ASKED = "target.asked"  # requests: by kind, such as {"GET pods": 80}
    DRILL_ABORTED = "drill.aborted"  # reason
    DRILL_ENDED = "drill.ended"  # nothing


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at` is taken at the event itself, not when it was written."""

    seq: int
    kind: Kind
    at: Instant
    phase: Phase
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        head = {"seq": self.seq, "event": self.kind.value, "phase": self.phase.value}
        return {**head, "at": self.at.to_json(), "data": dict(self.data)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Event:
        at = Instant.from_json(value["at"])
        return cls(value["seq"], Kind(value["event"]), at, Phase(value["phase"]), value["data"])


@dataclass(frozen=True, slots=True)
class Timeline:
    """The events of one drill, in the order in which they were written."""

    events: tuple[Event, ...]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def all(self, kind: Kind, where: Callable[[Event], bool] | None = None) -> tuple[Event, ...]:
        return tuple(event for event in self.events if event.kind is kind and (where is None or where(event)))

    def first(self, kind: Kind, where: Callable[[Event], bool] | None = None) -> Event | None:
        return next(iter(self.all(kind, where)), None)

    def last(self, kind: Kind, where: Callable[[Event], bool] | None = None) -> Event | None:
        found = self.all(kind, where)
        return found[-1] if found else None

    @property
    def started(self) -> Event:
        """The first event of every drill."""
        return self.events[0]


class TimelineWriter:
    """Appends events to `timeline.jsonl`. One writer a file; not for several threads."""

    def __init__(self, path: Path, on_event: Callable[[Event], None] | None = None) -> None:
        self.path = path
        self.events: list[Event] = []
        self.phase = Phase.PREFLIGHT
        self._on_event = on_event
        # half of a surrogate pair (in the output of a command) becomes the JSON escape for it
        self._file = path.open("a", encoding="utf-8", errors="backslashreplace")

    @classmethod
    def resume(cls, path: Path) -> TimelineWriter:
        """Go on with a timeline whose writer died; what it left of a last line is cut off.

        Raises:
            InvalidFile: there is no timeline, or it is damaged elsewhere.
        """
        timeline = read_timeline(path)
        text = path.read_bytes()
        whole = b"".join(line + b"\n" for line in text.split(b"\n")[: len(timeline.events)])
        if len(whole) < len(text):
            os.truncate(path, len(whole))
        writer = cls(path)
        if len(whole) > len(text):  # all of the last event was written, except that its line ends
            writer._file.write("\n")
        writer.events = list(timeline.events)
        writer.phase = timeline.events[-1].phase
        return writer

    def record(self, kind: Kind, /, at: Instant | None = None, **data: Any) -> Event:
        """Write one event and return when it is on disk. `at` is now, unless the event was earlier."""
        event = Event(len(self.events), kind, at or Instant.now(), self.phase, data)
        self._file.write(json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)
        return event

    def enter(self, phase: Phase, budget_s: float | None = None) -> None:
        """Begin a phase; all later events belong to it."""
        self.phase = phase
        self.record(Kind.PHASE_STARTED, budget_s=budget_s)

    @property
    def timeline(self) -> Timeline:
        return Timeline(tuple(self.events))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_timeline(path: Path) -> Timeline:
    """The timeline of a stored drill. A last line that was cut off by a crash is left out.

    Raises:
        InvalidFile: not readable, or a line other than the last is no event.
    """
    try:
        # not `splitlines`: texts of others in it may contain what Unicode calls a line separator
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    except OSError as error:
        raise InvalidFile([Problem(path, 1, "", f"cannot be read: {error}")]) from error
    events: list[Event] = []
    for number, line in enumerate(lines, 1):
        try:
            events.append(Event.from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and events:
                break
            raise InvalidFile([Problem(path, number, "", f"not a timeline event: {error}")]) from error
    if not events or events[0].kind is not Kind.DRILL_STARTED:
        raise InvalidFile([Problem(path, 1, "", "expected a drill.started event first")])
    return Timeline(tuple(events))
