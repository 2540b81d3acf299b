"""The runbooks in `runbooks/` are complete, and drill and reader find in them what the seeds promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.detectors.rules import load_rules
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


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_it_answers_the_alerts_that_name_it_in_both_sets_of_rules(path: Path) -> None:
    for rules in ("original", "corrected"):
        found = load_rules(ROOT / "examples" / "hotel" / "rules" / f"{rules}.yaml").rules
        named = {rule.name for rule in found if rule.info.runbook_url == f"runbooks/{path.name}"}
        assert named == set(load_runbook(path).alerts)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_even_the_longest_way_fits_the_rto_and_nobody_must_be_asked(path: Path) -> None:
    found = load_runbook(path)
    assert sum(step.budget_s for step in found.steps) <= found.rto_s
    assert found.manual_steps == ()  # a CI job has nobody to ask


@pytest.mark.parametrize(
    ("name", "severity", "rto_s", "acts", "fallbacks"),
    [
        ("01-database-down", "CRITICAL", 900, ["start database"], {"Start PostgreSQL again": "Restore from backup"}),
        ("07-redis-connection-issues", "MEDIUM", 1800, ["start cache"], {
            "Start the cache again": "Restart the cache", "Confirm that the API uses it": "Restart the API",
        }),
        ("10-deployment-failure", "CRITICAL", 900, ["start api"], {"Start the API again": "Restart the API"}),
    ],
)  # fmt: skip
def test_figures_main_path_and_fallbacks(
    name: str, severity: str, rto_s: float, acts: list[str], fallbacks: dict[str, str]
) -> None:
    found = load_runbook(ROOT / "runbooks" / f"{name}.md")
    assert (found.severity, found.rto_s) == (severity, rto_s)
    assert [step.describe() for step in found.main_path if step.may_change] == acts
    for heading, otherwise in fallbacks.items():
        step = found.step(heading)
        assert step is not None
        assert step.otherwise == otherwise
