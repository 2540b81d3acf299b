"""Each timeline event as a sentence for people: for the table of events in reports and for the terminal.

Events are read back from files, perhaps written by another version, so that an absent field must give a poorer
sentence and never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gameday.fields import format_duration
from gameday.text import one_line
from gameday.timeline import Event, Kind

Data = Mapping[str, Any]
LIMIT = 2000

_FIRING = "is FIRING"
GOOD, BAD, NEUTRAL = "good", "bad", "neutral"


def sentence(event: Event) -> str:
    """What happened, on one line, without control characters."""
    make = _SENTENCES.get(event.kind)
    return one_line(make(event.data) if make else event.kind.value, LIMIT)


def tone(event: Event) -> str:
    """`good`, `bad` or `neutral`: how much a reader should look up."""
    if event.kind in _BAD:
        return BAD
    if event.kind is Kind.STEP_ENDED:
        return BAD if event.data.get("over_budget") or _failed(event.data.get("outcome")) else GOOD
    if event.kind is Kind.RUNBOOK_ENDED:
        return GOOD if event.data.get("completed") else BAD
    if event.kind is Kind.WATCH_ENDED:
        return GOOD if event.data.get("outcome") == "quiet" else BAD
    if event.kind is Kind.CANARY_ACCOUNTED and event.data.get("missing"):
        return BAD
    if "ok" in event.data:
        return GOOD if event.data["ok"] else BAD
    return GOOD if event.kind in _GOOD else NEUTRAL


_BAD = frozenset(
    {
        Kind.FAULT_FAILED,
        Kind.DURING_INEFFECTIVE,
        Kind.FAULT_INEFFECTIVE,
        Kind.SERVICE_DOWN,
        Kind.SERVICE_UNHARMED,
        Kind.STOP_CONDITION,
        Kind.DRILL_ABORTED,
    }
)
_GOOD = frozenset({Kind.SERVICE_RECOVERED, Kind.ALERT_RESOLVED})


def _failed(outcome: object) -> bool:
    return str(outcome) in {"failed", "timed-out", "timeout", "error"}


def _seconds(value: object) -> str:
    return format_duration(round(float(value), 3)) if isinstance(value, int | float) else "no limit"


def _phase(data: Data) -> str:
    budget = data.get("budget_s")
    return f"budget {_seconds(budget)}" if budget is not None else "begins"


def _alert(state: str) -> Callable[[Data], str]:
    def make(data: Data) -> str:
        labels = data.get("labels") or {}
        shown = (
            ", ".join(f"{key}={value}" for key, value in labels.items())
            if isinstance(labels, Mapping)
            else ""
        )
        kind = " (unexpected)" if state == _FIRING and not data.get("expected", True) else ""
        seen = f", {data['seen']}" if data.get("seen") else ""
        return f"alert {data.get('alert')} {state}{kind}{f' [{shown}]' if shown else ''}{seen}"

    return make


def _step_ended(data: Data) -> str:
    took = data.get("duration_s")
    spent = f" after {took:.2f} s" if isinstance(took, int | float) else ""
    over = f", over its budget of {_seconds(data.get('budget_s'))}" if data.get("over_budget") else ""
    return f"step “{data.get('heading')}”: {data.get('outcome', 'ended')}{spent}{over}"


def _canary(data: Data) -> str:
    if not data.get("ok", True):
        return f"records could not be accounted for: {data.get('detail')}"
    return f"{data.get('acknowledged')} acknowledged records looked up, {data.get('missing')} missing"


def _ok(good: str, bad: str) -> Callable[[Data], str]:
    return lambda data: f"{good if data.get('ok') else bad}{_colon(data.get('detail'))}"


def _colon(detail: object) -> str:
    return f": {detail}" if detail else ""


def _undo(data: Data) -> str:
    return f"{data.get('operation', 'revert')} {data.get('component', '')}".strip()


def _targets(data: Data) -> str:
    targets = data.get("targets")
    return f" on {', '.join(map(str, targets))}" if isinstance(targets, list | tuple) and targets else ""


def _fault(data: Data) -> str:
    fault = data.get("fault")
    return " ".join(map(str, fault.values())) if isinstance(fault, Mapping) else str(fault)


def _rule(data: Data) -> str:
    advice = data.get("advice") or []
    known = f"; {len(advice)} known weaknesses" if advice else ""
    return f"rule of {data.get('alert')}: {data.get('expr')} for {_seconds(data.get('for_s'))}{known}"


def _stopped(data: Data) -> str:
    verb = "cannot be read" if data.get("outcome") == "unread" else "is met"
    since = _seconds(data.get("for_s"))
    return f"stop condition {verb} for {since}: {data.get('condition')}{_colon(data.get('detail'))}"


def _asked(data: Data) -> str:
    requests = data.get("requests") or {}
    kinds = sorted(requests.items(), key=lambda one: -one[1])
    return (
        f"requests to the target: {sum(requests.values())} ({', '.join(f'{n} {kind}' for kind, n in kinds)})"
    )


_SENTENCES: Mapping[Kind, Callable[[Data], str]] = {
    Kind.DRILL_STARTED: lambda d: (
        f"drill {d.get('drill')}: {d.get('scenario')} in {d.get('instance', d.get('environment'))}"
    ),
    Kind.PHASE_STARTED: _phase,
    Kind.PREFLIGHT_CHECKED: lambda d: (
        f"{d.get('check')}: {'ok' if d.get('ok') else 'NO'}{_colon(d.get('detail'))}"
    ),
    Kind.UNDO_RECORDED: lambda d: f"recorded how to undo it: {_undo(d)}",
    Kind.DEADMAN_ARMED: lambda d: (
        f"dead-man switch armed: the fault ends by itself after {_seconds(d.get('ttl_s'))}"
    ),
    Kind.DURING_INJECTING: lambda d: f"first, what must be in force before the fault: {_fault(d)}",
    Kind.DURING_INJECTED: lambda d: f"in force{_colon(d.get('detail'))}",
    Kind.DURING_EFFECTIVE: lambda d: f"it took effect: probe {d.get('probe')} fails{_colon(d.get('detail'))}",
    Kind.DURING_INEFFECTIVE: lambda d: (
        f"it had no effect: probe {d.get('probe')} still holds after {_seconds(d.get('waited_s'))}"
    ),
    Kind.FAULT_INJECTING: lambda d: f"injecting: {_fault(d)}{_targets(d)}",
    Kind.FAULT_INJECTED: lambda d: f"injected{_colon(d.get('detail'))}",
    Kind.FAULT_FAILED: lambda d: f"NOT injected{_colon(d.get('detail'))}",
    Kind.FAULT_EFFECTIVE: lambda d: (
        f"the fault took effect: probe {d.get('probe')} fails{_colon(d.get('detail'))}"
    ),
    Kind.FAULT_INEFFECTIVE: lambda d: (
        f"the fault had no effect: probe {d.get('probe')} still holds after {_seconds(d.get('waited_s'))}"
    ),
    Kind.ALERT_PENDING: _alert("is pending"),
    Kind.ALERT_FIRING: _alert(_FIRING),
    Kind.ALERT_NOTIFIED: _alert("was notified"),
    Kind.ALERT_SUPPRESSED: lambda d: f"{_alert('is suppressed')(d)}{_colon(d.get('detail'))}",
    Kind.ALERT_RELEASED: _alert("is no longer suppressed"),
    Kind.ALERT_RESOLVED: _alert("resolved"),
    Kind.ALERT_END_NOTIFIED: _alert("was notified as resolved"),
    Kind.ALERT_LAPSED: _alert("is no longer pending"),
    Kind.ALERT_RULE: _rule,
    Kind.DETECTOR_HEALTH: _ok("the detector sees", "the detector is BLIND"),
    Kind.DETECT_ENDED: lambda d: f"detection ended: {d.get('outcome')}",
    Kind.WATCH_ENDED: lambda d: (
        f"watched for {_seconds(d.get('watched_s'))}: {', '.join(map(str, d.get('alerts') or [])) or d.get('outcome')}"
        + (" fired" if d.get("alerts") else "")
    ),
    Kind.RUNBOOK_STARTED: lambda d: f"runbook {d.get('runbook')}{_colon(d.get('title'))}",
    Kind.STEP_STARTED: lambda d: f"step “{d.get('heading')}”, budget {_seconds(d.get('budget_s'))}",
    Kind.STEP_ENDED: _step_ended,
    Kind.RUNBOOK_ENDED: lambda d: (
        "runbook completed" if d.get("completed") else f"runbook not completed{_colon(d.get('reason'))}"
    ),
    Kind.SERVICE_RECOVERED: lambda d: f"service recovered and stable for {_seconds(d.get('stable_for_s'))}",
    Kind.SERVICE_DOWN: lambda d: (
        f"service still down after {_seconds(d.get('waited_s'))}{_colon(d.get('reason'))}"
    ),
    Kind.SERVICE_UNHARMED: lambda d: (
        f"nothing to recover was seen in {_seconds(d.get('waited_s'))}: "
        f"{', '.join(map(str, d.get('probes') or []))} never failed after the effect"
    ),
    Kind.CANARY_ACCOUNTED: _canary,
    Kind.RESOLVE_ENDED: lambda d: f"waiting for the alert to resolve ended: {d.get('outcome')}",
    Kind.AFTERWARDS_ENDED: _ok("back to normal after the undo", "NOT back to normal after the undo"),
    Kind.UNDO_STARTED: lambda d: f"undoing: {_undo(d)}",
    Kind.UNDO_ENDED: lambda d: (
        f"{_undo(d)}: {'undone' if d.get('ok') else 'NOT undone'}{_colon(d.get('detail'))}"
    ),
    Kind.LEFTOVERS_CHECKED: _ok("nothing is left behind", "something was LEFT BEHIND"),
    Kind.STOP_CONDITION: _stopped,
    Kind.DRILL_ABORTED: lambda d: f"ABORTED: {d.get('reason')}",
    Kind.TARGET_ASKED: _asked,
    Kind.DRILL_ENDED: lambda _: "drill ended",
}
