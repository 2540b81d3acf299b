"""What a drill showed, in words and figures: the one source of every report's first lines.

Markdown, HTML and the terminal must never tell different stories, so what they say is decided here and only
laid out there. Everything is computed from the record; nothing is measured again.
"""

from __future__ import annotations

from dataclasses import dataclass

from gameday.clock import Instant
from gameday.fields import format_duration
from gameday.intervals import Measured, Result, restoring_mitigation, restoring_step
from gameday.plan import describe_during, describe_fault
from gameday.record import DrillRecord
from gameday.reporting.floor import floor
from gameday.text import one_line
from gameday.timeline import Event, Kind
from gameday.verdict import Check, Outcome

MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Figure:
    """One headline: what was measured against what was promised."""

    name: str
    label: str
    value: str
    objective: str
    result: Result
    measured: Measured | None = None
    objective_s: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant that the verdict rests on. `since_s` counts from the effect, or from the start without one."""

    name: str
    label: str
    at: Instant
    since_s: float
    resolution_s: float | None
    seen: str = ""
    """How an alert's instant is known: `observed`, `evaluated`, `derived` or `notified`; empty where we evaluated."""


@dataclass(frozen=True, slots=True)
class Step:
    """One executed step of the runbook. `ended` is None where the drill broke off in it."""

    number: int
    heading: str
    budget_s: float
    started: Instant
    ended: Instant | None
    outcome: str
    over_budget: bool
    reason: str
    output: str

    @property
    def duration_s(self) -> float | None:
        return None if self.ended is None else self.ended - self.started


def measured_text(measured: Measured) -> str:
    """`14.20 s ± 0.10 s`; long ones with minutes, which people read: `13m32s (812.31 s ± 0.10 s)`."""
    if measured.value_s < 120:
        return str(measured)
    return f"{format_duration(round(measured.value_s))} ({measured})"


def check_named(record: DrillRecord, name: str) -> Check | None:
    return next((check for check in record.verdict.checks if check.name == name), None)


def figures(record: DrillRecord) -> tuple[Figure, ...]:
    """The four answers that a manager wants: detected, recovered, lost, restored by; of a control, the one."""
    if record.scenario.recovered is None:
        return (_quiet_figure(record),)
    wanted = (
        ("detected", "Time to detect (MTTD)"),
        ("recovered", "Time to recover"),
        ("data_loss", "Data loss"),
    )
    found = [_figure(record, name, label) for name, label in wanted]
    restored = check_named(record, "restored_by")
    by = record.verdict.restored_by or "not known"
    step = restoring_step(record.timeline)
    allowed = f"expected: {' or '.join(record.scenario.recovery.by)}"
    result = restored.result if restored else Result.UNKNOWN
    value = f"{by}, step “{one_line(step, 200)}”" if step and by == "runbook" else by
    return (*found, Figure("restored_by", "Restored by", value, allowed, result))


def _quiet_figure(record: DrillRecord) -> Figure:
    check, ended = check_named(record, "quiet"), record.timeline.last(Kind.WATCH_ENDED)
    alerts = [str(alert) for alert in ended.data["alerts"]] if ended else []
    value = "not watched to the end" if ended is None else one_line(", ".join(alerts), 500) or "none"
    objective = f"none for {format_duration(record.scenario.watched_s)}"
    return Figure("quiet", "Alerts that fired", value, objective, check.result if check else Result.UNKNOWN)


_OBJECTIVES = {"detected": "within", "recovered": "RTO", "data_loss": "RPO"}


def _figure(record: DrillRecord, name: str, label: str) -> Figure:
    check = check_named(record, name)
    if check is None:
        return Figure(name, label, "not judged", "", Result.UNKNOWN)
    objective = ""
    if check.objective_s is not None:
        objective = f"{_OBJECTIVES[name]} {format_duration(check.objective_s)}"
    known = floor(record) if name == "detected" else None
    if known is not None:
        objective = f"{objective}; {known}" if objective else str(known)
    value = "not measured"
    if name == "data_loss" and record.verdict.data_loss_s is not None:
        value = _loss(record)
    elif check.measured is not None:
        value = measured_text(check.measured)
    elif check.result is Result.MISSED:
        value = {"detected": "did not fire", "recovered": "did not recover"}.get(name, value)
    return Figure(name, label, value, objective, check.result, check.measured, check.objective_s)


def _loss(record: DrillRecord) -> str:
    accounted = record.timeline.last(Kind.CANARY_ACCOUNTED)
    missing = accounted.data.get("missing", 0) if accounted else 0
    if not missing:
        return "no record lost"
    check = check_named(record, "data_loss")
    age = measured_text(check.measured) if check and check.measured else f"{record.verdict.data_loss_s:.2f} s"
    records = "1 record" if missing == 1 else f"{missing} records"
    return f"{records} lost (oldest: {age} before the fault)"


def proven(record: DrillRecord) -> str:
    """One sentence: what this drill proved, or that it did not."""
    verdict, scenario = record.verdict, record.scenario
    if verdict.outcome is Outcome.INCONCLUSIVE:
        effective = record.timeline.first(Kind.FAULT_EFFECTIVE)
        if effective is None and scenario.fault:
            return "Nothing was proven: no effect of a fault was observed."
        return "Not everything was proven; what is unknown is not counted as good."
    if verdict.outcome is Outcome.FAIL:
        missed = [check.title for check in verdict.checks if check.result is Result.MISSED]
        return f"Proven not to hold: {one_line('; '.join(missed))}."
    if scenario.control:
        under = f" although {fault_text(record)} was in force" if scenario.fault else ""
        return f"Proven: no alert fired for {format_duration(scenario.watched_s)}{under}; everything was put back."
    mttd, recover = verdict.interval("mttd"), verdict.interval("time_to_recover")
    step = restoring_step(record.timeline)
    parts = [
        f"after the fault ({fault_text(record)}) alert {scenario.alert} fired"
        + (f" in {measured_text(mttd)}" if mttd else ""),
        f"runbook {scenario.runbook}"
        + (f" (step “{one_line(step, 200)}”)" if step else "")
        + " brought the service back"
        + (f" in {measured_text(recover)}" if recover else ""),
        _loss(record) if verdict.data_loss_s is not None else "data loss was not measured",
        "everything was put back",
    ]
    if verdict.restored_by == "self":
        parts[1] = "the service came back by itself" + (f" in {measured_text(recover)}" if recover else "")
    return f"Proven: {'; '.join(parts)}."


def fault_text(record: DrillRecord) -> str:
    """`kill database`, with what was in force before it."""
    fault, during = describe_fault(record.scenario), describe_during(record.scenario)
    return f"{fault}, during {during}" if during else fault


def rehearsal_text(record: DrillRecord) -> str | None:
    """The mark of a drill at speed, with what it means; None at the real speed."""
    if record.rehearsal is None:
        return None
    words = record.rehearsal[0].upper() + record.rehearsal[1:]
    return (
        f"{words}: rule windows, budgets and objectives were divided by {record.speed:g}. "
        "Its figures are no evidence for the real objectives."
    )


def broken_off_text(record: DrillRecord) -> str | None:
    """What a reader must know of a drill whose runner died; None for a drill that came to its own end."""
    if record.complete:
        return None
    seconds = record.ended - record.started
    return (
        f"This drill was broken off: its record ends {seconds:.1f} s after its start, in phase "
        f"{record.timeline.events[-1].phase.value}. Run `gameday recover` to be sure that nothing was left behind."
    )


def notices(record: DrillRecord) -> tuple[tuple[str, str], ...]:
    """What must not be overlooked, before everything else: `rehearsal`, `bad` or `unknown`, and the words."""
    verdict = record.verdict
    found = [("rehearsal", rehearsal_text(record)), ("bad", broken_off_text(record))]
    if verdict.left_behind:
        found.append(("bad", "Something was left behind. Run `gameday recover`."))
    if verdict.aborted:
        by = " A stop condition ended it." if record.timeline.first(Kind.STOP_CONDITION) is not None else ""
        found.append(("unknown", f"This drill was aborted before it could show everything.{by}"))
    if verdict.unexpected_alerts:
        names = one_line(", ".join(verdict.unexpected_alerts), 500)
        found.append(("unknown", f"Alerts fired that the scenario does not expect: {names}."))
    return tuple((kind, text) for kind, text in found if text)


def effect(record: DrillRecord) -> Instant | None:
    found = record.timeline.first(Kind.FAULT_EFFECTIVE)
    return None if found is None else found.at


def origin(record: DrillRecord) -> Instant:
    """Where relative times count from: the fault's effect, or the start of a drill that had none."""
    return effect(record) or record.started


def moments(record: DrillRecord) -> tuple[Moment, ...]:
    """The instants of the drill in order of time."""
    zero = origin(record)
    found = (
        Moment(
            name,
            _label(label, event),
            event.at,
            event.at - zero,
            event.data.get("resolution_s"),
            _seen(event),
        )
        for name, label, event in _instants(record)
    )
    return tuple(sorted(found, key=lambda moment: moment.at.mono_ns))


def _seen(event: Event) -> str:
    return one_line(event.data.get("seen") or "", 40)


def _label(label: str, event: Event) -> str:
    seen = _seen(event)
    return f"{label} ({seen})" if seen else label


def _instants(record: DrillRecord) -> list[tuple[str, str, Event]]:
    """The same events that the verdict's intervals begin and end with."""
    timeline = record.timeline
    effective, recovered = timeline.first(Kind.FAULT_EFFECTIVE), timeline.first(Kind.SERVICE_RECOVERED)
    firing, step = _expected(record, Kind.ALERT_FIRING), timeline.first(Kind.STEP_STARTED)
    undone = timeline.last(Kind.UNDO_ENDED, lambda event: bool(event.data.get("ok")))
    rows = (
        ("inject", "Injection began", timeline.first(Kind.FAULT_INJECTING)),
        ("effective", "Fault took effect", effective),
        ("pending", "Alert pending", _expected(record, Kind.ALERT_PENDING)),
        ("firing", "Alert firing", firing),
        ("notified", "Alert notified", _expected(record, Kind.ALERT_NOTIFIED)),
        ("first_step", "First runbook step", step),
        ("recovered", "Service recovered", recovered),
        ("resolved", "Alert resolved", _expected_resolved(record, firing)),
        ("undone", "Last undo done", undone),
    )
    return [(name, label, event) for name, label, event in rows if event is not None]


def _expected(record: DrillRecord, kind: Kind) -> Event | None:
    zero, alert = effect(record), record.scenario.alert
    return record.timeline.first(
        kind, lambda event: event.data.get("alert") == alert and (zero is None or zero <= event.at)
    )


def _expected_resolved(record: DrillRecord, firing: Event | None) -> Event | None:
    alert = record.scenario.alert
    return record.timeline.last(
        Kind.ALERT_RESOLVED,
        lambda event: event.data.get("alert") == alert and firing is not None and firing.at <= event.at,
    )


def steps(record: DrillRecord) -> tuple[Step, ...]:
    """The executed steps in order, each start with its end."""
    ends = list(record.timeline.all(Kind.STEP_ENDED))
    found: list[Step] = []
    for number, start in enumerate(record.timeline.all(Kind.STEP_STARTED), 1):
        heading = start.data.get("heading", "")
        end = next((e for e in ends if e.seq > start.seq and e.data.get("heading") == heading), None)
        data = end.data if end else {}
        found.append(
            Step(
                number=number,
                heading=one_line(heading, 300),
                budget_s=float(start.data.get("budget_s") or 0.0),
                started=start.at,
                ended=end.at if end else None,
                outcome=str(data.get("outcome", "broken off")),
                over_budget=bool(data.get("over_budget", False)),
                reason=one_line(data.get("reason") or "", 1000),
                output=str(data.get("output") or ""),
            )
        )
    return tuple(found)


def facts(record: DrillRecord) -> tuple[tuple[str, str], ...]:
    """Where and what was drilled: name and value, as text."""
    scenario, started = record.scenario, record.timeline.started.data
    seconds, mitigation = record.ended - record.started, restoring_mitigation(record.timeline)
    rows = [
        ("Drill", record.drill),
        ("Scenario", scenario.scenario),
        ("Hypothesis", scenario.hypothesis),
        ("Fault", fault_text(record)),
        ("Owner", scenario.owner),
        ("Severity", f"{scenario.severity}, tier {scenario.tier}"),
        ("Environment", f"{record.environment} (target {record.target})"),
        ("Speed", record.rehearsal or "real time"),
        ("Started", stamp(record.started)),
        ("Ended", f"{stamp(record.ended)} ({seconds:.1f} s)"),
        ("Expected alert", scenario.alert or "none: a control"),
        ("Runbook", scenario.runbook or "none: a control"),
        *((("Mitigation", mitigation),) if mitigation else ()),
        ("Unexpected alerts", ", ".join(record.verdict.unexpected_alerts) or "none"),
        ("gameday", str(started.get("version", "unknown"))),
    ]
    return tuple((name, one_line(value, 2000)) for name, value in rows)


def detector_facts(record: DrillRecord) -> tuple[tuple[str, str], ...]:
    """What the detector said of itself, and whether it could see all the time."""
    rows = [(one_line(key, 100), one_line(value, 500)) for key, value in record.detector.items()]
    blind = record.timeline.all(Kind.DETECTOR_HEALTH, lambda event: not event.data.get("ok"))
    seen = "all the time" if not blind else f"not always: {one_line(blind[0].data.get('detail', ''), 500)}"
    return (*rows, ("could see", seen))


def in_time(record: DrillRecord) -> list[Event]:
    """The events by their instants: some are written only when what they say is certain."""
    return sorted(record.timeline, key=lambda event: (event.at.mono_ns, event.seq))


def resolution_text(seconds: float | None) -> str:
    """Empty where nothing was sampled."""
    if not seconds:
        return ""
    return f"{seconds:.2f} s" if seconds >= 0.005 else "< 0.01 s"


def stamp_ms(at: Instant) -> str:
    return at.utc.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def stamp(at: Instant) -> str:
    return at.utc.strftime("%Y-%m-%d %H:%M:%S UTC")


def signed(seconds: float) -> str:
    """`+14.20 s`, or with a true minus sign before the effect."""
    text = f"{abs(seconds):.2f} s"
    return text if text == "0.00 s" else f"{MINUS if seconds < 0 else '+'}{text}"
