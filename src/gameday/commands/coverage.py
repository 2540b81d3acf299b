"""`gameday coverage`: the matrix rule x scenario x runbook, from the files and the history."""

from __future__ import annotations

import sys

from gameday.coverage import Coverage, RuleFact, RunbookFact, ScenarioFact, matrix
from gameday.detectors.rules import load_rules
from gameday.environment import load_instance
from gameday.errors import UsageError
from gameday.history import History, Tallies
from gameday.project import Project
from gameday.reporting.coverage import print_coverage, to_html, to_json, to_markdown
from gameday.runbook.parse import load_runbook
from gameday.scenario import load_scenario


def coverage(project: Project, reference: str, form: str) -> None:
    """Print the matrix of an environment in one of `human`, `markdown`, `json`, `html`."""
    found = measure(project, reference)
    if form == "human":
        print_coverage(found, sys.stdout)
        return
    print({"markdown": to_markdown, "json": to_json, "html": to_html}[form](found), end="")


def measure(project: Project, reference: str) -> Coverage:
    """The matrix.

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
    with History.open(project) as history:
        tallies = history.tallies(environment.environment)
    ours = [found for path, found in tallies.items() if path is not None and _is(path, detector.rules)]
    scenarios = [load_scenario(path) for path in sorted((project.root / "scenarios").glob("*.yaml"))]
    runbooks = [load_runbook(path) for path in sorted((project.root / "runbooks").glob("*.md"))]
    return matrix(
        environment=environment.environment,
        rules_file=detector.rules,
        rules=[RuleFact(rule.name, _stem(rule.info.runbook_url)) for rule in rules],
        scenarios=[ScenarioFact(s.scenario, s.alert, s.runbook) for s in scenarios],
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
