"""One whole drill, in order, as its owner runs it.

    request      scenario, environment, speed: files become values before anything else happens
    session      lock, evidence folder, timeline; probes, canary and detector begin to watch
    engine       a child process executes the compiled experiment; each phase is asked of the session
    undo         whatever happened to the engine, everything is put back and nothing is left
    judge        evidence first, then the verdict, a pure function of it
    report       Markdown, HTML, JSON, JUnit; the history's index

Signals, deadlines, the timeline, undo and verdict belong to this process alone.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gameday.clock import Instant
from gameday.detectors.rules import load_rules
from gameday.enginehost import EngineProcess
from gameday.environment import Environment, load_instance
from gameday.errors import UsageError
from gameday.experiment import DEFAULT_ENVIRONMENT
from gameday.fields import format_duration
from gameday.link import serve
from gameday.parts import part_of
from gameday.plan import GRACE_S
from gameday.preflight import check_names, check_possible
from gameday.project import Project
from gameday.runbook.manual import Manual, NoManual
from gameday.runbook.parse import load_runbook
from gameday.scenario import Scenario, load_scenario
from gameday.session import Session
from gameday.strays import end_strays
from gameday.timeline import Event, Kind

TICK_S = 0.25
MAX_SPEED = 100.0
ENGINE_ENDS_WITHIN_S = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be drilled, parsed and checked."""

    project: Project
    scenario: Scenario
    environment: Environment
    instance: str
    speed: float
    disarmed: bool = False
    """Everything is done but the fault itself: what the drill says then, it must not say of the fault."""
    manual: Manual = field(default_factory=NoManual)
    """Who answers the questions of the runbook."""
    wait_s: float = 0.0
    """How long to wait for others to end their drills here."""

    @classmethod
    def load(
        cls,
        project: Project,
        scenario: str,
        environment: str | None = None,
        speed: float = 1.0,
        *,
        rules: Path | None = None,
        disarmed: bool = False,
        part: bool = False,
    ) -> Request:
        """Read the files and check that they fit together; nothing is contacted.

        `rules` is another rules file in place of the detector's, to learn what it would have said. `part`: the drill
        concerns only what it touches and watches, so that others may run beside it.

        Raises:
            InvalidFile, UsageError: what is wrong, and what would be right.
        """
        loaded = load_scenario(project.scenario_file(scenario))
        where, instance = load_instance(project, environment or DEFAULT_ENVIRONMENT)
        check_names(loaded, where)
        check_possible(loaded, where)
        if not 1 <= speed <= MAX_SPEED:
            raise UsageError(f"speed {speed:g} is not between 1 and {MAX_SPEED:g}")
        if speed != 1 and where.detector.kind != "embedded":
            raise UsageError(
                f"speed {speed:g}: only the embedded detector can run faster; {where.detector.kind} keeps its own time"
            )
        if rules is not None:
            where = _with_rules(where, project, rules)
        if part:
            where = part_of(where, loaded, _steps(project, loaded))
            instance = f"{instance}@{loaded.scenario}"
        return cls(project, loaded, where, instance, speed, disarmed)


def _steps(project: Project, scenario: Scenario) -> list[tuple[str | None, str | None]]:
    """Of its runbook: what each acts on, and the probe that it is checked by."""
    if scenario.runbook is None:
        return []
    steps = load_runbook(project.runbook_file(scenario.runbook)).steps
    return [(step.component, step.check.probe if step.check else None) for step in steps]


def _with_rules(environment: Environment, project: Project, rules: Path) -> Environment:
    """The environment with another rules file; its path is kept relative to the project where it lies in it."""
    detector = environment.detector
    if detector.kind != "embedded":
        raise UsageError(
            f"--rules {rules}: environment {environment.environment} has the detector {detector.kind}, "
            "whose rules are not gameday's to choose; only an embedded detector can be given others"
        )
    load_rules(rules)  # an unreadable file is told now, not when everything is up
    path, root = rules.resolve(), project.root.resolve()
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return environment.model_copy(update={"detector": detector.model_copy(update={"rules": name})})


class View(Protocol):
    """Who looks on. Called on the drill's event loop; must be quick."""

    def event(self, event: Event) -> None: ...

    def tick(self, session: Session) -> None: ...


async def conduct(request: Request, engine: EngineProcess, view: View) -> Path:
    """Run the drill and return its evidence folder, with everything put back.

    Raises:
        LockHeld: somebody else drills this environment.
        GamedayError: the drill could not even begin.
    """
    session = Session(
        request.project,
        request.environment,
        request.instance,
        request.scenario,
        speed=request.speed,
        disarmed=request.disarmed,
        on_event=view.event,
        wait_s=request.wait_s,
    )
    session.manual = request.manual
    session.on_abort = engine.kill
    async with session:
        with _signals(session):
            ticking = asyncio.create_task(_tick(session, view))
            try:
                await _serve(session, engine)
            finally:
                ticking.cancel()
                engine.kill()
                await asyncio.to_thread(end_strays, session.evidence.drill)
                await session.finish()
        return session.evidence.folder


async def _serve(session: Session, engine: EngineProcess) -> None:
    """Answer the engine until it ends, however it does."""
    ended = await serve(session, engine.connection)
    if ended:
        return  # there is nothing left for it to do; whoever owns it ends it
    code = await asyncio.to_thread(engine.wait, ENGINE_ENDS_WITHIN_S)
    engine.save_early_output(session.evidence.folder / "engine.log")
    if session.aborted is None:
        session.abort(f"the engine process ended unexpectedly (exit code {code}); see engine.log")


class _signals:  # noqa: N801 - reads as a context, like contextlib's
    """Ctrl-C, SIGTERM and SIGHUP end the drill: the engine at once, then the undo, which none can interrupt.

    Afterwards they mean again what they meant to whoever asked for the drill.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            self._before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._stop, signal.Signals(number).name)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, self._before[number])

    def _stop(self, name: str) -> None:
        self._session.abort(f"{name} received")


async def _tick(session: Session, view: View) -> None:
    """Look at deadlines, and let the view show what is going on."""
    while True:
        overdue = _overdue(session) or session.unguarded()
        if overdue is not None and session.aborted is None:
            session.abort(overdue)
        session.watchers.flush()
        view.tick(session)
        await asyncio.sleep(TICK_S)


def _overdue(session: Session) -> str | None:
    """Why the drill must not go on, or None."""
    events = session.timeline.timeline
    now = Instant.now()
    entered = events.last(Kind.PHASE_STARTED)
    if entered is not None:
        budget_s = float(entered.data["budget_s"])
        if now - entered.at > budget_s + GRACE_S:
            return f"phase {entered.phase} exceeded its {format_duration(budget_s)} by {GRACE_S:g} s"
    armed = events.first(Kind.DEADMAN_ARMED)
    if armed is not None and events.first(Kind.SERVICE_RECOVERED) is None:
        ttl_s = float(armed.data["ttl_s"])
        if now - armed.at > ttl_s:
            return f"the fault's time-to-live of {format_duration(ttl_s)} is over and the service is not back"
    return None
