"""Evidence in a database at a URL: whole or not at all, the same bytes again, and never in the way of a drill."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gameday.history import History, HistoryError, evidence_files
from gameday.history.connect import open_engine
from gameday.history.migrate import HEAD, VERSION_TABLE, ensure_schema
from gameday.history.model import Base
from gameday.project import Project
from gameday.reporting.write import write_reports
from history.shop import digests, gameday, write_project
from reporting import records


@pytest.fixture(autouse=True)
def _nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GAMEDAY_HISTORY_URL", "GAMEDAY_REPORTS", "GAMEDAY_PROJECT", "GAMEDAY_STATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "environments").mkdir()
    (tmp_path / "reports").mkdir()
    return Project(tmp_path)


@pytest.fixture
def team(tmp_path: Path) -> Path:
    return tmp_path / "team.sqlite"


@pytest.fixture
def history(project: Project, team: Path) -> Iterator[History]:
    with History.open(project, f"sqlite:///{team}", busy_timeout_s=1.0) as opened:
        yield opened


# --- there and back -------------------------------------------------------------------------------------------


def test_a_folder_comes_back_byte_for_byte(history: History, project: Project, tmp_path: Path) -> None:
    record = records.passed(project.reports / "one")
    write_reports(record)
    (record.folder / "engine.log").write_bytes(bytes(range(256)) * 500)
    (record.folder / "empty").touch()
    history.add(record)

    files = history.fetch(record.drill, tmp_path / "fetched")

    assert {"verdict.json", "timeline.jsonl", "report.html", "samples/bookings.csv"} < {
        file.name for file in files
    }
    assert (
        digests(tmp_path / "fetched") == digests(record.folder) == {file.name: file.sha256 for file in files}
    )
    (row,) = history.drills()
    assert row.reasons == list(record.verdict.reasons)
    assert not (project.reports / "history.sqlite").exists()


def test_adding_again_stores_what_changed_and_forgets_what_is_gone(
    history: History, project: Project, tmp_path: Path
) -> None:
    record = records.passed(project.reports / "one")
    (record.folder / "report.md").write_text("first")
    (record.folder / "extra").write_text("gone soon")
    history.add(record)
    (record.folder / "report.md").write_text("second")
    (record.folder / "extra").unlink()
    history.add(record)
    history.add(record)
    assert len(history.drills()) == 1
    history.fetch(record.drill, tmp_path / "fetched")
    assert digests(tmp_path / "fetched") == digests(record.folder)


def test_links_and_files_in_the_making_are_no_evidence(history: History, project: Project) -> None:
    record = records.passed(project.reports / "one")
    (record.folder / ".report.md.1.tmp").write_text("half")
    (record.folder / "passwd").symlink_to("/etc/passwd")
    history.add(record)
    assert {file.name for file in history.files(record.drill)} == digests(record.folder).keys() - {
        "passwd",
        ".report.md.1.tmp",
    }


def test_the_file_beside_the_reports_is_their_index_alone(project: Project) -> None:
    record = records.passed(project.reports / "one")
    with History.open(project) as history:
        history.add(record)
        assert history.files(record.drill) == ()
        with pytest.raises(HistoryError, match="no files of"):
            history.fetch(record.drill, project.root / "fetched")


def test_a_drill_is_found_by_the_end_of_its_name_or_as_the_latest(history: History, project: Project) -> None:
    for number in range(3):
        zero = records.ZERO.plus(3600 * number)
        history.add(records.passed(project.reports / f"d{number}", drill=f"2026-d{number}-x", zero=zero))
    assert history.find("d1-x").drill == "2026-d1-x"
    assert history.find("latest").drill == "2026-d2-x"
    for strange in ("-x", "nothing", "%"):
        with pytest.raises(HistoryError, match="drills in the history"):
            history.find(strange)


# --- all of it or nothing -------------------------------------------------------------------------------------


def test_a_drill_of_which_one_file_cannot_be_stored_is_not_there_at_all(
    history: History, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = records.passed(project.reports / "one")
    (record.folder / "zz.log").write_bytes(b"x" * 200_000)
    monkeypatch.setattr(evidence_files, "LARGEST", 100_000)
    with pytest.raises(HistoryError, match=r"zz\.log has 200,000 bytes"):
        history.add(record)
    assert history.drills() == ()
    assert history.files(record.drill) == ()


def test_what_was_damaged_in_the_database_is_not_given_out(
    history: History, project: Project, team: Path
) -> None:
    record = records.passed(project.reports / "one")
    history.add(record)
    with closing(sqlite3.connect(team)) as connection:
        other = zlib.compress(b"another timeline")
        connection.execute(
            "UPDATE gameday_evidence_files SET content = ? WHERE name = 'timeline.jsonl'", (other,)
        )
        connection.commit()
    with pytest.raises(HistoryError, match=r"timeline\.jsonl is damaged"):
        history.fetch(record.drill, project.root / "fetched")
    assert not (project.root / "fetched").exists()
    assert not list(project.root.glob(".fetched*"))


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "samples/../../outside", ""])  # noqa: S108
def test_a_name_that_leads_out_of_the_folder_is_refused(
    history: History, project: Project, team: Path, name: str
) -> None:
    record = records.passed(project.reports / "one")
    history.add(record)
    with closing(sqlite3.connect(team)) as connection:
        connection.execute("UPDATE gameday_evidence_files SET name = ? WHERE name = 'scenario.yaml'", (name,))
        connection.commit()
    with pytest.raises(HistoryError, match="which is none of an evidence folder"):
        history.fetch(record.drill, project.root / "fetched")
    assert not (project.root / "outside").exists()


def test_a_folder_that_holds_something_is_left_alone(history: History, project: Project) -> None:
    record = records.passed(project.reports / "one")
    history.add(record)
    with pytest.raises(HistoryError, match="not empty"):
        history.fetch(record.drill, record.folder)


# --- tables ---------------------------------------------------------------------------------------------------


def test_migrations_make_what_the_model_says(team: Path) -> None:
    from sqlalchemy.engine import make_url

    database = open_engine(make_url(f"sqlite:///{team}"), 1.0)
    assert ensure_schema(database, 1.0) is False
    with database.connect() as connection:
        ours = {"include_object": lambda _object, name, *_: name != VERSION_TABLE}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **ours})
        assert compare_metadata(context, Base.metadata) == []


def test_the_version_of_this_gameday_is_the_last_migration() -> None:
    scripts = ScriptDirectory(str(Path(evidence_files.__file__).parent / "migrations"))
    assert scripts.get_heads() == [HEAD]


def test_a_migration_that_fails_leaves_what_was_there(history: History, project: Project, team: Path) -> None:
    record = records.passed(project.reports / "one")
    history.add(record)
    with closing(sqlite3.connect(team)) as connection:
        connection.execute("UPDATE gameday_migrations SET version_num = '0001'")  # and its tables are of 0002
        connection.commit()
        before = list(connection.iterdump())
    with pytest.raises(HistoryError, match="duplicate column"):
        history.add(record)
    with closing(sqlite3.connect(team)) as connection:
        assert list(connection.iterdump()) == before


# --- the commands ---------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with a drill in which nothing takes time."""
    return write_project(tmp_path / "shop")


def test_a_database_that_is_away_costs_a_warning_and_the_drill_is_added_later(
    shop: Path, tmp_path: Path
) -> None:
    away = "postgresql://drills:hunter2@127.0.0.1:9/none"
    done = gameday(shop, "run", "--yes", "-e", "fake", "--history", away, "instant")
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"warning: not in the history: .*`gameday history add (\S+)` stores this one", done.stderr
    )
    assert found, done.stderr
    assert "hunter2" not in done.stderr + done.stdout

    url = f"sqlite:///{tmp_path / 'team.sqlite'}"
    added = gameday(shop, "history", "add", found[1], GAMEDAY_HISTORY_URL=url)
    assert added.returncode == 0, added.stdout
    again = gameday(shop, "history", "add", found[1], "reports/nothing", GAMEDAY_HISTORY_URL=url)
    assert (again.returncode, "reports/nothing: not stored" in again.stdout) == (3, True)
    (row,) = json.loads(gameday(shop, "history", "list", "--history", url, "-o", "json").stdout)
    assert (row["verdict"], row["exit_code"], row["reasons"]) == ("PASS", 0, [])


def test_a_report_is_fetched_where_its_folder_is_gone(shop: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'team.sqlite'}"
    done = gameday(shop, "run", "--yes", "-e", "fake", "instant", GAMEDAY_HISTORY_URL=url)
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in (shop / "reports").glob("*/timeline.jsonl"))
    before = digests(folder)
    shutil.rmtree(folder)

    shown = gameday(shop, "show", folder.name[-6:], "--history", url)
    assert "PASS" in shown.stdout, shown.stderr
    assert not folder.exists()
    fetched = gameday(shop, "show", "latest", "--history", url, "--to", str(tmp_path / "to"), "-o", "json")
    assert json.loads(fetched.stdout)["verdict"] == "PASS"
    assert digests(tmp_path / "to") == before
    assert gameday(shop, "show", "latest", "--history", url, "--to", str(tmp_path / "to")).returncode == 2


def test_a_report_in_its_folder_is_shown_and_copied_without_a_database(shop: Path, tmp_path: Path) -> None:
    assert gameday(shop, "run", "--yes", "-e", "fake", "instant").returncode == 0
    (folder,) = (path.parent for path in (shop / "reports").glob("*/timeline.jsonl"))
    assert gameday(shop, "show", "--to", str(tmp_path / "to")).returncode == 0
    assert digests(tmp_path / "to") == digests(folder)
