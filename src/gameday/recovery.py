"""Finishing a drill whose runner is gone: revert what it had changed and close its evidence.

Whoever does it (`gameday recover`, or the dead-man switch by calling it) works from the log of undos alone. Where the
target keeps logs too, they are found there, on a machine that has never seen the drill.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.environment import Environment, load_instance
from gameday.errors import InvalidFile, Refused, TargetError, UndoError
from gameday.fields import parse
from gameday.journal import UndoLog
from gameday.project import Project
from gameday.safeguard import revert_and_prove
from gameday.strays import end_strays
from gameday.targets import open_target
from gameday.targets.base import Target
from gameday.targets.safety import DeadMan, Mirror, Mirroring
from gameday.timeline import Kind, Phase, TimelineWriter
from gameday.undo import revert_all

BY_SWITCH = "dead-man switch"
_HEADER = ("drill", "project", "environment", "instance", "evidence", "holder")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What came of one log. `evidence` is None where the drill's runner still owns its evidence."""

    drill: str
    clean: bool
    detail: str
    evidence: Path | None
    project: Project


def recover_log(path: Path, by: str, reason: str) -> Recovery | None:
    """Put one drill back; None when somebody else did it first.

    With its runner alive only the dead-man switch may: it reverts the fault and leaves the evidence alone.

    Raises:
        Refused: the drill's runner is alive.
        UndoError: the log is damaged, or another process is reverting it for too long.
    """
    log = UndoLog(path)
    with log.exclusive():
        if not path.exists():
            path.with_suffix(".lock").unlink(missing_ok=True)
            return None
        header = log.header
        missing = [name for name in _HEADER if name not in header]
        if missing:
            raise UndoError(f"{path}: damaged: its first line is without {', '.join(missing)}")
        drill = str(header["drill"])
        evidence = Path(header["evidence"])
        project = Project(Path(header["project"]), path.resolve().parent.parent, evidence.parent)
        target = open_target(parse(Environment, header["environment"]), header["instance"], project)
        log.mirror = _mirror(target, header)
        if header.get("host", socket.gethostname()) == socket.gethostname() and log.holder.alive:
            if by == "gameday recover":
                raise Refused(f"drill {drill} is running (pid {log.holder.pid}); `gameday stop` ends it")
            revert_all(log, target, by)
            left = log.pending()
            detail = f"{len(left)} not reverted" if left else "reverted; its runner goes on"
            return Recovery(drill, not left, detail, None, project)
        with log.exclusive():  # wherever else it is kept, too
            end_strays(drill)
            clean, detail = _finish(log, target, evidence, by, reason)
            if clean:
                _forget(log, target, drill, by)
        return Recovery(drill, clean, detail, evidence, project)


def fetch_logs(project: Project, reference: str) -> None:
    """The logs that an environment's target keeps, as files of this project, where it has none of that drill.

    What the environment is made of is what the drill recorded; where it is, what this project's file says.

    Raises:
        UsageError, TargetError: what is kept cannot be known.
    """
    environment, instance = load_instance(project, reference)
    target = open_target(environment, instance, project)
    if not isinstance(target, Mirroring):
        return
    written = environment.model_dump(mode="json", exclude_unset=True)
    for drill, lines in target.mirrored().items():
        header = json.loads(lines[0]) if lines else {}
        recorded = {**header.get("environment", {}), environment.target: written[environment.target]}
        folders = {"project": str(project.root), "evidence": str((project.reports / drill).resolve())}
        first = json.dumps({**header, **folders, "environment": recorded})
        UndoLog.copied(project.state / "undo", drill, [first, *lines[1:]])


def tidy(project: Project, reference: str) -> tuple[str, ...]:
    """Remove from an environment what drills have left that there is no log of: see `Mirroring.tidy`.

    Raises:
        UsageError, TargetError: what is there cannot be known.
    """
    environment, instance = load_instance(project, reference)
    target = open_target(environment, instance, project)
    return target.tidy() if isinstance(target, Mirroring) else ()


def settle(project: Project, instance: str) -> tuple[Recovery, ...]:
    """Close drills of this project which their dead-man switch has put back where only the target could tell."""
    done = []
    for log in UndoLog.find(project.state / "undo"):
        header = log.header
        if header.get("instance") != instance or "identity" not in header or log.holder.alive:
            continue
        target = open_target(parse(Environment, header["environment"]), instance, project)
        mirror = _mirror(target, header)
        if mirror is not None and mirror.merge(()) is None:
            reason = "the runner died; its dead-man switch had put things back"
            recovered = recover_log(log.path, "gameday run", reason)
            done += [recovered] if recovered is not None else []
    return tuple(done)


def is_of(header: Mapping[str, Any], environment: str) -> bool:
    """Whether a log is of an environment, or of a part of it that was drilled beside others."""
    instance = str(header.get("instance"))
    known = header.get("environment")
    of_a_part = isinstance(known, dict) and known.get("part") is not None
    return instance == environment or (of_a_part and instance.partition("@")[0] == environment)


def _mirror(target: Target, header: Mapping[str, Any]) -> Mirror | None:
    """Where else the log is kept.

    Raises:
        UndoError: the environment is another one now than what the drill had changed.
    """
    if not isinstance(target, Mirroring) or "identity" not in header:
        return None
    now = target.identity()
    if now != header["identity"]:
        raise UndoError(
            f"drill {header['drill']} changed {header['instance']} when it was {header['identity']}, and it is {now} "
            "now: another of the same name, in which nothing is reverted; if the first is gone for good, remove the log"
        )
    return target.mirror(str(header["drill"]))


def _forget(log: UndoLog, target: Target, drill: str, by: str) -> None:
    """The drill is put back: nobody need know of it any more."""
    if by == BY_SWITCH:
        log.mirror = None  # the switch tells its runner by it, or removes it itself
    with contextlib.suppress(TargetError):  # it says that all is reverted
        log.remove()
    if isinstance(target, DeadMan):
        with contextlib.suppress(TargetError):  # the next drill removes it
            target.release(drill)


def _finish(log: UndoLog, target: Target, evidence: Path, by: str, reason: str) -> tuple[bool, str]:
    try:
        timeline = TimelineWriter.resume(evidence / "timeline.jsonl")
    except InvalidFile:
        # somebody removed or damaged the evidence: what was changed is reverted all the same
        results = revert_all(log, target, by)
        failed = [result.detail for result in results if not result.ok]
        return not log.pending(), "; ".join(failed) or "reverted; its evidence is gone"
    with timeline:
        if timeline.timeline.last(Kind.DRILL_ENDED) is None:
            timeline.record(Kind.DRILL_ABORTED, reason=reason)
            timeline.enter(Phase.UNDO)
        clean, detail = asyncio.run(revert_and_prove(log, target, timeline, by))
        timeline.enter(Phase.JUDGE)
        timeline.record(Kind.DRILL_ENDED)
    return clean, detail
