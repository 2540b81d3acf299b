"""What the log of a game day can say: one class for each kind of entry, frozen and checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.fields import Model, parse
from gameday.gamedays.model import Role


class Planned(Model):
    """One drill as it was planned. `scenario` is None only where a surprise is not drawn, or kept."""

    number: int
    scenario: str | None
    surprise: bool = False
    pause_s: float = 0.0


class Started(Model):
    """The game day begins: all that its file said and that must not change any more."""

    game_day: str
    title: str
    date: str
    environment: str
    """With its instance."""
    speed: float
    seed: int | None
    goals: tuple[str, ...]
    roles: dict[Role, tuple[str, ...]]
    drills: tuple[Planned, ...]
    version: str
    unattended: bool = False


class TakenUp(Model):
    """A runner begins, or takes it up after another one died: what was checked counts no more."""

    pid: int
    created: float


class EnvironmentStarting(Model):
    """The environment was down: from now on it is the game day's own, which stops it at its end."""


class EnvironmentStopped(Model):
    """What the game day had started is stopped."""


class Checked(Model):
    """An automatic check of the go/no-go list."""

    check: str
    ok: bool
    detail: str


class Answered(Model):
    """A person's answer to a question of the checklist, after `took_s` seconds."""

    question: str
    ask: str
    answer: str
    ok: bool
    took_s: float
    by: str


class GoDecided(Model):
    """GO, or NO-GO and why; `by` whom, where all was well and somebody had the last word."""

    go: bool
    reasons: tuple[str, ...] = ()
    by: str = ""


class PauseStarted(Model):
    """The pause before drill `before`."""

    before: int
    for_s: float


class PauseEnded(Model):
    before: int
    by: str
    """`time`, or who ended it."""


class DrillStarted(Model):
    number: int
    attempt: int


class DrillNamed(Model):
    """The drill has an evidence folder: its name."""

    number: int
    attempt: int
    drill: str


class DrillEnded(Model):
    """`drill` is None where it left no evidence, so that there is no verdict either."""

    number: int
    attempt: int
    drill: str | None
    outcome: str
    exit_code: int
    reasons: tuple[str, ...] = ()


class DrillInterrupted(Model):
    """Its runner died. `clean`: everything was put back."""

    number: int
    attempt: int
    drill: str | None
    clean: bool
    detail: str


class DrillDecided(Model):
    """What becomes of a drill that was interrupted."""

    number: int
    repeat: bool
    by: str


class StepAnswered(Model):
    """A manual step of a runbook: what somebody answered, after `took_s` seconds; None: no answer came in time."""

    number: int
    heading: str
    question: str
    answer: str | None
    took_s: float
    by: str


class Note(Model):
    text: str
    by: str


class Decision(Model):
    text: str
    by: str


class HandOver(Model):
    """From now on `to` has the role."""

    role: Role
    to: str
    by: str


class Action(Model):
    """Something to do: by whom and until when (a date)."""

    text: str
    owner: str
    due: str
    by: str
    finding: str | None = None
    """The finding that it is for, such as `2.1`."""


class Aborted(Model):
    """A person ended the game day; everything was put back."""

    reason: str


class Ended(Model):
    """All drills are over."""


class Finished(Model):
    """Its report is written."""


Entry = (
    Started
    | TakenUp
    | EnvironmentStarting
    | EnvironmentStopped
    | Checked
    | Answered
    | GoDecided
    | PauseStarted
    | PauseEnded
    | DrillStarted
    | DrillNamed
    | DrillEnded
    | DrillInterrupted
    | DrillDecided
    | StepAnswered
    | Note
    | Decision
    | HandOver
    | Action
    | Aborted
    | Ended
    | Finished
)
KINDS: Mapping[str, type[Model]] = {
    "game-day.started": Started,
    "game-day.taken-up": TakenUp,
    "environment.starting": EnvironmentStarting,
    "environment.stopped": EnvironmentStopped,
    "checklist.checked": Checked,
    "checklist.answered": Answered,
    "checklist.decided": GoDecided,
    "pause.started": PauseStarted,
    "pause.ended": PauseEnded,
    "drill.started": DrillStarted,
    "drill.named": DrillNamed,
    "drill.ended": DrillEnded,
    "drill.interrupted": DrillInterrupted,
    "drill.decided": DrillDecided,
    "step.answered": StepAnswered,
    "note": Note,
    "decision": Decision,
    "hand-over": HandOver,
    "action": Action,
    "game-day.aborted": Aborted,
    "game-day.ended": Ended,
    "game-day.finished": Finished,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def name_of(entry: Entry) -> str:
    """How the log calls it."""
    return _NAMES[type(entry)]


def entry_from(name: str, data: Mapping[str, Any]) -> Entry:
    """The entry of a line.

    Raises:
        KeyError: no such kind.
        pydantic.ValidationError: its data are not of that kind.
    """
    return parse(KINDS[name], dict(data))  # type: ignore[return-value]
