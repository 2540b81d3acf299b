"""Several drills of one `gameday run`: what came of each and of all, and the documents that say so.

`summary.md` for people, `summary.json` for programs, `junit.xml` for a CI server: a test suite a drill, in it a
test case a check, as in the drill's own file. A drill that left no evidence is a test case in error, and one
that was never started is skipped: neither is green.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from junitparser import Error, Skipped, TestCase, TestSuite

from gameday.intervals import Measured
from gameday.record import DrillRecord
from gameday.reporting.document import json_text
from gameday.reporting.junit import document, suite_of
from gameday.reporting.markdown import escape
from gameday.reporting.summary import measured_text
from gameday.reporting.terminal import SIGNS
from gameday.reporting.write import write_text
from gameday.text import one_line

BADNESS = (0, 3, 1, 2, 4, 5)
"""Exit codes from good to bad: PASS, INCONCLUSIVE, FAIL, invalid, aborted, something was left behind."""
MEANINGS = {
    0: "PASS: every alert, runbook and objective held",
    1: "FAIL: an alert, a runbook or an objective did not hold",
    2: "invalid: the call or a file is wrong, and nothing was touched",
    3: "INCONCLUSIVE: something was not measured, or a drill was refused; it proves nothing, so it is not green",
    4: "aborted: a signal, a stop condition or a person ended it, and everything was put back",
    5: "something was left behind: `gameday recover` there puts it back; nobody should drill before",
}
"""What each exit code says, to people who see nothing but a red job."""
NOT_RUN = "NOT RUN"
NOT_MEASURED = "-"
_SHORT = 160


def worst(codes: Iterable[int]) -> int:
    """The worst of some exit codes; 0 where there is none."""
    return max(codes, key=BADNESS.index, default=0)


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What came of one drill. `exit_code` is None when it was never started, `record` when it left no evidence."""

    scenario: str
    title: str
    instance: str
    exit_code: int | None
    reasons: tuple[str, ...] = ()
    record: DrillRecord | None = None
    log: Path | None = None
    duration_s: float | None = None

    @property
    def outcome(self) -> str:
        """PASS, FAIL, INCONCLUSIVE, or NOT RUN."""
        if self.exit_code is None:
            return NOT_RUN
        return self.record.verdict.outcome.value if self.record else "INCONCLUSIVE"

    @property
    def sign(self) -> str:
        return SIGNS.get(self.outcome, NOT_MEASURED)

    @property
    def short_reason(self) -> str:
        """The first reason, cut, and how many there are besides."""
        if not self.reasons:
            return ""
        more = f" (and {len(self.reasons) - 1} more)" if len(self.reasons) > 1 else ""
        return one_line(self.reasons[0], _SHORT) + more

    @property
    def report(self) -> Path | None:
        return self.record.folder / "report.html" if self.record else None

    def measured(self, interval: str) -> Measured | None:
        return self.record.verdict.interval(interval) if self.record else None

    def shown(self, interval: str) -> str:
        found = self.measured(interval)
        return measured_text(found) if found else NOT_MEASURED


@dataclass(frozen=True, slots=True)
class RunSummary:
    """All drills of one run, in the order in which they were named."""

    folder: Path
    environment: str
    speed: float
    parallel: int
    started: datetime
    ended: datetime
    drills: tuple[DrillResult, ...]
    interrupted: str | None = None
    rules: str | None = None
    disarmed: bool = False

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def duration_s(self) -> float:
        return (self.ended - self.started).total_seconds()

    @property
    def rehearsal(self) -> str | None:
        """The words that every output of a run at speed must carry."""
        return None if self.speed == 1 else f"rehearsal at {self.speed:g} times speed"

    @property
    def exit_code(self) -> int:
        """The worst of all drills; aborted where somebody ended the run."""
        codes = [drill.exit_code for drill in self.drills if drill.exit_code is not None]
        return worst([*codes, 4] if self.interrupted else codes)

    @property
    def counts(self) -> dict[str, int]:
        outcomes = [drill.outcome for drill in self.drills]
        return {name: outcomes.count(name) for name in ("PASS", "FAIL", "INCONCLUSIVE", NOT_RUN)}

    @property
    def headline(self) -> str:
        """`4 drills: 3 PASS, 1 FAIL`."""
        found = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)
        return f"{len(self.drills)} drill{'' if len(self.drills) == 1 else 's'}: {found}"

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reader must know before any figure."""
        rows = (
            self.rehearsal,
            f"interrupted: {self.interrupted}" if self.interrupted else None,
            f"judged by other rules than the environment's: {self.rules}" if self.rules else None,
            "disarmed: no fault was applied" if self.disarmed else None,
        )
        return tuple(row for row in rows if row)


def summary_document(run: RunSummary) -> dict[str, Any]:
    """The content of `summary.json`. Paths are relative to the reports where they lie in them."""
    return {
        "run": run.name,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat(),
        "duration_s": round(run.duration_s, 3),
        "environment": run.environment,
        "speed": run.speed,
        "rehearsal": run.rehearsal,
        "parallel": run.parallel,
        "rules": run.rules,
        "disarmed": run.disarmed,
        "interrupted": run.interrupted,
        "exit_code": run.exit_code,
        "counts": run.counts,
        "drills": [_drill_document(run, drill) for drill in run.drills],
    }


def _drill_document(run: RunSummary, drill: DrillResult) -> dict[str, Any]:
    record = drill.record
    verdict = record.verdict if record else None
    return {
        "scenario": drill.scenario,
        "title": drill.title,
        "instance": drill.instance,
        "verdict": drill.outcome,
        "exit_code": drill.exit_code,
        "reasons": list(drill.reasons),
        "duration_s": None if drill.duration_s is None else round(drill.duration_s, 3),
        "drill": record.drill if record else None,
        "mttd": _measured(drill.measured("mttd")),
        "time_to_recover": _measured(drill.measured("time_to_recover")),
        "data_loss_s": verdict.data_loss_s if verdict else None,
        "restored_by": verdict.restored_by if verdict else None,
        "unexpected_alerts": list(verdict.unexpected_alerts) if verdict else [],
        "report": _relative(run, drill.report),
        "log": _relative(run, drill.log),
    }


def _measured(value: Measured | None) -> dict[str, float] | None:
    return None if value is None else {"value_s": value.value_s, "resolution_s": value.resolution_s}


def _relative(run: RunSummary, path: Path | None) -> str | None:
    return None if path is None else Path(os.path.relpath(path, run.folder.parent)).as_posix()


def for_elsewhere(run: RunSummary) -> str:
    """`summary.md` for a page that is not beside the reports, such as the summary of a CI job: with paths below the
    reports in place of links."""
    return to_markdown(run, links=False)


def to_markdown(run: RunSummary, *, links: bool = True) -> str:
    """`summary.md`."""
    refer = _link if links else _path
    lines = [f"# {escape(run.headline)}", ""]
    lines += [f"> **{escape(notice)}**\n" for notice in run.notices]
    lines.append(
        f"Environment {escape(run.environment)}, {run.started:%Y-%m-%d %H:%M:%S} UTC, {run.duration_s:.0f} s, "
        f"{run.parallel} at once."
    )
    lines += ["", f"Exit code {run.exit_code}, {MEANINGS[run.exit_code]}."]
    lines += [
        "",
        "| Scenario | Verdict | MTTD | To recover | Why | Report |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for drill in run.drills:
        report, log = refer(run, "report", drill.report), refer(run, "log", drill.log)
        cells = (
            escape(drill.scenario),
            f"{drill.sign} {drill.outcome}",
            escape(drill.shown("mttd")),
            escape(drill.shown("time_to_recover")),
            escape(drill.short_reason),
            " ".join(part for part in (report, log) if part),
        )
        lines.append(f"| {' | '.join(cells)} |")
    for drill in run.drills:
        if drill.reasons:
            lines += ["", f"## {escape(drill.scenario)}: {drill.outcome}", ""]
            lines += [f"- {escape(reason)}" for reason in drill.reasons]
    return "\n".join(lines) + "\n"


def _link(run: RunSummary, words: str, path: Path | None) -> str:
    return "" if path is None else f"[{words}](<{Path(os.path.relpath(path, run.folder)).as_posix()}>)"


def _path(run: RunSummary, words: str, path: Path | None) -> str:
    return "" if path is None else f"{words}: `{_relative(run, path)}`"


def to_junit(run: RunSummary) -> str:
    """`junit.xml`."""
    return document((_suite(drill) for drill in run.drills), run.duration_s)


def _suite(drill: DrillResult) -> TestSuite:
    result: Error | Skipped | None = None
    if drill.record is not None:
        suite = suite_of(drill.record)
        agrees = drill.exit_code == drill.record.verdict.exit_code
        if not agrees:
            result = Error(one_line("; ".join(drill.reasons), 2000), "runner")
    else:
        suite = TestSuite(drill.scenario)
        suite.hostname = one_line(drill.instance)
        why = one_line("; ".join(drill.reasons), 2000)
        result = Skipped(why) if drill.exit_code is None else Error(why, "no evidence")
    if result is not None:
        case = TestCase("Drill was carried out", f"gameday.{drill.scenario}", 0.0)
        case.result = [result]
        suite.add_testcase(case)
        time = suite.time
        suite.update_statistics()  # type: ignore[no-untyped-call]
        suite.time = time
    return suite


def write_summary(run: RunSummary) -> None:
    """Write `summary.md`, `summary.json` and `junit.xml` into the run's folder.

    Raises:
        OSError: the folder cannot be written.
    """
    write_text(run.folder / "summary.json", json_text(summary_document(run)))
    write_text(run.folder / "summary.md", to_markdown(run))
    write_text(run.folder / "junit.xml", to_junit(run))
