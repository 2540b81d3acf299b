"""`gameday schedule export`: a schedule as objects of a cluster, which keeps it without gameday."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gameday.commands.submission import Wish, prepare
from gameday.errors import UsageError
from gameday.project import Project
from gameday.schedule import Appointment, Schedule, check_cron, check_time_zone, load_schedule
from gameday.targets.kubernetes import drill_job

_NAME_LIMIT = 52
"""Of a CronJob, whose jobs get the time appended."""


def export(
    what: Sequence[str],
    cron: str | None,
    time_zone: str,
    name: str,
    common: Wish,
    out: Callable[[str], None],
) -> None:
    """Print the objects of a schedule file, or of scenarios at one time.

    Raises:
        UsageError: with every problem of every file.
    """
    project = Project.find()
    schedule = _of_file(what, common) if cron is None else _of_line(what, cron, time_zone, name, common)
    out(_documents(_objects(project, schedule, common)))


def _of_file(what: Sequence[str], common: Wish) -> Schedule:
    if len(what) != 1:
        raise UsageError("expected one file of a schedule; or scenarios, with --cron")
    path = Path(what[0])
    if "/" not in what[0] and path.suffix != ".yaml":
        path = Project.find().root / "schedules" / f"{what[0]}.yaml"
    found = load_schedule(path)
    return found.model_copy(update={"environment": common.environment}) if common.environment else found


def _of_line(what: Sequence[str], cron: str, time_zone: str, name: str, common: Wish) -> Schedule:
    if not common.environment:
        raise UsageError("--cron: say in which --environment")
    try:
        appointment = Appointment(cron=check_cron(cron), scenarios=tuple(what), parallel=common.parallel)
        return Schedule(
            schedule=name,
            environment=common.environment,
            time_zone=check_time_zone(time_zone),
            drills={name: appointment},
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _objects(project: Project, schedule: Schedule, common: Wish) -> list[dict[str, Any]]:
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


def _documents(objects: Sequence[dict[str, Any]]) -> str:
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
        objects, Dumper=Readable, sort_keys=False, allow_unicode=True, explicit_start=True, width=120
    ).rstrip()
