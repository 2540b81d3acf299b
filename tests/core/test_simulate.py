"""`gameday simulate` and what `gameday run` refuses before it does anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gameday.cli import app
from gameday.commands import simulate as command
from gameday.commands.run import Options
from gameday.errors import UsageError
from gameday.scenario import load_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Options]]:
    calls: list[tuple[str, Options]] = []

    def run(scenario: str, options: Options) -> int:
        calls.append((scenario, options))
        return 3

    monkeypatch.setattr(command, "run", run)
    return calls


def at_the_terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    given = iter(answers)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _prompt: next(given))


def test_every_incident_of_the_menu_is_a_scenario_with_an_alert() -> None:
    for name in command.INCIDENTS:
        assert load_scenario(SCENARIOS / f"{name}.yaml").alert


def test_a_named_incident_is_run_without_asking_in_an_environment_brought_up_for_it(
    ran: list[tuple[str, Options]],
) -> None:
    assert command.simulate("high-latency", "hotel-local", 10.0) == 3
    ((scenario, options),) = ran
    assert scenario == "high-latency"
    assert (options.environment, options.speed, options.yes, options.up) == ("hotel-local", 10.0, True, True)


@pytest.mark.parametrize(("answers", "chosen"), [(("3",), 2), (("9", "", "1"), 0), (("high-latency",), 1)])
def test_the_menu_asks_until_something_of_it_is_chosen(
    ran: list[tuple[str, Options]], monkeypatch: pytest.MonkeyPatch, answers: tuple[str, ...], chosen: int
) -> None:
    at_the_terminal(monkeypatch, *answers)
    command.simulate(None, "hotel-local", 1.0)
    assert ran[0][0] == list(command.INCIDENTS)[chosen]


def test_nothing_chosen_nobody_there_and_what_is_not_on_the_menu_touch_nothing(
    ran: list[tuple[str, Options]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="'api-hangs' is not one of the incidents: database-down"):
        command.simulate("api-hangs", "hotel-local", 1.0)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(UsageError, match="nobody can be asked"):
        command.simulate(None, "hotel-local", 1.0)
    at_the_terminal(monkeypatch, "q")
    with pytest.raises(UsageError, match="nothing was touched"):
        command.simulate(None, "hotel-local", 1.0)
    assert ran == []


@pytest.mark.parametrize("words", [("node-drain", "--dry-run"), ("database-down", "node-drain", "--yes")])
def test_a_scenario_for_another_target_is_refused_as_a_wrong_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GAMEDAY_PROJECT", str(SCENARIOS.parent))
    monkeypatch.setenv("GAMEDAY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GAMEDAY_REPORTS", str(tmp_path / "reports"))
    with pytest.raises(UsageError) as caught:
        CliRunner().invoke(app, ["run", *words], catch_exceptions=False)
    assert caught.value.exit_code == 2
    assert str(caught.value).splitlines()[0] == (
        "scenario node-drain is for another target than environment hotel-local: drain api: target process cannot do "
        "that"
    )
    assert list(tmp_path.iterdir()) == []
