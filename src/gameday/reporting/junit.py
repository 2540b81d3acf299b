"""`junit.xml`: the drill for a CI server. One test suite a drill, one test case a check.

An unknown check is an *error*, not a skip: a pipeline must not go green on what was not measured.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from gameday.intervals import Result
from gameday.record import DrillRecord
from gameday.reporting.summary import broken_off_text, proven
from gameday.text import one_line
from gameday.verdict import Check, Outcome


def to_junit(record: DrillRecord) -> str:
    """The XML text."""
    return document([suite_of(record)], record.ended - record.started)


def document(suites: Iterable[TestSuite], duration_s: float) -> str:
    """Test suites as one XML text. Times stay as they are: the sum of a drill's intervals, which overlap, is
    not how long it lasted."""
    report = JUnitXml("gameday")
    times = []
    for suite in suites:
        times.append((suite, suite.time))
        report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]
    for suite, time in times:
        suite.time = time
    report.time = round(duration_s, 6)
    ET.indent(report._elem)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(report._elem, encoding="unicode") + "\n"


def suite_of(record: DrillRecord) -> TestSuite:
    """One drill: a test case for each check, and one for its having come to its end."""
    name = record.scenario.scenario + (f" ({record.rehearsal})" if record.rehearsal else "")
    suite = TestSuite(name)
    suite.timestamp = record.started.utc.replace(tzinfo=None).isoformat(timespec="seconds")
    suite.hostname = one_line(record.environment)
    for key, value in _properties(record):
        suite.add_property(key, one_line(value))
    cases = [_case(record, check) for check in record.verdict.checks]
    cases.append(_came_to_its_end(record))
    if record.verdict.outcome is not Outcome.PASS and all(case.is_passed for case in cases):
        cases.append(
            _finding(record, "verdict", Error(one_line(proven(record)), record.verdict.outcome.value))
        )
    suite.add_testcases(cases)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    suite.time = round(record.ended - record.started, 6)
    return suite


def _properties(record: DrillRecord) -> list[tuple[str, object]]:
    verdict = record.verdict
    rows: list[tuple[str, object]] = [
        ("drill", record.drill),
        ("verdict", verdict.outcome.value),
        ("exit_code", verdict.exit_code),
        ("environment", record.environment),
        ("target", record.target),
        ("speed", f"{record.speed:g}"),
        ("rehearsal", record.rehearsal or "no"),
        ("restored_by", verdict.restored_by or "unknown"),
        ("data_loss_s", "unknown" if verdict.data_loss_s is None else f"{verdict.data_loss_s:.3f}"),
        ("unexpected_alerts", ", ".join(verdict.unexpected_alerts) or "none"),
    ]
    for name, measured in verdict.intervals.items():
        rows.append((f"{name}_s", f"{measured.value_s:.3f}"))
        rows.append((f"{name}_resolution_s", f"{measured.resolution_s:.3f}"))
    return rows


def _case(record: DrillRecord, check: Check) -> TestCase:
    title, detail = one_line(check.title, 500), one_line(check.detail, 2000)
    case = TestCase(title, f"gameday.{record.scenario.scenario}", round(max(_measured_s(check), 0.0), 6))
    if check.result is Result.MISSED:
        case.result = [Failure(detail, "missed")]
    elif check.result is Result.UNKNOWN:
        case.result = [Error(detail, "unknown")]
    case.system_out = f"{check.result.value}: {detail}"
    return case


def _measured_s(check: Check) -> float:
    return check.measured.value_s if check.measured else 0.0


def _came_to_its_end(record: DrillRecord) -> TestCase:
    """Aborted and broken-off drills can have nothing but met checks behind them; they are not green."""
    title = "Drill ran to its end"
    if record.verdict.aborted:
        return _finding(record, title, Error(one_line("; ".join(record.verdict.reasons), 2000), "aborted"))
    broken_off = broken_off_text(record)
    if broken_off:
        return _finding(record, title, Error(broken_off, "broken off"))
    return TestCase(title, f"gameday.{record.scenario.scenario}", 0.0)


def _finding(record: DrillRecord, title: str, result: Error) -> TestCase:
    case = TestCase(title, f"gameday.{record.scenario.scenario}", 0.0)
    case.result = [result]
    return case
