"""What a game day showed that somebody has to do something about. Pure: a state and the records of its drills.

Findings are numbered by drill, `2.1`, so that an action item can say which one it is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gameday.gamedays.state import DrillState, State, Status
from gameday.intervals import Result
from gameday.record import DrillRecord
from gameday.timeline import Kind
from gameday.verdict import Check

Records = Mapping[str, DrillRecord]
"""By the drill's name; those whose evidence can be read."""
NO_EVIDENCE = "no evidence"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. `kind` is `missed`, `unknown` or `unexpected`, or what became of the drill."""

    id: str
    number: int
    scenario: str | None
    kind: str
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class Change:
    """What to change: `rule`, `runbook` or `scenario`, its name, what and why."""

    what: str
    name: str
    text: str
    findings: tuple[str, ...]


def findings(state: State, records: Records) -> tuple[Finding, ...]:
    """Of every drill of the plan, in its order; of one that was repeated, of the last try."""
    found: list[Finding] = []
    for drill in state.drills:
        rows = list(_of_drill(drill, records))
        for index, (kind, title, detail) in enumerate(rows, 1):
            number = drill.planned.number
            found.append(Finding(f"{number}.{index}", number, drill.planned.scenario, kind, title, detail))
    return tuple(found)


def record_of(drill: DrillState, records: Records) -> DrillRecord | None:
    """The evidence of the last try."""
    last = drill.last
    return records.get(last.drill) if last is not None and last.drill is not None else None


def _of_drill(drill: DrillState, records: Records) -> Iterator[tuple[str, str, str]]:
    yield from _interruptions(drill)
    if drill.status is Status.WAITING and not drill.repeat:
        yield "not executed", "The drill did not take place", "what it would have shown is not known"
        return
    last, record = drill.last, record_of(drill, records)
    if drill.status is not Status.ENDED or last is None:
        return
    if record is None:
        yield NO_EVIDENCE, "The drill left no evidence", "; ".join(last.reasons) or "nothing is known of it"
        return
    verdict = record.verdict
    if verdict.aborted:
        yield "aborted", "The drill was aborted", verdict.reasons[0]
    for check in verdict.checks:
        if check.result is Result.MISSED or (check.result is Result.UNKNOWN and not verdict.aborted):
            yield check.result.value, check.title, check.detail
    for alert in verdict.unexpected_alerts:
        detail = f"{alert} fired, and the scenario neither expects it nor names it as collateral"
        yield "unexpected", f"Alert {alert} fired unexpectedly", detail


def _interruptions(drill: DrillState) -> Iterator[tuple[str, str, str]]:
    for attempt in drill.attempts:
        if attempt.interrupted is not None:
            title = f"Attempt {attempt.number} was interrupted: its runner died"
            yield "interrupted", title, attempt.interrupted
    if drill.skipped_by is not None:
        yield "skipped", "The drill was skipped after an interruption", f"decided by {drill.skipped_by}"


# --- what to change -----------------------------------------------------------------------------------------


def changes(state: State, records: Records) -> tuple[Change, ...]:
    """What to change in rules, runbooks and scenarios: one entry a file's part, with every finding that says so."""
    merged: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for finding in findings(state, records):
        drill = state.drill(finding.number)
        record = record_of(drill, records)
        if record is None or finding.kind not in ("missed", "unexpected"):
            continue
        for what, name, text in _changes(finding, record):
            texts, ids = merged.setdefault((what, name), ([], []))
            texts += [text] if text not in texts else []
            ids += [finding.id] if finding.id not in ids else []
    return tuple(
        Change(what, name, "; ".join(texts), tuple(ids)) for (what, name), (texts, ids) in merged.items()
    )


def _changes(finding: Finding, record: DrillRecord) -> Iterator[tuple[str, str, str]]:
    scenario = record.scenario
    if finding.kind == "unexpected":
        # of a control the missed check says it already: nothing may fire in it, expected or not
        for alert in () if scenario.control else record.verdict.unexpected_alerts:
            if finding.title == f"Alert {alert} fired unexpectedly":
                yield "rule", alert, _of_unexpected(record, alert)
        return
    check = next((check for check in record.verdict.checks if check.title == finding.title), None)
    name = check.name if check is not None else ""
    alert, runbook = scenario.alert or "", scenario.runbook or ""
    if name == "detected":
        yield "rule", alert, _of_rule(record, alert, "it did not fire in time for this fault")
    elif name == "resolved":
        yield "rule", alert, _of_rule(record, alert, "it goes on firing after the service is back")
    elif name == "quiet":
        for fired in _fired(record):
            yield "rule", fired, _of_rule(record, fired, "it fires below what anybody should be woken for")
    elif name == "runbook":
        yield "runbook", runbook, _of_runbook(check)
    elif name in ("recovered", "restored_by"):
        yield "runbook", runbook, f"{finding.title.lower()}: {finding.detail}"
    elif name == "data_loss":
        yield "runbook", runbook, f"backups and restore lose more than promised: {finding.detail}"


def _of_unexpected(record: DrillRecord, alert: str) -> str:
    either = (
        f"either it is right, then name it under `expect.also` of {record.scenario.scenario}; or it is not"
    )
    return _of_rule(record, alert, either)


def _of_rule(record: DrillRecord, alert: str, why: str) -> str:
    """With what is known of the rule's weaknesses and, where it is, what would be right instead."""
    told = record.timeline.first(Kind.ALERT_RULE, lambda event: event.data.get("alert") == alert)
    advice = [] if told is None else told.data.get("advice") or []
    known = [
        f"{str(part.get('title', '')).rstrip('.')}"
        + (f", instead: {part['instead']}" if part.get("instead") else "")
        for part in advice
    ]
    return "; ".join([why, *known])


def _of_runbook(check: Check | None) -> str:
    return check.detail if check is not None else "it did not work"


def _fired(record: DrillRecord) -> tuple[str, ...]:
    ended = record.timeline.last(Kind.WATCH_ENDED)
    return tuple(str(alert) for alert in ended.data["alerts"]) if ended is not None else ()


# --- action items -------------------------------------------------------------------------------------------


def open_findings(state: State, records: Records) -> tuple[Finding, ...]:
    """Findings that no action item is for."""
    taken = {action.finding for action in state.actions}
    return tuple(finding for finding in findings(state, records) if finding.id not in taken)
