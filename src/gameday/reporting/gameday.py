"""The report of a game day: what Markdown, the page and JSON say is decided here, and only laid out there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from gameday.fields import format_duration
from gameday.gamedays import entries as e
from gameday.gamedays.findings import (
    Change,
    Finding,
    Records,
    changes,
    findings,
    open_findings,
    record_of,
)
from gameday.gamedays.log import Logged
from gameday.gamedays.model import DUTIES, ROLES
from gameday.gamedays.state import Attempt, DrillState, State, Status, fold
from gameday.record import DrillRecord
from gameday.reporting.batch import NOT_RUN, worst
from gameday.reporting.summary import measured_text
from gameday.reporting.terminal import SIGNS
from gameday.text import one_line

NOT_MEASURED = "not measured"
_OUTCOMES = ("PASS", "FAIL", "INCONCLUSIVE", NOT_RUN)
_BY_CODE = {0: "PASS", 1: "FAIL"}


@dataclass(frozen=True, slots=True)
class Row:
    """One drill of the plan. Figures are text; what was not measured says so."""

    number: int
    scenario: str
    title: str
    surprise: bool
    outcome: str
    mttd: str
    recovery: str
    data_loss: str
    restored_by: str
    why: str
    tries: tuple[tuple[str, str | None], ...]
    """Of each try what came of it, and where its report is, relative to the game day's folder."""
    incident: tuple[str, str] | None = None
    """The incident that the last try is, and where its record is."""

    @property
    def report(self) -> str | None:
        """Of the last try."""
        return self.tries[-1][1] if self.tries else None

    @property
    def sign(self) -> str:
        return SIGNS.get(self.outcome, "-")

    @property
    def tone(self) -> str:
        return {"PASS": "met", "FAIL": "missed"}.get(self.outcome, "unknown")


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline of people."""

    at: datetime
    kind: str
    text: str
    during: int
    """The drill that ran then; 0: none."""


@dataclass(frozen=True, slots=True)
class Report:
    """A game day with the evidence of its drills."""

    folder: Path
    lines: Sequence[Logged]
    state: State
    records: Records
    incidents: Mapping[str, tuple[str, Path]]
    """Of drills that are incidents, by the drill's name: its number and its record."""

    @classmethod
    def of(
        cls,
        folder: Path,
        lines: Sequence[Logged],
        records: Records,
        incidents: Mapping[str, tuple[str, Path]] = MappingProxyType({}),
    ) -> Report:
        return cls(folder, lines, fold(lines), records, incidents)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def title(self) -> str:
        return one_line(self.state.started.title, 200)

    @property
    def rehearsal(self) -> str | None:
        speed = self.state.started.speed
        return None if speed == 1 else f"rehearsal at {speed:g} times speed"

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(_row(self, drill) for drill in self.state.drills)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return findings(self.state, self.records)

    @property
    def changes(self) -> tuple[Change, ...]:
        return changes(self.state, self.records)

    @property
    def actions(self) -> tuple[tuple[int, e.Action], ...]:
        return tuple(enumerate(self.state.actions, 1))

    @property
    def open_findings(self) -> tuple[str, ...]:
        """Numbers of those that no action item is for."""
        return tuple(finding.id for finding in open_findings(self.state, self.records))

    @property
    def outcome(self) -> str:
        """Of the whole day, the worst of its drills; one that did not take place proves nothing."""
        codes = [{"PASS": 0, "FAIL": 1}.get(row.outcome, 3) for row in self.rows]
        return _BY_CODE.get(worst(codes), "INCONCLUSIVE")

    @property
    def headline(self) -> str:
        """`5 drills: 3 PASS, 1 FAIL, 1 NOT RUN`."""
        found = [row.outcome for row in self.rows]
        counts = ", ".join(f"{found.count(name)} {name}" for name in _OUTCOMES if name in found)
        return f"{counted(len(found), 'drill')}: {counts}"

    @property
    def notices(self) -> tuple[tuple[str, str], ...]:
        """What must not be overlooked: its kind (`rehearsal`, `bad` or `unknown`) and the words."""
        state = self.state
        died = sum(1 for drill in state.drills for one in drill.attempts if one.interrupted is not None)
        again = None
        if state.taken_up > 1:
            times = counted(state.taken_up - 1, "time")
            again = f"taken up again, {times}; {counted(died, 'drill')} interrupted"
        rows = (
            (
                "rehearsal",
                f"{self.rehearsal}: no evidence for the real objectives" if self.rehearsal else None,
            ),
            ("unknown", "answered by its file, without people" if state.started.unattended else None),
            ("bad", f"aborted: {state.aborted}" if state.aborted else None),
            ("bad", state.halted),
            ("bad", _no_go(state)),
            ("unknown", again),
            ("unknown", "not over: drills are left to be run" if not state.over else None),
        )
        return tuple((kind, one_line(text, 2000)) for kind, text in rows if text)

    @property
    def roles(self) -> tuple[tuple[str, str, str], ...]:
        """Role, who had it (one after the other), what it is for."""
        changed: dict[str, list[str]] = {}
        for said in self.state.said:
            if isinstance(said.entry, e.HandOver):
                changed.setdefault(said.entry.role, []).append(said.entry.to)
        first = self.state.started.roles
        return tuple(
            (
                role,
                " → ".join([", ".join(first.get(role, ())) or "nobody", *changed.get(role, [])]),
                DUTIES[role],
            )
            for role in ROLES
        )

    @property
    def checklist(self) -> tuple[tuple[str, bool, str], ...]:
        """Name, whether it is a go, and what was seen or answered."""
        rows = [(check.check, check.ok, check.detail) for check in self.state.checks]
        rows += [
            (
                answer.question,
                answer.ok,
                f"{answer.ask} {answer.answer} ({answer.by}, after {answer.took_s:.0f} s)",
            )
            for answer in self.state.answers.values()
        ]
        return tuple(rows)

    @property
    def timeline(self) -> tuple[Moment, ...]:
        """Everything that people did and said, and when the drills began and ended."""
        return tuple(_moments(self.lines, self.state))

    @property
    def duration_s(self) -> float:
        last = self.state.last or self.state.at
        return (last.utc - self.state.at.utc).total_seconds()


def counted(count: int, what: str) -> str:
    """`1 drill`, `2 drills`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _no_go(state: State) -> str | None:
    return f"NO-GO: {'; '.join(state.go.reasons)}" if state.go is not None and not state.go.go else None


def _row(report: Report, drill: DrillState) -> Row:
    record, last = record_of(drill, report.records), drill.last
    ended = drill.status is Status.ENDED and last is not None
    reasons = last.reasons if ended and last is not None else (_why_not(drill),)
    scenario = str(drill.planned.scenario)
    return Row(
        number=drill.planned.number,
        scenario=scenario,
        title=one_line(record.scenario.title, 200) if record else scenario,
        surprise=drill.planned.surprise,
        outcome=str(last.outcome) if ended and last is not None else NOT_RUN,
        mttd=_measured(record if ended else None, "mttd"),
        recovery=_measured(record if ended else None, "time_to_recover"),
        data_loss=_loss(record if ended else None),
        restored_by=(record.verdict.restored_by if record and ended else None) or "not known",
        why=one_line("; ".join(reasons), 600),
        tries=tuple(_try(report, attempt) for attempt in drill.attempts),
        incident=_incident(report, drill),
    )


def _why_not(drill: DrillState) -> str:
    if drill.skipped_by is not None:
        return f"interrupted, and skipped by {drill.skipped_by}"
    if drill.last is not None and drill.last.interrupted is not None:
        return f"interrupted: {drill.last.interrupted}"
    return "running" if drill.status is Status.RUNNING else "not executed"


def _incident(report: Report, drill: DrillState) -> tuple[str, str] | None:
    found = report.incidents.get(drill.last.drill) if drill.last is not None and drill.last.drill else None
    return (found[0], _link(report.folder, found[1])) if found is not None else None


def _try(report: Report, attempt: Attempt) -> tuple[str, str | None]:
    what = "interrupted" if attempt.interrupted is not None else attempt.outcome or "running"
    record = report.records.get(attempt.drill) if attempt.drill is not None else None
    return what, _link(report.folder, record.folder / "report.html") if record else None


def _measured(record: DrillRecord | None, name: str) -> str:
    found = record.verdict.interval(name) if record is not None else None
    return measured_text(found) if found is not None else NOT_MEASURED


def _loss(record: DrillRecord | None) -> str:
    loss_s = record.verdict.data_loss_s if record is not None else None
    if loss_s is None:
        return NOT_MEASURED
    return format_duration(round(loss_s, 3)) if loss_s else "none"


def _link(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


# --- the timeline of people ---------------------------------------------------------------------------------


def _moments(lines: Sequence[Logged], state: State) -> list[Moment]:
    moments: list[Moment] = []
    running = 0
    for logged in lines:
        entry = logged.entry
        if isinstance(entry, e.DrillStarted):
            running = entry.number
        told = _told(entry, state)
        if told is not None:
            kind, text = told
            moments.append(Moment(logged.at.utc, kind, one_line(text, 2000), running))
        if isinstance(entry, e.DrillEnded | e.DrillInterrupted):
            running = 0
    return moments


def _told(entry: e.Entry, state: State) -> tuple[str, str] | None:  # noqa: C901, PLR0912 - one line for each kind
    match entry:
        case e.Started():
            return "begin", f"game day {entry.game_day} begins in {entry.environment}"
        case e.TakenUp():
            return "runner", f"a runner takes over (pid {entry.pid})"
        case e.GoDecided():
            return "go", f"GO, says {entry.by}" if entry.go else f"NO-GO: {'; '.join(entry.reasons)}"
        case e.DrillStarted():
            planned = state.drill(entry.number).planned
            again = f", attempt {entry.attempt}" if entry.attempt > 1 else ""
            return "drill", f"drill {entry.number} begins: {planned.scenario}{again}"
        case e.DrillEnded():
            return "drill", f"drill {entry.number} ended: {entry.outcome}"
        case e.DrillInterrupted():
            return "drill", f"drill {entry.number} was interrupted: {entry.detail}"
        case e.DrillDecided():
            what = "repeated" if entry.repeat else "skipped"
            return "decision", f"drill {entry.number} is {what}, decided by {entry.by}"
        case e.PauseEnded() if entry.by != "time":
            return "pause", f"{entry.by} ended the pause before drill {entry.before}"
        case e.StepAnswered():
            answer = entry.answer if entry.answer is not None else "no answer"
            return "answer", f"“{entry.heading}”: {answer} ({entry.by}, after {entry.took_s:.1f} s)"
        case e.Note():
            return "note", f"{entry.text} ({entry.by})"
        case e.Decision():
            return "decision", f"{entry.text} ({entry.by})"
        case e.HandOver():
            return "hand-over", f"{entry.role} is now {entry.to} ({entry.by})"
        case e.Action():
            return "action", f"{entry.text} ({entry.owner}, due {entry.due})"
        case e.Aborted():
            return "abort", f"aborted: {entry.reason}"
        case e.Ended():
            return "end", "all drills are over"
        case e.Finished():
            return "end", "its report is written"
    return None
