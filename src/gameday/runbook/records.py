"""What executing a runbook leaves behind: one record for each executed step, and what became of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from gameday.clock import Instant

StepOutcome = Literal["done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """How a step's check went. `within_s` is what was allowed, `waited_s` what it took."""

    probe: str
    within_s: float
    met: bool
    waited_s: float
    detail: str


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One executed step. Budgets are in force: already divided by the speed."""

    heading: str
    section: str
    kind: str
    action: str
    started: Instant
    acted_at: Instant
    """When the action ended, before the check began to wait."""
    ended: Instant
    budget_s: float
    outcome: StepOutcome
    reason: str
    """Why it failed or was stopped; empty when done."""
    output: str
    """What came back: bounded, secrets masked."""
    acted: bool
    """It may have changed something: its action is one that does, and succeeded or timed out midway."""
    check: CheckRecord | None = None
    mitigation: str | None = None
    because_of: str | None = None
    """The step whose `otherwise` or `then` led here; None on the main path."""

    @property
    def duration_s(self) -> float:
        return self.ended - self.started

    @property
    def over_budget(self) -> bool:
        """It took longer than its budget, whether or not it worked."""
        return self.duration_s > self.budget_s

    def to_json(self) -> dict[str, Any]:
        """Plain data for the timeline."""
        check = self.check
        return {
            "heading": self.heading,
            "section": self.section,
            "kind": self.kind,
            "action": self.action,
            "started": self.started.to_json(),
            "acted_at": self.acted_at.to_json(),
            "ended": self.ended.to_json(),
            "duration_s": self.duration_s,
            "budget_s": self.budget_s,
            "over_budget": self.over_budget,
            "outcome": self.outcome,
            "reason": self.reason,
            "output": self.output,
            "acted": self.acted,
            "check": {name: getattr(check, name) for name in check.__slots__} if check else None,
            "mitigation": self.mitigation,
            "because_of": self.because_of,
        }


@dataclass(frozen=True, slots=True)
class StepEvent:
    """A step began or ended; `record` is there when it ended."""

    kind: Literal["started", "ended"]
    at: Instant
    heading: str
    section: str
    action: str
    budget_s: float
    record: StepRecord | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a runbook. `completed` says that its path was walked to the end, not that it helped."""

    completed: bool
    reason: str
    steps: tuple[StepRecord, ...]
    stopped: bool = False

    @property
    def last_action(self) -> StepRecord | None:
        """The last step that may have changed something: what a recovery can be owed to."""
        return next((record for record in reversed(self.steps) if record.acted), None)

    @property
    def mitigations(self) -> tuple[StepRecord, ...]:
        """Steps that acted and say which mitigation they are."""
        return tuple(record for record in self.steps if record.acted and record.mitigation)

    def to_json(self) -> dict[str, Any]:
        """Plain data for the timeline, without the steps, which are there already."""
        last = self.last_action
        return {
            "completed": self.completed,
            "stopped": self.stopped,
            "reason": self.reason,
            "steps": len(self.steps),
            "last_action": last.heading if last else None,
            "mitigations": [record.heading for record in self.mitigations],
        }
