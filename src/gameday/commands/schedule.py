"""`gameday schedule`: what is due, and the schedule in the forms of those who keep it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gameday.errors import UsageError
from gameday.project import Project
from gameday.schedule import Appointment, Schedule, check_cron, check_time_zone, load_schedule
from gameday.schedule_ci import Prepare

if TYPE_CHECKING:
    from gameday.commands.submission import Wish
    from gameday.drill_calendar import Known
    from gameday.history import History

_NAME_LIMIT = 52
"""Of a CronJob, whose jobs get the time appended."""
_UNKNOWN = 3


# --- what is due --------------------------------------------------------------------------------------------


def status(
    names: Sequence[str], environment: str | None, *, check: bool, as_json: bool, now: datetime
) -> int:
    """Print the calendar of schedule files, of all of them by default. With `check`: 1 when something is stale or
    overdue, 3 when the history knows no drill of any.

    Raises:
        UsageError: a file is not there, or wrong.
        HistoryError: the history cannot be read.
    """
    from gameday.drill_calendar import entries as entries_of
    from gameday.history import History
    from gameday.reporting.calendar_view import calendar_values, print_calendar, problems

    project = Project.find()
    schedules = [_in_environment(_load(project, name), environment) for name in names or _all(project)]
    documents, found, known_drills = [], [], False
    with History.open(project) as history:
        for schedule in schedules:
            known = _known(history, schedule.environment)
            entries = entries_of(schedule, known, now)
            known_drills |= any(entry.scenario in known for entry in entries)
            found += problems(entries)
            if as_json:
                head = {"schedule": schedule.schedule, "environment": schedule.environment}
                documents.append(
                    {**head, "time_zone": schedule.time_zone, "drills": calendar_values(entries)}
                )
            else:
                print_calendar(
                    entries, f"{schedule.schedule}: drills in {schedule.environment} (times in UTC)"
                )
    if as_json:
        print(json.dumps({"now": now.isoformat(), "schedules": documents}, ensure_ascii=False, indent=2))
    if not check:
        return 0
    for problem in found:
        print(problem, file=sys.stderr)
    if not known_drills:
        print("the history knows no drill of them: nothing can be said of what was kept", file=sys.stderr)
        return _UNKNOWN
    return 1 if found else 0


def _known(history: History, environment: str) -> dict[str, Known]:
    """What the history has of an environment, by scenario."""
    from gameday.drill_calendar import Known, Run
    from gameday.history.last_runs import last_runs

    found: dict[str, Known] = {}
    for row in sorted(last_runs(history, environment) or (), key=lambda row: row.started):
        run, known = Run(row.started, row.verdict, row.drill), found.get(row.scenario, Known())
        if row.rehearsal:
            known = replace(known, rehearsal=run)
        else:
            known = replace(known, run=run, passed=run if row.verdict == "PASS" else known.passed)
        found[row.scenario] = known
    return found


def _all(project: Project) -> list[str]:
    names = sorted(path.stem for path in (project.root / "schedules").glob("*.yaml"))
    if not names:
        raise UsageError(f"no schedules: expected YAML files in {project.root / 'schedules'}")
    return names


def _load(project: Project, name: str) -> Schedule:
    path = Path(name)
    if "/" not in name and path.suffix != ".yaml":
        path = project.root / "schedules" / f"{name}.yaml"
    return load_schedule(path)


def _in_environment(schedule: Schedule, environment: str | None) -> Schedule:
    return schedule.model_copy(update={"environment": environment}) if environment else schedule


# --- exports ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who is to keep the schedule. `machine_zone` is the time zone that it keeps where it cannot be told one."""

    form: str
    machine_zone: str | None = None
    prepare: Prepare = field(default_factory=Prepare)


@dataclass(frozen=True, slots=True)
class Line:
    """Scenarios at one time, instead of a file."""

    cron: str
    time_zone: str
    name: str


def export(
    what: Sequence[str], line: Line | None, keeper: Keeper, common: Wish, out: Callable[[str], None]
) -> None:
    """Print a schedule file, or scenarios at one time, in the form of whoever keeps it.

    Raises:
        UsageError: with every problem of every file; or times that the form cannot say.
    """
    project, now = Project.find(), datetime.now(UTC)
    schedule = _of_file(project, what, common) if line is None else _of_line(what, line, common)
    if keeper.machine_zone is not None:
        _check_machine_zone(keeper)
    text = _rendered(project, schedule, keeper, common, now)
    for warning in _warnings(schedule, keeper, now):
        print(f"warning: {warning}", file=sys.stderr)
    out(text)


def _check_machine_zone(keeper: Keeper) -> None:
    if keeper.form not in ("cron", "github"):
        raise UsageError(f"--machine-zone: {keeper.form} is told the schedule's own time zone")
    try:
        check_time_zone(keeper.machine_zone or "")
    except ValueError as error:
        raise UsageError(f"--machine-zone: {error}") from error


def _rendered(project: Project, schedule: Schedule, keeper: Keeper, common: Wish, now: datetime) -> str:
    from gameday import schedule_ci

    match keeper.form:
        case "cron":
            from gameday.schedule_cron import crontab

            return crontab(schedule, project.root, _program(), keeper.machine_zone, now)
        case "icalendar":
            from gameday.schedule_icalendar import icalendar

            return icalendar(schedule, now).rstrip("\r\n")
        case "github":
            return _documents(
                [schedule_ci.github(schedule, keeper.prepare, keeper.machine_zone, now)], start=False
            )
        case "gitlab":
            commands = [f"#   {shlex.join(words)}" for words in schedule_ci.gitlab_schedules(schedule)]
            head = ["# GitLab keeps the times beside the repository. They are made once, by:", *commands]
            return "\n".join([*head, _documents([schedule_ci.gitlab(schedule, keeper.prepare)], start=False)])
        case _:
            return _documents(_objects(project, schedule, common))


def _program() -> list[str]:
    """This gameday by its path: cron looks for programs in few folders."""
    own = Path(sys.argv[0])
    return [str(own.resolve())] if own.name == "gameday" else [sys.executable, "-m", "gameday"]


def _warnings(schedule: Schedule, keeper: Keeper, now: datetime) -> list[str]:
    """What the form cannot say, or what its keepers do differently."""
    from gameday.schedule import midnight
    from gameday.schedule_zones import doubtful

    found = []
    for name, one in schedule.drills.items():
        local = doubtful(one, schedule.time_zone, now)
        if local is not None:
            found.append(
                f"{name}: the clocks of {schedule.time_zone} leave out or repeat {local:%Y-%m-%d %H:%M}; "
                "not everybody who keeps times does the same then"
            )
        if (
            keeper.form != "icalendar"
            and one.next is not None
            and midnight(one.next, schedule.time_zone) > now
        ):
            found.append(
                f"{name}: its first day, {one.next}, cannot be said there; earlier ones are kept, too"
            )
    return found


def _of_file(project: Project, what: Sequence[str], common: Wish) -> Schedule:
    if len(what) != 1:
        raise UsageError("expected one file of a schedule; or scenarios, with --cron")
    return _in_environment(_load(project, what[0]), common.environment)


def _of_line(what: Sequence[str], line: Line, common: Wish) -> Schedule:
    if not common.environment:
        raise UsageError("--cron: say in which --environment")
    try:
        appointment = Appointment(cron=check_cron(line.cron), scenarios=tuple(what), parallel=common.parallel)
        return Schedule(
            schedule=line.name,
            environment=common.environment,
            time_zone=check_time_zone(line.time_zone),
            drills={line.name: appointment},
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _objects(project: Project, schedule: Schedule, common: Wish) -> list[dict[str, Any]]:
    from gameday.commands.submission import prepare
    from gameday.targets.kubernetes import drill_job

    files: dict[str, dict[str, Any]] = {}
    jobs: list[dict[str, Any]] = []
    problems: list[str] = []
    for name, one in schedule.drills.items():
        wish = replace(
            common, scenarios=one.scenarios, environment=schedule.environment, parallel=one.parallel
        )
        try:
            submission, spec = prepare(project, wish)
            files[submission.config_map] = _in(spec.namespace, drill_job.config_map(submission))
        except UsageError as error:
            problems += [f"{name}: {line}" for line in str(error).splitlines()]
            continue
        called = f"gameday-{schedule.environment}-{name}"
        if len(called) > _NAME_LIMIT:
            problems.append(
                f"{name}: {called} has {len(called)} characters; a CronJob's name has {_NAME_LIMIT}"
            )
        body = drill_job.cron_job(submission, called, one.cron, schedule.time_zone, one.start_within)
        body["metadata"]["annotations"]["gameday.dev/title"] = one.title
        jobs.append(_in(spec.namespace, body))
    if problems:
        raise UsageError("\n".join(problems))
    return [*files.values(), *jobs]


def _in(namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


def _documents(objects: Sequence[dict[str, Any]], *, start: bool = True) -> str:
    """YAML in which files are readable as they are."""
    import yaml

    class Readable(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - none: the objects are looked at one by one
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Readable.add_representer(str, text)
    return yaml.dump_all(
        objects, Dumper=Readable, sort_keys=False, allow_unicode=True, explicit_start=start, width=120
    ).rstrip()
