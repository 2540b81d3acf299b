"""What the drills showed that somebody has to do something about, from literal evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.gamedays import entries as e
from gameday.gamedays.findings import changes, findings, open_findings
from gameday.gamedays.state import State, fold
from gameday.record import DrillRecord
from gamedays.world import GO, TAKEN_UP, begun, died, ended, logged
from reporting import records
from reporting.folders import Folder
from reporting.records import Kind, passing

Make = Callable[[Path], DrillRecord]


def day(tmp_path: Path, *made: Make) -> tuple[State, dict[str, DrillRecord]]:
    """Drills one, two, … ended with this evidence; those after them did not take place."""
    entries: list[e.Entry] = [TAKEN_UP, GO]
    found: dict[str, DrillRecord] = {}
    for number, make in enumerate(made, 1):
        record = make(tmp_path / str(number))
        found[f"d{number}-1"] = record
        verdict = record.verdict
        entries += [
            *begun(number),
            ended(number, 1, verdict.outcome.value, verdict.exit_code, *verdict.reasons),
        ]
    return fold(logged(*entries)), found


def test_a_drill_in_which_all_held_is_no_finding(tmp_path: Path) -> None:
    state, found = day(tmp_path, records.passed, records.passed, records.passed)
    assert findings(state, found) == ()
    assert changes(state, found) == ()


def test_what_was_missed_and_what_fired_unexpectedly_are_findings_by_drill(tmp_path: Path) -> None:
    state, found = day(tmp_path, records.passed, records.failed, records.passed)
    rows = [(one.id, one.kind, one.title) for one in findings(state, found)]
    assert rows[0] == ("2.1", "missed", "Alert database_connection_failures fired")
    assert ("missed", "Runbook 01-database-down worked") in [row[1:] for row in rows]
    assert rows[-1][1:] == ("unexpected", "Alert disk_full fired unexpectedly")
    assert [row[0] for row in rows] == [f"2.{number}" for number in range(1, len(rows) + 1)]


def test_what_is_unknown_is_a_finding_and_asks_for_no_change(tmp_path: Path) -> None:
    state, found = day(tmp_path, records.blind, records.ineffective, records.passed)
    kinds = {one.kind for one in findings(state, found)}
    assert kinds == {"unknown"}
    assert changes(state, found) == ()


def test_what_did_not_take_place_or_left_no_evidence_is_a_finding(tmp_path: Path) -> None:
    state, found = day(tmp_path, records.passed, records.passed)
    assert [(one.id, one.kind) for one in findings(state, found)] == [("3.1", "not executed")]
    assert [one.kind for one in findings(state, {})][:2] == ["no evidence", "no evidence"]


def test_an_interruption_is_a_finding_even_where_the_repetition_passed(tmp_path: Path) -> None:
    again = (died(1), e.DrillDecided(number=1, repeat=True, by="Ana"), GO, *begun(1, 2), ended(1, 2))
    skip = (*begun(2), TAKEN_UP, died(2), e.DrillDecided(number=2, repeat=False, by="Ana"))
    state = fold(logged(TAKEN_UP, GO, *begun(1), TAKEN_UP, *again, *skip))
    found = {"d1-2": records.passed(tmp_path / "1")}
    rows = [(one.id, one.kind) for one in findings(state, found)]
    assert rows == [
        ("1.1", "interrupted"),
        ("2.1", "interrupted"),
        ("2.2", "skipped"),
        ("3.1", "not executed"),
    ]


def test_an_aborted_drill_says_so_and_not_all_that_is_unknown_therefore(tmp_path: Path) -> None:
    state, found = day(tmp_path, records.aborted)
    rows = [one for one in findings(state, found) if one.number == 1]
    assert [one.kind for one in rows] == ["aborted"]
    assert "interrupted by a person" in rows[0].detail


def test_rules_and_runbooks_to_change_are_named_once_with_every_finding_behind_them(tmp_path: Path) -> None:
    state, found = day(tmp_path, records.failed, records.failed, records.passed)
    by_name = {(one.what, one.name): one for one in changes(state, found)}
    rule = by_name["rule", "database_connection_failures"]
    assert rule.findings == ("1.1", "2.1")
    assert rule.text == "it did not fire in time for this fault"
    runbook = by_name["runbook", "01-database-down"]
    assert "'Start PostgreSQL again' took 137.0 s, budget 2m" in runbook.text
    assert "expect.also" in by_name["rule", "disk_full"].text


def test_a_rule_that_is_known_to_be_wrong_comes_with_what_would_be_right(tmp_path: Path) -> None:
    state, found = day(tmp_path, records.control_woke_somebody)
    (change,) = changes(state, found)
    assert (change.what, change.name) == ("rule", "high_error_rate")
    assert change.text == (
        "it fires below what anybody should be woken for; Divides by itself, instead: divide by all requests"
    )


@pytest.mark.parametrize("taken", ["2.1", "9.9", None])
def test_findings_stay_open_until_an_action_item_is_for_them(tmp_path: Path, taken: str | None) -> None:
    state, found = day(tmp_path, records.passed, records.failed, records.passed)
    count = len(findings(state, found))
    action = e.Action(text="Mend it", owner="Ben", due="2026-12-20", by="Dora", finding=taken)
    lines = logged(TAKEN_UP, GO, *begun(1), ended(1), *begun(2), ended(2), *begun(3), ended(3), action)
    assert len(open_findings(fold(lines), found)) == (count - 1 if taken == "2.1" else count)


def test_an_alert_that_stays_on_too_long_asks_for_a_shorter_window(tmp_path: Path) -> None:
    def slow(path: Path) -> DrillRecord:
        folder: Folder = passing(path)
        for event in folder.events:
            if event.kind is Kind.RESOLVE_ENDED:
                folder.events[event.seq] = type(event)(
                    event.seq, event.kind, event.at, event.phase, {"outcome": "expired", "after": "recovery"}
                )
        return folder.write()

    state, found = day(tmp_path, slow)
    texts = [one.text for one in changes(state, found) if one.what == "rule"]
    assert texts == ["it goes on firing after the service is back"]
