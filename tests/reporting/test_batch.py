"""Several drills of one run: the worst decides, and nothing that was not proven is green."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from junitparser import JUnitXml

from gameday.record import DrillRecord
from gameday.reporting.batch import (
    DrillResult,
    RunSummary,
    summary_document,
    to_junit,
    to_markdown,
    worst,
    write_summary,
)
from gameday.reporting.batch_view import BatchConsole
from reporting import records


def result(record: DrillRecord, scenario: str, code: int | None = None) -> DrillResult:
    return DrillResult(
        scenario,
        record.scenario.title,
        f"hotel-local@{scenario}",
        record.verdict.exit_code if code is None else code,
        record.verdict.reasons,
        record,
        duration_s=61.0,
    )


@pytest.fixture
def run(tmp_path: Path) -> RunSummary:
    folder = tmp_path / "20260302T090000Z-run"
    folder.mkdir()
    started = records.ZERO.utc
    return RunSummary(
        folder=folder,
        environment="hotel-local",
        speed=1.0,
        parallel=2,
        started=started,
        ended=started + timedelta(seconds=90),
        drills=(
            result(records.passed(tmp_path / "one"), "first"),
            result(records.failed(tmp_path / "two"), "second"),
            DrillResult("third", "Third", "hotel-local@third", 3, ("no drill took place: port | in use",)),
            DrillResult("fourth", "Fourth", "hotel-local@fourth", None, ("not started: --fail-fast",)),
        ),
    )


def test_the_worst_exit_code_wins_in_the_order_that_was_promised() -> None:
    order = (5, 4, 2, 1, 3, 0)
    for pair in itertools.permutations(order, 2):
        assert worst(pair) == min(pair, key=order.index)
    assert worst(()) == 0


def test_the_exit_code_is_the_worst_drills_and_an_interrupted_run_is_never_green(run: RunSummary) -> None:
    assert run.exit_code == 1
    green = replace(run, drills=run.drills[:1])
    assert green.exit_code == 0
    assert replace(green, interrupted="SIGINT received").exit_code == 4


def test_junit_has_a_suite_a_drill_and_neither_no_evidence_nor_not_run_is_green(run: RunSummary) -> None:
    xml = JUnitXml.fromstring(to_junit(run).encode())
    first, second, third, fourth = list(xml)
    assert (first.failures, first.errors, first.skipped) == (0, 0, 0)
    assert first.tests == len(run.drills[0].record.verdict.checks) + 1  # type: ignore[union-attr]
    assert second.failures > 0
    assert (third.tests, third.errors) == (1, 1)
    assert (fourth.tests, fourth.skipped) == (1, 1)
    assert xml.tests == sum(suite.tests for suite in xml)
    assert xml.time == 90


def test_a_runner_that_says_something_else_than_its_verdict_is_an_error(
    tmp_path: Path, run: RunSummary
) -> None:
    odd = result(records.passed(tmp_path / "odd"), "odd", code=5)
    (suite,) = list(JUnitXml.fromstring(to_junit(replace(run, drills=(odd,))).encode()))
    assert suite.errors == 1


def test_markdown_has_a_line_a_drill_and_all_reasons(run: RunSummary) -> None:
    text = to_markdown(replace(run, speed=10.0, disarmed=True, rules="other.yaml"))
    assert text.startswith("# 4 drills: 1 PASS, 1 FAIL, 1 INCONCLUSIVE, 1 NOT RUN")
    assert "rehearsal at 10 times speed" in text
    assert "disarmed: no fault was applied" in text
    assert "judged by other rules" in text
    assert "| first | ✓ PASS | 14.20 s" in text
    assert "port \\| in use" in text
    for reason in run.drills[1].reasons:
        assert reason.split(":", maxsplit=1)[0] in text


def test_json_is_complete_and_says_null_where_nothing_was_measured(run: RunSummary) -> None:
    value = json.loads(json.dumps(summary_document(run)))
    assert value["exit_code"] == 1
    assert value["counts"] == {"PASS": 1, "FAIL": 1, "INCONCLUSIVE": 1, "NOT RUN": 1}
    assert value["drills"][0]["mttd"]["value_s"] == pytest.approx(14.2)
    assert value["drills"][0]["report"] == "one/report.html"
    assert value["drills"][2]["mttd"] is None
    assert value["drills"][3]["verdict"] == "NOT RUN"
    write_summary(run)
    assert {path.name for path in run.folder.iterdir()} == {"summary.md", "summary.json", "junit.xml"}


@pytest.mark.parametrize("live", [False, True])
def test_the_console_tells_each_start_and_end_and_the_table(run: RunSummary, live: bool) -> None:
    stream = io.StringIO()
    console = BatchConsole(stream, [drill.scenario for drill in run.drills], live=live)
    for drill in run.drills:
        console.started(drill.scenario, drill.instance, Path("log"))
        console.tick()
        console.ended(drill)
    console.tick()
    console.finish(run)
    text = stream.getvalue()
    assert text.count("start  ") == 4
    assert "4 drills: 1 PASS, 1 FAIL" in text
    assert "summary.md" in text
    assert ("\x1b" in text) is live


def test_a_reader_who_goes_away_ends_nothing(run: RunSummary) -> None:
    stream = io.StringIO()
    console = BatchConsole(stream, ["first"], live=False)
    stream.close()
    console.started("first", "hotel-local@first", Path("log"))
    console.finish(run)
