"""What the database adds up is what anybody would add up from the rows; and the quick list is the list."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from gameday.history import History, figures
from gameday.history.filters import Wanted
from gameday.history.listing import Listed, listed
from gameday.metrics import RECURS_WITHIN_S, Failures
from gameday.project import Project
from gameday.trends import Tally, month_of
from history.plenty import NEWEST, many, one, project_at, store

ROWS = many(1500)


@pytest.fixture(autouse=True)
def _nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GAMEDAY_HISTORY_URL", "GAMEDAY_REPORTS", "GAMEDAY_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = project_at(tmp_path_factory.mktemp("shelf") / "project")
    with History.open(project) as history:
        store(history, ROWS)
    return project


@pytest.fixture
def history(shelf: Project) -> Iterator[History]:
    with History.open(shelf) as opened:
        yield opened


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[History]:
    with History.open(project_at(tmp_path / "project")) as opened:
        yield opened


def tallies_of(history: History, wanted: Wanted) -> list[Tally]:
    with history.reading() as session:
        assert session is not None
        return figures.tallies(session, wanted)[0]


def base(row: dict[str, Any]) -> str:
    return str(row["environment"]).partition("@")[0]


def check_tallies(found: list[Tally], rows: list[dict[str, Any]]) -> None:
    """Against the same sums, made here."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = (month_of(row["started"]), row["scenario"], base(row), row["speed"], row["severity"])
        groups.setdefault(key, []).append(row)
    assert len(found) == len(groups)
    for tally in found:
        mine = groups[tally.month, tally.scenario, tally.environment, tally.speed, tally.severity]
        assert (tally.drills, tally.passed, tally.failed) == (
            len(mine),
            sum(row["verdict"] == "PASS" for row in mine),
            sum(row["verdict"] == "FAIL" for row in mine),
        )
        assert tally.last == max(row["started"] for row in mine)
        measured = [row["mttd_s"] for row in mine if row["mttd_s"] is not None]
        assert tally.mttd.measured == len(measured)
        assert tally.mttd.mean_s == (pytest.approx(mean(measured)) if measured else None)
        assert tally.mttd.most_s == max(measured, default=None)
        assert tally.mttd.met == sum(row["detected_result"] == "met" for row in mine)
        assert tally.mttd.never == sum(
            row["detected_result"] == "missed" and row["mttd_s"] is None for row in mine
        )
        assert tally.time_to_recover.missed == sum(row["recovered_result"] == "missed" for row in mine)
        assert tally.time_to_recover.objective_s == min(row["rto_s"] for row in mine)
        assert tally.data_loss.unknown == sum(row["data_loss_result"] == "unknown" for row in mine)


def test_tallies_are_the_sums_of_the_rows(history: History) -> None:
    check_tallies(tallies_of(history, Wanted()), [row for row, _ in ROWS])


def test_tallies_are_filtered(history: History) -> None:
    since = NEWEST - timedelta(days=200)
    wanted = Wanted("scenario-b", "hotel-local", since=since)
    mine = [
        row
        for row, _ in ROWS
        if row["scenario"] == "scenario-b" and base(row) == "hotel-local" and row["started"] >= since
    ]
    assert mine
    check_tallies(tallies_of(history, wanted), mine)


def test_more_tallies_than_fit_are_cut_and_said_so(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_TALLIES", 5)
    with history.reading() as session:
        assert session is not None
        found, left_out = figures.tallies(session, Wanted())
    assert len(found) == 5
    assert left_out
    assert {tally.month for tally in found} == {"2026-02"}


def check_failures(found: list[Failures], since: datetime | None = None) -> None:
    rows = sorted(
        (row["started"], row["drill"], row)
        for row, _ in ROWS
        if row["verdict"] == "FAIL" and row["speed"] == 1
    )
    failed = [row for _, _, row in rows]
    gaps = {later["drill"]: later["started"] - earlier["started"] for earlier, later in pairwise(failed)}
    again = {
        later["drill"]
        for key in {(row["scenario"], base(row)) for row in failed}
        for earlier, later in pairwise([row for row in failed if (row["scenario"], base(row)) == key])
        if later["started"] - earlier["started"] <= timedelta(seconds=RECURS_WITHIN_S)
    }
    shown = [row for row in failed if since is None or row["started"] >= since]
    assert sum(counted.count for counted in found) == len(shown)
    for counted in found:
        mine = [
            r for r in shown if (month_of(r["started"]), r["severity"]) == (counted.month, counted.severity)
        ]
        with_gap = [gaps[row["drill"]].total_seconds() for row in mine if row["drill"] in gaps]
        assert (counted.count, counted.gaps, counted.recurring) == (
            len(mine),
            len(with_gap),
            sum(row["drill"] in again for row in mine),
        )
        assert counted.gaps_s == pytest.approx(sum(with_gap), abs=0.01)


@pytest.mark.parametrize("since", [None, NEWEST - timedelta(days=100)])
def test_failures_and_the_gaps_before_them(history: History, since: datetime | None) -> None:
    """With `since` too, the gap before the first FAIL reaches to the one before, which is not shown."""
    with history.reading() as session:
        assert session is not None
        check_failures(figures.failures(session, Wanted(since=since)), since)


def test_alerts_are_counted_in_drills_at_the_real_speed_that_say_something(history: History) -> None:
    with history.reading() as session:
        assert session is not None
        found = figures.alerts(session, Wanted())
    outcomes = [
        alert["outcome"] for row, alerts in ROWS if row["counted"] and row["speed"] == 1 for alert in alerts
    ]
    for name in ("fired", "missed", "unexpected", "collateral"):
        assert sum(getattr(one.accuracy, name) for one in found) == outcomes.count(name)


def test_the_candidates_are_the_newest_with_those_that_count_before_them_at_their_speed(
    history: History,
) -> None:
    with history.reading() as session:
        assert session is not None
        found = figures.candidates(session, Wanted(), 10)
    rows = sorted((row for row, _ in ROWS), key=lambda row: (row["started"], row["drill"]), reverse=True)
    for candidate in found:
        newest = candidate.newest
        mine = [row for row in rows if (row["scenario"], base(row)) == (newest.scenario, newest.environment)]
        assert newest.drill == mine[0]["drill"]
        before = [row["drill"] for row in mine[1:] if row["counted"] and row["speed"] == newest.speed]
        assert [one.drill for one in candidate.before][:10] == before[:10]
    assert len(found) == len({(row["scenario"], base(row)) for row in rows})


def test_a_pass_at_speed_keeps_nothing_fresh_unless_asked_for(empty: History) -> None:
    store(empty, [one("a"), one("b", NEWEST + timedelta(days=1), speed=10.0)])
    with empty.reading() as session:
        assert session is not None
        assert figures.last_passes(session, Wanted(), rehearsals=False) == {"database-down": NEWEST}
        assert figures.last_passes(session, Wanted(), rehearsals=True) == {
            "database-down": NEWEST + timedelta(days=1)
        }


# --- the list without SQLAlchemy ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"scenario": "scenario-b"},
        {"environment": "hotel-local"},
        {"environment": "hotel-local@scenario-c"},
        {"verdict": "fail"},
        {"since": NEWEST - timedelta(days=3)},
        {"since": ROWS[-3][0]["started"]},
        {"since": NEWEST.astimezone() - timedelta(days=30), "verdict": "PASS", "environment": "hotel-docker"},
    ],
)
def test_the_quick_list_is_the_list(shelf: Project, history: History, filters: dict[str, Any]) -> None:
    quick = listed(shelf, 50, **filters, environ={})
    slow = history.drills(50, **filters)
    assert quick is not None
    assert len(quick) == len(slow) > 0
    for a, b in zip(quick, slow, strict=True):
        assert [getattr(a, name) for name in Listed.__slots__] == [
            getattr(b, name) for name in Listed.__slots__
        ]


def test_the_quick_list_leaves_to_others_what_it_cannot_answer(shelf: Project, tmp_path: Path) -> None:
    assert listed(shelf, 5, environ={"GAMEDAY_HISTORY_URL": "sqlite:///x"}) is None
    nothing = project_at(tmp_path / "nothing")
    assert listed(nothing, 5, environ={}) is None
    assert not list(nothing.reports.iterdir())
    file = nothing.reports / "history.sqlite"
    for content in (b"", b"no database", b"SQLite format 3\x00" + b"\xff" * 5000):
        file.write_bytes(content)
        assert listed(nothing, 5, environ={}) is None
        assert file.read_bytes() == content


def test_the_quick_list_leaves_older_tables_alone(tmp_path: Path) -> None:
    project = project_at(tmp_path / "project")
    with History.open(project) as history:
        store(history, [one()])
    with closing(sqlite3.connect(project.reports / "history.sqlite")) as connection:
        connection.execute("UPDATE gameday_migrations SET version_num = '0002'")
        connection.commit()
    assert listed(project, 5, environ={}) is None


def test_months_are_those_of_utc(empty: History) -> None:
    store(empty, [one("a", datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)), one("b")])
    assert [tally.month for tally in tallies_of(empty, Wanted())] == ["2026-03", "2026-02"]
