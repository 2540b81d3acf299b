"""The plan: surprises are the same for the same seed, hidden until somebody asks, and times add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.worlds import fake_scenario
from gameday.fields import parse
from gameday.gamedays.model import GameDay
from gameday.gamedays.plan import drawn, order, timetable
from gameday.plan import plan
from gamedays.world import DAY

NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True), unique=True, min_size=1, max_size=12)
SEEDS = st.integers(min_value=0, max_value=2**63)
BEGINS = datetime(2026, 12, 10, 9, tzinfo=UTC)


def day() -> GameDay:
    text = DAY.replace("date: 2026-12-10", 'date: "2026-12-10"').replace("starts: 10:00", 'starts: "10:00"')
    return parse(GameDay, yaml.safe_load(text))


def test_a_seed_draws_what_it_has_always_drawn() -> None:
    pool = ["redis-down", "pms-failure", "service-down", "log-flood"]
    assert drawn(pool, 1) == ("redis-down", "service-down", "pms-failure", "log-flood")
    assert drawn(pool, 2) != drawn(pool, 1)


@given(NAMES, SEEDS, st.randoms())
def test_every_scenario_is_drawn_once_whatever_its_place_in_the_file(names, seed, chance) -> None:  # type: ignore[no-untyped-def]
    shuffled = [*names]
    chance.shuffle(shuffled)
    assert drawn(shuffled, seed) == drawn(names, seed)
    assert sorted(drawn(names, seed)) == sorted(names)


def test_drills_stand_in_the_order_of_the_file_and_surprises_in_that_of_the_seed() -> None:
    planned = order(day(), 7)
    assert [one.number for one in planned] == [1, 2, 3]
    assert planned[0].scenario == "one"
    assert planned[1].scenario == drawn(["three", "four"], 7)[0]
    assert planned[1].surprise
    assert planned[2].scenario == "two"
    assert [one.scenario for one in order(day(), None)] == ["one", None, "two"], "not drawn yet"


def test_a_drill_begins_when_all_before_it_and_their_pauses_have_taken_their_whole_time() -> None:
    scenario = fake_scenario()
    whole_s = plan(scenario.at_speed(2)).deadline_s
    known = dict.fromkeys(("one", "two", "three", "four"), (scenario, None))
    entries = timetable(BEGINS, order(day(), 7), known, speed=2.0, reveal=True)
    assert [entry.begins_by for entry in entries] == [
        BEGINS,
        BEGINS + timedelta(seconds=whole_s + 0.5),
        BEGINS + timedelta(seconds=2 * whole_s + 0.5),
    ]


def test_a_kept_surprise_tells_neither_its_name_nor_its_length_nor_what_it_needs() -> None:
    short, long = fake_scenario(), fake_scenario(("rto: 5s", "rto: 15s"))
    names = drawn(["three", "four"], 7)
    for first, second in ((short, long), (long, short)):
        known = {
            "one": (short, None),
            "two": (short, None),
            names[0]: (first, None),
            names[1]: (second, None),
        }
        kept = timetable(BEGINS, order(day(), 7), known)[1]
        assert kept.planned.scenario is None
        assert kept.needs is None
        assert kept.at_most_s == plan(long).deadline_s
        shown = timetable(BEGINS, order(day(), 7), known, reveal=True)[1]
        assert shown.planned.scenario == names[0]
        assert shown.needs is not None
        assert shown.needs.components == ("database",)


def test_what_a_drill_needs_names_the_questions_that_its_runbook_asks(tmp_path: Path) -> None:
    from gameday.commands.gameday_files import load
    from gameday.gamedays.plan import needs
    from gameday.project import Project
    from gamedays.world import small_project

    loaded = load(Project(small_project(tmp_path)), "small")
    found = needs(*loaded.drills["one"])
    assert found.questions == ("Tell the desk",)
    assert found.alert == "it_is_down"
    assert found.fault == "kill database (signal SIGKILL)"
    assert found.probes == ("answers",)
