"""Game days' files: what is wrong in one is told with file, line and field."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from core.good_files import broken
from gameday.cli import app
from gameday.commands import gameday_files
from gameday.commands.files import schema
from gameday.errors import InvalidFile
from gameday.files import load_yaml
from gameday.gamedays.model import load_game_day
from gameday.project import Project
from gamedays.world import DAY

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "gamedays").glob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(schema("gameday"))


def written(folder: Path, text: str) -> Path:
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_read_whole(tmp_path: Path) -> None:
    day = load_game_day(written(tmp_path, DAY))
    assert day.planned_start == datetime(2026, 12, 10, 9, 0, tzinfo=UTC)
    assert day.scenarios == ("one", "two", "three", "four")
    assert day.roles["scribe"] == ("Dora",)
    assert day.roles["on-call"] == ("Eva", "Finn")
    assert [slot.pause for slot in day.drills] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("game_day: small", "game_day: other", 1, "game_day: is 'other' in a file named small.yaml"),
        ("date: 2026-12-10", "date: 2026-13-10", 3, "date: '2026-13-10' is not a date"),
        ("starts: 10:00", "starts: 25:00", 4, "starts: '25:00' is not a time of day"),
        ("time_zone: Europe/Madrid", "time_zone: Mars", 5, "time_zone: 'Mars' is no time zone"),
        ("environment: fake\n", "", 1, "environment: is required and absent"),
        ("goals: [The runbook works.]", "goals: []", 7, "goals: must have at least one entry"),
        ("  scribe: Dora", "  scrib: Dora", 12, "roles.scrib: 'scrib' is not allowed; expected"),
        ("  scribe: Dora", "  scribe: []", 12, "roles.scribe: must have at least one entry"),
        ("{surprise: true}", "{}", 18, "expected exactly one of scenario and surprise"),
        ("{surprise: true}", "{surprise: true, scenario: one}", 18, "expected exactly one of scenario and"),
        (
            "{scenario: one, pause: 1s}",
            "{scenario: one, paus: 1s}",
            17,
            "unknown field; did you mean 'pause'?",
        ),
        (
            "{scenario: one, pause: 1s}",
            "{scenario: one, pause: 1}",
            17,
            "drills[0].pause: 1 is not a duration",
        ),
        ("{seed: 7, scenarios: [three, four]}", "{scenarios: [one]}", 20, "one is there twice"),
        (
            "  - {scenario: two}",
            "  - {surprise: true}\n  - {surprise: true}",
            20,
            "3 surprises are wanted and",
        ),
        ("  - {surprise: true}\n", "", 19, "surprises: no drill is a surprise"),
        ("checklist: {ready: yes}", "checklist: {redy: yes}", 22, "no question of the checklist; questions"),
        ("interrupted: repeat", "interrupted: again", 24, "answers.interrupted: 'again' is not allowed"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    path = written(tmp_path, broken(DAY, old, new))
    with pytest.raises(InvalidFile) as caught:
        load_game_day(path)
    first = str(caught.value.problems[0])
    assert first.startswith(f"{path}:{line}: "), first
    assert said in first


def test_the_commands_validate_and_schema_know_game_days(tmp_path: Path) -> None:
    good, bad = written(tmp_path, DAY), tmp_path / "bad.yaml"
    bad.write_text(broken(DAY, "date: 2026-12-10", "date: soon"))
    result = CliRunner().invoke(app, ["validate", str(good), str(bad)])
    assert result.exit_code == 2
    assert "1 of 2 files are valid" in result.output
    assert f"{bad}:3: date: 'soon' is not a date" in result.output
    jsonschema.Draft202012Validator.check_schema(schema("gameday"))
    assert CliRunner().invoke(app, ["schema", "gameday"]).exit_code == 0


def test_the_schema_accepts_what_the_loader_accepts(tmp_path: Path) -> None:
    for file in [*SHIPPED, written(tmp_path, DAY)]:
        assert list(VALIDATOR.iter_errors(load_yaml(file).value)) == []
    for old, new in (("  scribe: Dora", "  scrib: Dora"), ("pause: 1s", "pause: 1"), ("goals:", "goal:")):
        wrong = load_yaml(written(tmp_path, broken(DAY, old, new))).value
        assert list(VALIDATOR.iter_errors(wrong)), new


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_game_day_can_be_run_by_people_and_without(path: Path) -> None:
    loaded = gameday_files.load(Project(ROOT), str(path))
    assert len(loaded.day.drills) >= 5
    assert gameday_files.prepared_answers(loaded) == {}, "no runbook of it asks anything"
    assert loaded.day.answers.interrupted is not None
