"""What is due, overdue and stale: a schedule against what the history knows, at an instant that the test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.drill_calendar import Entry, Known, Run, entries
from gameday.errors import InvalidFile
from gameday.schedule import Appointment, Schedule, cron_times, longest_distance, periods
from gameday.schedule import load_schedule as load

ROOT = Path(__file__).parents[2]
CRONS = (
    "0 9 * * mon",
    "0 9 8 * *",
    "30 2 * * *",
    "0 13 20 1,4,7,10 *",
    "15 9-17/4 * * mon-fri",
    "0 0 31 * *",
)
ZONES = ("Etc/UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ran(text: str, verdict: str = "PASS") -> Known:
    run = Run(at(text), verdict, f"{text}-one")
    return Known(run=run, passed=run if verdict == "PASS" else None)


def schedule(cron: str = "0 9 * * mon", zone: str = "Etc/UTC", **fields: object) -> Schedule:
    one = Appointment.model_validate({"cron": cron, "scenarios": ("one",), **fields})
    return Schedule(schedule="s", environment="e", time_zone=zone, drills={"weekly": one})


def only(known: Known, now: str, **fields: object) -> Entry:
    (entry,) = entries(schedule(**fields), {"one": known}, at(now))  # type: ignore[arg-type]
    return entry


# Mondays of March 2026: 2, 9, 16, 23, 30


def test_a_drill_that_was_kept_is_due_at_the_next_appointment() -> None:
    entry = only(ran("2026-03-09T09:04"), "2026-03-11T12:00")
    assert (entry.due, entry.overdue, entry.stale) == (at("2026-03-16T09:00"), False, False)
    assert entry.good_until == at("2026-03-16T10:04")


def test_a_missed_appointment_is_due_still_and_overdue_when_it_may_not_begin_any_more() -> None:
    known = ran("2026-03-02T09:04")
    early, late = only(known, "2026-03-09T09:59"), only(known, "2026-03-09T10:01")
    assert (early.due, early.overdue, early.stale) == (at("2026-03-09T09:00"), False, False)
    assert (late.due, late.overdue, late.stale) == (at("2026-03-09T09:00"), True, False)


def test_a_drill_a_little_before_its_time_keeps_the_appointment() -> None:
    assert only(ran("2026-03-09T08:10"), "2026-03-09T12:00").due == at("2026-03-16T09:00")
    assert only(ran("2026-03-09T07:50"), "2026-03-09T12:00").overdue


def test_a_drill_that_failed_kept_the_appointment_and_proved_nothing() -> None:
    known = replace(ran("2026-03-09T09:00", "FAIL"), passed=Run(at("2026-03-02T09:00"), "PASS", "d"))
    entry = only(known, "2026-03-09T11:00")
    assert (entry.overdue, entry.stale) == (False, True)


def test_a_rehearsal_neither_keeps_nor_proves() -> None:
    entry = only(Known(rehearsal=Run(at("2026-03-09T09:00"), "PASS", "d")), "2026-03-09T11:00")
    assert (entry.overdue, entry.stale) == (True, True)


def test_without_any_drill_it_is_overdue_since_the_last_appointment_and_stale() -> None:
    entry = only(Known(), "2026-03-11T12:00")
    assert (entry.due, entry.overdue, entry.stale, entry.good_until) == (
        at("2026-03-09T09:00"),
        True,
        True,
        None,
    )


def test_before_its_first_day_nothing_is_overdue() -> None:
    before = only(Known(), "2026-03-11T12:00", next="2026-03-23")
    after = only(Known(), "2026-03-23T12:00", next="2026-03-23")
    assert (before.due, before.overdue, before.stale) == (at("2026-03-23T09:00"), False, True)
    assert (after.due, after.overdue) == (at("2026-03-23T09:00"), True)


def test_the_day_that_the_file_names_is_a_run_of_which_no_verdict_is_known() -> None:
    entry = only(Known(), "2026-03-11T12:00", last="2026-03-10", next="2026-03-23")
    assert entry.known.run == Run(at("2026-03-10T00:00"), None, None)
    assert entry.stale


def test_the_history_knows_better_than_the_file() -> None:
    known = ran("2026-03-16T09:00", "FAIL")
    assert only(known, "2026-03-17T12:00", last="2026-03-10", next="2026-03-16").known.run == known.run


def test_days_and_hours_are_those_of_the_time_zone() -> None:
    berlin = {"zone": "Europe/Berlin", "now": "2026-03-30T06:59"}  # summer time since the 29th: 9:00 is 7:00
    entry = only(ran("2026-03-23T08:01"), **berlin)  # type: ignore[arg-type]
    assert entry.due == at("2026-03-30T07:00")


def test_the_shipped_schedule_has_the_days_of_its_drill_calendar() -> None:
    hotel = load(ROOT / "schedules/hotel.yaml")
    before = {entry.appointment: entry for entry in entries(hotel, {}, at("2025-10-01T12:00"))}
    fire, flood = before["sev1-fire-drill"], before["log-flood-injection"]
    assert fire.known.run == Run(at("2025-06-27T00:00"), None, None) == flood.known.run
    assert (fire.due, flood.due) == (at("2025-10-05T09:00"), at("2025-10-06T09:00"))
    assert not fire.overdue
    assert not flood.overdue
    often = {name: one.every for name, one in hotel.drills.items() if one.every}
    assert often == {
        "incident-simulation": "monthly",
        "backup-validation": "weekly",
        "restore-test": "weekly",
        "dr-database": "monthly",
        "dr-all": "quarterly",
        "chaos-test": "monthly",
    }


def test_of_several_appointments_the_most_frequent_says_how_long_a_pass_is_good() -> None:
    spans = periods(load(ROOT / "schedules/hotel.yaml"))
    hour = timedelta(hours=1)
    assert spans["database-loss"] == timedelta(days=7) + hour  # weekly, monthly and quarterly
    assert spans["database-down"] == timedelta(days=31) + hour
    assert spans["redis-down"] == timedelta(days=92) + hour


@pytest.mark.parametrize(
    ("cron", "longest"),
    [
        ("* * * 1 *", timedelta(days=335, minutes=1)),
        ("*/5 9-17 * * mon-fri", timedelta(days=2, hours=15, minutes=5)),
        ("0 9,17 * * *", timedelta(hours=16)),
        ("0 0 29 2 *", timedelta(days=2921)),  # 2096 to 2104: 2100 is no leap year
        ("0 0 31 * *", timedelta(days=61)),  # such as March to May
        ("0 9 13 * fri", timedelta(days=7)),  # both restricted: either
    ],
)
def test_the_longest_time_between_two_appointments(cron: str, longest: timedelta) -> None:
    assert longest_distance(cron, "Etc/UTC") == longest


@settings(deadline=None)
@given(st.sampled_from(CRONS), st.sampled_from(ZONES), st.integers(0, 3 * 366 * 24 * 60), st.floats(0, 1))
def test_a_drill_that_passes_at_each_appointment_is_neither_stale_nor_overdue(
    cron: str, zone: str, minute: int, delay: float
) -> None:
    """At no instant until the next one may not begin any more."""
    plan = schedule(cron, zone)
    first, second = islice(cron_times(cron, zone, at("2025-01-01") + timedelta(minutes=minute)), 2)
    known = {"one": Known(*2 * [Run(first + timedelta(seconds=3600 * delay), "PASS", "d")])}
    for now in (first + timedelta(hours=1), second - timedelta(seconds=1), second + timedelta(minutes=59)):
        (entry,) = entries(plan, known, now)
        assert entry.fine, now
    (late,) = entries(plan, known, second + timedelta(minutes=61))
    assert late.overdue == (second - first > timedelta(hours=2))


@settings(deadline=None)
@given(st.sampled_from(CRONS), st.sampled_from(ZONES), st.integers(0, 4 * 366 * 24 * 60))
def test_no_two_times_are_farther_apart_than_the_longest_distance(cron: str, zone: str, minute: int) -> None:
    first, second = islice(cron_times(cron, zone, at("2024-01-01") + timedelta(minutes=minute)), 2)
    assert timedelta() < second - first <= longest_distance(cron, zone)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("every: weekly", "drills.first.cron: '0 9 8 * *' leaves up to 31d"),
        (
            "next: 2026-03-09",
            "drills.first.next: 2026-03-09 is no day of '0 9 8 * *'; the first",
        ),
        ("next: 2026-13-08", "drills.first.next: '2026-13-08' is not a date"),
        ("next: soon", "drills.first.next: 'soon' is not a date"),
        ("stale_after: 30d", "drills.first.stale_after: 30d is shorter than the 31d"),
        ("{last: 2026-03-08, next: 2026-03-08}", "drills.first.next: 2026-03-08 is not later than last"),
        ("every: fortnightly", "drills.first.every: 'fortnightly' is not allowed"),
    ],
)
def test_what_cannot_be_kept_is_told_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    lines = line.strip("{}").split(", ")
    text = "schedule: s\nenvironment: e\ndrills:\n  first:\n    cron: 0 9 8 * *\n    scenarios: [one]\n"
    (tmp_path / "s.yaml").write_text(text + "".join(f"    {one}\n" for one in lines))
    with pytest.raises(InvalidFile) as caught:
        load(tmp_path / "s.yaml")
    assert problem in str(caught.value)
    number = 5 if ".cron" in problem else 6 + len(lines)
    assert str(caught.value).startswith(f"{tmp_path}/s.yaml:{number}: ")
