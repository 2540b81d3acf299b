"""A drill as an incident. Pure: what is written is decided here, `store.py` gives it a number and a place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gameday.incidents.actions import Action, actions
from gameday.incidents.impact import Impact, Severity, classify, impact
from gameday.incidents.lifecycle import deadlines, detected, recovered, stages
from gameday.incidents.model import (
    ActionNote,
    DeadlineNote,
    ImpactNote,
    Incident,
    PhaseNote,
    ProbeImpact,
    Response,
    SeverityNote,
)
from gameday.incidents.severities import levels, named
from gameday.intervals import restoring_step
from gameday.plan import describe_during, describe_fault
from gameday.record import DrillRecord
from gameday.text import one_line
from gameday.timeline import Event, Kind

_LIMIT = 1000


def build(
    record: DrillRecord,
    incident_id: str,
    evidence: str,
    probes: Mapping[str, Any],
    affected_tenants: int | None = None,
) -> tuple[Incident, Response]:
    """The record and what stands beside it. `record` has its samples; `probes` as `impact` takes them."""
    found = impact(record, probes)
    severity = classify(found, record.scenario.severity)
    todo = actions(record, severity)
    incident = Incident(
        incident_id=incident_id,
        severity=named(severity.rank),  # type: ignore[arg-type]  # ranks are 1 to 4
        title=_title(record),
        detected_at=_at(detected(record)),
        resolved_at=_at(recovered(record)),
        affected_tenants=affected_tenants,
        root_cause=one_line(_cause(record), _LIMIT),
        resolution=one_line(_resolution(record), _LIMIT),
        preventive_measures=tuple(one.what for one in todo),
    )
    return incident, _response(record, incident_id, evidence, found, severity, todo)


def _at(event: Event | None) -> datetime | None:
    return None if event is None else event.at.utc


def _title(record: DrillRecord) -> str:
    kind = f"drill, {record.rehearsal}" if record.rehearsal else "drill"
    return f"{one_line(record.scenario.title, 200)} ({kind})"


def _cause(record: DrillRecord) -> str:
    if not record.scenario.fault:
        return "No fault: a control, in which no alert may fire"
    during = describe_during(record.scenario)
    fault = describe_fault(record.scenario) + (f", during {during}" if during else "")
    return f"Injected by drill {record.drill}: {fault}"


def _resolution(record: DrillRecord) -> str:
    scenario, by = record.scenario, record.verdict.restored_by
    if scenario.control:
        return "Nothing was to be restored: a control"
    took = record.verdict.interval("time_to_recover")
    after = f" {took} after the effect" if took is not None else ""
    if by == "runbook":
        step = restoring_step(record.timeline)
        which = f", step “{one_line(step, 200)}”," if step else ""
        return f"Runbook {scenario.runbook}{which} restored the service{after}"
    if by == "self":
        return f"The service came back by itself{after}"
    if by == "undo":
        return "Not restored by the response: the drill's own undo brought the service back"
    if record.timeline.last(Kind.SERVICE_UNHARMED) is not None:
        return "Not known: the probes that tell the recovery never failed after the effect"
    return "Not known: the service was not seen to come back"


def _response(
    record: DrillRecord,
    incident_id: str,
    evidence: str,
    found: Impact,
    severity: Severity,
    todo: tuple[Action, ...],
) -> Response:
    return Response(
        incident_id=incident_id,
        drill=one_line(record.drill, 200),
        scenario=record.scenario.scenario,
        environment=one_line(record.environment, 200),
        verdict=record.verdict.outcome.value,
        rehearsal=record.rehearsal,
        owner=one_line(record.scenario.owner, 200),
        alert=record.scenario.alert,
        runbook=record.scenario.runbook,
        evidence=evidence,
        impact=_impact(found),
        severity=_severity(severity, record.scenario.severity),
        lifecycle=tuple(
            PhaseNote(phase=one.phase.value, at=one.at, detail=one.detail) for one in stages(record)
        ),
        deadlines=tuple(
            DeadlineNote(
                duty=one.duty.value,
                within_s=one.within_s,
                words=one.words,
                source=one.source,
                due=one.due,
                done=one.done,
                result=one.kept,
            )
            for one in deadlines(record, severity.rank)
        ),
        action_items=tuple(
            ActionNote(action=one.what, owner=one.owner, due=one.due, priority=one.priority) for one in todo
        ),
    )


def _impact(found: Impact) -> ImpactNote:
    return ImpactNote(
        users_share=found.share,
        probes=tuple(
            ProbeImpact(probe=one.probe, asked=one.asked, failed=one.failed) for one in found.probes
        ),
        recovered_after_s=found.duration.value_s if found.duration else None,
        lasted_s=found.lasted_s,
        records_lost=found.records_lost,
        data_loss_s=found.data_loss_s,
    )


def _severity(severity: Severity, declared: str) -> SeverityNote:
    return SeverityNote(
        rank=severity.rank,
        because=severity.because,
        measured=severity.measured,
        declared=declared,
        called={level.source.value: level.name for level in levels(severity.rank)},
    )
