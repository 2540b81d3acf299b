"""A scenario as a Chaos Toolkit experiment. Pure: the same scenario always gives the same document.

The whole scenario stands once, under `configuration`, from where Chaos Toolkit hands it to each activity.
Activities carry as arguments only what tells one from another, so that nothing can disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gameday.plan import describe_fault, plan
from gameday.scenario import Scenario
from gameday.timeline import Phase

MODULE = "gameday.activities"
DEFAULT_ENVIRONMENT = "hotel-local"


def compile_experiment(scenario: Scenario, environment: str = DEFAULT_ENVIRONMENT) -> dict[str, Any]:
    """The experiment of `scenario`. `GAMEDAY_ENVIRONMENT` and `GAMEDAY_SPEED` choose where and how fast."""
    whole = plan(scenario)
    steps = {entry.phase: entry.what for entry in whole.phases}
    return {
        "version": "1.0.0",
        "title": scenario.title,
        "description": scenario.hypothesis,
        "tags": [*scenario.tags, scenario.severity.lower(), f"tier-{scenario.tier}"],
        "configuration": {
            "gameday_environment": {"type": "env", "key": "GAMEDAY_ENVIRONMENT", "default": environment},
            "gameday_speed": {"type": "env", "key": "GAMEDAY_SPEED", "default": "1"},
            "gameday_scenario": scenario_document(scenario),
        },
        "steady-state-hypothesis": {
            "title": "The service answers",
            "probes": [
                {**_activity("probe", f"{name} holds", "holds", probe=name), "tolerance": True}
                for name in scenario.steady_state
            ],
        },
        "method": _method(scenario, steps),
        "rollbacks": [_activity("action", f"undo: {steps[Phase.UNDO]}", "undo")],
    }


def _method(scenario: Scenario, steps: Mapping[Phase, str]) -> list[dict[str, Any]]:
    strike = [
        _activity("action", f"inject: {describe_fault(scenario)}", "inject"),
        _activity("probe", f"effect: {scenario.impact.probe if scenario.impact else ''} fails", "effective"),
    ]
    if scenario.control:
        after = [_activity("probe", f"watch: {steps[Phase.DETECT]}", "watch")]
        strike = strike if scenario.fault else []
    else:
        after = [
            _activity("probe", f"detect: {steps[Phase.DETECT]}", "detect"),
            _activity("action", f"respond: {steps[Phase.RESPOND]}", "respond"),
            _activity("probe", f"recover: {steps[Phase.RECOVER]}", "recover"),
            _activity("probe", f"account: {steps[Phase.ACCOUNT]}", "account"),
        ]
    first = _activity("action", f"preflight: {steps[Phase.PREFLIGHT]}", "preflight")
    return [first, *strike, *after]


def scenario_document(scenario: Scenario) -> dict[str, Any]:
    """The scenario as plain data, as it would stand in its file."""
    return scenario.model_dump(mode="json", exclude_unset=True)


def render(experiment: dict[str, Any]) -> str:
    """The committed form of an experiment."""
    return json.dumps(experiment, indent=2, ensure_ascii=False) + "\n"


def _activity(kind: str, name: str, function: str, **arguments: Any) -> dict[str, Any]:
    provider: dict[str, Any] = {"type": "python", "module": MODULE, "func": function}
    if arguments:
        provider["arguments"] = arguments
    return {"type": kind, "name": name, "provider": provider}
