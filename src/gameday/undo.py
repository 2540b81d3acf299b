"""Reverting what a drill changed: last in, first out, each attempted whatever the others did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gameday.errors import GamedayError, UndoError
from gameday.journal import Recorded, Undo, UndoLog
from gameday.targets.ability import able
from gameday.targets.base import (
    Clients,
    Connectable,
    Deployable,
    Disks,
    Drainable,
    Floodable,
    Limitable,
    Networked,
    Requestable,
    Running,
    Target,
)

REVERT_TIMEOUT_S = 60.0
RESTORE_TIMEOUT_S = 300.0


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
        UndoError: an operation that this version, or this target, does not know.
        TargetError: the operation failed.
    """
    what = f"{undo.operation} {undo.component}"
    match undo.operation:
        case "start":
            return _start(undo.component, target)
        case "resume":
            return target.resume(undo.component, REVERT_TIMEOUT_S)
        case "restore":
            return _restore(undo.component, target)
        case "deploy":
            return _deploy(undo, target)
        case "heal":
            networked = able(target, Networked, what)
            client, name = undo.arguments["client"], undo.arguments["name"]
            return networked.heal(undo.component, client, name, REVERT_TIMEOUT_S)
        case "request":
            http = str(undo.arguments["http"])
            return able(target, Requestable, what).request(undo.component, http, None, REVERT_TIMEOUT_S)
        case "unfill":
            return able(target, Disks, what).unfill(undo.component, REVERT_TIMEOUT_S)
        case "detach":
            kind = undo.arguments["kind"]
            return able(target, Clients, what).detach(undo.component, kind, REVERT_TIMEOUT_S)
        case _:
            return _give_back(undo, target, what)


def _give_back(undo: Undo, target: Target, what: str) -> str:
    """What a component lives on."""
    match undo.operation:
        case "connect":
            connections = undo.arguments["connections"]
            return able(target, Connectable, what).connect(undo.component, connections, REVERT_TIMEOUT_S)
        case "unlimit":
            before = undo.arguments["before"]
            return able(target, Limitable, what).unlimit(undo.component, before, REVERT_TIMEOUT_S)
        case "uncordon":
            nodes = undo.arguments["nodes"]
            return able(target, Drainable, what).uncordon(undo.component, nodes, REVERT_TIMEOUT_S)
        case "unflood":
            return able(target, Floodable, what).unflood(undo.component, REVERT_TIMEOUT_S)
    raise UndoError(f"{what}: unknown operation; this version does not know it")


def _start(component: str, target: Target) -> str:
    before = target.status().get(component)
    if before is not None and before.running is Running.UP:
        return "was up already"
    if before is not None and before.running is Running.PAUSED:
        target.resume(component, REVERT_TIMEOUT_S)
    return target.start(component, REVERT_TIMEOUT_S)


def _restore(component: str, target: Target) -> str:
    before = target.status().get(component)
    if before is not None and before.running is Running.UP:
        return "was restored already"
    return target.restore(component, "latest", RESTORE_TIMEOUT_S)


def _deploy(undo: Undo, target: Target) -> str:
    deployable = able(target, Deployable, f"deploy {undo.component}")
    version = str(undo.arguments["version"])
    done = []
    if deployable.version(undo.component) != version:
        done.append(deployable.deploy(undo.component, version, REVERT_TIMEOUT_S))
    # a deployment does not wait; starting what runs already waits until it is ready, as later undos may ask it
    return "; ".join([*done, target.start(undo.component, REVERT_TIMEOUT_S)])
