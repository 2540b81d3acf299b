"""Literal evidence folders of drills, named by their peculiarity, for tests of reports and history.

Times are seconds after the start of the drill. The folders are what a runner leaves, not mocks: they are read
back by `load_record`.
"""

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


@dataclass
class Folder:
    """Builds one evidence folder, event by event."""

    path: Path
    drill: str = "20260302T090000Z-database-down-a1b2c3"
    speed: float = 1
    title: str = "PostgreSQL dies under load"
    environment: str = "hotel-local"
    zero: Instant = ZERO
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
            scenario="database-down",
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

    def step(
        self, start_s: float, end_s: float, heading: str, budget_s: float = 120.0, **data: Any
    ) -> Folder:
        acts = data.pop("acts", True)
        step = {"heading": heading, "section": "Recovery", "budget_s": budget_s, "acts": acts}
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
        text = SCENARIO.format(title=json.dumps(self.title))
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


def _until_effect(folder: Folder) -> Folder:
    folder.start().enter(0.01, Phase.PREFLIGHT, 30.0)
    folder.add(0.4, Kind.DETECTOR_HEALTH, ok=True, detail="11 rules evaluated")
    for check in ("targets", "lock", "leftovers", "steady state", "alert is quiet"):
        folder.add(2.0, Kind.PREFLIGHT_CHECKED, check=check, ok=True, detail="")
    folder.enter(2.1, Phase.ARM, 10.0)
    folder.add(2.2, Kind.UNDO_RECORDED, id="u1", operation="start", component="database", ttl_s=1200.0)
    folder.add(2.3, Kind.DEADMAN_ARMED, pid=4242, ttl_s=1200.0)
    folder.enter(2.4, Phase.INJECT, 10.0)
    folder.add(2.5, Kind.FAULT_INJECTING, fault="kill database (SIGKILL)", targets=["database"])
    folder.add(2.55, Kind.FAULT_INJECTED, detail="9 processes killed")
    return folder.add(
        2.6, Kind.FAULT_EFFECTIVE, probe="bookings", resolution_s=0.1, detail="503: connection refused"
    )


def _undo(folder: Folder, at_s: float, ok: bool = True) -> Folder:
    folder.enter(at_s, Phase.UNDO, 60.0)
    folder.add(at_s + 0.1, Kind.UNDO_STARTED, id="u1", operation="start", component="database")
    detail = "already running" if ok else "the port is taken"
    folder.add(
        at_s + 0.2, Kind.UNDO_ENDED, id="u1", operation="start", component="database", ok=ok, detail=detail
    )
    folder.add(at_s + 0.3, Kind.LEFTOVERS_CHECKED, ok=ok, detail="" if ok else "database is down")
    folder.enter(at_s + 0.4, Phase.JUDGE)
    return folder.add(at_s + 0.5, Kind.DRILL_ENDED)


def _detected(folder: Folder) -> Folder:
    folder.enter(2.7, Phase.DETECT, 180.0)
    folder.alert(3.8, Kind.ALERT_PENDING)
    folder.alert(5.1, Kind.ALERT_PENDING, "high_error_rate")
    folder.alert(16.8, Kind.ALERT_FIRING)
    folder.alert(16.9, Kind.ALERT_NOTIFIED)
    return folder.add(16.95, Kind.DETECT_ENDED, outcome="firing")


def _recovered(folder: Folder, heading: str = "Start PostgreSQL again") -> Folder:
    folder.enter(17.0, Phase.RESPOND, 600.0)
    folder.add(17.05, Kind.RUNBOOK_STARTED, runbook="01-database-down", title="Database down")
    folder.step(17.1, 18.0, "Look at the database process", 60.0, acts=False)
    folder.step(18.1, 20.4, heading, output="waiting for server to start... done\nserver started")
    folder.alert(19.5, Kind.ALERT_FIRING, "high_error_rate")
    folder.step(20.5, 21.0, "Check that bookings work", 30.0)
    folder.add(21.1, Kind.RUNBOOK_ENDED, completed=True, reason="")
    folder.enter(21.15, Phase.RECOVER, 900.0)
    folder.add(
        20.2,
        Kind.SERVICE_RECOVERED,
        probes=["bookings", "database-answers"],
        stable_for_s=10.0,
        resolution_s=0.1,
    )
    folder.enter(30.3, Phase.ACCOUNT, 600.0)
    return folder


def _accounted(folder: Folder, missing: int = 0) -> Folder:
    folder.add(
        31.0,
        Kind.CANARY_ACCOUNTED,
        acknowledged=140,
        missing=missing,
        oldest_missing_s=2.4 if missing else None,
        detail="",
        ok=True,
    )
    folder.alert(36.0, Kind.ALERT_RESOLVED, "high_error_rate")
    folder.alert(41.0, Kind.ALERT_RESOLVED)
    folder.add(41.1, Kind.RESOLVE_ENDED, outcome="resolved")
    return folder


def _sampled(folder: Folder, until_s: float = 42.0) -> Folder:
    folder.probe("bookings", until_s, (2.6, 20.2))
    return folder.probe("database-answers", until_s, (2.5, 19.9))


def passed(path: Path, **settings: Any) -> DrillRecord:
    """Everything held."""
    return passing(path, **settings).write()


def passing(path: Path, **settings: Any) -> Folder:
    folder = _accounted(_recovered(_detected(_until_effect(Folder(path, **settings)))))
    return _undo(_sampled(folder), 41.2)


def rehearsed(path: Path) -> DrillRecord:
    """The same at ten times speed."""
    return passed(path, speed=10.0, drill="20260302T100000Z-database-down-rehears")


def failed(path: Path) -> DrillRecord:
    """The alert never fired, a step took too long and an unexpected alert fired."""
    folder = _until_effect(Folder(path, drill="20260302T110000Z-database-down-failed"))
    folder.enter(2.7, Phase.DETECT, 180.0)
    folder.alert(30.0, Kind.ALERT_PENDING)
    folder.alert(44.0, Kind.ALERT_FIRING, "disk_full", labels={"instance": "api-1"})
    folder.add(182.7, Kind.DETECT_ENDED, outcome="expired")
    folder.enter(182.8, Phase.RESPOND, 600.0)
    folder.add(182.9, Kind.RUNBOOK_STARTED, runbook="01-database-down", title="Database down")
    folder.step(183.0, 320.0, "Start PostgreSQL again", 120.0)
    folder.add(320.1, Kind.RUNBOOK_ENDED, completed=True, reason="")
    folder.enter(320.2, Phase.RECOVER, 900.0)
    folder.add(310.0, Kind.SERVICE_RECOVERED, probes=["bookings"], stable_for_s=10.0, resolution_s=0.1)
    folder.enter(330.0, Phase.ACCOUNT, 600.0)
    folder.add(
        331.0, Kind.CANARY_ACCOUNTED, acknowledged=900, missing=3, oldest_missing_s=2.4, detail="", ok=True
    )
    folder.add(331.1, Kind.RESOLVE_ENDED, outcome="not-fired")
    folder.probe("bookings", 331.0, (2.6, 310.0)).probe("database-answers", 331.0, (2.5, 309.8))
    return _undo(folder, 332.0).write()


def ineffective(path: Path) -> DrillRecord:
    """INCONCLUSIVE: the fault had no effect."""
    folder = _until_effect(Folder(path, drill="20260302T120000Z-database-down-nothing"))
    folder.events.pop()
    folder.add(12.6, Kind.FAULT_INEFFECTIVE, probe="bookings", waited_s=10.0)
    folder.probe("bookings", 13.0, None).probe("database-answers", 13.0, None)
    return _undo(folder, 12.7).write()


def aborted(path: Path) -> DrillRecord:
    """INCONCLUSIVE: somebody pressed Ctrl-C while the alert was pending."""
    folder = _until_effect(Folder(path, drill="20260302T130000Z-database-down-aborted"))
    folder.enter(2.7, Phase.DETECT, 180.0)
    folder.alert(3.8, Kind.ALERT_PENDING)
    folder.add(9.0, Kind.DRILL_ABORTED, reason="SIGINT: interrupted by a person")
    return _undo(_sampled(folder, 9.5), 9.1).write()


def left_behind(path: Path) -> DrillRecord:
    """The undo failed."""
    folder = _accounted(
        _recovered(_detected(_until_effect(Folder(path, drill="20260302T140000Z-left-behind"))))
    )
    return _undo(_sampled(folder), 41.2, ok=False).write()


def broken_off(path: Path) -> DrillRecord:
    """The runner was killed in the middle of a runbook step: no drill.ended, a step without its end."""
    folder = _detected(_until_effect(Folder(path, drill="20260302T150000Z-database-down-crashed")))
    folder.enter(17.0, Phase.RESPOND, 600.0)
    folder.add(17.05, Kind.RUNBOOK_STARTED, runbook="01-database-down", title="Database down")
    folder.add(
        17.1,
        Kind.STEP_STARTED,
        heading="Start PostgreSQL again",
        section="Recovery",
        budget_s=120.0,
        acts=True,
    )
    return _sampled(folder, 17.2).write()


def blind(path: Path) -> DrillRecord:
    """The detector lost its source during detection."""
    folder = _until_effect(Folder(path, drill="20260302T160000Z-database-down-blind"))
    folder.enter(2.7, Phase.DETECT, 180.0)
    folder.add(4.0, Kind.DETECTOR_HEALTH, ok=False, detail="scrape of api timed out")
    folder.add(30.0, Kind.DETECTOR_HEALTH, ok=True, detail="11 rules evaluated")
    folder.add(40.0, Kind.DETECT_ENDED, outcome="unknown")
    return _undo(_sampled(folder, 42.0), 41.0).write()


def hostile(path: Path) -> DrillRecord:
    """Every free text is an attack: markup, 10,000 characters, right-to-left, control characters."""
    nasty = f"{HOSTILE} {RIGHT_TO_LEFT} {CONTROLS}"
    folder = _until_effect(
        Folder(path, drill="20260302T170000Z-database-down-hostile", title=f"{HOSTILE} {RIGHT_TO_LEFT}")
    )
    folder = _detected(folder)
    folder.alert(17.0, Kind.ALERT_FIRING, nasty, labels={"job": nasty})
    folder = _accounted(_recovered(folder, f"{nasty} {LONG}"))
    folder.add(41.15, Kind.PREFLIGHT_CHECKED, check=nasty, ok=True, detail=LONG)
    folder.step(41.16, 41.17, nasty, output=f"{nasty}\n```\n</pre></body>\n{LONG}")
    return _undo(_sampled(folder), 41.2).write()


ALL = {
    "passed": passed,
    "rehearsed": rehearsed,
    "failed": failed,
    "ineffective": ineffective,
    "aborted": aborted,
    "left_behind": left_behind,
    "broken_off": broken_off,
    "blind": blind,
    "hostile": hostile,
}
