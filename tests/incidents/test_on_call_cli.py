"""Rosters as whole commands: who is on call, in every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from icalendar import Calendar

from history.shop import gameday
from incidents.test_rotation import TEXT as ROSTER

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "on-call").mkdir()
    (tmp_path / "on-call/team.yaml").write_text(ROSTER)
    return tmp_path


def test_who_is_on_call_at_an_instant_and_afterwards(project: Path) -> None:
    done = gameday(project, "on-call", "--at", "2026-03-30T08:59", "--weeks", "1", "--severity", "SEV1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "team: on call at 2026-03-30 08:59 CEST (Europe/Madrid)\n"
        "  Primary             Chao                        until Mon 2026-03-30 09:00\n"
        "  Secondary           Ana (+34 1)                 until Mon 2026-03-30 09:00\n"
        "  Incident Commander  Dora\n"
        "  Team Lead           Dora\n"
        "  Director            Dora\n"
        "\n"
        "Escalation of SEV1\n"
        "  at once             Primary: Chao\n"
        "  at once             Incident Commander: Dora\n"
        "  after 15m           Secondary: Ben\n"  # after the handoff
        "  after 45m           Team Lead: Dora\n"
        "  after 1h            Director: Dora\n"
        "\n"
        "Next weeks, handed over on Monday at 09:00 (Europe/Madrid)\n"
        "  From                  Primary  Secondary  Incident Commander\n"
        "  Mon 2026-03-23 09:00  Chao     Ana        Dora\n"
        "  Mon 2026-03-30 09:00  Ana      Ben        Dora\n"
    )


def test_the_same_as_json_and_as_a_calendar(project: Path) -> None:
    words = ("on-call", "--at", "2026-03-28T12:00", "--weeks", "1")
    (roster,) = json.loads(gameday(project, *words, "-o", "json").stdout)
    assert roster["now"]["primary"] == {
        "level": "primary",
        "person": "chao",
        "name": "Chao",
        "contact": None,
        "begins": "2026-03-23T08:00:00+00:00",
        "ends": "2026-03-30T07:00:00+00:00",
        "by": "rotation",
        "why": None,
    }
    assert [call["level"] for call in roster["escalation"]] == [
        *("primary", "secondary", "incident-commander", "team-lead", "director")
    ]
    events = Calendar.from_ical(gameday(project, *words, "-o", "icalendar").stdout).walk("VEVENT")
    shifts = {(one["begins"], one["ends"], one["name"]) for one in roster["shifts"]}
    assert {
        (event["DTSTART"].dt.isoformat(), event["DTEND"].dt.isoformat(), str(event["SUMMARY"]).split(": ")[1])
        for event in events
    } == shifts


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("absent",), "on-call/absent.yaml does not exist"),
        (("--at", "tomorrow"), "--at: 'tomorrow' is not an instant"),
        (("--at", "2025-12-31T12:00"), "team: 2025-12-31 11:00 is before it starts, on 2026-01-05"),
    ],
)
def test_a_question_that_has_no_answer(project: Path, arguments: tuple[str, ...], problem: str) -> None:
    done = gameday(project, "on-call", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_whoever_is_alone_by_an_override_is_warned_of(project: Path) -> None:
    text = ROSTER.replace("on_call: team", "on_call: thin") + (
        "overrides: [{level: secondary, person: ana, since: 2026-01-07T18:00, until: 2026-01-08T12:00, why: ill}]\n"
    )
    (project / "thin.yaml").write_text(text)
    done = gameday(project, "on-call", "./thin.yaml", "--at", "2026-01-07T20:00", "--weeks", "0")
    assert (
        "  Secondary           Ana (+34 1)                 until Thu 2026-01-08 12:00 (override: ill)\n"
        in done.stdout
    )
    assert (
        "warning: Ana is primary and secondary from Wed 2026-01-07 18:00: nobody is second\n" in done.stdout
    )


def test_a_schedule_and_a_roster_are_files_that_are_validated(project: Path) -> None:
    bad = ROSTER.replace("on_call: team", "on_call: bad").replace("[dora], after: 1h", "[eve], after: 1h")
    (project / "on-call/bad.yaml").write_text(bad)
    done = gameday(project, "validate", "on-call")
    assert done.returncode == 2
    assert "on-call/bad.yaml:14: escalation.director.who[0]: 'eve' is not one of the people" in done.stderr
    assert gameday(ROOT, "validate", "on-call", "schedules").stdout == "2 of 2 files are valid\n"
