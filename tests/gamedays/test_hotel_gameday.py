"""The shipped game day as its team plays it: five drills of the hotel on the embedded target, driven through a
pseudo-terminal, with the runner killed in the middle and taken up again; minutes."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.good_files import broken
from gameday.gamedays import entries as e
from gameday.gamedays.log import read_log
from gameday.gamedays.state import State, fold
from gamedays.terminal import VERDICT, Terminal
from process.hotel import Hotel
from process.inn import REPOSITORY
from process.machine import machine_taken

pytestmark = [
    pytest.mark.process,
    pytest.mark.catalogue,
    pytest.mark.timeout(1500),
    pytest.mark.xdist_group("hotel-game-day"),
]
NAME = "hotel-quarterly"
SPEED = "10"
RUN = [sys.executable, "-m", "gameday", "gameday", "run", NAME, "--up", "--speed", SPEED]
RUNBOOK = "runbooks/05-pms-integration-failure.md"
STEP = "### Take bookings without the PMS\n"
ASKING = f"""### Tell the front desk

The front desk must know that bookings are confirmed later.

```yaml step
ask: Does the front desk know?
budget: 5m
```

{STEP}"""
ASKED = r"\? Tell the front desk: Does the front desk know\? >"


@pytest.fixture
def hotel() -> Iterator[Hotel]:
    """The hotel with all its files, down: the game day brings it up, and takes it down."""
    root = Path(tempfile.mkdtemp(prefix="gameday-quarterly-")).resolve()
    root.chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
    hotel = Hotel(root)
    shutil.copytree(REPOSITORY / "gamedays", root / "gamedays")
    path = root / RUNBOOK
    path.write_text(broken(path.read_text(), STEP, ASKING))
    try:
        with machine_taken():
            yield hotel
        assert hotel.drill_processes() == []
        assert not list((root / ".gameday" / "undo").glob("*.jsonl"))
    finally:
        hotel.gameday("env", "down", hotel.environment)
        shutil.rmtree(root)


def state_of(hotel: Hotel) -> State:
    (folder,) = (hotel.reports / "gamedays").iterdir()
    return fold(read_log(folder))


def play(terminal: Terminal, number: int, since: int) -> int:
    """Wait for the end of a drill, and cut the pause before it short; returns where the screen was."""
    begun = terminal.wait_for(rf"(Drill {number} of 5|pause of \S+ before drill {number})", 300, since)
    if begun[0].startswith("pause"):
        terminal.wait_for(rf"pause: drill {number} begins in", 60, begun.end())
        terminal.type("s")
        begun = terminal.wait_for(rf"Drill {number} of 5", 60, begun.end())
    return begun.end()


def judged(terminal: Terminal, since: int) -> int:
    """Wait for the verdict of the drill that runs; returns where the screen was."""
    return terminal.wait_for(VERDICT, 300, since).end()


def first_half(hotel: Hotel) -> None:
    """Go, two drills with notes and a hand-over, and the third up to its question; there the runner is killed."""
    with Terminal(RUN, hotel.root, hotel.environ) as terminal:
        for question in ("Do front desk", "Is no real incident", "Was last night's", "Does everybody know"):
            terminal.wait_for(rf"\? {question}.* \[yes/no\] >", 180)
            terminal.type("yes\r")
        terminal.wait_for("rehearsal at 10 times speed")
        terminal.wait_for(r"\? All is well. Go\? This breaks something in hotel-local, 5 times", 120)
        terminal.type("yes\r")
        since = play(terminal, 1, 0)
        terminal.wait_for(r"RTO [█░]+ [0-9.]+ s of 1m30s, [0-9.]+ s left", 120, since)
        terminal.wait_for(r"alert database_connection_failures  (PENDING|FIRING)", 120, since)
        terminal.wait_for(r"step “[^”]+”  [0-9.]+ s of", 120, since)
        terminal.type("n")
        terminal.type("guests are told to wait\r")
        terminal.wait_for("note by Tomás Gil: guests are told to wait", 60, since)
        since = play(terminal, 2, judged(terminal, since))
        terminal.type("hscribe: Nadia Ferrer\r")
        since = play(terminal, 3, judged(terminal, since))
        terminal.wait_for(ASKED, 300, since)
        terminal.kill()
    statuses = [drill.status.value for drill in state_of(hotel).drills]
    assert statuses == ["ended", "ended", "running", "waiting", "waiting"]


def second_half(hotel: Hotel) -> None:
    """Taken up: the third drill again, with its question answered, and the other two."""
    with Terminal(RUN, hotel.root, hotel.environ) as terminal:
        terminal.wait_for("taken up where it was", 60)
        terminal.wait_for(r"drill 3 was interrupted \(everything was put back\) \[repeat/skip\]", 180)
        terminal.type("repeat\r")
        terminal.wait_for(r"\? All is well. Go\? This breaks something in hotel-local, 3 times", 120)
        terminal.type("yes\r")
        since = play(terminal, 3, 0)
        terminal.wait_for(ASKED, 300, since)
        terminal.type("yes, they do\r")
        since = play(terminal, 4, judged(terminal, since))
        since = play(terminal, 5, judged(terminal, since))
        judged(terminal, since)
        assert terminal.ended(180) == 0, terminal.text[-6000:]


def test_five_drills_with_the_runner_killed_in_the_middle_and_taken_up_again(hotel: Hotel) -> None:
    first_half(hotel)
    noted = hotel.gameday("gameday", "note", "the runner died", "--decision", "--by", "Lucía Ortega")
    assert noted.code == 0, noted.stderr
    second_half(hotel)

    state = state_of(hotel)
    assert state.ended is not None
    assert [len(drill.attempts) for drill in state.drills] == [1, 1, 2, 1, 1]
    assert [drill.last.outcome for drill in state.drills if drill.last] == ["PASS"] * 5
    assert state.roles["scribe"] == ("Nadia Ferrer",)
    answers = [said.entry for said in state.said if isinstance(said.entry, e.StepAnswered)]
    assert [(one.number, one.answer, one.by) for one in answers] == [(3, "yes, they do", "Nadia Ferrer")]
    assert not state.owns_environment
    down = hotel.gameday("env", "status", hotel.environment)
    assert down.code == 1, "what the game day had brought up it has taken down, though another runner had"

    done = hotel.gameday("gameday", "finish", NAME, "-o", "json")
    assert done.code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["outcome"] == "PASS"
    assert report["taken_up"] == 2
    assert all(drill["mttd"] and drill["time_to_recover"] for drill in report["drills"])
    assert [one["kind"] for one in report["findings"]] == ["interrupted"]
    assert {one["kind"] for one in report["timeline"]} >= {"note", "decision", "hand-over", "answer", "pause"}
    history = json.loads(hotel.gameday("history", "-o", "json").stdout)
    assert len(history) == 6, "the interrupted one too"
