"""Who is on call when: weeks of local time, across changes of the clocks, with overrides and swaps."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.errors import InvalidFile, UsageError
from gameday.oncall import Level, Roster, load_roster
from gameday.oncall_shifts import clashes, escalation, on_call, shifts

ROOT = Path(__file__).parents[2]
ZONES = (
    *("Etc/UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"),
    *("Africa/Casablanca", "America/Sao_Paulo", "Pacific/Apia"),
)
TEXT = """\
on_call: team
time_zone: Europe/Madrid
starts: 2026-01-05
people:
  ana: {name: Ana, contact: "+34 1"}
  ben: {name: Ben}
  chao: {name: Chao}
  dora: {name: Dora}
escalation:
  primary: {who: [ana, ben, chao]}
  secondary: {who: [ben, chao, ana], after: 15m}
  incident-commander: {who: [dora], after: 30m, at_once: [SEV1]}
  team-lead: {who: [dora], after: 45m}
  director: {who: [dora], after: 1h}
"""
OVERLAP = """\
overrides:
  - {level: primary, person: dora, since: 2026-02-02T10:00, until: 2026-02-03T10:00}
  - {level: primary, person: ben, since: 2026-02-03T08:00Z, until: 2026-02-04T10:00}
people:"""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def load(folder: Path, text: str = TEXT) -> Roster:
    (folder / "team.yaml").write_text(text, encoding="utf-8")
    return load_roster(folder / "team.yaml")


def who(roster: Roster, level: Level, instant: str) -> str:
    return on_call(roster, level, at(instant)).person


def test_a_week_each_and_then_again(tmp_path: Path) -> None:
    roster = load(tmp_path)
    weeks = [at("2026-01-07T12:00") + timedelta(weeks=week) for week in range(4)]
    assert [on_call(roster, Level.PRIMARY, week).person for week in weeks] == ["ana", "ben", "chao", "ana"]
    assert [on_call(roster, Level.SECONDARY, week).person for week in weeks] == ["ben", "chao", "ana", "ben"]
    assert {on_call(roster, Level.DIRECTOR, week).person for week in weeks} == {"dora"}


def test_the_handoff_is_on_monday_at_nine_of_local_time_in_winter_and_in_summer(tmp_path: Path) -> None:
    roster = load(tmp_path)
    assert (
        who(roster, Level.PRIMARY, "2026-03-23T07:59"),
        who(roster, Level.PRIMARY, "2026-03-23T08:00"),
    ) == (*("ben", "chao"),)
    # the clocks go forward on Sunday the 29th
    assert (
        who(roster, Level.PRIMARY, "2026-03-30T06:59"),
        who(roster, Level.PRIMARY, "2026-03-30T07:00"),
    ) == (*("chao", "ana"),)


def test_the_weeks_in_which_the_clocks_change_are_an_hour_shorter_and_longer(tmp_path: Path) -> None:
    roster = load(tmp_path)
    spring, autumn = (on_call(roster, Level.PRIMARY, at(day)) for day in ("2026-03-25", "2026-10-21"))
    assert spring.ends - spring.begins == timedelta(hours=167)
    assert autumn.ends - autumn.begins == timedelta(hours=169)


def test_before_its_first_handoff_a_roster_says_nothing(tmp_path: Path) -> None:
    roster = load(tmp_path)
    assert who(roster, Level.PRIMARY, "2026-01-05T08:00") == "ana"
    with pytest.raises(UsageError, match=r"team: 2026-01-05 07:59 is before it starts, on 2026-01-05"):
        on_call(roster, Level.PRIMARY, at("2026-01-05T07:59"))


def test_an_override_is_somebody_else_for_a_while_and_no_longer(tmp_path: Path) -> None:
    text = TEXT + (
        "overrides:\n  - {level: primary, person: dora, since: 2026-01-07T18:00, until: 2026-01-13T12:00, why: leave}\n"
    )
    roster = load(tmp_path, text)
    found = shifts(roster, Level.PRIMARY, at("2026-01-06T00:00"), at("2026-01-16T00:00"))
    assert [(one.person, one.begins, one.by) for one in found] == [
        ("ana", at("2026-01-05T08:00"), "rotation"),
        ("dora", at("2026-01-07T17:00"), "override"),
        ("dora", at("2026-01-12T08:00"), "override"),
        ("ben", at("2026-01-13T11:00"), "rotation"),
    ]
    assert found[1].why == "leave"
    assert who(roster, Level.SECONDARY, "2026-01-08T12:00") == "ben"


def test_a_swap_exchanges_two_weeks_of_one_level(tmp_path: Path) -> None:
    roster = load(tmp_path, TEXT + "swaps: [{level: primary, weeks: [2026-01-05, 2026-01-19]}]\n")
    weeks = [at("2026-01-07T12:00") + timedelta(weeks=week) for week in range(5)]
    found = [on_call(roster, Level.PRIMARY, week) for week in weeks]
    assert [one.person for one in found] == ["chao", "ben", "ana", "ana", "ben"]
    assert [one.by for one in found] == ["swap", "rotation", "swap", "rotation", "rotation"]
    assert who(roster, Level.SECONDARY, "2026-01-07T12:00") == "ben"


def test_whoever_becomes_the_only_one_by_a_swap_or_an_override_is_told(tmp_path: Path) -> None:
    text = (
        TEXT
        + "overrides: [{level: secondary, person: ana, since: 2026-01-07T18:00, until: 2026-01-08T12:00}]\n"
    )
    roster = load(tmp_path, text)
    assert clashes(roster, at("2026-01-06T00:00"), at("2026-02-06T00:00")) == (
        (at("2026-01-07T17:00"), "ana"),
    )


def test_the_escalation_goes_up_level_by_level(tmp_path: Path) -> None:
    calls = escalation(load(tmp_path), at("2026-01-07T12:00"))
    assert [(call.level.value, call.person, call.at) for call in calls] == [
        ("primary", "ana", at("2026-01-07T12:00")),
        ("secondary", "ben", at("2026-01-07T12:15")),
        ("incident-commander", "dora", at("2026-01-07T12:30")),
        ("team-lead", "dora", at("2026-01-07T12:45")),
        ("director", "dora", at("2026-01-07T13:00")),
    ]


def test_the_worst_incident_calls_the_commander_at_once(tmp_path: Path) -> None:
    calls = escalation(load(tmp_path), at("2026-01-07T12:00"), "SEV1")
    assert [(call.level.value, call.after_s) for call in calls][:3] == [
        ("primary", 0.0), ("incident-commander", 0.0), ("secondary", 900.0),
    ]  # fmt: skip


def test_whoever_is_on_call_when_the_call_comes_is_called(tmp_path: Path) -> None:
    calls = escalation(load(tmp_path), at("2026-01-12T07:50"))  # ten minutes before the handoff
    assert [call.person for call in calls][:2] == ["ana", "chao"]  # the next week's secondary


def roster(zone: str, handoff: time, people: int, day: date) -> Roster:
    names = [f"p{number}" for number in range(people)]
    document: dict[str, Any] = {
        "on_call": "any",
        "time_zone": zone,
        "starts": day.isoformat(),
        "handoff": {"day": f"{day:%A}".lower(), "at": f"{handoff:%H:%M}"},
        "people": {name: {"name": name} for name in [*names, "other"]},
        "escalation": {
            level.value: {"who": tuple(names) if level is Level.PRIMARY else ("other",)} for level in Level
        },
    }
    return Roster.model_validate(document)


rosters = st.builds(
    roster,
    st.sampled_from(ZONES),
    st.sampled_from([time(9), time(0), time(2, 30), time(23, 59)]),
    st.integers(1, 5),
    st.dates(date(2010, 1, 1), date(2030, 1, 1)),
)


@settings(deadline=None)
@given(rosters, st.integers(7 * 24 * 60, 10 * 366 * 24 * 60))
def test_at_every_instant_exactly_one_person_has_a_level(some: Roster, minute: int) -> None:
    """Across changes of the clocks, and where a zone skips a whole day."""
    instant = some.begins(0) + timedelta(minutes=minute)
    shift = on_call(some, Level.PRIMARY, instant)
    assert shift.begins <= instant < shift.ends
    names = some.escalation[Level.PRIMARY].who
    following = on_call(some, Level.PRIMARY, shift.ends)
    assert following.begins == shift.ends
    assert on_call(some, Level.PRIMARY, shift.ends - timedelta(microseconds=1)) == shift
    assert following.person == names[(names.index(shift.person) + 1) % len(names)]


@settings(deadline=None)
@given(rosters, st.integers(1, 500))
def test_handoffs_are_at_the_same_local_time_every_week(some: Roster, week: int) -> None:
    begins = some.begins(week)
    local = begins.astimezone(ZoneInfo(some.time_zone))
    wanted = datetime.combine(some.starts + timedelta(weeks=week), some.handoff.at)
    exists = (
        wanted.replace(tzinfo=some.zone).astimezone(UTC).astimezone(some.zone).replace(tzinfo=None) == wanted
    )
    assert local.replace(tzinfo=None) == wanted or not exists
    hours = (some.begins(week + 1) - begins) / timedelta(hours=1)
    assert 167 <= hours <= 169 or some.time_zone == "Pacific/Apia"


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("starts: 2026-01-05", "starts: 2026-01-06", 3, "starts: 2026-01-06 is a tuesday; weeks begin on monday"),
        ("Europe/Madrid", "Europe/Atlantis", 2, "time_zone: 'Europe/Atlantis' is no time zone"),
        ("[ana, ben, chao]", "[ana, bob]", 10, "escalation.primary.who[1]: 'bob' is not one of the people: ana, ben"),
        ("[ben, chao, ana]", "[chao, ben]", 11, "is primary, too, in the week of 2026-01-12; then nobody is second"),
        ("after: 45m", "after: 20m", 13, "escalation.team-lead.after: is sooner than the level before it"),
        ("  director: {who: [dora], after: 1h}\n", "", 9, "escalation: director is absent; expected primary"),
        ("  director:", "  boss:", 14, "'boss' is no level"),
        ("on_call: team", "on_call: others", 1, "on_call: is 'others' in a file named team.yaml"),
        ("people:", 'handoff: {day: monday, at: "9"}\npeople:', 4, "handoff.at: '9' is not a time of day"),
        ("people:", "swaps: [{level: primary, weeks: [2026-01-05, 2026-01-13]}]\npeople:", 4, "no day on which a week"),
        (
            "people:",
            "overrides:\n  - {level: primary, person: dora, since: 2026-02-02T10:00, until: 2026-02-02T10:00}\npeople:",
            5,
            "overrides[0].until: is not later than since",
        ),
        (
            "people:",
            OVERLAP,
            6,
            "overrides[1]: is at the same time as overrides[0], of the same level",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, problem: str
) -> None:
    with pytest.raises(InvalidFile) as caught:
        load(tmp_path, TEXT.replace(old, new, 1))
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/team.yaml:{line}: ")


def test_the_shipped_roster_has_the_rules_of_its_guide() -> None:
    hotel = load_roster(ROOT / "on-call/hotel.yaml")
    assert (hotel.handoff.day, hotel.handoff.at) == ("monday", time(9))
    assert list(hotel.escalation) == list(Level)
    assert clashes(hotel, hotel.begins(0), hotel.begins(52)) == ()
