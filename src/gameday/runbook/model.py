"""A runbook: one Markdown file that a person reads at night and a drill executes.

`## ` headings are the sections (`SECTIONS`), `### ` headings inside them are steps where a fenced block with
the info string `yaml step` says what to do; without such a block they are prose for people.

What a drill executes, and in which order (`Runbook.main_path`):

1. the steps of Immediate Actions, as they stand in the file;
2. the steps of Investigation, for evidence: a failure is recorded and never ends the runbook, no `otherwise`
   is followed, and no step takes longer than its budget;
3. the steps of Resolution Steps;
4. the steps of Validation, which check and change nothing.

A step that another one names under `otherwise` or `then` is not on that path: it is executed only when it is
reached. A failed step goes to its `otherwise`; when that one is done (with what its own `then` names), the
path goes on after the step that failed. A failed step without `otherwise` ends the runbook. No step is ever
executed twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gameday.files import Location
from gameday.runbook.actions import Action, Check, Command, Mitigation, Operation, Question

SECTIONS = (
    "Symptoms",
    "Detection",
    "Impact Assessment",
    "Immediate Actions",
    "Investigation",
    "Resolution Steps",
    "Validation",
    "Communication Templates",
    "Post-Incident",
)
IMMEDIATE, INVESTIGATION, RESOLUTION, VALIDATION = SECTIONS[3:7]
EXECUTED = (IMMEDIATE, INVESTIGATION, RESOLUTION, VALIDATION)
READ_ONLY = (INVESTIGATION, VALIDATION)

MAX_STEPS = 200
MAX_PROSE = 4000

StepKind = Literal["operation", "command", "manual", "check"]
Severity = Literal["CRITICAL", "HIGH", "MEDIUM"]


@dataclass(frozen=True, slots=True)
class Step:
    """One executable step. `line` is the line of its heading; times are as written, in seconds."""

    heading: str
    line: int
    section: str
    text: str
    action: Action | None
    budget_s: float
    check: Check | None = None
    otherwise: str | None = None
    then: str | None = None
    mitigation: Mitigation | None = None
    lines: Mapping[Location, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kind(self) -> StepKind:
        if isinstance(self.action, Operation):
            return "operation"
        if isinstance(self.action, Command):
            return "command"
        return "manual" if isinstance(self.action, Question) else "check"

    @property
    def component(self) -> str | None:
        """The component that is acted on, None for manual steps and checks alone."""
        return self.action.component if isinstance(self.action, Operation | Command) else None

    @property
    def may_change(self) -> bool:
        """Whether carrying it out can restore a service.

        What a command does is unknown, so its section decides; a question does something only where the step
        says which mitigation a person carries out.
        """
        if isinstance(self.action, Operation):
            return self.action.changes
        if isinstance(self.action, Question):
            return self.mitigation is not None
        return self.action is not None and self.section not in READ_ONLY

    @property
    def following(self) -> tuple[tuple[Literal["otherwise", "then"], str], ...]:
        """The fields of this step that name another, with the name."""
        named: tuple[tuple[Literal["otherwise", "then"], str | None], ...] = (
            ("otherwise", self.otherwise),
            ("then", self.then),
        )
        return tuple((name, heading) for name, heading in named if heading is not None)

    def describe(self) -> str:
        """What it does, in one line: `start database`, `check bookings`."""
        if self.action is not None:
            return str(self.action)
        return f"check {self.check.probe}" if self.check else "nothing"

    def line_of(self, *location: str) -> int:
        """The line of a field of its block, or of its heading where the field is absent."""
        return self.lines.get(location, self.line)


@dataclass(frozen=True, slots=True)
class Section:
    """One `## ` section. `title` is spelled as in `SECTIONS` where it is one of them."""

    title: str
    line: int
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook. `name` is the file's name without `.md`."""

    name: str
    title: str
    path: Path
    alerts: tuple[str, ...]
    severity: Severity
    rto_s: float
    sections: tuple[Section, ...]
    covers: tuple[str, ...] = ()
    lines: Mapping[Location, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, as they stand in the file."""
        return tuple(step for section in self.sections for step in section.steps)

    @property
    def main_path(self) -> tuple[Step, ...]:
        """The steps that a drill executes when all goes well, in that order (see the module's docstring)."""
        named = {key(heading) for step in self.steps for _, heading in step.following}
        free = [step for step in self.steps if key(step.heading) not in named]
        return tuple(step for title in EXECUTED for step in free if step.section == title)

    @property
    def manual_steps(self) -> tuple[Step, ...]:
        """Steps that need a person or a prepared answer, reachable or not."""
        return tuple(step for step in self.steps if step.kind == "manual")

    def step(self, heading: str) -> Step | None:
        """The step with that heading; case and runs of spaces make no difference."""
        return next((step for step in self.steps if key(step.heading) == key(heading)), None)

    def line_of(self, *location: str | int) -> int:
        """The line of a field of the front matter; 1 where it is absent."""
        return self.lines.get(location, 1)


def key(heading: str) -> str:
    """What headings are compared by."""
    return " ".join(heading.split()).casefold()
