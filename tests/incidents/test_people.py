"""What people say that they did: what it changes in an incident, and what nobody can have done."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gameday.commands.incidents_cli import Did
from gameday.incidents.build import build
from gameday.incidents.lifecycle import Phase
from gameday.incidents.model import DeadlineNote, LogNote, PhaseNote, Response
from gameday.incidents.people import AFTERMATH, CLASSIFY, SAYABLE, TELLING, open_items, with_done, with_entry
from gameday.incidents.severities import Duty
from reporting import records

MINUTE = timedelta(minutes=1)


@pytest.fixture
def response(tmp_path: Path) -> Response:
    """Nothing was detected, so nothing was told either."""
    return build(records.failed(tmp_path / "one"), "INC-20260302-001", "../../drill", {})[1]


@pytest.fixture
def known(response: Response) -> datetime:
    return min(one.at for one in response.lifecycle if one.at is not None)


def phase(response: Response, which: Phase) -> PhaseNote:
    (found,) = [one for one in response.lifecycle if one.phase == which.value]
    return found


def owed(response: Response, duty: Duty) -> DeadlineNote:
    (found,) = [one for one in response.deadlines if one.duty == duty.value]
    return found


def said(what: str, at: datetime, **more: str) -> LogNote:
    return LogNote.model_validate({"what": what, "at": at, **more})


def test_everything_that_people_do_can_be_said_and_nothing_that_is_measured(
    response: Response, known: datetime
) -> None:
    words = [CLASSIFY if one is Did.CLASSIFY else Duty[one.name].value for one in Did]
    assert words == list(SAYABLE)
    measured = {Duty.RESPOND, Duty.TELL_TEAM, Duty.RESOLVE}
    assert measured.isdisjoint({*TELLING, *AFTERMATH})
    with pytest.raises(ValueError, match="'resolve' is measured; people can say: classify, tell management"):
        with_entry(response, said(Duty.RESOLVE.value, known), known)
    assert set(Duty) - {*TELLING, *AFTERMATH} == {*measured, Duty.EVERY, Duty.MONITOR, Duty.DRAFT}


def test_what_it_was_taken_for_stands_beside_what_was_measured(response: Response, known: datetime) -> None:
    at = known + MINUTE
    assert phase(response, Phase.CLASSIFY).at is None
    other = with_entry(response, said(CLASSIFY, at, by="Ana", severity="SEV-4"), at)
    measured = f"SEV-{response.severity.rank}"
    assert phase(other, Phase.CLASSIFY).at == at
    assert phase(other, Phase.CLASSIFY).detail.startswith(f"SEV-4, said by Ana, but {measured} was ")
    same = with_entry(response, said(CLASSIFY, at, severity=measured), at)
    assert phase(same, Phase.CLASSIFY).detail.startswith(f"{measured}, as somebody said, as {measured} was ")
    assert other.severity == response.severity


@pytest.mark.parametrize("duty", TELLING)
def test_whoever_is_told_in_time_has_the_deadline_kept(
    response: Response, known: datetime, duty: Duty
) -> None:
    owes = owed(response, duty)
    assert (owes.done, owes.result) == (None, "not measured")
    at = known + timedelta(seconds=1)
    after = with_entry(response, said(duty.value, at), at)
    assert owed(after, duty).done == at
    assert owed(after, duty).result == ("not measured" if owes.due is None else "met")
    assert phase(after, Phase.COMMUNICATE).at is not None
    assert [one for one in after.deadlines if one.duty != duty.value] == [
        one for one in response.deadlines if one.duty != duty.value
    ]


def test_too_late_is_missed_and_the_first_of_two_counts(response: Response, known: datetime) -> None:
    due = owed(response, Duty.STATUS_PAGE).due
    assert due is not None
    late, early, now = due + MINUTE, due, due + 2 * MINUTE
    one = with_entry(response, said(Duty.STATUS_PAGE.value, late), now)
    assert (owed(one, Duty.STATUS_PAGE).done, owed(one, Duty.STATUS_PAGE).result) == (late, "missed")
    two = with_entry(one, said(Duty.STATUS_PAGE.value, early), now)
    assert (owed(two, Duty.STATUS_PAGE).done, owed(two, Duty.STATUS_PAGE).result) == (early, "met")
    assert [entry.at for entry in two.log] == [early, late]
    assert with_entry(two, said(Duty.STATUS_PAGE.value, late), now).deadlines == two.deadlines


def test_what_people_say_of_the_meeting_changes_no_phase(response: Response, known: datetime) -> None:
    at = known + MINUTE
    after = with_entry(response, said(Duty.REVIEW.value, at), at)
    assert after.lifecycle == response.lifecycle
    assert owed(after, Duty.REVIEW).result == "met"


def test_nobody_acts_in_the_future_or_before_anything_was_known(response: Response, known: datetime) -> None:
    with pytest.raises(ValueError, match="is still to come"):
        with_entry(response, said(CLASSIFY, known + 2 * MINUTE), known + MINUTE)
    with pytest.raises(ValueError, match="is before anything was known of the incident"):
        with_entry(response, said(CLASSIFY, known - MINUTE), known)
    with pytest.raises(ValueError, match="is still to come"):
        with_done(response, 1, known + 2 * MINUTE, None, known + MINUTE)
    with pytest.raises(ValueError, match="is before anything was known of the incident"):
        with_done(response, 1, known - MINUTE, None, known)


def test_an_action_item_is_done_once(response: Response, known: datetime) -> None:
    numbers = [number for number, _ in open_items(response)]
    assert numbers == list(range(1, len(response.action_items) + 1))
    after = with_done(response, 1, known, "Ana", known)
    assert (after.action_items[0].status, after.action_items[0].done_by) == ("Done", "Ana")
    assert [number for number, _ in open_items(after)] == numbers[1:]
    assert with_done(after, 1, known + MINUTE, "Bo", known + MINUTE) == after
    for wrong in (0, len(numbers) + 1):
        with pytest.raises(ValueError, match=f"no action item {wrong}; there are 1 to {len(numbers)}"):
            with_done(response, wrong, known, None, known)


def test_a_response_from_before_there_was_a_log_can_be_read(response: Response) -> None:
    old = response.model_dump(mode="json", exclude={"log"})
    for item in old["action_items"]:
        del item["done_at"], item["done_by"]
    assert Response.model_validate_json(json.dumps(old)) == response


def test_the_zone_of_what_was_said_does_not_matter(response: Response, known: datetime) -> None:
    there = (known + MINUTE).astimezone()
    assert with_entry(response, said(CLASSIFY, there), there).log[0].at.tzinfo is UTC
