"""Exports read back by others' parsers: whoever keeps a schedule keeps the times that cron says, summer and winter."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from gameday.errors import UsageError
from gameday.schedule import Appointment, Schedule, cron_times, load_schedule
from gameday.schedule_ci import Prepare, github, gitlab, gitlab_schedules
from gameday.schedule_cron import crontab
from gameday.schedule_icalendar import icalendar
from gameday.schedule_zones import doubtful, shifted

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
ZONES = (
    "Etc/UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Casablanca",
)
CRONS = (
    "0 9 * * mon",
    "30 9 8 * *",
    "0 13 20 1,4,7,10 *",
    "15 9-17/4 * * mon-fri",
    "0,30 8 * 6 *",
    "0 9 31 * *",
    "0 9 */2 * mon",  # a star makes it both: Mondays that are odd days
    "0 9 13 * fri",  # either, as cron has it
    "30 2 * * *",  # in the hour that the clocks leave out or repeat
)


def schedule(cron: str, zone: str = "Etc/UTC", **fields: object) -> Schedule:
    one = Appointment.model_validate(
        {"title": "One; two, 'three'", "cron": cron, "scenarios": ("one",), **fields}
    )
    return Schedule(schedule="s", environment="e", time_zone=zone, drills={"some": one})


def wanted(cron: str, zone: str, until: datetime, now: datetime = NOW) -> list[datetime]:
    found = []
    for due in cron_times(cron, zone, now):
        if due > until:
            return found
        found.append(due)
    raise AssertionError


# --- iCalendar ------------------------------------------------------------------------------------------------


def expanded(text: str, until: datetime) -> list[datetime]:
    """Every event's instants, as RFC 5545 counts them: in local time, by another's expansion."""
    return sorted(found for event in Calendar.from_ical(text).walk("VEVENT") for found in _of(event, until))


def _of(event: Any, until: datetime) -> Iterator[datetime]:
    start: datetime = event["DTSTART"].dt
    if "RRULE" not in event:
        yield from [start.astimezone(UTC)] if start <= until else []
        return
    for local in rrulestr(event["RRULE"].to_ical().decode(), dtstart=start.replace(tzinfo=None)):
        instant = local.replace(tzinfo=start.tzinfo).astimezone(UTC)
        if instant > until:
            return
        yield instant


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", CRONS)
def test_the_calendar_s_events_are_cron_s_times_through_a_year_of_changing_clocks(
    cron: str, zone: str
) -> None:
    text = icalendar(schedule(cron, zone), NOW)
    assert expanded(text, NOW + YEAR) == wanted(cron, zone, NOW + YEAR)


def test_a_calendar_says_its_zone_and_who_reads_it_needs_none() -> None:
    text = icalendar(schedule("0 9 * * mon", "Europe/Berlin"), NOW)
    (zone,) = Calendar.from_ical(text).walk("VTIMEZONE")
    (event,) = Calendar.from_ical(text).walk("VEVENT")
    assert zone["TZID"] == "Europe/Berlin"
    summer = zone.to_tz().utcoffset(datetime(2026, 7, 6, 9))  # noqa: DTZ001 - a local time
    assert summer == timedelta(hours=2)
    assert event["DTSTART"].to_ical() == b"20260302T090000"
    assert event["RRULE"].to_ical() == b"FREQ=WEEKLY;BYDAY=MO"
    assert event["DURATION"].dt == timedelta(hours=1)
    assert str(event["SUMMARY"]) == "One; two, 'three'"


@pytest.mark.parametrize("cron", CRONS)
def test_what_a_rule_can_say_is_one_event(cron: str) -> None:
    events = Calendar.from_ical(icalendar(schedule(cron, "America/New_York"), NOW)).walk("VEVENT")
    assert (len(events) == 1) == (cron not in ("0 9 13 * fri", "30 2 * * *"))


def test_an_event_keeps_its_identity_from_one_export_to_the_next() -> None:
    ids = [
        {str(event["UID"]) for event in Calendar.from_ical(text).walk("VEVENT")}
        for text in (icalendar(schedule("0 9 * * mon"), now) for now in (NOW, NOW + YEAR))
    ]
    assert ids == [{"some.s@gameday"}] * 2


def test_a_calendar_begins_on_the_first_day() -> None:
    text = icalendar(schedule("0 9 * * mon", next="2026-06-01"), NOW)
    assert expanded(text, NOW + YEAR)[0] == datetime(2026, 6, 1, 9, tzinfo=UTC)


def test_the_shipped_schedule_s_calendar() -> None:
    hotel = load_schedule(ROOT / "schedules/hotel.yaml")
    text = icalendar(hotel, NOW)
    by_name = {
        str(event["UID"]).partition(".")[0]: event for event in Calendar.from_ical(text).walk("VEVENT")
    }
    assert set(by_name) == set(hotel.drills)
    everything = sorted(
        due for one in hotel.drills.values() for due in wanted(one.cron, "Etc/UTC", NOW + YEAR)
    )
    assert expanded(text, NOW + YEAR) == everything


# --- cron -----------------------------------------------------------------------------------------------------


def lines(text: str) -> list[tuple[str, list[str]]]:
    """The times of a crontab, and the words of each command."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith(("#", "CRON_TZ=")):
            fields = line.split(" ", 5)
            found.append((" ".join(fields[:5]), shlex.split(fields[5])))
    return found


def test_a_crontab_says_the_zone_and_why() -> None:
    text = crontab(schedule("0 9 * * mon", "Europe/Berlin", parallel=2), Path("/a b"), ["gameday"], None, NOW)
    assert "\nCRON_TZ=Europe/Berlin\n" in text
    assert "Debian's cron ignores it" in text
    run = ["gameday", "run", "--yes", "--up", "--environment", "e", "--parallel", "2", "one"]
    assert lines(text) == [("0 9 * * mon", ["cd", "/a b", "&&", *run])]


def test_a_percent_sign_does_not_end_the_command() -> None:
    text = crontab(schedule("0 9 * * mon"), Path("/100%"), ["gameday"], None, NOW)
    assert r"cd '/100\%'" in text or r"cd /100\%" in text


@pytest.mark.parametrize(
    "machine", ["Asia/Kolkata", "America/Phoenix", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
)
@pytest.mark.parametrize(
    "cron", ["0 9 * * mon", "30 9 8 * *", "0 13 20 1,4,7,10 *", "15 0-23/5 * * mon-fri", "*/20 * * * *"]
)
def test_times_for_another_clock_are_the_same_instants(cron: str, machine: str) -> None:
    text = crontab(schedule(cron, "Asia/Tokyo"), Path("/p"), ["gameday"], machine, NOW)
    assert "CRON_TZ" not in text
    until = NOW + timedelta(days=60)
    there = sorted(due for line, _ in lines(text) for due in wanted(line, machine, until))
    assert there == wanted(cron, "Asia/Tokyo", until)


def test_clocks_that_change_on_other_days_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"some: Europe/Berlin and Etc/UTC do not always differ by the same; from 2026-03-30"
    ):
        crontab(schedule("0 9 * * mon", "Europe/Berlin"), Path("/p"), ["gameday"], "Etc/UTC", NOW)


def test_clocks_that_change_together_are_not() -> None:
    text = crontab(schedule("0 9 * * mon", "Europe/Berlin"), Path("/p"), ["gameday"], "Europe/Lisbon", NOW)
    assert [line for line, _ in lines(text)] == ["0 8 * * mon"]


def test_a_schedule_of_one_season_has_one_difference() -> None:
    text = crontab(schedule("0 9 1 6 *", "Europe/Berlin"), Path("/p"), ["gameday"], "Etc/UTC", NOW)
    assert [line for line, _ in lines(text)] == ["0 7 1 6 *"]


@pytest.mark.parametrize("cron", ["0 2 1 * *", "0 2 31 * *", "0 2 */2 * *", "0 2 * 3 *"])
def test_a_day_that_becomes_one_of_another_month_is_refused(cron: str) -> None:
    with pytest.raises(UsageError, match="another month"):
        crontab(schedule(cron), Path("/p"), ["gameday"], "America/Phoenix", NOW)


_NUMBERS = {"minute": 59, "hour": 23}


@st.composite
def crons(draw: st.DrawFn) -> str:
    def field(last: int) -> str:
        return draw(
            st.sampled_from(["*", "*/7"]) | st.sets(st.integers(0, last), min_size=1, max_size=3).map(_listed)
        )

    days = draw(st.sampled_from(["* *", "2-27 *", "5,20 1,6", "* *"]))
    weekdays = draw(st.sampled_from(["*", "mon", "0,6", "fri-sat"]))
    return f"{field(59)} {field(23)} {days} {weekdays}"


def _listed(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


@settings(deadline=None, max_examples=60)
@given(crons(), st.integers(-14 * 4, 14 * 4))
def test_a_shifted_cron_is_the_same_instants(cron: str, quarters: int) -> None:
    by = timedelta(minutes=15 * quarters)
    until = NOW + timedelta(days=9)
    there = sorted(
        {due - by for line in shifted(cron, by) for due in wanted(line, "Etc/UTC", until + by, NOW + by)}
    )
    assert there == wanted(cron, "Etc/UTC", until)


# --- CI -------------------------------------------------------------------------------------------------------


def test_a_workflow_tells_github_the_zone() -> None:
    hotel = load_schedule(ROOT / "schedules/hotel.yaml").model_copy(update={"time_zone": "Europe/Berlin"})
    workflow = yaml.safe_load(yaml.safe_dump(github(hotel, Prepare(), None, NOW), sort_keys=False))
    assert {one["timezone"] for one in workflow["on"]["schedule"]} == {"Europe/Berlin"}
    times = [one["cron"].lower() for one in workflow["on"]["schedule"]]
    assert times == list(dict.fromkeys(one.cron for one in hotel.drills.values()))
    assert workflow["on"]["workflow_dispatch"]["inputs"]["drills"]["options"] == list(hotel.drills)
    for name, job in workflow["jobs"].items():
        cron = hotel.drills[name].cron.upper()
        assert job["if"] == f"github.event.schedule == '{cron}' || inputs.drills == '{name}'"
        (drill,) = [step["run"] for step in job["steps"] if step.get("name") == "Drill"]
        words = shlex.split(drill)
        assert words[:6] == ["gameday", "run", "--yes", "--up", "--environment", "hotel-kubernetes"]
        files = ["--junit", "reports/junit.xml", "--summary", "reports/summary.md"]
        assert words[6:] == [*hotel.drills[name].scenarios, *files]


def test_a_workflow_for_a_github_without_zones_has_times_of_utc_or_is_refused() -> None:
    kolkata = github(schedule("0 3 * * mon", "Asia/Kolkata"), Prepare(), "Etc/UTC", NOW)
    assert kolkata["on"]["schedule"] == [{"cron": "30 21 * * 0"}]
    assert kolkata["jobs"]["some"]["if"].startswith("github.event.schedule == '30 21 * * 0'")
    with pytest.raises(UsageError, match="do not always differ"):
        github(schedule("0 9 * * mon", "Europe/Berlin"), Prepare(), "Etc/UTC", NOW)


def test_gitlab_has_a_job_for_each_pipeline_schedule() -> None:
    plan = schedule("0 9 * * mon", "Europe/Berlin")
    jobs = yaml.safe_load(yaml.safe_dump(gitlab(plan, Prepare("pip install gameday-runner"))))
    assert jobs["some"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule" && $GAMEDAY_DRILLS == "some"'}]
    assert jobs["some"]["before_script"][0] == "pip install gameday-runner"
    assert shlex.split(jobs["some"]["script"][-1])[:2] == ["gameday", "run"]
    assert jobs["some"]["after_script"][-1] == "gameday recover"
    assert jobs["some"]["artifacts"]["when"] == "always"
    (words,) = gitlab_schedules(plan)
    assert shlex.split(shlex.join(words))[3:] == [
        "--cron", "0 9 * * mon", "--cronTimeZone", "Europe/Berlin", "--description", "One; two, 'three'",
        "--ref", "main", "--variable", "GAMEDAY_DRILLS:some",
    ]  # fmt: skip


# --- hours that the clocks leave out or repeat ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T02:30"),
        ("30 2 * * sat", "Europe/Berlin", None),
        ("30 2 * 10 *", "Europe/Berlin", "2026-10-25T02:30"),
        ("0 9 * * *", "Europe/Berlin", None),
        ("30 2 * * *", "Asia/Kolkata", None),
    ],
)
def test_a_time_on_which_keepers_differ_is_found(cron: str, zone: str, expected: str | None) -> None:
    found = doubtful(schedule(cron, zone).drills["some"], zone, NOW)
    assert (found and f"{found:%Y-%m-%dT%H:%M}") == expected
    assert found is None or found.tzinfo == ZoneInfo(zone)
