"""A drill whose runner died: what it has left is put back, and what became of it is written down."""

from __future__ import annotations

from collections.abc import Callable

from gameday.commands.recover import recover
from gameday.commands.run import close
from gameday.environment import load_instance
from gameday.errors import UsageError
from gameday.gamedays import entries as e
from gameday.gamedays import state as s
from gameday.gamedays.log import GameDayLog
from gameday.project import Project
from gameday.record import DrillRecord, load_record
from gameday.reporting.batch import worst
from gameday.targets import open_target

INCONCLUSIVE, ABORTED = 3, 4


def settle(
    project: Project, log: GameDayLog, drill: s.DrillState, instance: str, say: Callable[[str], None]
) -> None:
    """Put back what a drill has left whose runner died, and write down what became of it.

    One that had come to its own end, so that only its runner's last words are missing, counts as it is.
    """
    number, last = drill.planned.number, drill.last
    if last is None:
        raise UsageError(f"drill {number} has not begun")
    say(f"drill {number} was running when its runner died: putting back what it has left")
    details: list[str] = []
    reason = "the runner of the game day died; put back when it was taken up again"
    code = recover(instance, None, "gameday recover", reason, details.append)
    for detail in details:
        say(f"  {detail}")
    folder = project.reports / last.drill if last.drill is not None else None
    if folder is not None and (folder / "timeline.jsonl").exists():
        close(folder, project)
        record = load_record(folder, with_samples=False)
        if record.complete and not record.verdict.aborted:
            log.append(ended(record, number, last.number))
            return
    clean = code == 0
    words = "everything was put back" if clean else "; ".join(details) or "not everything was put back"
    log.append(
        e.DrillInterrupted(number=number, attempt=last.number, drill=last.drill, clean=clean, detail=words)
    )


def broken_off(project: Project, log: GameDayLog, drill: s.DrillState, instance: str, reason: str) -> None:
    """A drill that a person ended before it could end itself: put back whatever there is, and write it down."""
    number, last = drill.planned.number, drill.last
    if last is None:
        raise UsageError(f"drill {number} has not begun")
    details: list[str] = []
    code = recover(instance, None, "gameday recover", f"aborted: {reason}", details.append)
    folder = project.reports / last.drill if last.drill is not None else None
    if folder is not None and (folder / "timeline.jsonl").exists():
        close(folder, project)
    log.append(
        e.DrillEnded(
            number=number,
            attempt=last.number,
            drill=last.drill,
            outcome="INCONCLUSIVE",
            exit_code=s.LEFT_BEHIND if code else ABORTED,
            reasons=(f"aborted: {reason}", *(details if code else ())),
        )
    )


def ended(record: DrillRecord, number: int, attempt: int) -> e.DrillEnded:
    """What the log says of a drill that has evidence."""
    verdict = record.verdict
    return e.DrillEnded(
        number=number,
        attempt=attempt,
        drill=record.drill,
        outcome=verdict.outcome.value,
        exit_code=verdict.exit_code,
        reasons=verdict.reasons,
    )


def take_down(project: Project, log: GameDayLog, instance: str, say: Callable[[str], None]) -> None:
    """Stop the environment that the game day has brought up."""
    say(f"{instance} was brought up for this game day: stopping it")
    environment, name = load_instance(project, instance)
    open_target(environment, name, project).down()
    log.append(e.EnvironmentStopped())


def exit_code_of(state: s.State) -> int:
    """The worst of all drills, as `gameday run` has it; a drill that did not end proves nothing."""
    if state.aborted is not None:
        return ABORTED
    codes = [
        drill.last.exit_code if drill.last is not None and drill.last.exit_code is not None else INCONCLUSIVE
        for drill in state.drills
    ]
    return worst(codes)
