"""A game day in front of people: a real pseudo-terminal, drills of a second, and a runner that is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.good_files import broken
from gameday.gamedays import entries as e
from gameday.gamedays.log import read_log
from gameday.gamedays.state import State, fold
from gamedays.terminal import VERDICT, Terminal
from gamedays.world import DAY, gameday, small_project
from process.inn import environ_for

pytestmark = pytest.mark.process
RUN = [sys.executable, "-m", "gameday", "gameday", "run", "small"]
ASKED = r"\? Tell the desk: Does the desk know\? >"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    yield small_project(tmp_path)
    assert not list((tmp_path / ".gameday" / "undo").glob("*.jsonl")), "nothing is left"


def begin(project: Path, *more: str, **environ: str) -> Terminal:
    return Terminal([*RUN, *more], project, {**environ_for(project), **environ})


def state_of(project: Path) -> State:
    (folder,) = (project / "reports" / "gamedays").iterdir()
    return fold(read_log(folder))


def verdicts(project: Path) -> list[dict[str, object]]:
    files = sorted((project / "reports").glob("*/verdict.json"))
    return [json.loads(file.read_text()) for file in files]


def go(terminal: Terminal) -> None:
    terminal.wait_for("Is everybody ready")
    terminal.type("yes\r")
    confirm(terminal)


def confirm(terminal: Terminal) -> None:
    terminal.wait_for(r"Go\? This breaks something in fake, \d times? \[yes/no\] >")
    terminal.type("yes\r")


def answer(terminal: Terminal, since: int = 0) -> int:
    """Tell that the desk knows, and wait for the verdict; returns where the screen was then.

    The question is drawn again and again while it is open, so that the next one can be told apart only behind it.
    """
    asked = terminal.wait_for(ASKED, since=since).end()
    terminal.type("yes\r")
    return terminal.wait_for(VERDICT, since=asked).end()


def test_people_answer_note_decide_and_hand_over_while_the_clocks_go_on(project: Path) -> None:
    with begin(project) as terminal:
        go(terminal)
        terminal.wait_for(ASKED)
        screen = terminal.text
        terminal.wait_for(r"RTO [█░]+ [0-9.]+ s of 30s, [0-9.]+ s left", since=len(screen))
        terminal.wait_for(r"step “Tell the desk”", since=len(screen))
        terminal.wait_for(r"alert it_is_down  FIRING", since=len(screen))
        terminal.type("yes, Cleo does\r")
        since = terminal.wait_for(r"✓ PASS").end()
        terminal.type("n")
        terminal.wait_for(r"\? Note >", since=since)
        terminal.type("the desk was slow\r")
        terminal.wait_for("note by Dora: the desk was slow", since=since)
        terminal.type("hscribe: Zoe\r")
        terminal.wait_for("scribe is now Zoe", since=since)
        since = answer(terminal, since)
        noted = gameday(project, "gameday", "note", "seen from afar", "--by", "Finn")
        assert noted.code == 0
        terminal.wait_for("note by Finn: seen from afar", since=since)
        answer(terminal, since)
        assert terminal.ended() == 0, terminal.text[-3000:]
        assert terminal.modes() == (True, True)
    state = state_of(project)
    assert state.roles["scribe"] == ("Zoe",)
    answers = [said.entry for said in state.said if isinstance(said.entry, e.StepAnswered)]
    assert [(one.number, one.answer) for one in answers] == [(1, "yes, Cleo does"), (2, "yes"), (3, "yes")]
    assert [one.by for one in answers] == ["Dora", "Zoe", "Zoe"]
    assert all(one.took_s > 0 for one in answers)
    assert state.answers["ready"].by == "Dora"


def test_a_runner_that_is_killed_in_a_drill_is_taken_up_there(project: Path) -> None:
    with begin(project) as terminal:
        go(terminal)
        since = answer(terminal)
        terminal.wait_for(ASKED, since=terminal.wait_for("Drill 2 of 3", since=since).end())
        terminal.kill()
    assert not state_of(project).over
    with begin(project) as terminal:
        terminal.wait_for("taken up where it was")
        terminal.wait_for(r"drill 2 was interrupted \(everything was put back\) \[repeat/skip\]")
        terminal.type("repeat\r")
        confirm(terminal)
        since = answer(terminal)
        assert "Is everybody ready" not in terminal.text, "that was answered"
        assert "Drill 1 of 3" not in terminal.text
        answer(terminal, terminal.wait_for("Drill 3 of 3", since=since).end())
        assert terminal.ended() == 0, terminal.text[-3000:]
    state = state_of(project)
    assert [len(drill.attempts) for drill in state.drills] == [1, 2, 1]
    assert state.drill(2).attempts[0].interrupted == "everything was put back"
    outcomes = [str(one["verdict"]) for one in verdicts(project)]
    assert sorted(outcomes) == ["INCONCLUSIVE", "PASS", "PASS", "PASS"]
    assert gameday(project, "gameday", "run", "small", "--yes").code == 0, "it is over: this is another one"
    assert len(list((project / "reports" / "gamedays").iterdir())) == 2


def test_a_runner_that_is_killed_before_the_first_drill_or_in_a_pause_loses_nothing(project: Path) -> None:
    (project / "gamedays" / "small.yaml").write_text(broken(DAY, "pause: 1s", "pause: 1h"))
    with begin(project) as terminal:
        terminal.wait_for("Is everybody ready")
        terminal.kill()
    with begin(project) as terminal:
        go(terminal)
        answer(terminal)
        terminal.wait_for(r"pause: drill 2 begins in 3\d\d\d s")
        terminal.kill()
    with begin(project) as terminal:
        confirm(terminal)
        terminal.wait_for(r"pause: drill 2 begins in 3\d\d\d s")
        terminal.type("s")
        answer(terminal, answer(terminal, terminal.wait_for("Drill 2 of 3").end()))
        assert terminal.ended() == 0, terminal.text[-3000:]
    assert [len(drill.attempts) for drill in state_of(project).drills] == [1, 1, 1]


@pytest.mark.parametrize("how", ["the key", "the key while asked", "Ctrl-C", "gameday stop"])
def test_one_key_or_signal_ends_it_and_puts_everything_back(project: Path, how: str) -> None:
    with begin(project) as terminal:
        go(terminal)
        terminal.wait_for("3/9 inject" if how == "the key" else ASKED)
        if how == "Ctrl-C":
            terminal.type("\x03")
        elif how == "gameday stop":
            assert gameday(project, "stop", "-e", "fake").code == 0
        else:
            terminal.type("X")
        assert terminal.ended() == 4, terminal.text[-3000:]
        assert terminal.modes() == (True, True)
    (verdict,) = verdicts(project)
    assert verdict["verdict"] == "INCONCLUSIVE"
    assert verdict["aborted"]
    assert not verdict["left_behind"]
    state = state_of(project)
    assert state.aborted is not None
    assert state.over
    expected = {"Ctrl-C": "SIGINT", "gameday stop": "SIGTERM"}.get(how, "key X at the console")
    assert expected in state.aborted
    assert expected in str(verdict["reasons"]), "the drill was ended by it, not by its own deadline"
    assert len(state.drill(1).attempts) == 1
    assert gameday(project, "env", "status", "fake").code == 0


def test_an_abort_in_the_checklist_or_a_pause_stops_before_anything_else_happens(project: Path) -> None:
    with begin(project) as terminal:
        terminal.wait_for("Is everybody ready")
        terminal.type("X")
        assert terminal.ended() == 4, terminal.text[-3000:]
    assert verdicts(project) == []
    (project / "gamedays" / "small.yaml").write_text(broken(DAY, "pause: 1s", "pause: 1h"))
    with begin(project) as terminal:
        go(terminal)
        answer(terminal)
        terminal.wait_for(r"pause: drill 2 begins in")
        terminal.type("X")
        assert terminal.ended() == 4, terminal.text[-3000:]
    (verdict,) = verdicts(project)
    assert verdict["verdict"] == "PASS", "what had ended stays as it is"


def test_a_no_from_a_person_is_a_no_go_and_asked_again_next_time(project: Path) -> None:
    with begin(project) as terminal:
        terminal.wait_for("Is everybody ready")
        terminal.type("perhaps\r")
        terminal.type("no: the PMS vendor is not there\r")
        assert terminal.ended() == 3
        assert "NO-GO: ready: no: the PMS vendor is not there" in terminal.text
    with begin(project) as terminal:
        go(terminal)
        terminal.wait_for("Drill 1 of 3")
        terminal.type("\x03")
        assert terminal.ended() == 4, terminal.text[-3000:]


def test_nothing_is_broken_before_somebody_says_go(project: Path) -> None:
    with begin(project) as terminal:
        terminal.wait_for("Is everybody ready")
        terminal.type("yes\r")
        terminal.wait_for(r"This breaks something in fake, 3 times")
        terminal.type("no\r")
        assert terminal.ended() == 3
        assert "NO-GO: Dora: no" in terminal.text
    assert verdicts(project) == []


def test_a_manual_step_that_nobody_answers_in_time_fails_and_is_written_down(project: Path) -> None:
    runbook = project / "runbooks" / "01-demo.md"
    runbook.write_text(broken(runbook.read_text(), "budget: 20s", "budget: 1s"))
    with begin(project) as terminal:
        go(terminal)
        since = terminal.wait_for(r"✗ FAIL\b").end()
        terminal.wait_for("Drill 2 of 3", since=since)
        terminal.type("X")
        assert terminal.ended() == 4, terminal.text[-3000:]
    answers = [said.entry for said in state_of(project).said if isinstance(said.entry, e.StepAnswered)]
    assert answers[0].answer is None
    assert 0.9 <= answers[0].took_s < 10


def test_a_terminal_that_cannot_be_redrawn_gets_plain_lines_and_keys_are_lines(project: Path) -> None:
    command = ["env", "TERM=dumb", *RUN]
    with Terminal(command, project, environ_for(project)) as terminal:
        terminal.wait_for(r"\? Is everybody ready\? \[yes/no\] >")
        terminal.type("yes\n")
        terminal.wait_for(r"\? All is well. Go\? .* >")
        terminal.type("yes\n")
        since = terminal.wait_for(ASKED).end()
        terminal.type("yes\n")
        terminal.wait_for("✓ PASS", since=since)
        terminal.type("nplain words\n")
        terminal.wait_for("note by Dora: plain words", since=since)
        terminal.type("X\n")
        assert terminal.ended() == 4, terminal.text[-3000:]
        assert "\x1b" not in "".join(terminal._parts)
        assert not re.search("RTO [█░]", terminal.text)


def test_a_terminal_that_goes_away_ends_it_and_puts_everything_back(project: Path) -> None:
    with begin(project) as terminal:
        go(terminal)
        terminal.wait_for(ASKED)
        os.kill(terminal.process.pid, signal.SIGHUP)
        assert terminal.ended() == 4, terminal.text[-3000:]
    assert "SIGHUP" in str(state_of(project).aborted)
