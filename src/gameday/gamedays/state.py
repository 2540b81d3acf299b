"""Where a game day stands: its log, folded. And what comes next. Pure: the instant is passed in.

A runner asks `next_step` for one thing to do, does it, writes what came of it into the log, and asks again. So a
runner that is killed is no special case: the next one folds the same log and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from gameday.clock import Instant
from gameday.gamedays import entries as e
from gameday.gamedays.entries import Planned
from gameday.gamedays.log import Logged
from gameday.gamedays.model import Role

LEFT_BEHIND = 5
"""Exit code of a drill that has left something behind."""


class Status(StrEnum):
    """Of one drill of the plan."""

    WAITING = "waiting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    ENDED = "ended"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a drill. `outcome` is None while it runs, and where it was interrupted."""

    number: int
    started: Instant
    drill: str | None = None
    outcome: str | None = None
    exit_code: int | None = None
    reasons: tuple[str, ...] = ()
    interrupted: str | None = None
    ended: Instant | None = None


@dataclass(frozen=True, slots=True)
class DrillState:
    """One drill of the plan, and what came of it so far."""

    planned: Planned
    attempts: tuple[Attempt, ...] = ()
    skipped_by: str | None = None
    repeat: bool = False
    """Interrupted, and to be tried again."""
    paused: Instant | None = None
    pause_over: bool = False

    @property
    def status(self) -> Status:
        if self.skipped_by is not None:
            return Status.SKIPPED
        last = self.last
        if last is None or self.repeat:
            return Status.WAITING
        if last.interrupted is not None:
            return Status.INTERRUPTED
        return Status.ENDED if last.outcome is not None else Status.RUNNING

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def name(self) -> str:
        return f"drill {self.planned.number}"


@dataclass(frozen=True, slots=True)
class Said:
    """A note, a decision, a hand-over, an answer or an action item, and during which drill (0: none)."""

    at: Instant
    entry: e.Note | e.Decision | e.HandOver | e.StepAnswered | e.Answered | e.Action
    during: int


@dataclass(frozen=True, slots=True)
class State:
    """A game day so far."""

    started: e.Started
    at: Instant
    drills: tuple[DrillState, ...]
    roles: dict[Role, tuple[str, ...]]
    said: tuple[Said, ...] = ()
    checks: tuple[e.Checked, ...] = ()
    """Of the present runner."""
    answers: dict[str, e.Answered] = field(default_factory=dict)
    go: e.GoDecided | None = None
    """Of the present runner."""
    runner: e.TakenUp | None = None
    taken_up: int = 0
    owns_environment: bool = False
    halted: str | None = None
    aborted: str | None = None
    ended: Instant | None = None
    finished: bool = False
    last: Instant | None = None

    @property
    def over(self) -> bool:
        """Nothing is left to be run."""
        return self.ended is not None or self.aborted is not None or self.finished

    @property
    def running(self) -> DrillState | None:
        return next((drill for drill in self.drills if drill.status is Status.RUNNING), None)

    def drill(self, number: int) -> DrillState:
        return self.drills[number - 1]

    @property
    def actions(self) -> tuple[e.Action, ...]:
        return tuple(said.entry for said in self.said if isinstance(said.entry, e.Action))


def fold(lines: Iterable[Logged]) -> State:
    """The state that a log leads to. Its first line is `game-day.started` (see `read_log`)."""
    state: State | None = None
    for logged in lines:
        state = _begin(logged) if state is None else _step(replace(state, last=logged.at), logged)
    if state is None:
        raise ValueError("an empty log is no game day")
    return state


def _begin(logged: Logged) -> State:
    started = logged.entry
    if not isinstance(started, e.Started):
        raise TypeError(f"a game day begins with game-day.started, not with {logged.entry!r}")
    drills = tuple(DrillState(planned) for planned in started.drills)
    return State(started, logged.at, drills, dict(started.roles), last=logged.at)


def _step(state: State, logged: Logged) -> State:  # noqa: C901, PLR0912 - one line for each kind of entry
    entry, at = logged.entry, logged.at
    match entry:
        case e.Started():
            raise TypeError("a game day begins once")
        case e.TakenUp():
            count = state.taken_up + 1
            return replace(state, runner=entry, taken_up=count, checks=(), go=None, halted=None)
        case e.EnvironmentStarting():
            return replace(state, owns_environment=True)
        case e.EnvironmentStopped():
            return replace(state, owns_environment=False)
        case e.Checked():
            return replace(state, checks=(*state.checks, entry))
        case e.Answered():
            answers = {**state.answers, entry.question: entry}
            return _says(replace(state, answers=answers), at, entry)
        case e.GoDecided():
            return replace(state, go=entry)
        case e.HandOver():
            return _says(replace(state, roles={**state.roles, entry.role: (entry.to,)}), at, entry)
        case e.Note() | e.Decision() | e.Action() | e.StepAnswered():
            return _says(state, at, entry)
        case e.Aborted():
            return replace(state, aborted=entry.reason)
        case e.Ended():
            return replace(state, ended=at)
        case e.Finished():
            return replace(state, finished=True)
        case _:
            return _step_of_a_drill(state, entry, at)


def _says(state: State, at: Instant, entry: object) -> State:
    running = state.running
    during = running.planned.number if running is not None else 0
    return replace(state, said=(*state.said, Said(at, entry, during)))  # type: ignore[arg-type]


def _step_of_a_drill(state: State, entry: e.Entry, at: Instant) -> State:
    match entry:
        case e.PauseStarted():
            return _with(state, replace(state.drill(entry.before), paused=at))
        case e.PauseEnded():
            return _with(state, replace(state.drill(entry.before), pause_over=True))
        case e.DrillStarted():
            drill = state.drill(entry.number)
            attempts = (*drill.attempts, Attempt(entry.attempt, at))
            return _with(state, replace(drill, attempts=attempts, repeat=False))
        case e.DrillNamed():
            return _with_attempt(state, entry.number, drill=entry.drill)
        case e.DrillEnded():
            found = {"drill": entry.drill, "outcome": entry.outcome, "exit_code": entry.exit_code}
            state = _with_attempt(state, entry.number, **found, reasons=entry.reasons, ended=at)
            left = (
                f"drill {entry.number} has left something behind" if entry.exit_code == LEFT_BEHIND else None
            )
            return replace(state, halted=left)
        case e.DrillInterrupted():
            state = _with_attempt(state, entry.number, drill=entry.drill, interrupted=entry.detail, ended=at)
            left = None if entry.clean else f"drill {entry.number} was interrupted and is not put back"
            return replace(state, halted=left)
        case e.DrillDecided():
            drill = state.drill(entry.number)
            skipped_by = None if entry.repeat else entry.by
            return _with(state, replace(drill, repeat=entry.repeat, skipped_by=skipped_by))
    raise TypeError(f"not an entry of a drill: {entry!r}")


def _with(state: State, drill: DrillState) -> State:
    drills = tuple(drill if one.planned.number == drill.planned.number else one for one in state.drills)
    return replace(state, drills=drills)


def _with_attempt(state: State, number: int, **changes: object) -> State:
    drill = state.drill(number)
    last = replace(drill.attempts[-1], **changes)  # type: ignore[arg-type]
    return _with(state, replace(drill, attempts=(*drill.attempts[:-1], last)))


# --- what comes next ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settle:
    """A drill was running when its runner died: put it back, and find out what became of it."""

    number: int


@dataclass(frozen=True, slots=True)
class Decide:
    """Ask whether an interrupted drill is repeated or skipped."""

    number: int


@dataclass(frozen=True, slots=True)
class CheckReadiness:
    """Go through the checklist, and decide."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The pause before a drill, of which `left_s` is left."""

    before: int
    left_s: float
    begun: bool


@dataclass(frozen=True, slots=True)
class RunDrill:
    number: int
    attempt: int


@dataclass(frozen=True, slots=True)
class End:
    """All drills are over."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing may go on. `exit_code` as that of `gameday run`."""

    why: str
    exit_code: int


Step = Settle | Decide | CheckReadiness | Wait | RunDrill | End | Stop


def next_step(state: State, now: datetime) -> Step:
    """What the runner has to do now. `now` in UTC: a pause goes on across runners, and perhaps across a boot."""
    if state.halted is not None:
        return Stop(state.halted, LEFT_BEHIND)
    if state.aborted is not None:
        return Stop(f"aborted: {state.aborted}", 4)
    if state.over:
        return Stop("all drills are over", 0)
    for drill in state.drills:
        if drill.status is Status.RUNNING:
            return Settle(drill.planned.number)
        if drill.status is Status.INTERRUPTED:
            return Decide(drill.planned.number)
    if state.go is None:
        return CheckReadiness()
    if not state.go.go:
        return Stop(f"NO-GO: {'; '.join(state.go.reasons)}", 3)
    following = next((drill for drill in state.drills if drill.status is Status.WAITING), None)
    if following is None:
        return End()
    left_s = _pause_left_s(state, following, now)
    if left_s > 0 or (following.paused is not None and not following.pause_over):
        return Wait(following.planned.number, left_s, following.paused is not None)
    return RunDrill(following.planned.number, len(following.attempts) + 1)


def _pause_left_s(state: State, following: DrillState, now: datetime) -> float:
    """The pause that the drill before it asks for; none before the first, nor before a repetition."""
    number = following.planned.number
    if number == 1 or following.pause_over or following.attempts:
        return 0.0
    whole_s = state.drill(number - 1).planned.pause_s / state.started.speed
    if following.paused is None:
        return whole_s
    gone_s = (now - following.paused.utc).total_seconds()
    return min(whole_s, max(0.0, whole_s - gone_s))


def unanswered(state: State, questions: Sequence[str]) -> tuple[str, ...]:
    """Questions of the checklist that nobody has answered with yes: a NO is asked again when it is taken up."""
    return tuple(name for name in questions if name not in state.answers or not state.answers[name].ok)
