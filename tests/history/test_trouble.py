"""A database can never hurt a drill: whole drills with a history that is locked, full or damaged."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gameday.history import History
from gameday.project import Project
from history.shop import digests, gameday, write_project
from history.writers import NAMES, write_at_once

_FULL = """
import sys
from sqlalchemy import Engine, event
@event.listens_for(Engine, "connect")
def no_more_pages(connection, _record):
    connection.execute("PRAGMA max_page_count=1")
sys.argv = ["gameday", *sys.argv[1:]]
from gameday.__main__ import main
main()
"""
Done = subprocess.CompletedProcess[str]
RUN = ("run", "--yes", "-e", "fake", "instant")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("GAMEDAY_HISTORY_URL", "GAMEDAY_REPORTS", "GAMEDAY_PROJECT", "GAMEDAY_STATE"):
            monkeypatch.delenv(name, raising=False)
        return write_project(tmp_path_factory.mktemp("trouble") / "shop")


@pytest.fixture(scope="module")
def usual(shop: Path) -> set[str]:
    """The files of a drill that nothing happened to."""
    done = gameday(shop, *RUN, GAMEDAY_REPORTS=str(shop / "usual"))
    assert (done.returncode, "warning" in done.stderr) == (0, False), done.stderr
    return set(digests(folder_of(shop / "usual")))


def folder_of(reports: Path) -> Path:
    (folder,) = (path.parent for path in reports.glob("*/timeline.jsonl"))
    return folder


def locked(shop: Path, reports: Path) -> Done:
    reports.mkdir()
    with closing(sqlite3.connect(reports / "history.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        return gameday(shop, *RUN, GAMEDAY_REPORTS=str(reports))


def locked_with_tables(shop: Path, reports: Path) -> Done:
    reports.mkdir()
    with History.open(Project(shop, reports_folder=reports)) as history:
        history.rebuild()
        history._prepare()
    with closing(sqlite3.connect(reports / "history.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        return gameday(shop, *RUN, GAMEDAY_REPORTS=str(reports))


def full(shop: Path, reports: Path) -> Done:
    """SQLite may take no more pages than the file has."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GAMEDAY_")}
    return subprocess.run(
        [sys.executable, "-c", _FULL, *RUN],
        cwd=shop,
        env={**env, "GAMEDAY_REPORTS": str(reports)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def damaged(shop: Path, reports: Path) -> Done:
    reports.mkdir()
    (reports / "history.sqlite").write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    return gameday(shop, *RUN, GAMEDAY_REPORTS=str(reports))


def no_file_at_all(shop: Path, reports: Path) -> Done:
    (reports / "history.sqlite").mkdir(parents=True)
    done = gameday(shop, *RUN, GAMEDAY_REPORTS=str(reports))
    (reports / "history.sqlite").rmdir()
    return done


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (locked, "database is locked"),
        (locked_with_tables, "database is locked"),
        (full, "full"),
        (damaged, "not in the history"),
        (no_file_at_all, "unable to open database file"),
    ],
)
def test_the_drill_passes_its_folder_is_complete_and_rebuild_finds_it(
    shop: Path, usual: set[str], tmp_path: Path, trouble: Callable[[Path, Path], Done], words: str
) -> None:
    reports = tmp_path / "reports"
    done = trouble(shop, reports)
    assert done.returncode == 0, done.stderr
    assert "warning: not in the history" in done.stderr
    assert words in done.stderr
    folder = folder_of(reports)
    assert set(digests(folder)) == usual
    assert json.loads((folder / "verdict.json").read_text(encoding="utf-8"))["verdict"] == "PASS"

    before = digests(folder)
    rebuilt = gameday(shop, "history", "rebuild", GAMEDAY_REPORTS=str(reports))
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert "1 of 1 drills indexed" in rebuilt.stdout
    listed = gameday(shop, "history", GAMEDAY_REPORTS=str(reports))
    assert [line.split("\t")[-1] for line in listed.stdout.splitlines()[1:]] == [folder.name]
    assert digests(folder) == before


def test_sixteen_writers_at_once_into_a_history_that_is_made_anew_meanwhile(tmp_path: Path) -> None:
    """Readers and rebuilders beside them neither lose nor double a drill."""
    (tmp_path / "environments").mkdir()
    (tmp_path / "reports").mkdir()
    project = Project(tmp_path)
    beside = subprocess.Popen(
        [sys.executable, "-c", _BESIDE, str(tmp_path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        write_at_once(project)
    finally:
        rounds, _ = beside.communicate("done", timeout=60)
    assert beside.returncode == 0
    assert int(rounds) > 0
    with History.open(project) as history:
        found = [row.drill for row in history.drills(limit=None)]
    assert sorted(found) == sorted(NAMES)


_BESIDE = """
import os, select, sys
from pathlib import Path
from gameday.history import History, figures
from gameday.history.filters import Wanted
from gameday.project import Project
os.environ.pop("GAMEDAY_REPORTS", None)
rounds = 0
with History.open(Project(Path(sys.argv[1]))) as history:
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        history.rebuild()
        rows = history.drills(limit=None)
        assert len(rows) == len({row.drill for row in rows})
        assert all(len(row.alerts) == 2 for row in rows)
        with history.reading() as session:
            if session is not None:
                figures.tallies(session, Wanted())
        rounds += 1
print(rounds)
"""
