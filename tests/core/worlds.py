"""Environments made of nothing, and a target of which one operation fails."""

from __future__ import annotations

from pathlib import Path

import yaml

from core.good_files import FAKE_ENVIRONMENT, SCENARIO, broken
from gameday.environment import Environment
from gameday.fields import parse
from gameday.project import Project
from gameday.scenario import Scenario
from gameday.targets.fake import FakeTarget

CACHE = "  api: {fake: {}, after: [database]}\n"


def fake_environment() -> Environment:
    """Components database, api and cache; probes answers and api-answers; the alert watches the database."""
    text = FAKE_ENVIRONMENT.replace(CACHE, f"{CACHE}  cache: {{fake: {{}}}}\n")
    return parse(Environment, yaml.safe_load(text))


def fake_target(root: Path) -> FakeTarget:
    """A target whose components are all up."""
    target = FakeTarget(fake_environment(), "fake", Project(root))
    target.up()
    return target


class FailingTarget(FakeTarget):
    """Works, except that starting some components fails."""

    errors: dict[str, Exception]

    @classmethod
    def on(cls, target: FakeTarget, errors: dict[str, Exception]) -> FailingTarget:
        failing = cls(target.environment, target.instance, Project(target.path.parents[3]))
        failing.path = target.path
        failing.errors = errors
        return failing

    def start(self, component: str, timeout_s: float) -> str:
        if component in self.errors:
            raise self.errors[component]
        return super().start(component, timeout_s)


RUNBOOK = """\
---
alerts: [it_is_down]
severity: CRITICAL
rto: 15m
---
# Demo

## Symptoms
Nothing answers.

## Detection
The alert.

## Impact Assessment
All of it.

## Immediate Actions
None.

## Investigation
None.

## Resolution Steps

### Start it again

```yaml step
do: {start: database}
budget: 1m
check: {probe: answers, within: 30s}
```

## Validation
None.

## Communication
None.

## Post-Incident
None.
"""
FAST = {
    "fails_within: 10s": "fails_within: 2s",
    "fires_within: 3m": "fires_within: 2s",
    "resolves_within: 10m": "resolves_within: 2s",
    "stable_for: 10s": "stable_for: 60ms",
    "rto: 15m, rpo: 15m": "rto: 5s",
    "ttl: 20m": "ttl: 20s",
}


def fake_scenario(*changes: tuple[str, str]) -> Scenario:
    """The good scenario with budgets of seconds, and texts of it changed."""
    text = SCENARIO
    for old, new in (*FAST.items(), *changes):
        text = broken(text, old, new)
    return parse(Scenario, yaml.safe_load(text))


def fake_project(root: Path) -> Project:
    """A project with the fake environment, which is up, the good scenario and its runbook."""
    for folder, name, text in (
        ("environments", "fake.yaml", FAKE_ENVIRONMENT.replace(CACHE, f"{CACHE}  cache: {{fake: {{}}}}\n")),
        ("scenarios", "demo.yaml", SCENARIO),
        ("runbooks", "01-demo.md", RUNBOOK),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).write_text(text)
    fake_target(root)
    return Project(root)


CONTROL = """\
scenario: demo
title: Nothing happens
owner: platform
tier: 1
severity: SEV4
hypothesis: No alert fires while nothing is wrong.
steady_state: [answers]
expect: {no_alert_for: 300ms}
safety: {ttl: 20s}
"""


def fake_control(*changes: tuple[str, str]) -> Scenario:
    """A control of a fraction of a second, and texts of it changed."""
    text = CONTROL
    for old, new in changes:
        text = broken(text, old, new)
    return parse(Scenario, yaml.safe_load(text))
