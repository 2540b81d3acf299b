"""The automatic part of the checklist: each thing that must stop a game day does, and nothing is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from core.good_files import broken
from core.worlds import fake_target
from gameday.commands import gameday_files
from gameday.gamedays.entries import Checked
from gameday.gamedays.readiness import Surroundings, automatic_checks, roles_filled
from gameday.journal import Holder, UndoLog
from gameday.lock import DrillLock
from gameday.project import Project
from gameday.runbook.manual import AnsweredManual, Manual, NoManual
from gamedays.world import STARTED, small_project

ASKED = AnsweredManual({"Tell the desk": True})


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    found = Project(small_project(tmp_path))
    yield found
    assert not found.reports.exists(), "no drill"
    assert not list((found.state / "undo").glob("*")), "and nothing to undo"


def checked(project: Project, manual: Manual = ASKED) -> dict[str, Checked]:
    loaded = gameday_files.load(project, "small")
    scenarios = tuple(scenario for scenario, _ in loaded.drills.values())
    around = Surroundings(project, loaded.environment, loaded.instance, scenarios, 1.0, manual)
    return {check.check: check for check in automatic_checks(around, patience_s=1.5)}


def refused(found: dict[str, Checked]) -> dict[str, str]:
    return {name: check.detail for name, check in found.items() if not check.ok}


def test_a_quiet_place_is_a_go_in_all_respects(project: Project) -> None:
    found = checked(project)
    assert refused(found) == {}
    assert list(found) == ["permission", "lock", "leftovers", "targets", "steady state", "runbooks"]
    assert found["steady state"].detail == "answers hold; no alert fires"


def test_what_is_down_is_a_no_go_and_its_answers_are_not_waited_for(project: Project) -> None:
    fake_target(project.root).stop("database", 1)
    found = checked(project)
    assert "one: not everything runs before the drill: database is down" in refused(found)["targets"]
    assert "steady state" not in found


def test_another_drill_there_is_a_no_go_that_names_it(project: Project) -> None:
    lock = DrillLock(project.state, "fake")
    lock.acquire("20261210T090000Z-one-abc", "one")
    try:
        assert "drill 20261210T090000Z-one-abc runs there" in refused(checked(project))["lock"]
    finally:
        lock.release()


def test_what_an_earlier_drill_has_left_is_a_no_go(project: Project) -> None:
    header = {"instance": "fake", "holder": asdict(Holder.me())}
    log = UndoLog.create(project.state / "undo", "20261210T090000Z-one-abc", header)
    assert "has not put everything back; run `gameday recover`" in refused(checked(project))["leftovers"]
    log.remove()


def test_an_environment_that_allows_no_drills_is_a_no_go(project: Project) -> None:
    file = project.root / "environments" / "fake.yaml"
    file.write_text(broken(file.read_text(), "drills: allowed\n", ""))
    assert refused(checked(project))["permission"] == "environment fake does not allow drills"


def test_a_steady_state_that_does_not_hold_is_a_no_go_that_says_what_was_answered(project: Project) -> None:
    file = project.root / "environments" / "fake.yaml"
    file.write_text(
        broken(file.read_text(), "{state: up, component: database", "{state: down, component: database")
    )
    assert "answers does not hold: up, for 1.5 s" in refused(checked(project))["steady state"]


def test_a_question_that_reaches_nobody_is_a_no_go(project: Project) -> None:
    detail = refused(checked(project, NoManual()))["runbooks"]
    assert detail.startswith("one: ")
    assert "nobody is there to answer step 'Tell the desk'" in detail


def test_a_rule_that_the_detector_lacks_is_a_no_go(project: Project) -> None:
    file = project.root / "environments" / "fake.yaml"
    file.write_text(broken(file.read_text(), "alert: it_is_down", "alert: something_else"))
    found = refused(checked(project))
    assert "the detector says nothing of it_is_down" in found["steady state"]
    assert "the detector has no rule 'it_is_down'" in found["runbooks"]


def test_every_role_must_have_somebody() -> None:
    assert roles_filled(STARTED.roles).ok
    roles = {**STARTED.roles, "scribe": ()}
    del roles["on-call"]
    assert roles_filled(roles) == Checked(check="roles", ok=False, detail="nobody is scribe, on-call")
