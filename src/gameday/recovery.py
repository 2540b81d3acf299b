"""Finishing a drill whose runner is gone: revert what it had changed and close its evidence.

Whoever does it (`gameday recover`, or the dead-man switch by calling it) works from the log of undos alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from gameday.environment import Environment
from gameday.errors import InvalidFile, Refused, TargetError, UndoError
from gameday.fields import parse
from gameday.journal import UndoLog
from gameday.project import Project
from gameday.safeguard import revert_and_prove
from gameday.strays import end_strays
from gameday.targets import open_target
from gameday.targets.base import DeadMan, Target
from gameday.timeline import Kind, Phase, TimelineWriter
from gameday.undo import revert_all

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
        if log.holder.alive:
            if by == "gameday recover":
                raise Refused(f"drill {drill} is running (pid {log.holder.pid}); `gameday stop` ends it")
            revert_all(log, target, by)
            left = log.pending()
            detail = f"{len(left)} not reverted" if left else "reverted; its runner goes on"
            return Recovery(drill, not left, detail, None, project)
        end_strays(drill)
        clean, detail = _finish(log, target, evidence, by, reason)
        if clean:
            log.remove()
            if isinstance(target, DeadMan):
                with contextlib.suppress(TargetError):  # the next drill removes it
                    target.release(drill)
        return Recovery(drill, clean, detail, evidence, project)


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
