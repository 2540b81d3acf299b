"""`gameday gameday run`: begin a game day, or take one up where its runner died."""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from gameday import __version__
from gameday.commands import gameday_files as files
from gameday.commands.gameday_files import Loaded
from gameday.commands.gameday_people import AtTheTerminal, FromTheFile, People
from gameday.commands.gameday_runner import ABORT, Runner
from gameday.commands.interrupts import Interrupts
from gameday.commands.keyboard import Keyboard, Typing
from gameday.errors import GamedayError, LockHeld, UsageError
from gameday.gamedays import entries as e
from gameday.gamedays.log import GameDayLog
from gameday.gamedays.model import Role
from gameday.gamedays.plan import order
from gameday.gamedays.state import State, fold
from gameday.journal import Holder
from gameday.project import Project
from gameday.reporting.gameday_console import GameDayConsole

COPY = "game-day.yaml"
_LOCK = "runner.lock"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says. None: as the file says, or as the game day began."""

    name: str
    environment: str | None = None
    speed: float | None = None
    seed: int | None = None
    yes: bool = False
    up: bool = False
    anew: bool = False
    """Begin another one, although there is one that is not over."""
    roles: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)


def run(wish: Wish) -> int:
    """Run a game day to its end, or from where it was; returns the exit code.

    Raises:
        UsageError: a file has problems, nobody can be asked, or the wish contradicts what has begun.
        LockHeld: somebody else runs it.
    """
    project = Project.find()
    if not wish.yes and not sys.stdin.isatty():
        raise UsageError(
            "standard input is no terminal, so nobody can be asked; --yes takes the answers of the game day's file"
        )
    name = files.load(project, wish.name).day.game_day
    folder = None if wish.anew else files.unfinished(project, name)
    begun = files.state_of(folder) if folder is not None else None
    loaded = _loaded(project, wish, begun)
    people = FromTheFile(loaded) if wish.yes else None
    if folder is None:
        folder = files.new_folder(project, name)
    with _locked(folder), GameDayLog(folder) as log:
        if begun is None:
            shutil.copyfile(loaded.path, folder / COPY)
            log.append(_started(loaded, wish))
        else:
            log.refresh()
        me = Holder.me()
        log.append(e.TakenUp(pid=me.pid, created=me.created))
        try:
            return _run(loaded, log, people, wish)
        finally:
            _report(project, folder)


def _report(project: Project, folder: Path) -> None:
    """What is known so far; `finish` writes it anew."""
    from gameday.commands.gameday_finish import tell, write

    try:
        tell(write(project, folder), print)
    except GamedayError as error:
        print(f"warning: {error}", file=sys.stderr)


def _run(loaded: Loaded, log: GameDayLog, people: People | None, wish: Wish) -> int:
    console = GameDayConsole(sys.stdout)
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        runner = Runner(loaded, log, console, interrupts, up=wish.up)
        stack.callback(console.close)
        if sys.stdin.isatty():
            typing = Typing(runner.keys(), urgent=ABORT)
            keyboard = Keyboard(
                sys.stdin.fileno(), typing, lambda: console.asked(_prompts(typing)), raw=console.live
            )
            stack.enter_context(keyboard)
            runner.keyboard = keyboard
            people = people or AtTheTerminal(keyboard, runner.scribe)
        if people is None:
            raise UsageError("standard input is no terminal any more, so nobody can be asked")
        runner.people = people
        return runner.carry_on()


def _prompts(typing: Typing) -> list[tuple[str, str]]:
    return [(prompt.label, prompt.buffer) for prompt in typing.asked]


def _loaded(project: Project, wish: Wish, begun: State | None) -> Loaded:
    """The files as they are now, in the environment and at the speed in which it began."""
    if begun is None:
        return files.load(project, wish.name, wish.environment, wish.speed or 1.0)
    started = begun.started
    for what, wanted, has in (
        ("environment", wish.environment, started.environment),
        ("speed", wish.speed, started.speed),
        ("seed", wish.seed, started.seed),
    ):
        if wanted is not None and wanted != has:
            raise UsageError(
                f"--{what} {wanted}: game day {started.game_day} of {begun.at.utc:%Y-%m-%d %H:%M} UTC is not over and "
                f"has {what} {has}; run it to its end with that, or begin another one with --new"
            )
    loaded = files.load(project, wish.name, started.environment, started.speed)
    absent = [one.scenario for one in started.drills if one.scenario not in loaded.requests]
    if absent:
        raise UsageError(
            f"{loaded.path}: is without {', '.join(map(str, absent))}, which this game day is to drill; "
            "put it back into the file, or begin another one with --new"
        )
    return loaded


def _started(loaded: Loaded, wish: Wish) -> e.Started:
    day = loaded.day
    seed = wish.seed
    if day.surprises is not None and seed is None:
        seed = day.surprises.seed if day.surprises.seed is not None else secrets.randbelow(10**9)
    return e.Started(
        game_day=day.game_day,
        title=day.title,
        date=day.date.isoformat(),
        environment=loaded.instance,
        speed=loaded.speed,
        seed=seed if day.surprises is not None else None,
        goals=day.goals,
        roles={**day.roles, **wish.roles},
        drills=order(day, seed),
        version=__version__,
        unattended=wish.yes,
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One runner a game day. The kernel releases the lock when its holder dies, however it dies."""
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LockHeld(f"{folder.name} is being run: {_runner(folder)}") from error
    try:
        yield
    finally:
        lock.release()


def _runner(folder: Path) -> str:
    runner = files.state_of(folder).runner
    return f"by pid {runner.pid}" if runner is not None else "by a runner that has just begun"


@contextmanager
def not_running(folder: Path) -> Iterator[State]:
    """The state of a game day that nobody runs, and nobody begins to run meanwhile.

    Raises:
        LockHeld: somebody does.
    """
    with _locked(folder), GameDayLog(folder) as log:
        log.refresh()
        yield fold(log.lines)
