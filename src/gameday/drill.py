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
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gameday.clock import Instant
from gameday.environment import Environment, load_instance
from gameday.errors import UsageError
from gameday.experiment import DEFAULT_ENVIRONMENT
from gameday.fields import format_duration
from gameday.link import LINK_VARIABLE, serve
from gameday.plan import GRACE_S
from gameday.preflight import check_names
from gameday.project import Project
from gameday.scenario import Scenario, load_scenario
from gameday.session import Session
from gameday.strays import VARIABLE, end_strays
from gameday.timeline import Event, Kind
from gameday.waiting import wait_ended

TICK_S = 0.25
MAX_SPEED = 100.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be drilled, parsed and checked."""

    project: Project
    scenario: Scenario
    environment: Environment
    instance: str
    speed: float

    @classmethod
    def load(
        cls, project: Project, scenario: str, environment: str | None = None, speed: float = 1.0
    ) -> Request:
        """Read the files and check that they fit together; nothing is contacted.

        Raises:
            InvalidFile, UsageError: what is wrong, and what would be right.
        """
        loaded = load_scenario(project.scenario_file(scenario))
        where, instance = load_instance(project, environment or DEFAULT_ENVIRONMENT)
        check_names(loaded, where)
        if not 1 <= speed <= MAX_SPEED:
            raise UsageError(f"speed {speed:g} is not between 1 and {MAX_SPEED:g}")
        if speed != 1 and where.detector.kind != "embedded":
            raise UsageError(
                f"speed {speed:g}: only the embedded detector can run faster; {where.detector.kind} keeps its own time"
            )
        return cls(project, loaded, where, instance, speed)


class View(Protocol):
    """Who looks on. Called on the drill's event loop; must be quick."""

    def event(self, event: Event) -> None: ...

    def tick(self, session: Session) -> None: ...


async def conduct(request: Request, view: View) -> Path:
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
        on_event=view.event,
    )
    async with session:
        engine = Engine(session)
        with _signals(session, engine):
            ticking = asyncio.create_task(_tick(session, engine, view))
            try:
                await engine.run()
            finally:
                ticking.cancel()
                engine.kill()
                await asyncio.to_thread(end_strays, session.evidence.drill)
                await session.finish()
        return session.evidence.folder


class Engine:
    """The child process that executes the experiment, and this end of its socket."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self) -> None:
        """Start the process and serve it until it ends, however it does."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = self._start(theirs.fileno())
        ended = await serve(self._session, ours)
        code = await self._wait()
        if not ended and self._session.aborted is None:
            self._session.abort(f"the engine process ended unexpectedly (exit code {code}); see engine.log")

    def _start(self, fd: int) -> subprocess.Popen[bytes]:
        evidence = self._session.evidence
        command = [sys.executable, "-m", "gameday.engine", str(evidence.folder / "experiment.json")]
        command += [str(evidence.journal), str(os.getpid())]
        variables = {
            **os.environ,
            LINK_VARIABLE: str(fd),
            VARIABLE: evidence.drill,
            "GAMEDAY_ENVIRONMENT": self._session.instance,
            "GAMEDAY_SPEED": f"{self._session.speed:g}",
        }
        with (evidence.folder / "engine.log").open("wb") as log:
            # a session of its own: Ctrl-C at the terminal is for the runner, which decides what it means
            return subprocess.Popen(
                command,
                pass_fds=(fd,),
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _wait(self) -> int | None:
        if self._process is None:
            return None
        return await asyncio.to_thread(wait_ended, self._process, 10)

    def kill(self) -> None:
        """End the process at once; no-op when it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=10)


class _signals:  # noqa: N801 - reads as a context, like contextlib's
    """Ctrl-C, SIGTERM and SIGHUP end the drill: the engine at once, then the undo, which none can interrupt."""

    def __init__(self, session: Session, engine: Engine) -> None:
        self._session = session
        self._engine = engine

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._stop, signal.Signals(number).name)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def _stop(self, name: str) -> None:
        self._session.abort(f"{name} received")
        self._engine.kill()


async def _tick(session: Session, engine: Engine, view: View) -> None:
    """Look at deadlines, and let the view show what is going on."""
    while True:
        overdue = _overdue(session)
        if overdue is not None and session.aborted is None:
            session.abort(overdue)
            engine.kill()
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
