"""A small game day on any target: its runner is killed in the middle of the first drill, and it is taken up again."""

from __future__ import annotations

import json

from core.good_files import broken
from gameday.gamedays.log import read_log
from gameday.gamedays.state import State, fold
from process.inn import Inn, kill_all

NAME = "small"
DAY = """
game_day: small
title: A small game day
date: 2026-12-10
environment: ENVIRONMENT
goals: [Drinks come back.]
roles:
  incident-commander: Ana
  technical-lead: Bo
  communications-lead: Cem
  scribe: Dora
  on-call: [Eli]
drills: [{scenario: cellar-down}, {surprise: true}]
surprises: {seed: 7, scenarios: [cellar-stops]}
answers: {interrupted: repeat}
"""


def play(place: Inn) -> None:
    """Both drills pass, the first one in its second try, and the report tells of the interruption."""
    (place.root / "gamedays").mkdir(exist_ok=True)
    place.write("gamedays/small.yaml", DAY.replace("ENVIRONMENT", place.environment))
    other = (place.root / "scenarios/cellar-down.yaml").read_text()
    other = broken(other, "scenario: cellar-down", "scenario: cellar-stops")
    place.write("scenarios/cellar-stops.yaml", broken(other, "kill: cellar", "stop: cellar"))
    known = place.folders()
    runner = place.begin("gameday", "run", NAME, "--yes")
    try:
        assert place.wait_for("fault.effective", runner, known) is not None, runner.communicate()[0]
    finally:
        kill_all(runner)
    assert [drill.status.value for drill in _state(place).drills] == ["running", "waiting"]

    done = place.gameday("gameday", "run", NAME, "--yes", timeout_s=240)

    assert done.code == 0, done.stdout + done.stderr
    assert "taken up where it was" in done.stdout + done.stderr
    state = _state(place)
    assert [len(drill.attempts) for drill in state.drills] == [2, 1]
    assert [drill.last.outcome for drill in state.drills if drill.last] == ["PASS", "PASS"]
    report = json.loads(place.gameday("gameday", "finish", NAME, "-o", "json").stdout)
    assert (report["outcome"], report["taken_up"]) == ("PASS", 2)
    assert [one["kind"] for one in report["findings"]] == ["interrupted"]
    assert place.left_behind() == []


def _state(place: Inn) -> State:
    (folder,) = (place.reports / "gamedays").iterdir()
    return fold(read_log(folder))
