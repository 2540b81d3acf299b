"""Whole commands: what they print, what they refuse, and with which exit code; in a project made of nothing."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from filelock import FileLock

from core.good_files import broken
from gameday.gamedays import entries as e
from gameday.gamedays.log import GameDayLog, read_log
from gameday.gamedays.state import fold
from gamedays.world import (
    DAY,
    GO,
    ONE,
    TAKEN_UP,
    begun,
    died,
    ended,
    gameday,
    logged,
    small_project,
    write_log,
)

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project in which the small game day was run to its end, and what that printed."""
    root = small_project(tmp_path_factory.mktemp("played"))
    done = gameday(root, "gameday", "run", "small", "--yes")
    assert done.code == 0, done.stdout + done.stderr
    return root, done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return small_project(tmp_path)


@pytest.fixture
def single(tmp_path: Path) -> Path:
    """One whose game day has a single drill."""
    return small_project(tmp_path, ONE)


def folder_of(root: Path) -> Path:
    (folder,) = (root / "reports" / "gamedays").iterdir()
    return folder


# --- plan ---------------------------------------------------------------------------------------------------


def test_a_plan_shows_order_times_roles_and_needs_and_keeps_surprises(project: Path) -> None:
    done = gameday(project, "gameday", "plan", "small")
    assert done.code == 0
    assert "2026-12-10 10:00 Europe/Madrid, in fake (target fake)" in done.stdout
    assert "scribe               Dora: writes down the timeline" in done.stdout
    assert re.search(r" 1  10:00:00  at most \S+ +one: The database dies \(SEV2\)", done.stdout)
    assert "runbook:  01-demo, which asks a person: Tell the desk" in done.stdout
    assert re.search(r" 2  10:0\S+  at most \S+ +a surprise\n", done.stdout)
    assert "surprises: 1 of 2 scenarios; --reveal shows them" in done.stdout
    assert "three" not in done.stdout
    assert "four" not in done.stdout
    assert not (project / "reports").exists()


def test_a_revealed_plan_names_them_and_the_seed_as_json_too(project: Path) -> None:
    done = gameday(project, "gameday", "plan", "small", "--reveal", "-o", "json")
    plan = json.loads(done.stdout)
    assert plan["seed"] == 7
    assert plan["drills"][1]["scenario"] in ("three", "four")
    kept = json.loads(gameday(project, "gameday", "plan", "small", "-o", "json").stdout)
    assert kept["seed"] is None, "whoever knows it can draw"
    assert kept["drills"][1]["scenario"] is None
    assert kept["drills"][1]["needs"] is None


def test_what_is_wrong_in_any_file_is_told_before_anything_happens(project: Path) -> None:
    (project / "scenarios" / "two.yaml").unlink()
    three = project / "scenarios" / "three.yaml"
    three.write_text(broken(three.read_text(), "tier: 1", "tier: 9"))
    for arguments in (("plan", "small"), ("run", "small", "--yes")):
        done = gameday(project, "gameday", *arguments)
        assert done.code == 2
        assert "two.yaml does not exist" in done.stderr
        assert f"{three}:4: tier: expected at most 4" in done.stderr
    assert "gamedays here: small" in gameday(project, "gameday", "plan", "smal").stderr
    assert not (project / "reports").exists()


# --- run ----------------------------------------------------------------------------------------------------


def test_a_day_without_people_is_run_to_its_end_with_the_answers_of_its_file(
    played: tuple[Path, str],
) -> None:
    root, said = played
    assert "✓ ready: Is everybody ready? yes (the game day's file)" in said
    assert "surprises are drawn with seed 7" in said
    assert "Drill 2 of 3: a surprise" in said
    assert "3 drills: 3 PASS" in said
    assert "\x1b" not in said
    state = fold(read_log(folder_of(root)))
    assert state.ended is not None
    answered = [said.entry for said in state.said if isinstance(said.entry, e.StepAnswered)]
    assert [one.answer for one in answered] == ["yes"] * 3
    assert all(0.1 <= one.took_s < 20 for one in answered)
    assert (folder_of(root) / "game-day.yaml").read_text() == DAY


def test_a_surprise_does_not_tell_its_name_before_its_alert_fires(played: tuple[Path, str]) -> None:
    _, said = played
    before, after = said.split("Drill 2 of 3: a surprise")[1].split("the surprise is ")
    assert after.split("\n")[0] in ("three", "four")
    assert not re.search("three|four|database|probe|fault|injecting", before), before
    assert "1/9 preflight" in before


def test_every_drill_is_in_the_history_with_its_evidence_like_any_other(played: tuple[Path, str]) -> None:
    root, _ = played
    rows = json.loads(gameday(root, "history", "-o", "json").stdout)
    assert [row["verdict"] for row in rows] == ["PASS"] * 3
    rebuilt = gameday(root, "history", "rebuild")
    assert (rebuilt.code, rebuilt.stdout) == (0, "3 of 3 drills indexed\n"), "a game day is no drill"
    for drill in fold(read_log(folder_of(root))).drills:
        assert drill.last is not None
        assert (root / "reports" / str(drill.last.drill) / "report.html").exists()


def test_nobody_to_ask_and_an_incomplete_file_are_refused_before_anything_happens(project: Path) -> None:
    done = gameday(project, "gameday", "run", "small")
    assert done.code == 2
    assert "nobody can be asked; --yes takes the answers of the game day's file" in done.stderr
    file = project / "gamedays" / "small.yaml"
    text = broken(DAY, "  checklist: {ready: yes}\n", "")
    file.write_text(
        broken(text, "  steps: {Tell the desk: {answer: yes, after: 100ms}}\n", "  steps: {Sing: yes}\n")
    )
    done = gameday(project, "gameday", "run", "small", "--yes")
    assert done.code == 2
    assert "answers.checklist.ready: is required and absent" in done.stderr
    assert "answers.steps: manual step 'Tell the desk' has no answer there" in done.stderr
    assert "answers.steps.Sing: no runbook of this game day asks that" in done.stderr
    assert not (project / "reports").exists()


def test_a_no_go_stops_before_the_first_drill_and_can_be_put_right(single: Path) -> None:
    file = single / "gamedays" / "small.yaml"
    file.write_text(
        broken(broken(ONE, "checklist: {ready: yes}", "checklist: {ready: no}"), "  scribe: Dora\n", "")
    )
    gameday(single, "env", "down", "fake")
    done = gameday(single, "gameday", "run", "small", "--yes")
    assert done.code == 3, done.stdout
    last = done.stdout.split("NO-GO: ")[1].split("\n")[0]
    for reason in ("roles: nobody is scribe", "targets: one: not everything runs", "ready: no"):
        assert reason in last
    assert not list((single / "reports").glob("*/timeline.jsonl")), "nothing was touched"

    file.write_text(ONE)
    again = gameday(single, "gameday", "run", "small", "--yes", "--up")
    assert again.code == 3
    assert "roles: nobody is scribe" in again.stdout, "roles are as it began"
    assert "targets: one" not in again.stdout.split("NO-GO: ")[1]
    assert gameday(single, "env", "status", "fake").code == 1, "what it brought up it took down"
    assert gameday(single, "gameday", "note", "Zoe", "--hand-over", "scribe").code == 0
    whole = gameday(single, "gameday", "run", "small", "--yes", "--up")
    assert whole.code == 0, whole.stdout
    assert len(list((single / "reports" / "gamedays").iterdir())) == 1
    assert gameday(single, "env", "status", "fake").code == 1


def test_an_environment_that_was_up_stays_up(single: Path) -> None:
    assert gameday(single, "gameday", "run", "small", "--yes", "--up").code == 0
    assert gameday(single, "env", "status", "fake").code == 0


def test_a_drill_that_fails_makes_the_exit_code_and_findings_and_the_others_are_run(project: Path) -> None:
    (project / "gamedays" / "small.yaml").write_text(
        broken(ONE, "{scenario: one}", "{scenario: one}\n  - {scenario: two}")
    )
    runbook = project / "runbooks" / "01-demo.md"
    text = broken(runbook.read_text(), "do: {start: database}", "do: {status: database}")
    runbook.write_text(broken(text, "within: 30s", "within: 500ms"))
    done = gameday(project, "gameday", "run", "small", "--yes")
    assert done.code == 1, done.stdout
    assert "2 drills: 2 FAIL" in done.stdout
    report = json.loads(gameday(project, "gameday", "finish", "-o", "json").stdout)
    assert report["outcome"] == "FAIL"
    assert {("runbook", "01-demo")} == {(one["what"], one["name"]) for one in report["changes"]}
    assert {one["number"] for one in report["findings"]} == {1, 2}
    numbers = [drill["incident"] for drill in report["drills"]]
    assert all(number.startswith("INC-") for number in numbers), "each FAIL is an incident like any other"
    assert len(set(numbers)) == 2


NOT_OVER = "20261210T090000Z-small"


def test_a_game_day_that_is_not_over_is_taken_up_as_it_began(project: Path) -> None:
    folder = write_log(project / "reports" / "gamedays" / NOT_OVER, logged(TAKEN_UP, GO, *over(1), *over(2)))
    for option, value in (("--speed", "2"), ("--seed", "8")):
        done = gameday(project, "gameday", "run", "small", "--yes", option, value)
        assert done.code == 2, done.stdout
        assert f"{option} {value}" in done.stderr
        assert "is not over and has" in done.stderr
    file = project / "gamedays" / "small.yaml"
    file.write_text(broken(DAY, "  - {scenario: two}", "  - {scenario: demo}"))
    assert "is without two" in gameday(project, "gameday", "run", "small", "--yes").stderr
    file.write_text(DAY)
    done = gameday(project, "gameday", "run", "small", "--yes")
    assert "Drill 3 of 3" in done.stdout
    assert "Drill 2 of 3" not in done.stdout
    assert folder_of(project) == folder


def over(number: int) -> tuple[e.Entry, ...]:
    return (*begun(number), ended(number))


def test_another_one_is_begun_only_when_it_is_asked_for(single: Path) -> None:
    write_log(single / "reports" / "gamedays" / NOT_OVER, logged(TAKEN_UP, GO))
    assert gameday(single, "gameday", "run", "small", "--yes", "--new", "--role", "scribe=Zoe").code == 0
    newest = min((single / "reports" / "gamedays").iterdir())
    assert newest.name != NOT_OVER
    assert fold(read_log(newest)).started.roles["scribe"] == ("Zoe",)


def test_one_runner_a_game_day(project: Path) -> None:
    folder = write_log(project / "reports" / "gamedays" / NOT_OVER, logged(TAKEN_UP, GO))
    with FileLock(folder / "runner.lock"):
        for command in (("run", "small", "--yes"), ("finish",)):
            done = gameday(project, "gameday", *command)
            assert done.code == 3
            assert f"{NOT_OVER} is being run: by pid 1" in done.stderr


def test_a_drill_whose_runner_died_is_skipped_or_repeated_as_the_file_says(project: Path) -> None:
    lines = logged(TAKEN_UP, GO, *over(1), *over(2), *begun(3))
    write_log(project / "reports" / "gamedays" / NOT_OVER, lines)
    file = project / "gamedays" / "small.yaml"
    file.write_text(broken(DAY, "  interrupted: repeat\n", ""))
    done = gameday(project, "gameday", "run", "small", "--yes")
    assert done.code == 2
    assert "answers.interrupted: expected repeat or skip, since drill 3 was interrupted" in done.stderr
    file.write_text(broken(DAY, "interrupted: repeat", "interrupted: skip"))
    done = gameday(project, "gameday", "run", "small", "--yes")
    assert done.code == 3, "a drill that was skipped proves nothing"
    assert "3 drills: 2 PASS, 1 NOT RUN" in done.stdout


# --- note and finish ----------------------------------------------------------------------------------------


def test_notes_decisions_hand_overs_and_actions_are_written_down_from_anywhere(
    played: tuple[Path, str],
) -> None:
    root, _ = played
    for arguments, said in (
        (("the desk was slow", "--by", "Dora"), "note by Dora: the desk was slow"),
        (("we fail over", "--decision", "--by", "Ana"), "decision by Ana: we fail over"),
        (("Zoe", "--hand-over", "scribe", "--by", "Dora"), "scribe is now Zoe (said by Dora)"),
        (
            (
                "Mend it",
                "--action",
                "--owner",
                "Ben",
                "--due",
                "2026-12-20",
                "--finding",
                "1.1",
                "-g",
                "small",
            ),
            "action: Mend it (Ben, due 2026-12-20)",
        ),
    ):
        done = gameday(root, "gameday", "note", *arguments)
        assert done.code == 0, done.stderr
        assert re.search(rf"-small, \d\d:\d\d:\d\d UTC: {re.escape(said)}", done.stdout)
    done = gameday(root, "gameday", "finish")
    assert done.code == 0
    assert "0 findings, 1 action item" in done.stdout
    report = (folder_of(root) / "report.md").read_text()
    for words in (
        "the desk was slow (Dora)",
        "we fail over (Ana)",
        "Dora → Zoe",
        "| 1 | Mend it | Ben | 2026-12-20 |",
    ):
        assert words in report
    late = gameday(root, "gameday", "note", "one more thing")
    assert "its report is written already; `gameday gameday finish` writes it anew" in late.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Mend it", "--action", "--owner", "Ben"), "an action item without due date is a wish"),
        (("Mend it", "--action", "--due", "2026-12-20"), "an action item without owner is a wish"),
        (("Mend it", "--action", "--owner", "Ben", "--due", "soon"), "due 'soon' is not a date"),
        (("Mend it", "--owner", "Ben"), "expected --action beside them"),
        (
            ("Mend it", "--action", "--owner", "B", "--due", "2026-12-20", "--finding", "two"),
            "expected a number such as 2.1",
        ),
        (("Zoe", "--hand-over", "king"), "'king' is not a role; expected one of incident-commander"),
        (("x", "--decision", "--action"), "expected one of them"),
        ((" ",), "nothing to write down"),
        (("x", "-g", "other"), "no game day 'other' took place yet"),
    ],
)
def test_a_note_that_says_too_little_is_refused(
    played: tuple[Path, str], arguments: tuple[str, ...], said: str
) -> None:
    root, _ = played
    done = gameday(root, "gameday", "note", *arguments)
    assert done.code == 2
    assert said in done.stderr


def test_without_a_game_day_there_is_nothing_to_note_or_finish(project: Path) -> None:
    for command in (("note", "hello"), ("finish",)):
        done = gameday(project, "gameday", *command)
        assert done.code == 2
        assert "no game day took place yet" in done.stderr


def test_a_day_that_was_left_in_a_drill_is_finished_with_what_is_known(project: Path) -> None:
    folder = write_log(project / "reports" / "gamedays" / NOT_OVER, logged(TAKEN_UP, GO, *begun(1)))
    done = gameday(project, "gameday", "finish", "small")
    assert done.code == 0, done.stderr
    assert "3 drills: 3 NOT RUN" in done.stdout
    state = fold(read_log(folder))
    assert state.finished
    assert state.drill(1).last is not None
    assert state.drill(1).last.interrupted == "everything was put back"


def test_finishing_a_day_that_nobody_goes_on_with_stops_what_it_had_brought_up(project: Path) -> None:
    owned = logged(TAKEN_UP, e.EnvironmentStarting(), GO, *over(1))
    write_log(project / "reports" / "gamedays" / NOT_OVER, owned)
    done = gameday(project, "gameday", "finish")
    assert (done.code, gameday(project, "env", "status", "fake").code) == (0, 1)
    assert "fake was brought up for this game day: stopping it" in done.stderr


def test_what_could_not_be_put_back_is_told_by_finish(project: Path) -> None:
    lines = logged(TAKEN_UP, GO, *begun(1), TAKEN_UP, died(1, clean=False))
    write_log(project / "reports" / "gamedays" / NOT_OVER, lines)
    done = gameday(project, "gameday", "finish")
    assert done.code == 5
    assert "drill 1 was interrupted and is not put back; run `gameday recover`" in done.stderr


def test_who_notes_something_meanwhile_does_not_disturb_the_runner(project: Path) -> None:
    folder = write_log(project / "reports" / "gamedays" / NOT_OVER, logged(TAKEN_UP))
    with GameDayLog(folder) as runner:
        assert gameday(project, "gameday", "note", "hello").code == 0
        assert runner.append(GO).seq == 3
    assert os.listdir(folder) == ["log.jsonl"]  # noqa: PTH208
