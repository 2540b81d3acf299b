"""Reverting what a drill changed: last in, first out, each attempted whatever the others did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gameday.errors import GamedayError, UndoError
from gameday.journal import Recorded, Undo, UndoLog
from gameday.targets.base import Running, Target

REVERT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Reverted:
    """What came of one undo."""

    recorded: Recorded
    ok: bool
    detail: str


OnRevert = Callable[[Recorded], None]


def revert_all(
    log: UndoLog,
    target: Target,
    by: str,
    on_start: OnRevert | None = None,
    on_end: Callable[[Reverted], None] | None = None,
) -> tuple[Reverted, ...]:
    """Revert all that is pending in `log`. A failure is reported and the rest still run.

    Raises:
        UndoError: another process is reverting this log for too long, or the log is damaged.
    """
    results = []
    with log.exclusive():
        for recorded in log.pending():
            if on_start is not None:
                on_start(recorded)
            result = _revert_one(recorded, target)
            log.mark(recorded, ok=result.ok, by=by, detail=result.detail)
            if on_end is not None:
                on_end(result)
            results.append(result)
    return tuple(results)


def _revert_one(recorded: Recorded, target: Target) -> Reverted:
    try:
        return Reverted(recorded, True, revert(recorded.undo, target))
    except GamedayError as error:
        return Reverted(recorded, False, str(error))
    except Exception as error:  # noqa: BLE001 - whatever went wrong here, the other undos must still run
        return Reverted(recorded, False, f"{type(error).__name__}: {error}")


def revert(undo: Undo, target: Target) -> str:
    """Carry out one undo and return what was done. Doing it again is no error.

    Raises:
        UndoError: an operation that this version does not know.
        TargetError: the operation failed.
    """
    operations: dict[str, Callable[[], str]] = {
        "start": lambda: _start(undo.component, target),
        "resume": lambda: target.resume(undo.component, REVERT_TIMEOUT_S),
    }
    if undo.operation not in operations:
        known = ", ".join(operations)
        raise UndoError(f"{undo.operation} {undo.component}: unknown operation; this version knows {known}")
    return operations[undo.operation]()


def _start(component: str, target: Target) -> str:
    before = target.status().get(component)
    if before is not None and before.running is Running.UP:
        return "was up already"
    if before is not None and before.running is Running.PAUSED:
        target.resume(component, REVERT_TIMEOUT_S)
    return target.start(component, REVERT_TIMEOUT_S)
