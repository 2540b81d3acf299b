"""`gameday recover`: put back what drills without a runner have left, here and where the environment is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gameday.commands.run import close
from gameday.errors import GamedayError
from gameday.project import Project


def recover(
    environment: str | None, log: Path | None, by: str, reason: str, out: Callable[[str], None]
) -> int:
    """Finish drills whose runner is gone; returns 0 when nothing is left of any, else 5."""
    from gameday.journal import UndoLog
    from gameday.recovery import is_of, recover_log

    code = _fetch(environment, out) if environment is not None and log is None else 0
    paths = [log] if log else [found.path for found in UndoLog.find(Project.find().state / "undo")]
    for path in paths:
        try:
            if environment is not None and not is_of(UndoLog(path).header, environment):
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
    tidied: tuple[str, ...] = ()
    if environment is not None and log is None and not code:
        try:
            tidied = _tidy(environment)
        except GamedayError as error:
            out(f"{environment}: what else drills have left there cannot be known: {error}")
            return error.exit_code
    for one in tidied:
        out(f"{environment}: removed {one}")
    if not paths and not tidied:
        out("nothing to recover")
    return code


def _tidy(environment: str) -> tuple[str, ...]:
    """What there was that no log is of."""
    from gameday.recovery import tidy

    project = Project.find()
    return tidy(project, environment) if _is_known(project, environment) else ()


def _is_known(project: Project, environment: str) -> bool:
    return (project.root / "environments" / f"{environment.partition('@')[0]}.yaml").exists()


def _fetch(environment: str, out: Callable[[str], None]) -> int:
    """What drills from elsewhere have left in an environment, as logs of this project; the exit code."""
    from gameday.recovery import fetch_logs

    project = Project.find()
    if not _is_known(project, environment):
        return 0
    try:
        fetch_logs(project, environment)
    except GamedayError as error:
        out(f"{environment}: what drills have left there cannot be known: {error}")
        return error.exit_code
    return 0
