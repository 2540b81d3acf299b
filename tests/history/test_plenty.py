"""The generator of long histories gives the same drills again; and what a million of them costs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from bench.history import drills, fill
from bench.processes import GAMEDAY, surroundings, timed

from gameday.history import History
from gameday.project import Project
from history.conftest import ROOT
from history.plenty import NEWEST


def test_the_same_seed_gives_the_same_drills_and_another_one_others() -> None:
    first, again, other = (list(drills(200, NEWEST, seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert len({row["drill"] for row, _ in first}) == 200
    assert {row["verdict"] for row, _ in first} == {"PASS", "FAIL", "INCONCLUSIVE"}


def test_they_fill_two_years_the_oldest_first() -> None:
    started = [row["started"] for row, _ in drills(1000, NEWEST)]
    assert started == sorted(started)
    assert NEWEST - timedelta(days=730) <= started[0] < started[-1] < NEWEST


def test_what_was_not_measured_has_no_figure() -> None:
    for row, alerts in drills(300, NEWEST):
        assert row["counted"] == (row["verdict"] != "INCONCLUSIVE") == (row["time_to_recover_s"] is not None)
        expected = next(alert for alert in alerts if alert["expected"])
        assert (row["detected_result"] == "met") == (expected["outcome"] == "fired")


def test_a_history_is_filled_with_them(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    url = f"sqlite:///{tmp_path / 'reports' / 'history.sqlite'}"
    fill(url, 250, NEWEST)
    with History.open(Project(tmp_path), url) as history:
        assert len(history.drills(limit=None)) == 250


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_million_drills_make_a_page_in_bounded_time_and_memory(tmp_path: Path) -> None:
    from bench.history import today

    fill(f"sqlite:///{tmp_path / 'history.sqlite'}", 1_000_000, today())
    env = surroundings(GAMEDAY_REPORTS=str(tmp_path))
    page = timed([GAMEDAY, "history", "page"], cwd=ROOT, env=env, timeout_s=120)
    assert page.rss_mb < 200
    assert page.wall_s < 60
    listed = timed([GAMEDAY, "history", "--limit", "50"], cwd=ROOT, env=env)
    assert len(listed.output.splitlines()) == 51
    assert listed.rss_mb < 200
    assert listed.wall_s < 5
