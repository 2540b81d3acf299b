"""Literal evidence folders of drills, named by their peculiarity, for tests of reports and history.

Times are seconds after the start of the drill. The folders are what a runner leaves, not mocks: they are read
back by `load_record`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gameday.record import DrillRecord, load_record
from gameday.timeline import Kind, Phase
from reporting.folders import (
    ALERT,
    CONTROL,
    CONTROLS,
    HOSTILE,
    LONG,
    OUT_OF_REACH,
    QUIET,
    RIGHT_TO_LEFT,
    SCENARIO,
    ZERO,
    Folder,
)

__all__ = [
    "ALERT",
    "ALL",
    "CONTROLS",
    "HOSTILE",
    "LONG",
    "RIGHT_TO_LEFT",
    "SCENARIO",
    "ZERO",
    "Folder",
    "Kind",
    "Phase",
    "load_record",
]


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


def _control(folder: Folder) -> Folder:
    folder.start().enter(0.01, Phase.PREFLIGHT, 30.0)
    folder.add(0.4, Kind.DETECTOR_HEALTH, ok=True, detail="13 rules evaluated")
    folder.rule(0.5, "high_error_rate")
    folder.add(2.0, Kind.PREFLIGHT_CHECKED, check="alert", ok=True, detail="all 13 alerts are quiet")
    folder.enter(2.1, Phase.ARM, 10.0)
    folder.add(2.2, Kind.UNDO_RECORDED, id="u1", operation="start", component="database", ttl_s=480.0)
    folder.enter(2.4, Phase.INJECT, 10.0)
    folder.add(2.5, Kind.FAULT_INJECTING, fault="degrade api: errors for 1 %", targets=["api"])
    folder.add(2.55, Kind.FAULT_INJECTED, detail="200 OK")
    folder.add(4.0, Kind.FAULT_EFFECTIVE, probe="no-server-errors", resolution_s=0.1, detail="2 > 0")
    return folder.enter(4.1, Phase.DETECT, 360.0)


def control_kept_quiet(path: Path) -> DrillRecord:
    """A control that held: a fault below the threshold, and no alert."""
    folder = _control(
        Folder(path, drill="20260302T180000Z-control-quiet", text=CONTROL, title="One error in a hundred")
    )
    folder.add(364.0, Kind.WATCH_ENDED, outcome="quiet", watched_s=360.0, alerts=[])
    return _undo(folder.probe("bookings", 364.0, None, 1.0), 364.1).write()


def control_woke_somebody(path: Path) -> DrillRecord:
    """A control that failed: a rule as its author wrote it fires at one error in a hundred."""
    folder = _control(
        Folder(path, drill="20260302T190000Z-control-fired", text=CONTROL, title="One error in a hundred")
    )
    folder.alert(8.0, Kind.ALERT_PENDING, "high_error_rate", expected=False)
    folder.alert(128.0, Kind.ALERT_FIRING, "high_error_rate", expected=False)
    folder.add(364.0, Kind.WATCH_ENDED, outcome="fired", watched_s=360.0, alerts=["high_error_rate"])
    return _undo(folder.probe("bookings", 364.0, None, 1.0), 364.1).write()


def control_unseen(path: Path) -> DrillRecord:
    """A control without a fault whose detector was blind for a while."""
    folder = Folder(path, drill="20260302T200000Z-control-blind", text=QUIET, title="Nothing happens")
    folder.start().enter(0.01, Phase.PREFLIGHT, 30.0)
    folder.add(2.0, Kind.PREFLIGHT_CHECKED, check="alert", ok=True, detail="all 13 alerts are quiet")
    folder.enter(2.1, Phase.DETECT, 360.0)
    folder.add(9.0, Kind.DETECTOR_HEALTH, ok=False, detail="scrape of api timed out")
    folder.add(362.2, Kind.WATCH_ENDED, outcome="unknown", watched_s=360.0, alerts=[])
    folder.enter(362.3, Phase.JUDGE)
    return folder.add(362.4, Kind.DRILL_ENDED).write()


def out_of_reach(path: Path) -> DrillRecord:
    """A fault during another, a workaround, and what waited for it drained after the undo."""
    folder = Folder(path, drill="20260302T210000Z-out-of-reach", text=OUT_OF_REACH)
    _until_effect(folder)
    injecting = next(n for n, event in enumerate(folder.events) if event.kind is Kind.FAULT_INJECTING)
    folder.events, rest = folder.events[:injecting], folder.events[injecting:]
    folder.add(2.41, Kind.DURING_INJECTING, fault="flood the log of api")
    folder.add(2.42, Kind.DURING_INJECTED, detail="200 OK")
    folder.add(2.45, Kind.DURING_EFFECTIVE, probe="log", detail="512 a second", waited_s=0.03)
    folder.events += [replace(event, seq=len(folder.events) + n) for n, event in enumerate(rest)]
    _detected(folder)
    folder.enter(17.0, Phase.RESPOND, 600.0)
    folder.add(17.05, Kind.RUNBOOK_STARTED, runbook="01-database-down", title="Database down")
    folder.step(18.1, 20.4, "Queue what waits", mitigation="degraded-mode")
    folder.add(21.1, Kind.RUNBOOK_ENDED, completed=True, reason="")
    folder.enter(21.15, Phase.RECOVER, 900.0)
    folder.add(20.2, Kind.SERVICE_RECOVERED, probes=["bookings"], stable_for_s=10.0, resolution_s=0.1)
    folder.enter(30.3, Phase.ACCOUNT, 600.0)
    folder.add(
        31.0, Kind.CANARY_ACCOUNTED, acknowledged=140, missing=0, oldest_missing_s=None, detail="", ok=True
    )
    _undo(_sampled(folder), 41.2)
    end = folder.events.pop()
    folder.events.pop()
    folder.phase = Phase.UNDO
    folder.add(
        53.5,
        Kind.AFTERWARDS_ENDED,
        ok=True,
        probes=["pms-queue-drained"],
        waited_s=12.0,
        detail="pms-queue-drained hold",
    )
    folder.alert(60.0, Kind.ALERT_RESOLVED)
    folder.add(60.1, Kind.RESOLVE_ENDED, outcome="resolved", after="undo")
    folder.enter(60.2, Phase.JUDGE)
    return folder.add(60.3, end.kind).write()


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
    "control_kept_quiet": control_kept_quiet,
    "control_woke_somebody": control_woke_somebody,
    "control_unseen": control_unseen,
    "out_of_reach": out_of_reach,
}
