"""Numbers of incidents: each given once, whoever else writes, and whatever dies in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from gameday.errors import InvalidFile, UsageError
from gameday.incidents import store
from gameday.incidents.model import Response
from gameday.incidents.people import with_draft
from gameday.incidents.store import IncidentError, Incidents, Stored
from incidents.writers import DAY, make

WRITERS = Path(__file__).parent / "writers.py"


def start(reports: Path, first: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITERS), str(reports), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(processes: list[subprocess.Popen[str]]) -> list[list[str]]:
    found = []
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        found += [line.split() for line in out.splitlines()]
    return found


def test_processes_that_write_at_once_get_numbers_of_their_own_without_a_gap(tmp_path: Path) -> None:
    lines = said([start(tmp_path, first, 10) for first in range(0, 80, 10)])
    numbers = sorted(incident for _, incident, _ in lines)
    assert numbers == [f"INC-20260302-{number:03d}" for number in range(1, 81)]
    assert {new for _, _, new in lines} == {"True"}
    assert [
        one.incident.incident_id for one in Incidents(tmp_path).all() if isinstance(one, Stored)
    ] == numbers[::-1]


def test_a_drill_that_several_report_is_one_incident(tmp_path: Path) -> None:
    lines = said([start(tmp_path, 7, 1) for _ in range(6)])
    assert {incident for _, incident, _ in lines} == {"INC-20260302-001"}
    assert sorted(new for _, _, new in lines) == ["False"] * 5 + ["True"]


def test_a_writer_that_is_killed_leaves_no_half_of_an_incident(tmp_path: Path) -> None:
    """Its number may be lost; the next one is another, and whoever reads sees whole records."""
    process = start(tmp_path, 0, 10_000)
    until = time.monotonic() + 60
    while len(list((tmp_path / "incidents").glob("INC-*"))) < 20 and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    incidents = Incidents(tmp_path)
    whole = list(incidents.all())
    assert len(whole) >= 19
    assert all(isinstance(one, Stored) for one in whole)
    stored, new = incidents.create("after", DAY, make)
    assert new
    assert stored.folder.name not in {one.folder.name for one in whole if isinstance(one, Stored)}


def test_a_number_that_was_taken_by_a_folder_without_a_record_is_not_given_again(tmp_path: Path) -> None:
    (tmp_path / "incidents" / "INC-20260302-004").mkdir(parents=True)
    stored, _ = Incidents(tmp_path).create("drill", DAY, make)
    assert stored.incident.incident_id == "INC-20260302-005"
    assert [one for one in Incidents(tmp_path).all()] == [stored]  # noqa: C416 - an iterator


def test_a_number_that_appears_meanwhile_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By somebody on a file system that keeps no lock."""
    (tmp_path / "incidents" / "INC-20260302-001").mkdir(parents=True)
    incidents = Incidents(tmp_path)
    monkeypatch.setattr(incidents, "_numbered", list)
    assert incidents.create("drill", DAY, make)[0].incident.incident_id == "INC-20260302-002"


def test_each_day_counts_from_one_and_beyond_999(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path)
    (tmp_path / "incidents" / "INC-20260302-999").mkdir(parents=True)
    names = [incidents.create(f"d{n}", DAY, make)[0].incident.incident_id for n in range(2)]
    names.append(incidents.create("other", DAY + timedelta(days=1), make)[0].incident.incident_id)
    assert names == ["INC-20260302-1000", "INC-20260302-1001", "INC-20260303-001"]
    found = [one.incident.incident_id for one in incidents.all() if isinstance(one, Stored)]
    assert found == names[::-1]


def test_an_incident_is_found_by_its_number_its_end_its_drill_or_as_the_latest(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path)
    first, _ = incidents.create("first", DAY, make)
    second, _ = incidents.create("second", DAY, make)
    for reference in ("INC-20260302-001", "001", "first"):
        assert incidents.find(reference) == first
    assert incidents.find("latest") == second
    for reference, how_many in (("absent", "none"), ("INC", "none"), ("0", "none")):
        with pytest.raises(UsageError, match=f"'{reference}': {how_many} of the 2 incidents"):
            incidents.find(reference)
    incidents.create("third", DAY + timedelta(days=1), make)
    with pytest.raises(UsageError, match="'001': several of the 3 incidents"):
        incidents.find("001")


def test_a_drill_s_name_is_never_a_path(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path / "reports")
    incidents.create("../../evil", DAY, make)
    assert incidents.of_drill("../../evil") is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports"]


def test_whoever_waits_for_others_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LOCK_TIMEOUT_S", 0.1)
    (tmp_path / "incidents").mkdir()
    with (
        FileLock(tmp_path / "incidents" / ".lock"),
        pytest.raises(IncidentError, match="others have been writing"),
    ):
        Incidents(tmp_path).create("drill", DAY, make)


def test_a_damaged_record_is_named_and_hides_no_other(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path)
    good, _ = incidents.create("good", DAY, make)
    bad, _ = incidents.create("bad", DAY, make)
    (bad.folder / "incident.json").write_text('{"incident_id": "INC-20260302-002"}')
    found = list(incidents.all())
    assert found[1] == good
    assert isinstance(found[0], InvalidFile)
    assert "INC-20260302-002:1: not an incident's record" in str(found[0])


def test_a_draft_is_marked_in_what_lies_on_disk(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path)
    stored, _ = incidents.create("drill", DAY, make)
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert incidents.change(stored, lambda one: with_draft(one, at)) == incidents.find("latest")
    assert incidents.find("latest").response.lifecycle[0].at == at


def test_a_change_is_made_to_what_lies_on_disk_by_now_and_one_that_is_refused_writes_nothing(
    tmp_path: Path,
) -> None:
    incidents = Incidents(tmp_path)
    stored, _ = incidents.create("drill", DAY, make)
    incidents.change(stored, lambda one: with_draft(one, DAY))
    response = incidents.change(stored, lambda one: one.model_copy(update={"owner": "others"})).response
    assert (response.owner, response.lifecycle[0].at) == ("others", DAY)

    def refused(response: Response) -> Response:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        incidents.change(stored, refused)
    assert incidents.find("latest").response == response
