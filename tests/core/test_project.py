"""Which file a name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.errors import UsageError
from gameday.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("down.yaml", "kubernetes/drain.yaml", "kubernetes/notes.txt"):
        path = tmp_path / "scenarios" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    return Project(tmp_path)


def test_a_scenario_of_one_target_has_a_folder_and_is_known_by_its_name_alone(project: Project) -> None:
    folder = project.root / "scenarios"
    assert project.scenario_files() == (folder / "down.yaml", folder / "kubernetes" / "drain.yaml")
    assert project.scenario_file("drain") == folder / "kubernetes" / "drain.yaml"
    assert project.scenario_file("down") == folder / "down.yaml"
    assert project.scenario_file(str(folder / "down.yaml")) == folder / "down.yaml"


def test_what_is_not_there_is_told_with_all_that_is(project: Project) -> None:
    with pytest.raises(
        UsageError, match=r"scenarios/rain\.yaml does not exist; scenarios here: down, drain$"
    ):
        project.scenario_file("rain")
    with pytest.raises(UsageError, match=r"kubernetes/down\.yaml does not exist"):
        project.scenario_file("kubernetes/down.yaml")


def test_a_name_that_two_files_have_is_told(project: Project) -> None:
    (project.root / "scenarios" / "kubernetes" / "down.yaml").touch()
    with pytest.raises(
        UsageError, match=r"scenario down is there twice: .*/down\.yaml, .*kubernetes/down\.yaml"
    ):
        project.scenario_files()
