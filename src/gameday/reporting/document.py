"""A drill as JSON: `verdict.json`, and what `--output json` prints.

A superset of the verdict's own JSON, so that a program needs to read one file and never a report for people.
"""

from __future__ import annotations

import json
from typing import Any

from gameday.intervals import restoring_mitigation, restoring_step
from gameday.record import DrillRecord
from gameday.reporting.floor import floor
from gameday.reporting.summary import moments, proven, steps
from gameday.scenario import Scenario
from gameday.timeline import Kind
from gameday.verdict import verdict_to_json


def verdict_document(record: DrillRecord) -> dict[str, Any]:
    """The content of `verdict.json`: free of paths, so that a moved folder keeps the same bytes."""
    scenario, known = record.scenario, floor(record)
    return {
        "drill": record.drill,
        "scenario": scenario.scenario,
        "title": scenario.title,
        "environment": record.environment,
        "target": record.target,
        "speed": record.speed,
        "rehearsal": record.rehearsal,
        "complete": record.complete,
        "started": record.started.to_json()["utc"],
        "ended": record.ended.to_json()["utc"],
        **verdict_to_json(record.verdict),
        "summary": proven(record),
        "expected_alert": scenario.alert,
        "runbook": scenario.runbook,
        "restoring_step": restoring_step(record.timeline),
        "mitigation": restoring_mitigation(record.timeline),
        "objectives": _objectives(scenario),
        "floor": None if known is None else known.to_json(),
        "moments": [
            {
                "name": moment.name,
                "utc": moment.at.to_json()["utc"],
                "since_effect_s": round(moment.since_s, 6),
                "resolution_s": moment.resolution_s,
                "seen": moment.seen,
            }
            for moment in moments(record)
        ],
        "steps": [
            {
                "heading": step.heading,
                "budget_s": step.budget_s,
                "duration_s": step.duration_s,
                "outcome": step.outcome,
                "over_budget": step.over_budget,
            }
            for step in steps(record)
        ],
        "detector": dict(record.detector),
        "requests": _requests(record),
    }


def _requests(record: DrillRecord) -> dict[str, int] | None:
    """What the target was asked, by kind; None where nobody counts it."""
    asked = record.timeline.last(Kind.TARGET_ASKED)
    return None if asked is None else dict(asked.data["requests"])


def _objectives(scenario: Scenario) -> dict[str, float | None]:
    if scenario.control:
        return {"no_alert_for_s": scenario.watched_s}
    return {
        "fires_within_s": scenario.expected.fires_within,
        "resolves_within_s": scenario.expected.resolves_within,
        "rto_s": scenario.rto_s,
        "rpo_s": scenario.rpo_s,
    }


def as_json(record: DrillRecord) -> dict[str, Any]:
    """What `gameday run --output json` prints: `verdict.json` and where its folder is."""
    return {**verdict_document(record), "folder": str(record.folder)}


def json_text(value: object) -> str:
    """Readable JSON that is always valid UTF-8: a lone surrogate in a probe's answer stays an escape."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
