"""What schedule files say of scenarios: how long a PASS is good for, and which of them restore a backup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gameday.errors import UsageError
from gameday.files import load_yaml
from gameday.project import Project

if TYPE_CHECKING:
    from gameday.schedule import Schedule

RESTORES = ("restore-test", "backup-validation")
"""Appointments whose drills restore a backup."""


def load_schedules(project: Project, paths: Sequence[Path] = ()) -> list[Schedule]:
    """Those named, or all of the project; none where it has none.

    Raises:
        InvalidFile: with file, line and field of every problem.
        UsageError: there is no such file.
    """
    from gameday.schedule import load_schedule

    return [load_schedule(path) for path in paths or sorted((project.root / "schedules").glob("*.yaml"))]


def good_for(schedules: Sequence[Schedule], environment: str | None) -> dict[tuple[str, str], timedelta]:
    """How long a PASS is good for, by scenario and environment; `environment` is in place of the schedules' own."""
    from gameday.schedule import periods

    found: dict[tuple[str, str], timedelta] = {}
    for schedule in schedules:
        for scenario, period in periods(schedule).items():
            key = (scenario, environment or schedule.environment)
            found[key] = min(period, found.get(key, period))
    return found


def restore_scenarios(project: Project) -> frozenset[str]:
    """Scenarios that are restore tests. Only what names them is read: whether a schedule is right, others say."""
    found: set[str] = set()
    for path in sorted((project.root / "schedules").glob("*.yaml")):
        try:
            drills = _mapping(_mapping(load_yaml(path).value).get("drills"))
        except UsageError:
            continue
        for appointment in RESTORES:
            names = _mapping(drills.get(appointment)).get("scenarios")
            if isinstance(names, list):
                found.update(scenario_name(name) for name in names if isinstance(name, str))
    return frozenset(found)


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def scenario_name(reference: str) -> str:
    """By its name, where a path is given."""
    return Path(reference).stem if "/" in reference or reference.endswith(".yaml") else reference
