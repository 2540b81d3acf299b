"""A schedule as a workflow of GitHub Actions, or as jobs of GitLab CI. Pure: plain data, and the words around it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gameday.schedule import Schedule
from gameday.schedule_cron import command, crons

GITLAB_VARIABLE = "GAMEDAY_DRILLS"
_REPORTS, _JUNIT, _SUMMARY = "reports/", "reports/junit.xml", "reports/summary.md"
_IN_VENV = "$PWD/.venv/bin"
_PATH = f'export PATH="{_IN_VENV}:$PATH"'


@dataclass(frozen=True, slots=True)
class Prepare:
    """How a job gets gameday: a command, after which it is on the path or in .venv."""

    command: str = 'pip install --quiet "gameday-runner[embedded,docker,kubernetes]"'
    python: str = "3.11"


def github(schedule: Schedule, prepare: Prepare, keeper: str | None, now: datetime) -> dict[str, Any]:
    """A workflow. GitHub is told the time zone, unless `keeper` says the one that it keeps; then times are converted.

    Raises:
        UsageError: they cannot be.
    """
    zone = {} if keeper else {"timezone": schedule.time_zone}
    times: dict[str, None] = {}
    jobs: dict[str, Any] = {}
    for name, one in schedule.drills.items():
        # its names are in capitals there; as text it comes back in github.event.schedule
        found = [cron.upper() for cron in crons(name, one, schedule.time_zone, keeper, now)]
        times |= dict.fromkeys(found)
        due = " || ".join(f"github.event.schedule == '{cron}'" for cron in found)
        jobs[name] = {
            "name": one.title,
            "if": f"{due} || inputs.drills == '{name}'",
            "runs-on": "ubuntu-latest",
            "concurrency": {"group": f"gameday-{schedule.schedule}-{name}", "cancel-in-progress": False},
            "steps": [
                {"uses": "actions/checkout@v4"},
                {"uses": "actions/setup-python@v5", "with": {"python-version": prepare.python}},
                {"name": "Set up", "run": f'{prepare.command}\necho "{_IN_VENV}" >> "$GITHUB_PATH"\n'},
                {"name": "Drill", "run": _run(schedule, name)},
                {"name": "Put back what a drill has left", "if": "always()", "run": "gameday recover"},
                {"name": "Job summary", "if": "always()", "run": f'cat {_SUMMARY} >> "$GITHUB_STEP_SUMMARY"'},
                {
                    "name": "Keep the evidence",
                    "if": "always()",
                    "uses": "actions/upload-artifact@v4",
                    "with": {"name": name, "path": _REPORTS},
                },
            ],
        }
    by_hand = {"description": "Which drills", "type": "choice", "options": list(schedule.drills)}
    return {
        "name": f"Drills of schedule {schedule.schedule}",
        "on": {
            "schedule": [{"cron": cron, **zone} for cron in times],
            "workflow_dispatch": {"inputs": {"drills": by_hand}},
        },
        "permissions": {"contents": "read"},
        "jobs": jobs,
    }


def gitlab(schedule: Schedule, prepare: Prepare) -> dict[str, Any]:
    """Jobs, each for the pipeline schedule that has its name in GAMEDAY_DRILLS."""
    return {
        name: {
            "image": f"python:{prepare.python}",
            "rules": [{"if": f'$CI_PIPELINE_SOURCE == "schedule" && ${GITLAB_VARIABLE} == "{name}"'}],
            "resource_group": f"gameday-{schedule.schedule}-{name}",
            # a drill puts back what it breaks: it is never ended half-way
            "interruptible": False,
            "before_script": [prepare.command, _PATH],
            "script": [_run(schedule, name)],
            "after_script": [_PATH, "gameday recover"],
            "artifacts": {
                "when": "always",
                "paths": [_REPORTS],
                "reports": {"junit": _JUNIT},
            },
        }
        for name in schedule.drills
    }


def gitlab_schedules(schedule: Schedule) -> list[list[str]]:
    """Commands of glab that make the pipeline schedules: GitLab keeps them beside the repository, with their zones."""
    return [
        [
            *("glab", "schedule", "create", "--cron", one.cron, "--cronTimeZone", schedule.time_zone),
            *("--description", one.title, "--ref", "main", "--variable", f"{GITLAB_VARIABLE}:{name}"),
        ]
        for name, one in schedule.drills.items()
    ]


def _run(schedule: Schedule, name: str) -> str:
    files = ["--junit", _JUNIT, "--summary", _SUMMARY]
    return shlex.join(["gameday", *command(schedule, schedule.drills[name]), *files])
