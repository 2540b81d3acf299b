"""What tests share that kill a runner: the events after which they do, whatever the target is."""

from __future__ import annotations

from process.inn import Inn, kill

BEFORE_THE_UNDO_IS_RECORDED = ("drill.started", "phase.started", "preflight.checked")
AFTER = (
    "undo.recorded",
    "deadman.armed",
    "fault.injecting",
    "fault.injected",
    "fault.effective",
    "alert.pending",
    "alert.firing",
    "detect.ended",
    "runbook.started",
    "step.started",
    "step.ended",
    "runbook.ended",
    "service.recovered",
    "canary.accounted",
    "alert.resolved",
    "resolve.ended",
    "undo.started",
    "undo.ended",
    "leftovers.checked",
    "drill.ended",
)


def kill_after(inn: Inn, kind: str) -> None:
    """Start a drill and kill its runner as soon as its timeline has an event of this kind."""
    known = inn.folders()
    runner = inn.start_drill()
    folder = inn.wait_for(kind, runner, known)
    kill(runner)
    assert runner.stdout is not None
    runner.stdout.close()
    assert folder is not None, f"the drill ended without {kind}"
