"""The verdict: a pure function of a timeline and a scenario's objectives.

Each check is met, missed or unknown. A drill is FAIL if any check is missed, else INCONCLUSIVE if any is
unknown, else PASS. A measured interval carries its sampling resolution; where that straddles the objective,
the check is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gameday.alert_facts import advice, blind, silences_unread, since_effect, suppressed
from gameday.fields import format_duration
from gameday.intervals import (
    Measured,
    Result,
    alert_event,
    intervals,
    restored_by,
    restoring_step,
    unexpected_alerts,
)
from gameday.scenario import Impact, Scenario
from gameday.timeline import Kind, Timeline


class Outcome(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Check:
    """One question that the drill answers. `detail` is a sentence for people."""

    name: str
    title: str
    result: Result
    detail: str
    measured: Measured | None = None
    objective_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the drill proved. `exit_code` is that of `gameday run`."""

    outcome: Outcome
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]
    restored_by: str | None
    intervals: Mapping[str, Measured]
    data_loss_s: float | None
    aborted: bool
    left_behind: bool
    unexpected_alerts: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        if self.left_behind:
            return 5
        if self.aborted:
            return 4
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}[self.outcome]

    def interval(self, name: str) -> Measured | None:
        """`mttd`, `time_to_recover`, `time_to_pending`, `time_to_respond`, `time_to_resolve`, …"""
        return self.intervals.get(name)


def judge(timeline: Timeline, scenario: Scenario) -> Verdict:
    """Judge a drill. `scenario` must be at the drill's speed (`Scenario.at_speed`)."""
    found = (check(timeline, scenario) for check in (_CONTROL if scenario.control else _DRILL))
    checks = tuple(check for check in found if check is not None)
    aborted = timeline.first(Kind.DRILL_ABORTED)
    reasons = [f"{check.title}: {check.detail}" for check in checks if check.result is not Result.MET]
    if aborted is not None:
        reasons.insert(0, f"aborted: {aborted.data['reason']}")
    undo = next(check for check in checks if check.name == "undone")
    return Verdict(
        outcome=_outcome(checks, aborted is not None),
        checks=checks,
        reasons=tuple(reasons),
        restored_by=restored_by(timeline),
        intervals=intervals(timeline, scenario.alert),
        data_loss_s=_data_loss(timeline),
        aborted=aborted is not None,
        left_behind=undo.result is Result.MISSED,
        unexpected_alerts=unexpected_alerts(timeline, scenario),
    )


def _outcome(checks: tuple[Check, ...], aborted: bool) -> Outcome:
    """An aborted drill is INCONCLUSIVE: what it would have shown is not known."""
    results = {check.result for check in checks}
    if aborted:
        return Outcome.INCONCLUSIVE
    # what happens without the fault proves nothing, so nothing can be missed either
    if any(check.name in _GROUNDS and check.result is not Result.MET for check in checks):
        return Outcome.INCONCLUSIVE
    if Result.MISSED in results:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE if Result.UNKNOWN in results else Outcome.PASS


def _data_loss(timeline: Timeline) -> float | None:
    accounted = timeline.last(Kind.CANARY_ACCOUNTED)
    if accounted is None or not accounted.data["ok"]:
        return None
    return float(accounted.data["oldest_missing_s"] or 0.0)


# --- checks -------------------------------------------------------------------------------------------------


def _preflight(timeline: Timeline, scenario: Scenario) -> Check:
    title = "Preflight"
    failed = timeline.all(Kind.PREFLIGHT_CHECKED, lambda event: not event.data["ok"])
    if failed:
        detail = "; ".join(f"{event.data['check']}: {event.data['detail']}" for event in failed)
        touched = timeline.first(Kind.UNDO_RECORDED) is not None
        what = "before the fault under test struck" if touched else "nothing was touched"
        return Check("preflight", title, Result.UNKNOWN, f"refused, {what}: {detail}")
    begun = Kind.FAULT_INJECTING if scenario.fault else Kind.WATCH_ENDED
    if timeline.first(begun) is None:
        what = "the fault was injected" if scenario.fault else "its time was over"
        return Check("preflight", title, Result.UNKNOWN, f"the drill ended before {what}")
    quiet = "every alert" if scenario.control else "the expected alert"
    return Check("preflight", title, Result.MET, f"steady state held and {quiet} was quiet")


def _effective(timeline: Timeline, scenario: Scenario) -> Check | None:
    if scenario.impact is None:
        return None
    title, objective = "Fault took effect", scenario.impact.fails_within
    probe = scenario.impact.probe
    measured = intervals(timeline, scenario.alert).get("time_to_effect")
    if measured is None:
        return Check(
            "effective", title, Result.UNKNOWN, _no_effect(timeline, scenario.impact), None, objective
        )
    result = Result.MET if measured.low_s <= objective else Result.UNKNOWN
    detail = f"probe {probe} failed {measured} after the injection began"
    return Check("effective", title, result, detail, measured, objective)


def _no_effect(timeline: Timeline, impact: Impact) -> str:
    unproven, failed = timeline.first(Kind.DURING_INEFFECTIVE), timeline.first(Kind.FAULT_FAILED)
    if failed is not None:
        return f"it could not be applied: {failed.data['detail']}"
    if unproven is not None:
        return f"probe {unproven.data['probe']} did not fail: what must be in force before the fault was not"
    return (
        f"probe {impact.probe} did not fail within {format_duration(impact.fails_within)}: nothing was proven"
    )


def _detected(timeline: Timeline, scenario: Scenario) -> Check:
    alert, objective = scenario.expected.alert, scenario.expected.fires_within
    title = f"Alert {alert} fired"
    measured = intervals(timeline, alert).get("mttd")
    if measured is not None:
        result = measured.within(objective)
        detail = _against(measured, objective, "after the effect")
        if result is not Result.MET and blind(timeline):
            result, detail = Result.UNKNOWN, f"{detail}, but the detector was blind meanwhile"
        silence, unread = suppressed(timeline, alert), silences_unread(timeline, alert)
        if silence is not None:
            result, detail = Result.MISSED, f"it fired {detail}, but nobody was told: {silence}"
        elif unread is not None and result is Result.MET:
            result, detail = Result.UNKNOWN, f"{detail}, but whether it is silenced is not known: {unread}"
        return Check("detected", title, result, detail, measured, objective)
    ended = timeline.first(Kind.DETECT_ENDED)
    if ended is None or ended.data["outcome"] != "expired" or blind(timeline):
        why = "the detector was blind meanwhile" if blind(timeline) else "the drill did not get that far"
        return Check("detected", title, Result.UNKNOWN, f"not known: {why}", None, objective)
    pending = alert_event(timeline, Kind.ALERT_PENDING, alert)
    seen = "it was pending but never fired" if pending else "it was not even pending"
    detail = (
        f"did not fire within {format_duration(objective)} of the effect; {seen}{advice(timeline, alert)}"
    )
    return Check("detected", title, Result.MISSED, detail, None, objective)


def _quiet(timeline: Timeline, scenario: Scenario) -> Check | None:
    title, watched = "No alert fired", format_duration(scenario.watched_s)
    ended = timeline.last(Kind.WATCH_ENDED)
    if ended is None:
        return Check("quiet", title, Result.UNKNOWN, "not watched to the end")
    fired = [str(alert) for alert in ended.data["alerts"]]
    if fired:
        detail = "; ".join(
            f"{alert} fired{since_effect(timeline, alert)}{advice(timeline, alert)}" for alert in fired
        )
        return Check("quiet", title, Result.MISSED, detail)
    if ended.data["outcome"] == "unknown":
        return Check("quiet", title, Result.UNKNOWN, "not known: the detector was blind meanwhile")
    return Check("quiet", title, Result.MET, f"every alert stayed quiet for {watched}")


def _afterwards(timeline: Timeline, scenario: Scenario) -> Check | None:
    if scenario.afterwards is None:
        return None
    title, objective = "Back to normal after the undo", scenario.afterwards.within
    ended = timeline.last(Kind.AFTERWARDS_ENDED)
    if ended is None:
        return Check("afterwards", title, Result.UNKNOWN, "not observed", None, objective)
    waited_s = float(ended.data["waited_s"])
    result = Result.MET if ended.data["ok"] else Result.MISSED
    detail = (
        f"{ended.data['detail']} ({waited_s:.1f} s after the undo, objective {format_duration(objective)})"
    )
    return Check("afterwards", title, result, detail, Measured(waited_s, waited_s, waited_s), objective)


def _runbook(timeline: Timeline, scenario: Scenario) -> Check:
    title = f"Runbook {scenario.runbook} worked"
    ended = timeline.last(Kind.RUNBOOK_ENDED)
    if ended is None:
        return Check("runbook", title, Result.UNKNOWN, "it was not executed to its end")
    if not ended.data["completed"]:
        return Check("runbook", title, Result.MISSED, str(ended.data["reason"]))
    late = timeline.all(Kind.STEP_ENDED, lambda event: bool(event.data["over_budget"]))
    if late:
        what = "; ".join(
            f"'{event.data['heading']}' took {event.data['duration_s']:.1f} s, "
            f"budget {format_duration(event.data['budget_s'])}"
            for event in late
        )
        return Check("runbook", title, Result.MISSED, f"steps over their budget: {what}")
    count = len(timeline.all(Kind.STEP_ENDED))
    return Check("runbook", title, Result.MET, f"{count} steps, each within its budget")


def _recovered(timeline: Timeline, scenario: Scenario) -> Check:
    title, objective = "Service recovered within RTO", scenario.rto_s or 0.0
    measured = intervals(timeline, scenario.alert).get("time_to_recover")
    if measured is not None:
        detail = _against(measured, objective, "after the effect")
        return Check("recovered", title, measured.within(objective), detail, measured, objective)
    unharmed = timeline.last(Kind.SERVICE_UNHARMED)
    if unharmed is not None:
        detail = (
            f"{', '.join(unharmed.data['probes'])} never failed after the effect, so no recovery could be measured; "
            "`recovered.probes` names those that the fault breaks"
        )
        return Check("recovered", title, Result.UNKNOWN, detail, None, objective)
    down = timeline.last(Kind.SERVICE_DOWN)
    if down is None:
        return Check("recovered", title, Result.UNKNOWN, "not observed to the end", None, objective)
    waited_s = float(down.data["waited_s"])
    result = Result.MISSED if waited_s >= objective else Result.UNKNOWN
    detail = f"still down {waited_s:.1f} s after the effect: {down.data['reason']}"
    return Check("recovered", title, result, detail, None, objective)


def _restored(timeline: Timeline, scenario: Scenario) -> Check:
    title, allowed = "Restored by the runbook", scenario.recovery.by
    if "self" in allowed:
        title = "Restored by the runbook or by itself"
    by = restored_by(timeline)
    if by is None or by == "undo":
        # the undo never counts as recovery; whether the runbook would have is what `recovered` says
        if timeline.last(Kind.SERVICE_UNHARMED) is not None:
            detail = "nothing was seen that had to be restored"
        else:
            detail = "only the drill's own undo brought it back" if by else "the service did not come back"
        return Check("restored_by", title, Result.UNKNOWN, detail)
    step = restoring_step(timeline)
    detail = f"by {by}" + (f", step '{step}'" if step else " before any step of the runbook acted")
    return Check("restored_by", title, Result.MET if by in allowed else Result.MISSED, detail)


def _loss(timeline: Timeline, scenario: Scenario) -> Check | None:
    title, objective = "Data loss within RPO", scenario.rpo_s
    if objective is None:
        return None
    accounted = timeline.last(Kind.CANARY_ACCOUNTED)
    if accounted is None or not accounted.data["ok"]:
        why = "records were not accounted for" if accounted is None else str(accounted.data["detail"])
        return Check("data_loss", title, Result.UNKNOWN, why, None, objective)
    missing, acknowledged = accounted.data["missing"], accounted.data["acknowledged"]
    loss_s = float(accounted.data["oldest_missing_s"] or 0.0)
    measured = Measured(loss_s, loss_s, loss_s + float(accounted.data.get("resolution_s", 0.0)))
    detail = f"none of {acknowledged} acknowledged records is missing"
    if missing:
        detail = (
            f"{missing} of {acknowledged} acknowledged records are missing; the oldest was acknowledged "
            f"{loss_s:.1f} s before the fault; objective {format_duration(objective)}"
        )
    # where nothing may be lost, a lost record is a miss however young it was
    result = Result.MISSED if missing and objective == 0 else measured.within(objective)
    return Check("data_loss", title, result, detail, measured, objective)


def _alert_resolved(timeline: Timeline, scenario: Scenario) -> Check:
    alert, objective = scenario.expected.alert, scenario.expected.resolves_within
    since = scenario.expected.resolves_after
    title = f"Alert {alert} resolved"
    measured = intervals(timeline, alert).get("time_to_resolve")
    ended = timeline.last(Kind.RESOLVE_ENDED)
    if measured is not None and (ended is None or ended.data["outcome"] == "resolved"):
        detail = _against(measured, objective, _AFTER[since])
        return Check("resolved", title, measured.within(objective), detail, measured, objective)
    if ended is None or ended.data["outcome"] in ("unknown", "not-fired"):
        why = (
            "there was nothing to resolve"
            if ended and ended.data["outcome"] == "not-fired"
            else "not observed"
        )
        return Check("resolved", title, Result.UNKNOWN, why, None, objective)
    if ended.data["outcome"] == "resolved":
        back = "the service was back" if since == "recovery" else "everything was put back"
        return Check("resolved", title, Result.MET, f"it had resolved when {back}", None, objective)
    detail = f"still firing {format_duration(objective)} {_AFTER[since]}"
    return Check("resolved", title, Result.MISSED, detail, None, objective)


def _undone(timeline: Timeline, _scenario: Scenario) -> Check:
    title = "Everything was put back"
    recorded = {event.data["id"]: event for event in timeline.all(Kind.UNDO_RECORDED)}
    done = {event.data["id"] for event in timeline.all(Kind.UNDO_ENDED) if event.data["ok"]}
    open_undos = [event for key, event in recorded.items() if key not in done]
    if open_undos:
        what = ", ".join(f"{event.data['operation']} {event.data['component']}" for event in open_undos)
        return Check("undone", title, Result.MISSED, f"not reverted: {what}; run `gameday recover`")
    checked = timeline.last(Kind.LEFTOVERS_CHECKED)
    if checked is not None and not checked.data["ok"]:
        return Check("undone", title, Result.MISSED, str(checked.data["detail"]))
    if not recorded:
        return Check("undone", title, Result.MET, "nothing was touched")
    if checked is None:
        return Check("undone", title, Result.UNKNOWN, "it was not checked that nothing is left")
    return Check("undone", title, Result.MET, f"{len(recorded)} reverted, nothing is left")


_AFTER = {"recovery": "after recovery", "undo": "after the undo"}
_Judge = Callable[[Timeline, Scenario], Check | None]
_DRILL: tuple[_Judge, ...] = (
    _preflight,
    _effective,
    _detected,
    _runbook,
    _recovered,
    _restored,
    _loss,
    _alert_resolved,
    _afterwards,
    _undone,
)
_CONTROL: tuple[_Judge, ...] = (_preflight, _effective, _quiet, _undone)
_GROUNDS = frozenset({"preflight", "effective"})


def _against(measured: Measured, objective_s: float, since: str) -> str:
    return f"{measured} {since}, objective {format_duration(objective_s)}"


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """The content of `verdict.json`."""

    def measured(value: Measured | None) -> dict[str, float] | None:
        if value is None:
            return None
        return {"value_s": value.value_s, "low_s": value.low_s, "high_s": value.high_s}

    return {
        "verdict": verdict.outcome.value,
        "exit_code": verdict.exit_code,
        "reasons": list(verdict.reasons),
        "restored_by": verdict.restored_by,
        "aborted": verdict.aborted,
        "left_behind": verdict.left_behind,
        "data_loss_s": verdict.data_loss_s,
        "unexpected_alerts": list(verdict.unexpected_alerts),
        "intervals": {name: measured(value) for name, value in verdict.intervals.items()},
        "checks": [
            {
                "name": check.name,
                "title": check.title,
                "result": check.result.value,
                "detail": check.detail,
                "measured": measured(check.measured),
                "objective_s": check.objective_s,
            }
            for check in verdict.checks
        ],
    }
