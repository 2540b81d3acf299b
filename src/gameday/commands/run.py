"""`gameday run`, `stop` and `recover`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.enginehost import EngineProcess
from gameday.errors import GamedayError, UsageError
from gameday.project import Project

if TYPE_CHECKING:
    from gameday.clock import Instant
    from gameday.drill import Request
    from gameday.reporting.console import DrillConsole, LiveStatus
    from gameday.session import Session
    from gameday.timeline import Event


def run(
    scenario: str, environment: str, *, speed: float, dry_run: bool, yes: bool, up: bool, as_json: bool
) -> int:
    """One drill from the command line; returns the exit code."""
    if dry_run:
        return _dry_run(scenario, environment, speed)
    if not yes:
        return _run_when_confirmed(scenario, environment, speed, up=up, as_json=as_json)
    with EngineProcess() as engine:  # before anything else: it imports while we do
        return _run(_request(scenario, environment, speed), engine, up=up, as_json=as_json)


def _request(scenario: str, environment: str, speed: float) -> Request:
    from gameday.drill import Request

    return Request.load(Project.find(), scenario, environment, speed)


def _dry_run(scenario: str, environment: str, speed: float) -> int:
    _print_plan(_request(scenario, environment, speed))
    return 0


def _run_when_confirmed(scenario: str, environment: str, speed: float, *, up: bool, as_json: bool) -> int:
    request = _request(scenario, environment, speed)
    _confirm(request)
    with EngineProcess() as engine:
        return _run(request, engine, up=up, as_json=as_json)


def _run(request: Request, engine: EngineProcess, *, up: bool, as_json: bool) -> int:
    from gameday.targets import open_target

    target = open_target(request.environment, request.instance, request.project)
    started = target.up(on_progress=_say) if up else ()
    try:
        return _drill(request, engine, as_json=as_json)
    finally:
        if started:
            _say(f"{request.instance} was brought up for this drill: stopping it")
            target.down()


def _drill(request: Request, engine: EngineProcess, *, as_json: bool) -> int:
    from gameday.drill import conduct
    from gameday.reporting.console import DrillConsole

    console = DrillConsole(sys.stderr if as_json else sys.stdout)
    try:
        folder = asyncio.run(conduct(request, engine, _View(console)))
        code = close(folder, request.project, console)
    finally:
        console.close()
    if as_json:
        print((folder / "verdict.json").read_text(encoding="utf-8"), end="")
    return code


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
    return record.verdict.exit_code


class _View:
    """The drill on the terminal."""

    def __init__(self, console: DrillConsole) -> None:
        self._console = console
        self._preparing: threading.Thread | None = None

    def event(self, event: Event) -> None:
        self._console.event(event)

    def tick(self, session: Session) -> None:
        if self._preparing is None:
            self._preparing = threading.Thread(target=_prepare_closing, name="gameday-prepare", daemon=True)
            self._preparing.start()
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


def status_of(session: Session) -> LiveStatus:
    """Where a running drill stands, as the console shows it."""
    from gameday.clock import Instant
    from gameday.reporting.console import LiveStatus, StepStatus
    from gameday.timeline import Kind

    now, timeline = Instant.now(), session.timeline.timeline
    entered = timeline.last(Kind.PHASE_STARTED)
    effective, recovered = timeline.first(Kind.FAULT_EFFECTIVE), timeline.first(Kind.SERVICE_RECOVERED)
    step, ended = timeline.last(Kind.STEP_STARTED), timeline.last(Kind.STEP_ENDED)
    current = step if step is not None and (ended is None or ended.seq < step.seq) else None
    answers = session.watchers.answers()
    return LiveStatus(
        phase=session.timeline.phase,
        phase_elapsed_s=now - entered.at if entered else 0.0,
        phase_budget_s=float(entered.data["budget_s"]) if entered else None,
        since_effect_s=now - effective.at if effective else None,
        rto_s=session.scenario.objectives.rto,
        alerts=_alerts(session, now),
        probes=tuple(
            (name, state.ok, answers[name].detail if name in answers else "")
            for name, state in session.watchers.states.items()
        ),
        step=StepStatus(current.data["heading"], current.data["budget_s"], now - current.at)
        if current
        else None,
        recovered_s=recovered.at - effective.at if recovered and effective else None,
    )


def _alerts(session: Session, now: Instant) -> tuple[tuple[str, str, float | None], ...]:
    from gameday.detectors.base import AlertState

    expected = session.scenario.expect.alert
    rows = []
    for alert in session.detector.alerts():
        if not alert.summary or (alert.name != expected and alert.state is AlertState.INACTIVE):
            continue
        since = alert.firing_since or alert.pending_since
        age_s = now - since if since is not None else None
        rows.append(
            (alert.name, alert.state.value, age_s if alert.state is not AlertState.INACTIVE else None)
        )
    return tuple(sorted(rows, key=lambda row: row[0] != expected))


def _confirm(request: Request) -> None:
    from gameday.plan import describe_fault

    what = f"{describe_fault(request.scenario)} in {request.instance}"
    if not sys.stdin.isatty():
        raise UsageError(f"this will {what}; say --yes where nobody can be asked")
    answer = input(f"This will {what}. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise UsageError("not confirmed; nothing was touched")


def _print_plan(request: Request) -> None:
    from gameday import faults
    from gameday.fields import format_duration
    from gameday.plan import plan
    from gameday.runbook.parse import load_runbook
    from gameday.targets import open_target

    scenario = request.scenario.at_speed(request.speed)
    target = open_target(request.environment, request.instance, request.project)
    fault = faults.build(scenario.fault, target)
    undo = fault.prepare()
    print(f"{scenario.title}: {scenario.hypothesis}")
    if request.speed != 1:
        print(f"rehearsal at {request.speed:g} times speed")
    print(f"environment: {request.instance} (target {request.environment.target})")
    hit = target.status()[fault.component].targets
    print(
        f"fault:       {fault.describe()}: {', '.join(hit) or 'matches nothing now: the environment is not up'}"
    )
    print(
        f"undo:        {undo.operation} {undo.component}, by the dead-man switch at the latest after "
        f"{format_duration(scenario.safety.ttl)}"
    )
    for entry in plan(scenario).phases:
        print(f"  {entry.phase.value:<10} at most {format_duration(entry.budget_s):<8} {entry.what}")
    print(f"runbook {scenario.respond.runbook}:")
    for step in load_runbook(request.project.runbook_file(scenario.respond.runbook)).main_path:
        budget = format_duration(step.budget_s / request.speed)
        print(f"  {step.section:<18} at most {budget:<8} {step.heading}: {step.describe()}")
    print("dry run: nothing was touched")


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


def recover(
    environment: str | None, log: Path | None, by: str, reason: str, out: Callable[[str], None]
) -> int:
    """Finish drills whose runner is gone; returns 0 when nothing is left of any, else 5."""
    from gameday.journal import UndoLog
    from gameday.recovery import recover_log

    paths = [log] if log else [found.path for found in UndoLog.find(Project.find().state / "undo")]
    code = 0
    for path in paths:
        try:
            if environment is not None and UndoLog(path).header.get("instance") != environment:
                continue
            result = recover_log(path, by, reason)
        except GamedayError as error:
            out(f"{path.stem}: {error}")
            code = max(code, error.exit_code)
            continue
        if result is None:
            out(f"{path.stem}: put back by somebody else meanwhile")
            continue
        out(f"{result.drill}: {'put back' if result.clean else 'NOT put back'}: {result.detail}")
        if result.evidence is not None and (result.evidence / "timeline.jsonl").exists():
            close(result.evidence, result.project)
            out(f"{result.drill}: report: {result.evidence / 'report.md'}")
        code = code if result.clean else 5
    if not paths:
        out("nothing to recover")
    return code


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
