"""One evidence folder, built event by event as a runner writes it; and the scenarios that lie in them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gameday.clock import Instant
from gameday.record import SAMPLE_COLUMNS, DrillRecord, load_record
from gameday.timeline import Event, Kind, Phase

ZERO = Instant(1_000_000_000_000, datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC))
ALERT = "database_connection_failures"
HOSTILE = "<script>alert('x')</script> & \"quoted\" | `tick` *bold* [a](javascript:alert(1))"
RIGHT_TO_LEFT = "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627"
CONTROLS = "bell\x07 escape\x1b[31m nul\x00 c1\x9b31m lone\ud800"
LONG = "L" * 10_000

SCENARIO = """\
scenario: database-down
title: {title}
owner: platform
tier: 1
severity: SEV2
hypothesis: The alert fires within 3 minutes and runbook 01 brings bookings back within 15.
steady_state: [bookings, database-answers]
fault: {{kill: database, signal: SIGKILL}}
impact: {{probe: bookings, fails_within: 10s}}
expect: {{alert: database_connection_failures, fires_within: 3m, resolves_within: 10m, also: [high_error_rate]}}
respond: {{runbook: 01-database-down}}
recovered: {{probes: [bookings, database-answers], stable_for: 10s}}
objectives: {{rto: 15m, rpo: 15m}}
safety: {{ttl: 20m, max_targets: 1}}
"""

CONTROL = """\
scenario: control-below-threshold
title: {title}
owner: platform
tier: 1
severity: SEV4
hypothesis: One failing request in a hundred wakes nobody.
steady_state: [bookings]
fault: {{degrade: api, mode: errors, percent: 1}}
impact: {{probe: no-server-errors, fails_within: 10s}}
expect: {{no_alert_for: 6m}}
safety: {{ttl: 8m}}
"""
QUIET = """\
scenario: control-quiet
title: {title}
owner: platform
tier: 1
severity: SEV4
hypothesis: Nobody is woken while nothing is wrong.
steady_state: [bookings]
expect: {{no_alert_for: 6m}}
safety: {{ttl: 8m}}
"""
OUT_OF_REACH = (
    SCENARIO.replace(
        "fault: ",
        "during:\n  fault: {{flood: api, lines_per_s: 500, lines: 90000}}\n"
        "  impact: {{probe: log, fails_within: 9s}}\nfault: ",
    )
    .replace("resolves_within: 10m, ", "resolves_within: 10m, resolves_after: undo, ")
    .replace("safety: ", "afterwards: {{probes: [pms-queue-drained], within: 5m}}\nsafety: ")
)
RULE = {
    "expr": "sum(rate(http_errors_total[5m])) / sum(rate(http_errors_total[5m])) > 0.05",
    "for_s": 120.0,
    "advice": [
        {"code": "self-division", "title": "Divides by itself", "instead": "divide by all requests",
         "explanation": "It divides a series by itself, so that it is 1 for any 5xx."},
    ],
}  # fmt: skip


@dataclass
class Folder:
    """Builds one evidence folder, event by event."""

    path: Path
    drill: str = "20260302T090000Z-database-down-a1b2c3"
    speed: float = 1
    title: str = "PostgreSQL dies under load"
    environment: str = "hotel-local"
    zero: Instant = ZERO
    text: str = SCENARIO
    events: list[Event] = field(default_factory=list)
    phase: Phase = Phase.PREFLIGHT
    samples: dict[str, list[tuple[float, float, bool, str]]] = field(default_factory=dict)

    def add(self, at_s: float, kind: Kind, **data: Any) -> Folder:
        self.events.append(Event(len(self.events), kind, self.zero.plus(at_s), self.phase, data))
        return self

    def enter(self, at_s: float, phase: Phase, budget_s: float | None = None) -> Folder:
        self.phase = phase
        return self.add(at_s, Kind.PHASE_STARTED, budget_s=budget_s)

    def start(self, **detector: Any) -> Folder:
        facts = {
            "kind": "embedded",
            "every_s": 1.0,
            "rules": "examples/hotel/rules/corrected.yaml",
            **detector,
        }
        return self.add(
            0,
            Kind.DRILL_STARTED,
            drill=self.drill,
            scenario=self.text.split(maxsplit=2)[1],
            environment="hotel-local",
            instance=self.environment,
            target="process",
            speed=self.speed,
            detector=facts,
            version="0.1.0",
        )

    def alert(self, at_s: float, kind: Kind, alert: str = ALERT, **data: Any) -> Folder:
        expected = alert in (ALERT, "high_error_rate")
        return self.add(
            at_s,
            kind,
            **{"alert": alert, "labels": {}, "expected": expected, "resolution_s": 0.1, "value": 3.0, **data},
        )

    def rule(self, at_s: float, alert: str, **more: Any) -> Folder:
        return self.add(at_s, Kind.ALERT_RULE, alert=alert, **RULE, **more)

    def step(
        self, start_s: float, end_s: float, heading: str, budget_s: float = 120.0, **data: Any
    ) -> Folder:
        acts = data.pop("acts", True)
        step = {"heading": heading, "section": "Recovery", "budget_s": budget_s, "acts": acts}
        if "mitigation" in data:
            step["mitigation"] = data.pop("mitigation")
        self.add(start_s, Kind.STEP_STARTED, **step)
        took = end_s - start_s
        over = took > budget_s
        ended = {"outcome": "done", "over_budget": over, "duration_s": took, "output": "", **data}
        return self.add(end_s, Kind.STEP_ENDED, **step, **ended)

    def probe(
        self, name: str, until_s: float, down: tuple[float, float] | None, every_s: float = 0.1
    ) -> Folder:
        """Samples each `every_s`; failing from `down[0]` to `down[1]`."""
        rows = self.samples.setdefault(name, [])
        for number in range(round(until_s / every_s)):
            at = number * every_s
            failing = down is not None and down[0] <= at < down[1]
            rows.append((at, at + 0.004, not failing, "503: connection refused" if failing else "201"))
        return self

    def write(self) -> DrillRecord:
        self.path.mkdir(parents=True)
        text = self.text.format(title=json.dumps(self.title))
        (self.path / "scenario.yaml").write_text(text, encoding="utf-8")
        lines = [json.dumps(event.to_json()) for event in self.events]
        (self.path / "timeline.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.path / "samples").mkdir()
        for name, rows in self.samples.items():
            with (self.path / "samples" / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(SAMPLE_COLUMNS)
                base = self.zero.mono_ns
                writer.writerows(
                    (base + round(a * 1e9), base + round(b * 1e9), int(ok), detail)
                    for a, b, ok, detail in rows
                )
        return load_record(self.path)
