"""What a timeline measures: intervals with their resolution, and who restored the service. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gameday.scenario import Scenario
from gameday.timeline import Event, Kind, Timeline


class Result(StrEnum):
    MET = "met"
    MISSED = "missed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Measured:
    """A duration in seconds: the value, and between what it lies given how often was sampled."""

    value_s: float
    low_s: float
    high_s: float

    @property
    def resolution_s(self) -> float:
        return max(self.high_s - self.value_s, self.value_s - self.low_s)

    def __str__(self) -> str:
        return f"{self.value_s:.2f} s ± {max(self.resolution_s, 0.005):.2f} s"

    def within(self, objective_s: float) -> Result:
        if self.high_s <= objective_s:
            return Result.MET
        return Result.MISSED if self.low_s > objective_s else Result.UNKNOWN


def intervals(timeline: Timeline, alert: str | None) -> dict[str, Measured]:
    """Intervals of a drill by name, as far as their ends were seen; a control, without an alert, has only one."""
    ends = {
        "injecting": timeline.first(Kind.FAULT_INJECTING),
        "effective": timeline.first(Kind.FAULT_EFFECTIVE),
        "pending": alert_event(timeline, Kind.ALERT_PENDING, alert),
        "firing": alert_event(timeline, Kind.ALERT_FIRING, alert),
        "notified": alert_event(timeline, Kind.ALERT_NOTIFIED, alert),
        "first_step": timeline.first(Kind.STEP_STARTED),
        "last_step": timeline.last(Kind.STEP_ENDED),
        "recovered": _recovery(timeline),
        "may_resolve": _may_resolve(timeline),
        "resolved": _resolved(timeline, alert),
    }
    wanted = {
        "time_to_effect": ("injecting", "effective"),
        "time_to_pending": ("effective", "pending"),
        "mttd": ("effective", "firing"),
        "time_to_notify": ("effective", "notified"),
        "time_to_respond": ("firing", "first_step"),
        "time_of_runbook": ("first_step", "last_step"),
        "time_to_recover": ("effective", "recovered"),
        "time_to_resolve": ("may_resolve", "resolved"),
    }
    measured = {name: _between(ends[first], ends[last]) for name, (first, last) in wanted.items()}
    return {name: value for name, value in measured.items() if value is not None}


def _between(first: Event | None, last: Event | None) -> Measured | None:
    """Each end lies in the `resolution_s` before its instant: the change was seen by the sample at `at`."""
    if first is None or last is None:
        return None
    value = last.at - first.at
    return Measured(
        value, value - last.data.get("resolution_s", 0.0), value + first.data.get("resolution_s", 0.0)
    )


def alert_event(timeline: Timeline, kind: Kind, alert: str | None) -> Event | None:
    injecting = timeline.first(Kind.FAULT_INJECTING)
    return timeline.first(
        kind, lambda event: event.data["alert"] == alert and (injecting is None or injecting.at <= event.at)
    )


def _recovery(timeline: Timeline) -> Event | None:
    """When the service was back, unless the drill had begun to put it back by then: that never counts."""
    undo = timeline.first(Kind.UNDO_STARTED)
    return timeline.first(Kind.SERVICE_RECOVERED, lambda event: undo is None or event.at < undo.at)


def _may_resolve(timeline: Timeline) -> Event | None:
    """From when the alert had no more reason: the recovery, or the undo where the cause was out of reach."""
    ended = timeline.last(Kind.RESOLVE_ENDED)
    if ended is not None and ended.data.get("after") == "undo":
        return timeline.last(Kind.LEFTOVERS_CHECKED)
    return _recovery(timeline)


def _resolved(timeline: Timeline, alert: str | None) -> Event | None:
    since = _may_resolve(timeline)
    return timeline.last(
        Kind.ALERT_RESOLVED,
        lambda event: event.data["alert"] == alert and since is not None and since.at <= event.at,
    )


def restored_by(timeline: Timeline) -> str | None:
    """`runbook` when one of its steps had begun to act before the service came back, `self` when none had,
    `undo` when the service stayed down until the drill put everything back, None when it is not known."""
    recovered = _recovery(timeline)
    if recovered is None:
        undone = timeline.first(Kind.UNDO_ENDED, lambda event: bool(event.data["ok"]))
        down = timeline.first(Kind.SERVICE_DOWN) or timeline.first(Kind.SERVICE_RECOVERED)
        return "undo" if undone is not None and down is not None else None
    acting = timeline.first(
        Kind.STEP_STARTED, lambda event: bool(event.data["acts"]) and event.at <= recovered.at
    )
    return "runbook" if acting is not None else "self"


def restoring_step(timeline: Timeline) -> str | None:
    """Heading of the last acting step that had begun when the service came back."""
    step = _restoring(timeline)
    return None if step is None else str(step.data["heading"])


def restoring_mitigation(timeline: Timeline) -> str | None:
    """What kind of mitigation that step was, where the runbook says it: `rollback`, `failover`, …"""
    step = _restoring(timeline)
    return None if step is None else step.data.get("mitigation")


def _restoring(timeline: Timeline) -> Event | None:
    recovered = _recovery(timeline)
    if recovered is None:
        return None
    return timeline.last(Kind.STEP_STARTED, lambda event: event.data["acts"] and event.at <= recovered.at)


def unexpected_alerts(timeline: Timeline, scenario: Scenario) -> tuple[str, ...]:
    """Alerts that fired and that the scenario neither expects nor names as collateral."""
    known = scenario.known_alerts
    fired = (event.data["alert"] for event in timeline.all(Kind.ALERT_FIRING))
    return tuple(dict.fromkeys(name for name in fired if name not in known))
