"""`gameday runbook lint`: runbooks against the environment, its alert rules and the scenarios."""

from __future__ import annotations

from collections.abc import Callable

from gameday.detectors.rules import load_rules
from gameday.environment import EmbeddedDetector, load_instance
from gameday.project import Project
from gameday.runbook.lint import AlertRule, lint
from gameday.runbook.parse import load_runbook
from gameday.scenario import load_scenario


def lint_all(project: Project, reference: str, out: Callable[[str], None]) -> int:
    """Print every finding; returns 1 when one of them is an error, else 0."""
    environment, _ = load_instance(project, reference)
    runbooks = [load_runbook(path) for path in sorted((project.root / "runbooks").glob("*.md"))]
    findings = lint(
        runbooks,
        environment_components=environment.components,
        probes=environment.probes,
        alerts=_alerts(project, environment.detector) if environment.detector.kind == "embedded" else None,
        scenarios=[load_scenario(path) for path in project.scenario_files()],
    )
    for finding in findings:
        out(str(finding))
    errors = sum(finding.severity == "error" for finding in findings)
    out(f"{len(runbooks)} runbooks: {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


def _alerts(project: Project, detector: EmbeddedDetector) -> list[AlertRule]:
    path = project.root / detector.rules
    return [AlertRule(rule.name, rule.info.runbook_url, path) for rule in load_rules(path).rules]
