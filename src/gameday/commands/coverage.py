"""`gameday coverage`: the matrix rule x scenario x runbook, from the files and the history."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NamedTuple

from gameday.coverage import Coverage, RuleFact, RunbookFact, ScenarioFact, matrix
from gameday.detectors.rules import load_rules
from gameday.environment import load_instance
from gameday.errors import UsageError
from gameday.history import History, Tallies
from gameday.preflight import is_possible
from gameday.project import Project
from gameday.runbook.model import Runbook
from gameday.runbook.parse import load_runbook
from gameday.scenario import Scenario, load_scenario


def coverage(project: Project, reference: str, form: str) -> None:
    """Print the matrix of an environment in one of `human`, `markdown`, `json`, `html`."""
    from gameday.reporting.coverage import print_coverage, to_html, to_json, to_markdown

    found = measure(project, reference)
    if form == "human":
        print_coverage(found, sys.stdout)
        return
    print({"markdown": to_markdown, "json": to_json, "html": to_html}[form](found), end="")


class Files(NamedTuple):
    """What people wrote, whatever the environment."""

    scenarios: list[Scenario]
    runbooks: list[Runbook]


def load_files(project: Project) -> Files:
    """Raises InvalidFile: a runbook or scenario with problems."""
    return Files(
        [load_scenario(path) for path in project.scenario_files()],
        [load_runbook(path) for path in sorted((project.root / "runbooks").glob("*.md"))],
    )


def measure(
    project: Project,
    reference: str,
    tallies: Mapping[str | None, Tallies] | None = None,
    files: Files | None = None,
) -> Coverage:
    """The matrix: of all drills, or of those whose `tallies` are given; `files` where they were read already.

    Raises:
        InvalidFile: a rules file, runbook or scenario with problems.
        UsageError: the environment's detector does not say which rules it has.
        HistoryError: the history cannot be read.
    """
    environment, _ = load_instance(project, reference)
    detector = environment.detector
    if detector.kind != "embedded":
        raise UsageError(
            f"environment {environment.environment} has the detector {detector.kind}, which does not tell its rules"
        )
    rules = load_rules(project.root / detector.rules).rules
    if tallies is None:
        with History.open(project) as history:
            tallies = history.tallies(environment.environment)
    ours = [found for path, found in tallies.items() if path is not None and _is(path, detector.rules)]
    scenarios, runbooks = files or load_files(project)
    return matrix(
        environment=environment.environment,
        rules_file=detector.rules,
        rules=[RuleFact(rule.name, _stem(rule.info.runbook_url)) for rule in rules],
        scenarios=[
            ScenarioFact(s.scenario, s.alert, s.runbook, possible=is_possible(s, environment))
            for s in scenarios
        ],
        runbooks=[RunbookFact(runbook.name, tuple(runbook.alerts)) for runbook in runbooks],
        alerts=[tally for found in ours for tally in found.alerts],
        drills=[tally for found in ours for tally in found.drills],
        other_rules=sum(_drills(found) for found in tallies.values() if found not in ours),
    )


def _is(path: str, rules: str) -> bool:
    """Whether a drill's rules file is the environment's; the project may have been elsewhere then."""
    return f"/{path}".endswith(f"/{rules.removeprefix('./')}")


def _stem(url: str | None) -> str | None:
    return url.partition("#")[0].rsplit("/", 1)[-1].removesuffix(".md") if url else None


def _drills(found: Tallies) -> int:
    return sum(tally.drills for tally in found.drills)
