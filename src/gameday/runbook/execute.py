"""Executing a runbook: each step carried out, timed against its budget, checked, and recorded.

Synchronous on purpose: it runs in the drill's engine process, whose parent owns signals and deadlines. Which
steps run, and in which order, is told in `model`. Nothing here waits by itself: every wait belongs to
`Operations` or `Manual`, which keep the time-out they are given. A stop is looked for before each step and
between an action and its check; an implementation that sees it earlier raises `Aborted`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gameday.clock import Clock, Instant, SystemClock
from gameday.errors import Aborted, GamedayError, OperationTimedOut
from gameday.fields import format_duration
from gameday.runbook.actions import Command, Operation, Question
from gameday.runbook.manual import AnsweredManual, Manual, NoManual
from gameday.runbook.model import INVESTIGATION, Runbook, Step, key
from gameday.runbook.output import presentable, redact
from gameday.runbook.records import CheckRecord, Outcome, StepEvent, StepOutcome, StepRecord
from gameday.targets.base import Execution

__all__ = [
    "AnsweredManual",
    "CheckRecord",
    "Manual",
    "NoManual",
    "Operations",
    "Outcome",
    "StepEvent",
    "StepRecord",
    "execute",
    "redact",
]

MAX_REASON_BYTES = 1000
_NO = ("no", "n", "false")


class Operations(Protocol):
    """What a runbook does to an environment.

    Every method keeps to `timeout_s`, raising `OperationTimedOut` beyond it, and any other failure is another
    `GamedayError` that says what was tried on what and what came back.
    """

    def perform(self, operation: str, component: str, arguments: Mapping[str, Any], timeout_s: float) -> str:
        """Carry out one verb of `actions.VERBS`. Returns what was done, in words."""
        ...

    def run(self, component: str, argv: Sequence[str], timeout_s: float) -> Execution:
        """Run a command where the component lives."""
        ...

    def wait_for_probe(self, probe: str, within_s: float, steady_s: float) -> tuple[bool, str]:
        """Whether samples taken from now on succeed within that time, for `steady_s` without a failure, and what
        the last one said."""
        ...


def execute(
    runbook: Runbook,
    *,
    operations: Operations,
    manual: Manual,
    on_event: Callable[[StepEvent], None],
    stop: Callable[[], bool],
    speed: float = 1.0,
    clock: Clock | None = None,
) -> Outcome:
    """Carry the runbook out; budgets and the times of checks are divided by `speed`.

    A failing step is a result, never an exception; whatever is not a `GamedayError` is a defect of an
    implementation and passes through.
    """
    if speed <= 0:
        raise ValueError(f"speed is {speed}; expected more than zero")
    run = _Run(
        runbook=runbook,
        operations=operations,
        manual=manual,
        on_event=on_event,
        stop=stop,
        speed=speed,
        clock=clock or SystemClock(),
    )
    path = runbook.main_path
    if not path:
        return run.outcome(False, "the runbook has no step that a drill can execute")
    for step in path:
        if step.section == INVESTIGATION:
            run.carry_out(step, None)  # evidence: whatever comes of it, the resolution follows
        else:
            reason = run.until_done(step)
            if reason is not None and not run.stopped:
                return run.outcome(False, reason)
        if run.stopped:
            break
    return run.outcome(False, "stopped") if run.stopped else run.outcome(True, "every step was done")


@dataclass(slots=True, kw_only=True)
class _Run:
    """One execution: its collaborators and what was done so far."""

    runbook: Runbook
    operations: Operations
    manual: Manual
    on_event: Callable[[StepEvent], None]
    stop: Callable[[], bool]
    speed: float
    clock: Clock
    stopped: bool = False
    records: list[StepRecord] = field(default_factory=list)

    def outcome(self, completed: bool, reason: str) -> Outcome:
        return Outcome(completed, presentable(reason, MAX_REASON_BYTES), tuple(self.records), self.stopped)

    def until_done(self, step: Step, because_of: str | None = None) -> str | None:
        """Carry out a step and what it leads to. Returns why the runbook cannot go on; None when it can."""
        following: Step | None = step
        while following is not None:
            step = following
            if any(key(record.heading) == key(step.heading) for record in self.records):
                return f"{because_of!r} leads to {step.heading!r}, which was executed already"
            result = self.carry_out(step, because_of)
            if result is None:
                return "stopped"
            record, final = result
            failed = record.outcome == "failed"
            name = None if final else step.otherwise if failed else step.then
            if name is None:
                return f"{step.heading!r} failed: {record.reason}" if failed else None
            following, because_of = self.runbook.step(name), step.heading
            if following is None:
                return f"{step.heading!r} leads to {name!r}, which is no step of this runbook"
        return None

    def carry_out(self, step: Step, because_of: str | None) -> tuple[StepRecord, bool] | None:
        """One step with its events. Returns its record and whether nothing may follow; None when stopped."""
        if self.stopped or self.stop():
            self.stopped = True
            return None
        budget_s = step.budget_s / self.speed
        started = self.clock.now()
        action = presentable(step.describe(), MAX_REASON_BYTES)
        self.on_event(StepEvent("started", started, step.heading, step.section, action, budget_s))
        result = self._attempt(step, started, budget_s)
        record = StepRecord(
            heading=step.heading,
            section=step.section,
            kind=step.kind,
            action=action,
            started=started,
            acted_at=result.acted_at,
            ended=self.clock.now(),
            budget_s=budget_s,
            outcome=result.outcome,
            reason=presentable(result.reason, MAX_REASON_BYTES),
            output=presentable(result.output),
            acted=result.acted and step.may_change,
            check=result.check,
            mitigation=step.mitigation,
            because_of=because_of,
        )
        self.records.append(record)
        self.on_event(StepEvent("ended", record.ended, step.heading, step.section, action, budget_s, record))
        if record.outcome == "stopped":
            self.stopped = True
            return None
        return record, result.final

    def _attempt(self, step: Step, started: Instant, budget_s: float) -> _Attempt:
        attempt = self._act(step, budget_s)
        attempt.acted_at = self.clock.now()
        if attempt.outcome != "done" or step.check is None:
            return attempt
        within_s, steady_s = step.check.within / self.speed, step.check.steady_for / self.speed
        if step.section == INVESTIGATION:  # evidence must not cost more time than it was given
            left_s = budget_s - (attempt.acted_at - started)
            within_s, steady_s = min(within_s, left_s), max(0.0, min(steady_s, left_s - within_s))
        if self.stop():
            attempt.outcome, attempt.reason = "stopped", "stopped after its action, before its check"
        elif within_s <= 0:
            attempt.fail("its budget was spent before its check")
        else:
            self._check(attempt, step.check.probe, within_s, steady_s)
        return attempt

    def _act(self, step: Step, budget_s: float) -> _Attempt:
        action = step.action
        attempt = _Attempt(acted_at=self.clock.now())
        try:
            if isinstance(action, Operation):
                attempt.output = self.operations.perform(
                    action.verb, action.component, action.arguments, budget_s
                )
            elif isinstance(action, Command):
                execution = self.operations.run(action.component, action.command, budget_s)
                attempt.output = execution.output
                if execution.exit_code != 0:
                    attempt.fail(f"{action} ended with exit code {execution.exit_code}")
            elif isinstance(action, Question):
                self._ask(attempt, step.heading, action.text, budget_s)
            attempt.acted = attempt.outcome == "done"
        except OperationTimedOut as error:
            attempt.acted = True  # given up midway: it may still take effect
            attempt.fail(f"not done within {format_duration(budget_s)}: {error}")
        except Aborted as error:
            attempt.acted = True
            attempt.outcome, attempt.reason = "stopped", str(error) or "stopped during its action"
        except GamedayError as error:
            attempt.final = isinstance(action, Question)
            attempt.fail(str(error))
        return attempt

    def _ask(self, attempt: _Attempt, heading: str, question: str, timeout_s: float) -> None:
        answer = self.manual.ask(heading, question, timeout_s)
        if answer is None:
            attempt.fail(f"no answer within {format_duration(timeout_s)}: {question}")
            return
        attempt.output = answer
        if answer.strip().casefold() in _NO:
            attempt.fail(f"answered {answer.strip()!r}: {question}")

    def _check(self, attempt: _Attempt, probe: str, within_s: float, steady_s: float) -> None:
        met = False
        try:
            met, detail = self.operations.wait_for_probe(probe, within_s, steady_s)
        except Aborted as error:
            detail = str(error) or "stopped during its check"
            attempt.outcome, attempt.reason = "stopped", detail
        except GamedayError as error:
            detail = str(error)
        waited_s = self.clock.now() - attempt.acted_at
        detail = presentable(detail, MAX_REASON_BYTES)
        attempt.check = CheckRecord(probe, within_s, met, waited_s, detail)
        if not met and attempt.outcome == "done":
            attempt.fail(f"{probe} did not hold within {format_duration(within_s)}: {detail}")


@dataclass(slots=True)
class _Attempt:
    """What happened in a step, while it happens."""

    acted_at: Instant
    outcome: StepOutcome = "done"
    reason: str = ""
    output: str = ""
    acted: bool = False
    final: bool = False
    check: CheckRecord | None = None

    def fail(self, reason: str) -> None:
        self.outcome, self.reason = "failed", reason
