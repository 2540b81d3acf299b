"""Restoring a PostgreSQL from its base backup, with the archived write-ahead log up to a point, or without
it.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets import helpers, shared_memory
from gameday.targets.component import Component
from gameday.targets.postgresql import DATA, Postgresql
from gameday.targets.privilege import Footing
from gameday.targets.waiting import Deadline, wait_until


def restore(
    component: Component,
    *,
    target_time: datetime | None,
    target_lsn: str | None,
    use_archive: bool,
    deadline: Deadline,
) -> str:
    """Stop the database, put its base backup in its place, recover, and wait until it takes writes.

    With the archive: all that was archived, and what the old data directory still has of the log beyond it,
    up to and including the target if there is one. Without: exactly the base backup. Either way PostgreSQL
    begins a new timeline, so that later restores cannot mix the two histories. If it fails, the old data are
    put back, and started if they ran.

    Raises:
        UsageError: two targets, a target without the archive, or a time without a zone.
        TargetError: there is no base backup, or the recovery failed: what PostgreSQL said.
    """
    options = _recovery_options(target_time, target_lsn, use_archive)
    program, footing = _database(component)
    if use_archive and not program.settings.archive:
        raise TargetError(f"restore {component.name}: it has no archive ('archive: false')")
    destroyed = component.record().destroyed
    if destroyed:
        # a destroy that was interrupted may have left a server, which would archive what was to be lost if it were
        # stopped in an orderly way, and parts of its data
        component.end(deadline)
        remove_data(footing)
    was_up = component.find_all().main is not None
    if was_up and use_archive:
        # the server archives a finished segment before it stops, so nothing written so far is missing
        program.query(component.record().port, "select pg_switch_wal()")
    component.stop(deadline)
    data, aside = footing.home / "data", footing.home / "data.aside"
    _prepare(component, footing, options, deadline)
    if aside.exists():
        shutil.rmtree(aside)
    if not destroyed:
        data.rename(aside)
    (footing.home / "data.new").rename(data)
    component.mark_destroyed(destroyed=False)
    try:
        component.start(deadline)
        _wait_recovered(component, program, deadline)
    except BaseException:
        component.mark_destroyed(destroyed=destroyed)
        component.stop(Deadline.after(component.spec.stop_within))
        shutil.rmtree(data)
        if not destroyed:
            aside.rename(data)
        if was_up:
            component.start(Deadline.after(component.spec.ready.within))
        raise
    (data / "gameday-recovery.conf").unlink(missing_ok=True)
    if not destroyed:
        shared_memory.release(aside / "postmaster.pid")
        shutil.rmtree(aside)
    return f"restored {component.name} from its base backup{_describe(target_time, target_lsn, use_archive)}"


def remove_data(footing: Footing) -> None:
    """Every data directory, and the shared memory that a killed server left. Backup and archive stay."""
    for name in DATA:
        shared_memory.release(footing.home / name / "postmaster.pid")
        if (footing.home / name).exists():
            shutil.rmtree(footing.home / name)


def _recovery_options(
    target_time: datetime | None, target_lsn: str | None, use_archive: bool
) -> dict[str, str]:
    if target_time is not None and target_lsn is not None:
        raise UsageError("restore: give a target time or a target position, not both")
    if not use_archive:
        if target_time is not None or target_lsn is not None:
            raise UsageError("restore: a target needs the archive")
        return {"recovery_target": "immediate", "recovery_target_timeline": "current"}
    if target_time is not None:
        if target_time.tzinfo is None:
            raise UsageError(f"restore: the target time {target_time} has no time zone")
        return {"recovery_target_time": target_time.isoformat()}
    return {"recovery_target_lsn": target_lsn} if target_lsn is not None else {}


def _database(component: Component) -> tuple[Postgresql, Footing]:
    program, footing = component.program, component.record().footing
    if not isinstance(program, Postgresql):
        raise TargetError(f"restore {component.name}: it is not a PostgreSQL")
    if footing is None or not (footing.home / "backup").is_dir():
        raise TargetError(
            f"restore {component.name}: there is no base backup ('base_backup: true' takes one)"
        )
    return program, footing


def _prepare(component: Component, footing: Footing, options: dict[str, str], deadline: Deadline) -> None:
    """A data directory that will recover when it is started, beside the present one."""
    new, backup = footing.home / "data.new", footing.home / "backup"
    if new.exists():
        shutil.rmtree(new)
    _copy([backup], new, component, footing, deadline)
    if "recovery_target_timeline" not in options:
        segments = [path for path in (footing.home / "data" / "pg_wal").glob("[0-9A-F]*") if path.is_file()]
        if segments:
            _copy(segments, new / "pg_wal", component, footing, deadline)
    lines = [f"{name} = '{value}'\n" for name, value in options.items()]
    (new / "gameday-recovery.conf").write_text("".join([*lines, "recovery_target_action = 'promote'\n"]))
    (new / "recovery.signal").touch()
    for name in ("gameday-recovery.conf", "recovery.signal"):
        footing.own(new / name)


def _copy(
    sources: list[Path], target: Path, component: Component, footing: Footing, deadline: Deadline
) -> None:
    """By `cp`, as the user who will run it, so that owners and modes are right without a second pass."""
    argv = ["cp", "-a", "--reflink=auto", "--", *map(str, sources), str(target)]
    helpers.run(argv, place=component.place, footing=footing, deadline=deadline)


def _wait_recovered(component: Component, program: Postgresql, deadline: Deadline) -> None:
    def recovered() -> bool:
        if component.find_all().main is None:
            raise TargetError(
                f"restore {component.name}: it ended during recovery:\n{component.last_lines()}"
            )
        return program.query(component.record().port, "select pg_is_in_recovery()") == "False"

    if not wait_until(recovered, deadline, 0.01):
        raise OperationTimedOut(
            f"restore {component.name}: still in recovery after {deadline.timeout_s:g} s:\n"
            f"{component.last_lines()}"
        )


def _describe(target_time: datetime | None, target_lsn: str | None, use_archive: bool) -> str:
    if not use_archive:
        return " alone"
    if target_time is not None:
        return f" and the archive up to {target_time.isoformat()}"
    return f" and the archive up to {target_lsn}" if target_lsn else " and the whole archive"
