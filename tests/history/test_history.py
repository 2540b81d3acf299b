"""The history of drills: many writers, every kind of trouble, and always the way back from the folders."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from gameday.history import History, HistoryError
from gameday.project import Project
from gameday.record import DrillRecord
from gameday.reporting.history_view import history_json, history_lines, history_table, print_history
from history.writers import NAMES, write_at_once
from reporting import records

WRITERS = 16


@pytest.fixture(autouse=True)
def _no_database_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GAMEDAY_HISTORY_URL", "GAMEDAY_REPORTS", "GAMEDAY_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "environments").mkdir()
    (tmp_path / "reports").mkdir()
    return Project(tmp_path)


@pytest.fixture
def history(project: Project) -> Iterator[History]:
    with History.open(project, busy_timeout_s=1.0) as opened:
        yield opened


def every_kind(project: Project) -> list[DrillRecord]:
    return [make(project.reports / name) for name, make in sorted(records.ALL.items())]


def file_of(project: Project) -> Path:
    return project.reports / "history.sqlite"


# --- what is stored -------------------------------------------------------------------------------------------


def test_a_drill_is_found_with_its_figures(history: History, project: Project) -> None:
    record = records.passed(project.reports / "one")
    history.add(record)
    (row,) = history.drills()
    assert (row.drill, row.scenario, row.environment, row.target) == (
        record.drill, "database-down", "hotel-local", "process",
    )  # fmt: skip
    assert (row.verdict, row.exit_code, row.restored_by, row.rehearsal) == ("PASS", 0, "runbook", None)
    assert row.started == record.started.utc
    assert row.started.tzinfo is UTC
    assert row.mttd_s == pytest.approx(14.2)
    assert row.mttd_resolution_s == pytest.approx(0.1)
    assert row.time_to_recover_s == pytest.approx(17.6)
    assert (row.data_loss_s, row.rto_s, row.severity, row.owner) == (0.0, 900.0, "SEV2", "platform")
    assert row.folder == "one"  # relative: a moved `reports/` keeps its links
    assert history.folder(row) == project.reports / "one"


def test_alerts_are_stored_for_the_coverage_matrix(history: History, project: Project) -> None:
    history.add(records.failed(project.reports / "one"))
    (row,) = history.drills()
    found = {alert.alert: (alert.expected, alert.collateral, alert.fired) for alert in row.alerts}
    assert found == {
        records.ALERT: (True, False, False),
        "high_error_rate": (False, True, False),
        "disk_full": (False, False, True),
    }
    assert next(alert.mttd_s for alert in row.alerts if alert.alert == "disk_full") == pytest.approx(41.4)


def test_what_was_not_measured_is_null_and_never_zero(history: History, project: Project) -> None:
    history.add(records.ineffective(project.reports / "one"))
    (row,) = history.drills()
    assert (row.mttd_s, row.time_to_recover_s, row.data_loss_s, row.restored_by) == (None, None, None, None)


def test_adding_a_drill_again_replaces_it(history: History, project: Project) -> None:
    record = records.passed(project.reports / "one")
    for _ in range(3):
        history.add(record)
    (row,) = history.drills()
    assert len(row.alerts) == 2


def test_no_free_text_of_a_drill_is_stored(history: History, project: Project) -> None:
    folder = records.passing(project.reports / "one")
    folder.add(41.65, records.Kind.LEFTOVERS_CHECKED, ok=True, detail="password=hunter2")
    folder.step(41.66, 41.67, "token hunter2", output="hunter2")
    folder.samples["bookings"].append((41.0, 41.1, False, "hunter2"))
    history.add(folder.write())
    with closing(sqlite3.connect(file_of(project))) as connection:
        assert "hunter2" not in "\n".join(connection.iterdump())


# --- asking ---------------------------------------------------------------------------------------------------


def test_drills_are_filtered_and_the_newest_comes_first(history: History, project: Project) -> None:
    for number in range(5):
        zero = records.ZERO.plus(3600 * number)
        history.add(records.passed(project.reports / f"d{number}", drill=f"d{number}", zero=zero))
    history.add(records.failed(project.reports / "failed"))
    assert [row.drill for row in history.drills(limit=2)] == ["d4", "d3"]
    since = records.ZERO.utc + timedelta(hours=3)
    assert [row.drill for row in history.drills(since=since)] == ["d4", "d3"]
    assert [row.verdict for row in history.drills(verdict="fail")] == ["FAIL"]
    assert len(history.drills(limit=None, scenario="database-down", environment="hotel-local")) == 6
    assert history.drills(scenario="other") == history.drills(environment="other") == ()


def test_instances_and_parts_of_an_environment_are_in_it(history: History, project: Project) -> None:
    for name in ("hotel-local", "hotel-local@database-down", "hotel-local-2"):
        history.add(records.passed(project.reports / name, drill=name, environment=name))
    assert {row.drill for row in history.drills(environment="hotel-local")} == {
        "hotel-local",
        "hotel-local@database-down",
    }
    assert len(history.drills(environment="hotel-local@database-down")) == 1


def test_asking_where_no_drill_ever_ran_leaves_no_file(history: History, project: Project) -> None:
    assert history.drills() == ()
    assert list(project.reports.iterdir()) == []


def test_a_naive_time_is_refused_instead_of_guessed(history: History, project: Project) -> None:
    history.add(records.passed(project.reports / "one"))
    with pytest.raises(HistoryError, match="no time zone"):
        history.drills(since=datetime(2026, 1, 1))  # noqa: DTZ001


# --- several writers ------------------------------------------------------------------------------------------


def test_sixteen_writers_at_once_lose_nothing_and_store_nothing_twice(
    history: History, project: Project
) -> None:
    write_at_once(project)
    rows = history.drills(limit=None)
    names = [row.drill for row in rows]
    assert len(names) == len(NAMES)
    assert set(names) == NAMES
    assert all(len(row.alerts) == 2 for row in rows)


# --- trouble --------------------------------------------------------------------------------------------------


def test_a_locked_database_is_a_warning_within_the_time_out(history: History, project: Project) -> None:
    record = records.passed(project.reports / "one")
    history.add(record)
    with closing(sqlite3.connect(file_of(project), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryError, match=r"database is locked.*rebuild"):
            history.add(record)
        other.execute("ROLLBACK")
    history.add(record)


def test_a_new_database_that_is_locked_is_a_warning_too(history: History, project: Project) -> None:
    record = records.passed(project.reports / "one")
    with closing(sqlite3.connect(file_of(project), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryError, match="database is locked"):
            history.add(record)


def test_a_full_database_is_a_warning_and_keeps_what_it_had(history: History, project: Project) -> None:
    from sqlalchemy import event

    history.add(records.passed(project.reports / "one"))

    def no_more_pages(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count=1")

    event.listen(history._engine, "connect", no_more_pages)
    drills = [records.passed(project.reports / f"d{n}", drill=f"d{n}-{'x' * 150}") for n in range(30)]

    def add_all() -> None:
        for record in drills:
            history.add(record)

    with pytest.raises(HistoryError, match="full"):
        add_all()
    assert "20260302T090000Z-database-down-a1b2c3" in {row.drill for row in history.drills(limit=None)}


@pytest.mark.parametrize(
    "content", [b"this is no database at all " * 100, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_damaged_file_is_a_warning_and_rebuild_finds_every_folder(
    history: History, project: Project, content: bytes
) -> None:
    drills = every_kind(project)
    file_of(project).write_bytes(content)
    with pytest.raises(HistoryError, match="rebuild"):
        history.add(drills[0])
    with pytest.raises(HistoryError, match="rebuild"):
        history.drills()
    rebuilt = history.rebuild()
    assert (rebuilt.found, rebuilt.indexed, rebuilt.skipped) == (len(drills), len(drills), ())
    assert rebuilt.moved_aside is not None
    assert rebuilt.moved_aside.read_bytes() == content
    assert {row.drill for row in history.drills()} == {record.drill for record in drills}


def test_pages_damaged_in_the_middle_are_noticed_by_rebuild(history: History, project: Project) -> None:
    for number in range(30):
        history.add(records.passed(project.reports / f"d{number}", drill=f"d{number}"))
    with closing(sqlite3.connect(file_of(project))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = file_of(project).stat().st_size
    with file_of(project).open("r+b") as file:
        file.seek(8192)
        file.write(b"\xde\xad" * ((size - 8192) // 2))
    rebuilt = history.rebuild()
    assert rebuilt.why is not None
    assert rebuilt.why.startswith("damaged")
    assert len(history.drills()) == 30


def test_a_database_of_another_version_is_named_and_rebuilt(history: History, project: Project) -> None:
    record = records.passed(project.reports / "one")
    history.add(record)
    with closing(sqlite3.connect(file_of(project))) as connection:
        connection.execute("UPDATE gameday_migrations SET version_num = '9999'")
        connection.commit()
    with pytest.raises(HistoryError, match="version 9999"):
        history.add(record)
    assert history.rebuild().why == "of version 9999"
    assert len(history.drills()) == 1


def test_rebuild_of_a_locked_database_moves_nothing_aside(history: History, project: Project) -> None:
    history.add(records.passed(project.reports / "one"))
    with closing(sqlite3.connect(file_of(project), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryError, match="locked"):
            history.rebuild()
    assert [path.name for path in project.reports.glob("*.unusable")] == []


def test_reports_that_cannot_be_a_folder_are_a_warning(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    record = records.passed(tmp_path / "drill")
    with History.open(Project(tmp_path)) as history, pytest.raises(HistoryError):
        history.add(record)


def test_an_unreachable_postgresql_is_a_warning_without_its_password(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    url = "postgresql://drills:hunter2@127.0.0.1:9/none"
    with History.open(Project(tmp_path), url) as history, pytest.raises(HistoryError) as caught:
        history.add(record)
    assert "postgresql" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense hunter2", "mysql://u:hunter2@h/d", "sqlite+nothing:///x"])
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(HistoryError) as caught:
        History.open(Project(tmp_path), url)
    assert "hunter2" not in str(caught.value)


# --- rebuild --------------------------------------------------------------------------------------------------


def test_rebuild_finds_what_add_never_saw_and_keeps_what_has_no_folder(
    history: History, project: Project
) -> None:
    drills = every_kind(project)
    history.add(drills[0])
    shutil.rmtree(drills[0].folder)
    rebuilt = history.rebuild()
    assert rebuilt.found == rebuilt.indexed == len(drills) - 1
    assert rebuilt.moved_aside is None
    assert {row.drill for row in history.drills()} == {record.drill for record in drills}


def test_damaged_folders_are_skipped_and_named_with_the_reason(history: History, project: Project) -> None:
    good = records.passed(project.reports / "good")
    (project.reports / "empty").mkdir()
    half = records.failed(project.reports / "half")
    (half.folder / "scenario.yaml").unlink()
    torn = records.aborted(project.reports / "torn")
    lines = (torn.folder / "timeline.jsonl").read_text().splitlines()
    (torn.folder / "timeline.jsonl").write_text("\n".join(["{", *lines]))
    strange = records.blind(project.reports / "strange")
    first, *rest = (strange.folder / "timeline.jsonl").read_text().splitlines()
    started = json.loads(first)
    started["data"]["speed"] = {}
    (strange.folder / "timeline.jsonl").write_text("\n".join([json.dumps(started), *rest]))
    (project.reports / "a-file.txt").write_text("not a folder")
    rebuilt = history.rebuild()
    assert rebuilt.found == 5
    assert rebuilt.indexed == 1
    reasons = {skipped.folder.name: skipped.reason for skipped in rebuilt.skipped}
    assert set(reasons) == {"empty", "half", "torn", "strange"}
    assert "timeline.jsonl" in reasons["empty"]
    assert "scenario.yaml" in reasons["half"]
    assert "timeline.jsonl:1" in reasons["torn"]
    assert reasons["strange"]
    assert [row.drill for row in history.drills()] == [good.drill]


def test_rebuild_of_nothing_finds_nothing(history: History, project: Project) -> None:
    shutil.rmtree(project.reports)
    assert history.rebuild().found == 0


# --- shown ----------------------------------------------------------------------------------------------------


def test_the_table_has_verdict_figures_and_the_mark_of_a_rehearsal(
    history: History, project: Project
) -> None:
    for record in every_kind(project):
        history.add(record)
    for width in (80, 120):
        console = Console(width=width, file=io.StringIO())
        console.print(history_table(history.drills(), width))
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        assert "…" not in text
        for words in (
            "✓ PASS",
            "✗ FAIL",
            "? INCONCLUSIVE",
            "14.20 ±0.10 s",
            "5m07s",
            "rehearsal x10",
            "runbook",
        ):
            assert words in text


def test_a_pipe_gets_one_tab_separated_line_for_each_drill(
    history: History, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for record in every_kind(project):
        history.add(record)
    rows = history.drills()
    lines = history_lines(rows).splitlines()
    assert len(lines) == len(rows) + 1
    assert {line.count("\t") for line in lines} == {9}
    print_history(rows)
    assert capsys.readouterr().out.splitlines() == lines


def test_json_has_every_column_and_the_alerts(history: History, project: Project) -> None:
    history.add(records.rehearsed(project.reports / "one"))
    (value,) = json.loads(history_json(history.drills()))
    assert value["rehearsal"] == "rehearsal at 10 times speed"
    assert value["started"] == "2026-03-02T09:00:00+00:00"
    assert value["alerts"][0]["alert"] == records.ALERT


# --- coverage -------------------------------------------------------------------------------------------------


def test_what_became_of_each_alert_is_kept(history: History, project: Project) -> None:
    for record in every_kind(project):
        history.add(record)
    rows = {row.folder: row for row in history.drills(limit=None)}
    outcomes = {name: {alert.alert: alert.outcome for alert in row.alerts} for name, row in rows.items()}
    assert outcomes["passed"][records.ALERT] == "fired"
    assert outcomes["failed"] == {
        records.ALERT: "missed", "high_error_rate": "quiet", "disk_full": "unexpected",
    }  # fmt: skip
    assert outcomes["blind"][records.ALERT] == "unknown"
    assert rows["passed"].counted
    for name in ("aborted", "ineffective", "broken_off"):
        assert not rows[name].counted, name


def test_tallies_count_by_rules_file_for_the_environment_and_its_instances(
    history: History, project: Project
) -> None:
    for record in (
        records.passed(project.reports / "one", environment="hotel-local@blue"),
        records.failed(project.reports / "two"),
        records.ineffective(project.reports / "three"),
        records.passed(project.reports / "four", drill="elsewhere", environment="hotel-local-2"),
    ):
        history.add(record)
    ((rules, tallies),) = history.tallies("hotel-local").items()
    assert rules is None, "these records name no rules file"
    (drills,) = tallies.drills
    assert (drills.drills, drills.counted, drills.passed, drills.rehearsals) == (3, 2, 1, 0)
    found = {(tally.alert, tally.outcome.value): tally.drills for tally in tallies.alerts}
    assert found[records.ALERT, "fired"] == found[records.ALERT, "missed"] == 1
    assert found["disk_full", "unexpected"] == 1
    assert history.tallies("hotel") == {}, "a name that merely begins alike is another environment"


def test_tallies_of_nothing_are_nothing_and_leave_no_file(history: History, project: Project) -> None:
    assert history.tallies("hotel-local") == {}
    assert list(project.reports.iterdir()) == []


def test_an_index_of_the_first_version_is_brought_up_to_date_and_keeps_what_has_no_folder(
    history: History, project: Project
) -> None:
    kept = records.failed(project.reports / "kept").drill
    history.add(records.failed(project.reports / "gone"))
    with closing(sqlite3.connect(file_of(project))) as connection:
        connection.execute("UPDATE gameday_drill_alerts SET drill = 'gone'")
        connection.execute("UPDATE gameday_drills SET drill = 'gone'")
        connection.commit()
    shutil.rmtree(project.reports / "gone")
    history.rebuild()
    to_version_1(file_of(project))

    rows = {row.drill: row for row in history.drills()}

    assert set(rows) == {kept, "gone"}
    assert {alert.outcome for alert in rows[kept].alerts} == {"missed", "quiet", "unexpected"}
    assert {alert.outcome for alert in rows["gone"].alerts} == {"unknown", "quiet", "unexpected"}
    assert (rows[kept].counted, rows["gone"].counted) == (True, False)
    history.add(records.passed(project.reports / "new", drill="new"))
    assert len(history.drills()) == 3


def test_an_index_from_before_migrations_is_taken_over_and_learns_the_reasons(
    history: History, project: Project
) -> None:
    record = records.failed(project.reports / "one")
    history.add(record)
    to_version_2(file_of(project))
    (row,) = history.drills()
    assert row.reasons == list(record.verdict.reasons)
    with closing(sqlite3.connect(file_of(project))) as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    assert "gameday_schema" not in tables


def test_tables_without_results_learn_them_from_the_folders(history: History, project: Project) -> None:
    history.add(records.failed(project.reports / "kept"))
    gone = records.passed(project.reports / "gone", drill="gone")
    history.add(gone)
    shutil.rmtree(gone.folder)
    with closing(sqlite3.connect(file_of(project))) as connection:
        for column in ("detected_result", "recovered_result", "data_loss_result"):
            connection.execute(f"ALTER TABLE gameday_drills DROP COLUMN {column}")
        connection.execute("UPDATE gameday_migrations SET version_num = '0002'")
        connection.commit()
    rows = {row.folder: row for row in history.drills()}
    kept = rows["kept"]
    assert (kept.detected_result, kept.recovered_result, kept.data_loss_result) == ("missed", "met", "met")
    assert (rows["gone"].detected_result, rows["gone"].mttd_s) == (None, pytest.approx(14.2))


def test_a_version_from_before_migrations_that_nobody_knows_is_refused(
    history: History, project: Project
) -> None:
    record = records.passed(project.reports / "one")
    history.add(record)
    to_version_2(file_of(project))
    with closing(sqlite3.connect(file_of(project))) as connection:
        connection.execute("UPDATE gameday_schema SET version = 99")
        connection.commit()
    with pytest.raises(HistoryError, match="version before 99"):
        history.add(record)


def test_folders_of_runs_are_no_damaged_drills(history: History, project: Project) -> None:
    (project.reports / "20260302T090000Z-run").mkdir()
    (project.reports / "20260302T090000Z-run-2").mkdir()
    assert history.rebuild().found == 0


def to_version_1(path: Path) -> None:
    """What the first version had: no migrations, no outcomes or reasons, and nothing empty."""
    to_version_2(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE gameday_drill_alerts DROP COLUMN outcome")
        connection.execute("ALTER TABLE gameday_drills DROP COLUMN rules")
        connection.execute("ALTER TABLE gameday_drills DROP COLUMN counted")
        connection.execute("UPDATE gameday_schema SET version = 1")
        connection.commit()


def to_version_2(path: Path) -> None:
    """What there was before migrations: a version in a table of one row, and no evidence."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE gameday_migrations")
        connection.execute("DROP TABLE gameday_evidence_files")
        for column in ("reasons", "detected_result", "recovered_result", "data_loss_result"):
            connection.execute(f"ALTER TABLE gameday_drills DROP COLUMN {column}")
        connection.execute("CREATE TABLE gameday_schema (version INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO gameday_schema VALUES (2)")
        connection.commit()
