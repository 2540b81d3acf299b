"""Where a running drill stands, for its console."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gameday.clock import Instant
    from gameday.reporting.console import LiveStatus
    from gameday.session import Session


def status_of(session: Session) -> LiveStatus:
    """Where a running drill stands, as the console shows it."""
    from gameday.clock import Instant
    from gameday.reporting.console import LiveStatus, StepStatus
    from gameday.timeline import Kind

    now, timeline = Instant.now(), session.timeline.timeline
    entered = timeline.last(Kind.PHASE_STARTED)
    effective, recovered = timeline.first(Kind.FAULT_EFFECTIVE), timeline.first(Kind.SERVICE_RECOVERED)
    step, ended = timeline.last(Kind.STEP_STARTED), timeline.last(Kind.STEP_ENDED)
    current = step if step is not None and (ended is None or ended.seq < step.seq) else None
    answers = session.watchers.answers()
    return LiveStatus(
        phase=session.timeline.phase,
        phase_elapsed_s=now - entered.at if entered else 0.0,
        phase_budget_s=float(entered.data["budget_s"]) if entered else None,
        since_effect_s=now - effective.at if effective else None,
        rto_s=session.scenario.rto_s,
        alerts=_alerts(session, now),
        probes=tuple(
            (name, state.ok, answers[name].detail if name in answers else "")
            for name, state in session.watchers.states.items()
        ),
        step=StepStatus(current.data["heading"], current.data["budget_s"], now - current.at)
        if current
        else None,
        recovered_s=recovered.at - effective.at if recovered and effective else None,
    )


def _alerts(session: Session, now: Instant) -> tuple[tuple[str, str, float | None], ...]:
    from gameday.detectors.base import AlertState

    expected = session.scenario.alert
    rows = []
    for alert in session.detector.alerts():
        if not alert.summary or (alert.name != expected and alert.state is AlertState.INACTIVE):
            continue
        since = alert.firing_since or alert.pending_since
        age_s = now - since if since is not None else None
        rows.append(
            (alert.name, alert.state.value, age_s if alert.state is not AlertState.INACTIVE else None)
        )
    return tuple(sorted(rows, key=lambda row: row[0] != expected))
