"""What the reports of a control say, and of a drill whose cause was out of reach: in every form the same."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, TestSuite

from gameday.record import DrillRecord
from gameday.reporting.chart import chart
from gameday.reporting.console import LiveStatus, status_text
from gameday.reporting.document import as_json
from gameday.reporting.html import to_html
from gameday.reporting.junit import to_junit
from gameday.reporting.markdown import to_markdown
from gameday.reporting.sentences import sentence
from gameday.reporting.summary import facts, figures, moments, proven
from gameday.timeline import Event, Kind, Phase
from reporting import records
from reporting.test_console import play
from reporting.test_documents import Page

FAULT = "degrade api (mode errors, percent 1)"
EXPLANATION = "It divides a series by itself, so that it is 1 for any 5xx"


def console(record: DrillRecord) -> str:
    """The last screen."""
    stream = io.StringIO()
    play(record, stream)
    return stream.getvalue().split("drill ended")[-1]


def suite_of(record: DrillRecord) -> TestSuite:
    (suite,) = JUnitXml.fromstring(to_junit(record).encode())
    assert isinstance(suite, TestSuite)
    return suite


def everywhere(record: DrillRecord) -> list[str]:
    """Markdown without its escapes, the page's text, the last screen."""
    return [to_markdown(record).replace("\\", ""), Page(to_html(record)).text(), console(record)]


def test_a_control_that_held_says_so_in_every_report(tmp_path: Path) -> None:
    record = records.control_kept_quiet(tmp_path / "drill")
    assert record.verdict.exit_code == 0
    sentence = f"Proven: no alert fired for 6m although {FAULT} was in force; everything was put back."
    assert proven(record) == sentence
    for text in everywhere(record):
        for words in ("PASS", sentence, "Alerts that fired", "none for 6m"):
            assert words in text
        for words in ("Time to detect", "Time to recover", "Data loss", "Restored by", "RTO"):
            assert words not in text, "nothing of this can be said of a control"


def test_a_manager_finds_the_answer_of_a_control_in_the_first_ten_lines(tmp_path: Path) -> None:
    top = to_markdown(records.control_kept_quiet(tmp_path / "drill")).splitlines()[:10]
    assert top[0] == "# PASS: One error in a hundred"
    assert "- ✓ **Alerts that fired:** none (none for 6m)" in top


def test_an_alert_of_a_control_is_named_with_what_is_wrong_with_its_rule(tmp_path: Path) -> None:
    record = records.control_woke_somebody(tmp_path / "drill")
    assert record.verdict.exit_code == 1
    for text in everywhere(record):
        assert "FAIL" in text
        assert "high_error_rate fired 124.0 s after the effect, which nobody should be woken for" in text
        assert EXPLANATION in text
        assert "Proven not to hold: No alert fired." in text
    (figure,) = figures(record)
    assert (figure.value, figure.objective) == ("high_error_rate", "none for 6m")


def test_a_control_without_a_fault_that_was_not_seen_is_not_told_as_a_fault_without_effect(
    tmp_path: Path,
) -> None:
    record = records.control_unseen(tmp_path / "drill")
    assert record.verdict.exit_code == 3
    assert proven(record) == "Not everything was proven; what is unknown is not counted as good."
    for text in everywhere(record):
        assert "no effect of a fault" not in text
        assert "the detector was blind meanwhile" in text


def test_facts_of_a_control_name_no_alert_and_no_runbook(tmp_path: Path) -> None:
    found = dict(facts(records.control_kept_quiet(tmp_path / "drill")))
    assert (found["Fault"], found["Expected alert"], found["Runbook"]) == (
        FAULT,
        "none: a control",
        "none: a control",
    )
    assert "Mitigation" not in found
    assert dict(facts(records.control_unseen(tmp_path / "quiet")))["Fault"] == "no fault"


def test_json_of_a_control_has_its_own_objective(tmp_path: Path) -> None:
    value = json.loads(json.dumps(as_json(records.control_woke_somebody(tmp_path / "drill"))))
    assert value["objectives"] == {"no_alert_for_s": 360.0}
    assert (value["verdict"], value["expected_alert"], value["runbook"]) == ("FAIL", None, None)
    assert [check["name"] for check in value["checks"]] == ["preflight", "effective", "quiet", "undone"]
    assert value["unexpected_alerts"] == ["high_error_rate"]
    assert (value["restored_by"], value["restoring_step"], value["mitigation"]) == (None, None, None)
    assert value["steps"] == []


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (records.control_kept_quiet, []),
        (records.control_woke_somebody, [Failure]),
        (records.control_unseen, [Error]),
    ],
)
def test_junit_of_a_control_has_its_one_question_as_a_case(make, expected, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    cases = {case.name: case for case in suite_of(make(tmp_path / "drill"))}
    assert [type(result) for result in cases["No alert fired"].result] == expected
    assert not {name for name in cases if "Runbook" in name or "RTO" in name}


def test_a_control_is_drawn_without_an_expected_alert_and_without_steps(tmp_path: Path) -> None:
    titles = [lane.title for lane in chart(records.control_woke_somebody(tmp_path / "drill")).lanes]
    assert titles == ["other alert high_error_rate", "probe bookings: 0 of 364 failed"]
    names = [moment.name for moment in moments(records.control_kept_quiet(tmp_path / "quiet"))]
    assert names == ["inject", "effective", "undone"]


def test_the_live_region_of_a_control_counts_no_rto(tmp_path: Path) -> None:
    shown = LiveStatus(Phase.DETECT, 3.0, 360.0, None, None, (), (), None)
    assert "a control: no alert may fire" in status_text(shown, 100).plain
    assert "RTO" not in status_text(shown, 100).plain


# --- a cause out of reach -----------------------------------------------------------------------------------


def test_what_was_in_force_before_the_fault_and_how_it_was_mitigated_are_told(tmp_path: Path) -> None:
    record = records.out_of_reach(tmp_path / "drill")
    assert (record.verdict.exit_code, record.verdict.reasons) == (0, ())
    found = dict(facts(record))
    fault = "kill database (signal SIGKILL), during flood api (lines_per_s 500, lines 90000)"
    assert (found["Fault"], found["Mitigation"]) == (fault, "degraded-mode")
    assert fault in proven(record)
    assert as_json(record)["mitigation"] == "degraded-mode"
    for text in everywhere(record)[:2]:
        assert "degraded-mode" in text
    assert "Mitigation" not in dict(facts(records.passed(tmp_path / "other")))


def test_what_holds_again_after_the_undo_is_a_check_of_every_report(tmp_path: Path) -> None:
    record = records.out_of_reach(tmp_path / "drill")
    for text in everywhere(record):
        assert "Back to normal after the undo" in text
        assert "12.00 s ± 0.01 s" in text
    assert "pms-queue-drained hold (12.0 s after the undo, objective 5m)" in to_markdown(record)
    cases = {case.name: case for case in suite_of(record)}
    assert cases["Back to normal after the undo"].time == pytest.approx(12.0)
    assert "after the undo, objective 10m" in cases["Alert database_connection_failures resolved"].system_out


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_event_has_a_sentence_of_its_own(kind: Kind) -> None:
    assert kind.value not in sentence(Event(0, kind, records.ZERO, Phase.DETECT, {}))
