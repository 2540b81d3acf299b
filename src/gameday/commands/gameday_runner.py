"""The runner of a game day: asks the folded log for the next thing to do, does it, writes down what came of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.commands import gameday_notes as notes
from gameday.commands.gameday_files import Loaded
from gameday.commands.gameday_people import People, RecordedManual
from gameday.commands.gameday_settle import INCONCLUSIVE, broken_off, ended, exit_code_of, settle, take_down
from gameday.commands.interrupts import SIGNALS, Interrupts
from gameday.commands.keyboard import Keyboard, Prompt
from gameday.commands.run import View, carry_out
from gameday.drill import Request
from gameday.enginehost import EngineProcess
from gameday.errors import GamedayError
from gameday.fields import format_duration
from gameday.gamedays import entries as e
from gameday.gamedays import state as s
from gameday.gamedays.log import GameDayLog
from gameday.gamedays.readiness import Surroundings, automatic_checks, roles_filled
from gameday.record import load_record
from gameday.reporting.gameday import counted
from gameday.reporting.gameday_console import GameDayConsole
from gameday.targets import open_target
from gameday.targets.base import Running
from gameday.timeline import Event, Kind

if TYPE_CHECKING:
    from gameday.session import Session

TICK_S = 0.25
ABORT = "X"
KEYS = f"{ABORT} abort and undo all   n note  d decision  h hand-over  a action  s skip pause"
BY_KEY = f"key {ABORT} at the console of the game day"
_TOLD = (e.Note, e.Decision, e.HandOver, e.Action)


class Runner:
    """One run of a game day, from wherever its log says that it is."""

    people: People
    keyboard: Keyboard | None = None

    def __init__(
        self, loaded: Loaded, log: GameDayLog, console: GameDayConsole, interrupts: Interrupts, *, up: bool
    ) -> None:
        self.loaded = loaded
        self.log = log
        self.console = console
        self._interrupts = interrupts
        self._up = up
        self._skip = threading.Event()
        self._abort: str | None = None
        self._drilling = False
        self._told = len(log.lines)
        self._telling = threading.Lock()
        console.keys = KEYS

    def carry_on(self) -> int:
        """Everything that is left; returns the exit code."""
        self._say_where_it_stands()
        try:
            stop = self._loop()
        except BaseException as error:
            self._interrupts.hold()
            if not isinstance(error, KeyboardInterrupt) and self._interrupts.raised is None:
                raise
            # a signal that was raised within a library may come as an exception of the library's own
            reason = self._abort or f"{self._interrupts.raised or error} received"
            running = self.state.running
            if running is not None:  # it had not come so far that it could end itself
                broken_off(self.loaded.project, self.log, running, self.loaded.instance, reason)
            self._record(e.Aborted(reason=reason))
            stop = s.next_step(self.state, _now())
        self._interrupts.hold()
        state = self.state
        if (state.over or (state.go is not None and not state.go.go)) and state.halted is None:
            self._take_down()
        self.console.idle()
        self.console.close()
        if isinstance(stop, s.Stop) and stop.exit_code:
            self.console.say(stop.why, "bold red" if stop.exit_code != INCONCLUSIVE else "bold yellow")
            return stop.exit_code
        return exit_code_of(state)

    @property
    def state(self) -> s.State:
        return s.fold(self.log.lines)

    def scribe(self) -> str:
        """Who writes things down: what is typed at the console is theirs."""
        return next(iter(self.state.roles.get("scribe", ())), notes.me())

    def _loop(self) -> s.Step:
        while True:
            state = self.state
            step = s.next_step(state, _now())
            self._head(state)
            match step:
                case s.Settle(number):
                    self._settle(state.drill(number))
                case s.Decide(number):
                    self._decide(state.drill(number))
                case s.CheckReadiness():
                    self._rest(resting=True)
                    self._check_readiness()
                    self._rest(resting=False)
                case s.Wait():
                    self._wait(step)
                case s.RunDrill(number, attempt):
                    self._run_drill(number, attempt)
                case s.End():
                    self._record(e.Ended())
                case s.Stop():
                    return step
            if self._interrupts.raised is not None:  # and somebody took it for an error of their own
                raise KeyboardInterrupt(self._interrupts.raised)

    def _record(self, entry: e.Entry) -> None:
        self.log.append(entry)
        self._tell_others()

    # --- the screen and the keys ----------------------------------------------------------------------------

    def _say_where_it_stands(self) -> None:
        state = self.state
        started = state.started
        self.console.say(f"Game day {started.game_day}: {started.title}", "bold")
        self.console.say(f"{self.log.folder.name}, in {started.environment}")
        if started.speed != 1:
            self.console.say(f"rehearsal at {started.speed:g} times speed", "bold yellow")
        if started.seed is not None:
            self.console.say(f"surprises are drawn with seed {started.seed}")
        if state.taken_up > 1:
            self.console.say("taken up where it was", "bold yellow")

    def _head(self, state: s.State) -> None:
        done = sum(1 for drill in state.drills if drill.status in (s.Status.ENDED, s.Status.SKIPPED))
        self.console.heading = (
            f"{state.started.game_day}: {done} of {len(state.drills)} drills done; "
            f"commander {', '.join(state.roles.get('incident-commander', ('nobody',)))}"
        )

    def keys(self) -> Mapping[str, Callable[[], None]]:
        """What each key does. Called on the keyboard's thread."""
        return {
            "n": lambda: self._offer("Note", lambda text: e.Note(text=text, by=self.scribe())),
            "d": lambda: self._offer("Decision", lambda text: e.Decision(text=text, by=self.scribe())),
            "h": lambda: self._offer(
                "Hand-over (role: person)", lambda text: notes.hand_over(text, self.scribe())
            ),
            "a": lambda: self._offer(
                "Action item (what; owner; due date)", lambda text: notes.typed_action(text, self.scribe())
            ),
            "s": self._skip.set,
            ABORT: self._press_abort,
        }

    def _rest(self, *, resting: bool) -> None:
        if self.keyboard is not None:
            self.keyboard.typing.resting = resting

    def _offer(self, label: str, make: Callable[[str], e.Entry]) -> None:
        def take(text: str) -> None:
            try:
                self.log.append(make(text))
            except GamedayError as error:
                self.console.say(f"not recorded: {error}", "bold red")
            self._tell_others()

        if self.keyboard is not None:
            self.keyboard.offer(Prompt(label, take, optional=True))

    def _press_abort(self) -> None:
        if self._abort is None:
            self._abort = BY_KEY
        self.console.say("aborting: everything is put back, please wait", "bold red")
        if not self._drilling:
            os.kill(os.getpid(), signal.SIGINT)

    def _tell_others(self) -> None:
        """Show what was noted since, here or from another terminal."""
        with self._telling:
            self.log.refresh()
            new = self.log.lines[self._told :]
            self._told += len(new)
        for logged in new:
            if isinstance(logged.entry, _TOLD):
                self.console.say(f"{logged.at.utc:%H:%M:%S}  {notes.describe(logged.entry)}", "cyan")

    # --- before the drills ----------------------------------------------------------------------------------

    def _check_readiness(self) -> None:
        state, day = self.state, self.loaded.day
        reasons: list[str] = []
        self.console.say("Go or no-go", "bold")
        self.console.idle("go or no-go: looking")
        self._bring_up(state)
        around = Surroundings(
            project=self.loaded.project,
            environment=self.loaded.environment,
            instance=self.loaded.instance,
            scenarios=tuple(
                self.loaded.requests[str(one.planned.scenario)].scenario
                for one in state.drills
                if one.status is s.Status.WAITING
            ),
            speed=state.started.speed,
            manual=self.people.manual(state.started.speed),
        )
        for check in (roles_filled(state.roles), *automatic_checks(around)):
            self._record(check)
            self._show_check(check.ok, check.check, check.detail)
            reasons += [] if check.ok else [f"{check.check}: {check.detail}"]
        asked = {question.question: question for question in day.checklist}
        for name in s.unanswered(state, list(asked)):
            begun_s = time.monotonic()
            answer, ok = self.people.checklist(asked[name])
            took_s = round(time.monotonic() - begun_s, 3)
            entry = e.Answered(
                question=name, ask=asked[name].ask, answer=answer, ok=ok, took_s=took_s, by=self.people.name
            )
            self._record(entry)
            self._show_check(ok, name, f"{asked[name].ask} {answer} ({entry.by})")
            reasons += [] if ok else [f"{name}: {answer}"]
        if not reasons:
            answer, ok = self.people.go(self._what_go_means(len(around.scenarios)))
            reasons += [] if ok else [f"{self.people.name}: {answer}"]
        self._record(e.GoDecided(go=not reasons, reasons=tuple(reasons), by=self.people.name))
        if not reasons:
            self.console.say(f"GO, says {self.people.name}", "bold green")

    def _what_go_means(self, count: int) -> str:
        return f"All is well. Go? This breaks something in {self.loaded.instance}, {counted(count, 'time')}"

    def _show_check(self, ok: bool, name: str, detail: str) -> None:
        self.console.say(f"  {'✓' if ok else '✗'} {name}: {detail}", "green" if ok else "bold red")

    def _bring_up(self, state: s.State) -> None:
        """Where the environment is this game day's to start, start it; it is the game day's to stop then."""
        if not (self._up or state.owns_environment):
            return
        target = open_target(self.loaded.environment, self.loaded.instance, self.loaded.project)
        if all(found.running is Running.UP for found in target.status().values()):
            return
        if not state.owns_environment:
            self._record(e.EnvironmentStarting())
        self.console.idle(f"bringing {self.loaded.instance} up")
        target.up(on_progress=self.console.say)

    def _take_down(self) -> None:
        if self.state.owns_environment:
            take_down(self.loaded.project, self.log, self.loaded.instance, self.console.say)

    def _wait(self, step: s.Wait) -> None:
        number = step.before
        if not step.begun:
            self._skip.clear()
            self._record(e.PauseStarted(before=number, for_s=step.left_s))
            self.console.say(f"pause of {format_duration(round(step.left_s, 1))} before drill {number}")
        until_s = time.monotonic() + step.left_s
        while (left_s := until_s - time.monotonic()) > 0 and not self._skip.is_set():
            self.console.idle(f"pause: drill {number} begins in {left_s:.0f} s")
            self._tell_others()
            self._skip.wait(min(left_s, TICK_S))
        by = self.scribe() if self._skip.is_set() else "time"
        self._skip.clear()
        self._record(e.PauseEnded(before=number, by=by))

    # --- a drill --------------------------------------------------------------------------------------------

    def _run_drill(self, number: int, attempt: int) -> None:
        state = self.state
        planned = state.drill(number).planned
        request = self.loaded.requests[str(planned.scenario)]
        what = "a surprise" if planned.surprise else request.scenario.title
        self._record(e.DrillStarted(number=number, attempt=attempt))
        self.console.say(f"Drill {number} of {len(state.drills)}: {what}", "bold")
        self.console.idle(f"drill {number} begins")
        if planned.surprise:
            self.console.veil(request.scenario.scenario)
        manual = RecordedManual(self.people.manual(request.speed), self.log, number, lambda: self.people.name)
        try:
            self._conduct(replace(request, manual=manual), number, attempt)
        finally:
            self._drilling = False
            self.console.reveal()

    def _conduct(self, request: Request, number: int, attempt: int) -> None:
        view = _Watching(self, number, attempt)
        try:
            with EngineProcess() as engine:
                folder, _ = carry_out(request, engine, self.console, view)
        except GamedayError as error:
            self._interrupts.hold()
            self._ended_without(view, number, attempt, error)
            self._interrupts.release()
            if self._abort is not None:
                raise KeyboardInterrupt(self._abort) from error
            return
        self._interrupts.hold()
        aborted = self._ended(folder, number, attempt)
        self._interrupts.release()
        if aborted is not None:
            raise KeyboardInterrupt(aborted)

    def _ended(self, folder: Path, number: int, attempt: int) -> str | None:
        """Write down what came of a drill; returns what a person ended it by."""
        record = load_record(folder, with_samples=False)
        self._record(ended(record, number, attempt))
        aborted = record.timeline.first(Kind.DRILL_ABORTED)
        reason = str(aborted.data["reason"]) if aborted is not None else ""
        by_signal = reason.removesuffix(" received") if reason.endswith(" received") else None
        if self._abort is not None:
            return self._abort
        return by_signal if by_signal in {number.name for number in SIGNALS} else None

    def _ended_without(self, view: _Watching, number: int, attempt: int, error: GamedayError) -> None:
        """It could not even begin, as where somebody else drills there: nothing was proven."""
        code = error.exit_code if error.exit_code in (4, s.LEFT_BEHIND) else INCONCLUSIVE
        self.console.say(f"drill {number}: {error}", "bold red")
        self._record(
            e.DrillEnded(
                number=number,
                attempt=attempt,
                drill=view.drill,
                outcome="INCONCLUSIVE",
                exit_code=code,
                reasons=(str(error),),
            )
        )

    # --- after a crash --------------------------------------------------------------------------------------

    def _settle(self, drill: s.DrillState) -> None:
        settle(self.loaded.project, self.log, drill, self.loaded.instance, self.console.say)

    def _decide(self, drill: s.DrillState) -> None:
        number, last = drill.planned.number, drill.last
        what = f"drill {number} was interrupted"
        if last is not None and last.interrupted:
            what = f"{what} ({last.interrupted})"
        decision = self.people.interrupted(what)
        self._record(e.DrillDecided(number=number, repeat=decision == "repeat", by=self.people.name))
        self.console.say(f"drill {number}: {decision}, says {self.people.name}", "cyan")


class _Watching(View):
    """A drill of a game day on the terminal."""

    def __init__(self, runner: Runner, number: int, attempt: int) -> None:
        super().__init__(runner.console, runner._interrupts.hold)
        self._runner = runner
        self._number = number
        self._attempt = attempt
        self.drill: str | None = None

    def event(self, event: Event) -> None:
        if event.kind is Kind.DRILL_STARTED:
            self.drill = str(event.data["drill"])
            self._runner.log.append(
                e.DrillNamed(number=self._number, attempt=self._attempt, drill=self.drill)
            )
        super().event(event)

    def tick(self, session: Session) -> None:
        runner = self._runner
        runner._drilling = True
        if runner._abort is not None and session.aborted is None:
            session.abort(runner._abort)
        with suppress(GamedayError):  # a log that cannot be read must not end the drill
            runner._tell_others()
        super().tick(session)


def _now() -> datetime:
    return datetime.now(UTC)
