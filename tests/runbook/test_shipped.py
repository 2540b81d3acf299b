"""The runbooks in `runbooks/` are complete, and drill and reader find in them what the seeds promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.environment import load_environment
from gameday.runbook.lint import lint
from gameday.runbook.parse import load_runbook
from gameday.scenario import load_scenario

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.md"))


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_lint_has_nothing_to_say(path: Path) -> None:
    environment = load_environment(ROOT / "environments" / "hotel-local.yaml")
    scenarios = [load_scenario(file) for file in sorted((ROOT / "scenarios").glob("*.yaml"))]
    found = lint(
        [load_runbook(path)],
        environment_components=environment.components,
        probes=environment.probes,
        alerts=None,
        scenarios=scenarios,
    )
    assert [str(finding) for finding in found] == []


def test_database_down_keeps_its_figures_even_on_the_longest_way() -> None:
    found = load_runbook(ROOT / "runbooks" / "01-database-down.md")
    assert (found.severity, found.rto_s, found.alerts) == ("CRITICAL", 900, ("database_connection_failures",))
    assert sum(step.budget_s for step in found.steps) <= found.rto_s
    assert [step.describe() for step in found.main_path if step.may_change] == ["start database"]
    start = found.step("Start PostgreSQL again")
    assert start is not None
    assert start.otherwise == "Restore from backup"
    assert found.manual_steps == ()  # a CI job has nobody to ask
