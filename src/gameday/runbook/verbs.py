"""What the steps of a runbook do to which components, whichever of them a drill comes to."""

from __future__ import annotations

from gameday.runbook.actions import Command, Operation
from gameday.runbook.model import Runbook


def verbs(runbook: Runbook) -> tuple[tuple[str, str], ...]:
    """Verbs and components, `run` for a command; manual steps aside."""
    found = []
    for step in runbook.steps:
        if isinstance(step.action, Operation):
            found.append((step.action.verb, step.action.component))
        elif isinstance(step.action, Command):
            found.append(("run", step.action.component))
    return tuple(dict.fromkeys(found))
