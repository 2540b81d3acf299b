"""`gameday run`, `stop` and `recover`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.commands.ci_files import CiFiles
from gameday.commands.incidents import note_failure
from gameday.commands.interrupts import Interrupts
from gameday.enginehost import EngineProcess
from gameday.errors import Aborted, GamedayError, UsageError
from gameday.project import Project

if TYPE_CHECKING:
    from gameday.drill import Request
    from gameday.reporting.console import DrillConsole
    from gameday.runbook.manual import Manual
    from gameday.scenario import Scenario
    from gameday.session import Session
    from gameday.targets.base import OwnedTarget
    from gameday.timeline import Event


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about a run, besides its scenarios."""

    environment: str
    speed: float = 1.0
    yes: bool = False
    up: bool = False
    as_json: bool = False
    rules: Path | None = None
    disarmed: bool = False
    answers: Path | None = None
    interactive: bool = False
    part: bool = False
    """Only what the drill touches and watches is locked, and others may run beside it."""
    wait_s: float = 0.0
    """How long to wait for others to end their drills there."""
    files: CiFiles = field(default_factory=CiFiles)
    """What a CI job reads, beside the reports."""


def run(scenario: str, options: Options) -> int:
    """One drill from the command line; returns the exit code."""
    options.files.clear()
    with options.files.of_refusal(scenario, options.environment, options.speed):
        return _run_one(scenario, options)


def _run_one(scenario: str, options: Options) -> int:
    if not options.yes:
        request = load(scenario, options)
        _confirm(request)
        with EngineProcess() as engine:
            return _run(request, engine, options)
    with EngineProcess() as engine:  # before anything else: it imports while we do
        return _run(load(scenario, options), engine, options)


def end_with(parent: int) -> None:
    """When the process `parent`, which has started this one, ends, this one gets SIGTERM and puts everything back."""
    from gameday.engine import die_with_parent

    die_with_parent(parent, signal.SIGTERM)


def load(scenario: str, options: Options) -> Request:
    """The request as the files say, before anything is touched.

    Raises:
        InvalidFile, UsageError: what is wrong, and what would be right.
    """
    from gameday.drill import Request

    return Request.load(
        Project.find(),
        scenario,
        options.environment,
        options.speed,
        rules=options.rules,
        disarmed=options.disarmed,
        part=options.part,
    )


def dry_run(scenarios: Sequence[str], options: Options) -> int:
    """Print the plan of every drill; touches nothing."""
    requests = [load(scenario, options) for scenario in scenarios]
    for number, request in enumerate(requests):
        if number:
            print()
        _print_plan(request)
    return 0


def _run(request: Request, engine: EngineProcess, options: Options) -> int:
    from gameday.reporting.console import DrillConsole

    console = DrillConsole(sys.stderr if options.as_json else sys.stdout)
    request = replace(request, manual=_manual(request, options, console), wait_s=options.wait_s)
    if not options.up:
        return _drill(request, engine, console, options)
    return _run_in_its_own(request, engine, console, options)


def _run_in_its_own(request: Request, engine: EngineProcess, console: DrillConsole, options: Options) -> int:
    """Bring the environment up for the drill, and down again, whatever happens, where this has brought it up."""
    from gameday.targets import open_target
    from gameday.targets.base import Running

    target = open_target(request.environment, request.instance, request.project)
    with Interrupts() as interrupts:
        was_down = all(found.running is not Running.UP for found in target.status().values())
        started: tuple[str, ...] = ()
        try:
            started = target.up(on_progress=_say)
            return _drill(request, engine, console, options, on_watch=interrupts.hold)
        except BaseException as error:
            interrupts.hold()
            if not isinstance(error, KeyboardInterrupt) and interrupts.raised is None:
                raise
            # a signal that was raised within a library may come as an exception of the library's own
            started = started or (("everything",) if was_down else ())
            what = f"{interrupts.raised or error} received before the drill began; nothing was broken"
            raise Aborted(what) from error
        finally:
            interrupts.hold()
            if started:
                _say(f"{request.instance} was brought up for this drill: stopping it")
                target.down()


def _manual(request: Request, options: Options, console: DrillConsole) -> Manual:
    """Who answers manual steps. Whoever asks for answers to what is not asked has another runbook in mind."""
    from gameday.runbook.manual import AnsweredManual, TerminalManual, load_answers
    from gameday.runbook.parse import load_runbook

    if options.interactive:
        if not sys.stdin.isatty():
            raise UsageError(
                "--interactive: standard input is no terminal, so nobody can be asked; see --answers"
            )
        return TerminalManual(console.paused)
    if options.answers is None:
        return request.manual
    name = request.scenario.runbook
    runbooks = [load_runbook(request.project.runbook_file(name))] if name else []
    return AnsweredManual(load_answers(options.answers, runbooks), request.speed)


def _drill(
    request: Request,
    engine: EngineProcess,
    console: DrillConsole,
    options: Options,
    *,
    on_watch: Callable[[], None] = lambda: None,
) -> int:
    """`on_watch` is called when the drill has taken the signals over."""
    folder, code = carry_out(request, engine, console, View(console, on_watch))
    options.files.of_drill(request, folder, options.rules)
    if options.as_json:
        print((folder / "verdict.json").read_text(encoding="utf-8"), end="")
    return code


def carry_out(request: Request, engine: EngineProcess, console: DrillConsole, view: View) -> tuple[Path, int]:
    """One drill, judged, with its reports and its place in the history; its evidence folder and its exit code."""
    from gameday.drill import conduct
    from gameday.recovery import settle

    for settled in settle(request.project, request.instance):
        _say(f"{settled.drill}: its dead-man switch had put it back: {settled.detail}")
        if settled.evidence is not None and (settled.evidence / "timeline.jsonl").exists():
            close(settled.evidence, settled.project)
    try:
        folder = asyncio.run(conduct(request, engine, view))
        return folder, close(folder, request.project, console)
    finally:
        console.close()


def close(folder: Path, project: Project, console: DrillConsole | None = None) -> int:
    """Judge an evidence folder, write its reports, add it to the history; returns the exit code."""
    from gameday.history import History
    from gameday.record import load_record
    from gameday.reporting.write import write_reports

    record = load_record(folder)
    try:
        write_reports(record)
    except OSError as error:
        _say(f"warning: reports are not complete: {error}; `gameday judge {folder.name}` writes them anew")
    if console is not None:
        console.finish(record)
    try:
        with History.open(project) as history:
            history.add(record)
    except GamedayError as error:
        _say(f"warning: not in the history: {error}")
    note_failure(record, project, _say)
    return record.verdict.exit_code


class View:
    """The drill on the terminal."""

    def __init__(self, console: DrillConsole, on_watch: Callable[[], None]) -> None:
        self._console = console
        self._on_watch = on_watch
        self._preparing: threading.Thread | None = None

    def event(self, event: Event) -> None:
        self._console.event(event)

    def tick(self, session: Session) -> None:
        if self._preparing is None:
            self._on_watch()
            self._preparing = threading.Thread(target=_prepare_closing, name="gameday-prepare", daemon=True)
            self._preparing.start()
        from gameday.commands.status import status_of

        self._console.tick(status_of(session))


def _prepare_closing() -> None:
    """Import what `close` needs while the engine process imports what it needs, which takes longer.

    The time costs nothing then, and nothing that is broken by the drill (a full disk) can hinder it later. What
    cannot be imported is told by `close`.
    """
    with suppress(ImportError):
        import gameday.history
        import gameday.reporting.write  # noqa: F401
        from gameday.reporting.html import prepare

        prepare()


def _confirm(request: Request) -> None:
    from gameday.plan import describe_fault

    fault = "rehearse without a fault" if request.disarmed else describe_fault(request.scenario)
    what = f"{fault} in {request.instance}"
    if not sys.stdin.isatty():
        raise UsageError(f"this will {what}; say --yes where nobody can be asked")
    answer = input(f"This will {what}. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise UsageError("not confirmed; nothing was touched")


def _print_plan(request: Request) -> None:
    from gameday.fields import format_duration
    from gameday.plan import plan
    from gameday.stopping import limits
    from gameday.targets import open_target

    scenario = request.scenario.at_speed(request.speed)
    target = open_target(request.environment, request.instance, request.project)
    print(f"{scenario.title}: {scenario.hypothesis}")
    if request.speed != 1:
        print(f"rehearsal at {request.speed:g} times speed")
    print(f"environment: {request.instance} (target {request.environment.target})")
    if request.environment.detector.kind == "embedded":
        print(f"rules:       {request.environment.detector.rules}")
    _print_faults(request, scenario, target)
    for limit in limits(scenario, request.environment, request.speed):
        grace = format_duration(limit.spec.grace)
        print(f"stop when:   {limit.describe()} ({limit.of}), or it cannot be read for {grace}")
    for entry in plan(scenario).phases:
        print(f"  {entry.phase.value:<10} at most {format_duration(entry.budget_s):<8} {entry.what}")
    _print_runbook(request)
    print("dry run: nothing was touched")


def _print_faults(request: Request, scenario: Scenario, target: OwnedTarget) -> None:
    from gameday import faults
    from gameday.fields import format_duration

    if not scenario.faults:
        print("fault:       none: a control, in which no alert may fire")
    status = target.status()
    for spec in scenario.faults:
        fault = faults.build(spec, target, scenario.safety.ttl)
        undo = fault.prepare()
        hit = status[spec.component].targets
        where = ", ".join(hit) or "matches nothing now: the environment is not up"
        print(f"fault:       {fault.describe()}: {where}")
        print(
            f"undo:        {undo.operation} {undo.component}, by the dead-man switch at the latest after "
            f"{format_duration(scenario.safety.ttl)}"
        )
    if request.disarmed and scenario.faults:
        print("disarmed:    the undo is recorded and the dead-man switch armed, but nothing is broken")


def _print_runbook(request: Request) -> None:
    from gameday.fields import format_duration
    from gameday.runbook.parse import load_runbook

    name = request.scenario.runbook
    if name is None:
        return
    print(f"runbook {name}:")
    for step in load_runbook(request.project.runbook_file(name)).main_path:
        budget = format_duration(step.budget_s / request.speed)
        print(f"  {step.section:<18} at most {budget:<8} {step.heading}: {step.describe()}")


def stop(environment: str) -> str:
    """Send SIGTERM to the runner of the drill in `environment`; says whom.

    Raises:
        UsageError: nobody drills there.
    """
    from gameday.environment import load_instance
    from gameday.lock import DrillLock

    project = Project.find()
    _, instance = load_instance(project, environment)
    who = DrillLock(project.state, instance).holder()
    if who is None:
        raise UsageError(f"no drill runs in {instance}")
    os.kill(who.holder.pid, signal.SIGTERM)
    return f"drill {who.drill} (pid {who.holder.pid}) was told to stop; it puts everything back"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
