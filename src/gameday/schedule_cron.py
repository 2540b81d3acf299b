"""A schedule as lines for cron."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from gameday.errors import UsageError
from gameday.schedule import Appointment, Schedule
from gameday.schedule_zones import differences, shifted


def command(schedule: Schedule, one: Appointment) -> list[str]:
    """What carries the appointment out; brings the environment up first, and down again after."""
    parallel = ["--parallel", str(one.parallel)] if one.parallel > 1 else []
    return ["run", "--yes", "--up", "--environment", schedule.environment, *parallel, *one.scenarios]


def crontab(
    schedule: Schedule, project: Path, program: Sequence[str], machine: str | None, now: datetime
) -> str:
    """Lines for `crontab`: `program`, in the folder `project`; `machine` is the time zone of who keeps them.

    Without it, CRON_TZ says the schedule's own zone. With it, times are converted, which is right only while both
    clocks differ by the same.

    Raises:
        UsageError: they do not, or a time cannot be converted.
    """
    head = [f"# Schedule {schedule.schedule}: times of {machine or schedule.time_zone}."]
    if machine is None:
        head += [
            "# cron itself has no time zones. CRON_TZ is how cronie is told of one; Debian's cron ignores it: there,",
            "# set the machine's zone to this one, or export with --machine-zone.",
            f"CRON_TZ={schedule.time_zone}",
        ]
    elif machine != schedule.time_zone:
        head.append(
            f"# They are written for {schedule.time_zone}, from which {machine} always differs by the same."
        )
    lines = []
    for name, one in schedule.drills.items():
        lines += ["", f"# {name}: {one.title}"]
        words = shlex.join([*program, *command(schedule, one)])
        todo = f"cd {shlex.quote(str(project))} && {words}".replace("%", r"\%")  # % ends a command of cron
        lines += [f"{cron} {todo}" for cron in crons(name, one, schedule.time_zone, machine, now)]
    return "\n".join([*head, *lines])


def crons(name: str, one: Appointment, time_zone: str, machine: str | None, now: datetime) -> tuple[str, ...]:
    if machine is None or machine == time_zone:
        return (one.cron,)
    found = differences(one, time_zone, machine, now)
    if len(found) > 1:
        _, change = sorted(found.values())[:2]
        raise UsageError(
            f"{name}: {time_zone} and {machine} do not always differ by the same; from {change:%Y-%m-%d} on its time "
            "would be wrong. Write the schedule for the machine's zone, or let one keep it that knows time zones: cron "
            "with CRON_TZ, a cluster"
        )
    (ahead,) = found
    try:
        return shifted(one.cron, -ahead)
    except UsageError as error:
        raise UsageError(f"{name}: {error}: write its day for {machine}") from error
