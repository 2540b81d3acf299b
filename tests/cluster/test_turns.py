"""Several drills of one `gameday run` in a namespace: there is only one of it, so they take turns, and it stays up."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from cluster.lodge import SCENARIO, Lodge

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300), pytest.mark.xdist_group("lodge")]


def test_drills_of_one_namespace_take_turns_and_leave_it_up(lodge: Lodge) -> None:
    again = SCENARIO.replace("scenario: cellar-down", "scenario: cellar-stops").replace(
        "kill: cellar", "stop: cellar"
    )
    assert "stop: cellar" in again
    lodge.write("scenarios/cellar-stops.yaml", again)

    done = lodge.gameday(
        "run", "cellar-down", "cellar-stops", "-e", "lodge", "--yes", "--parallel", "2", "-o", "json"
    )

    assert done.code == 0, done.stdout + done.stderr
    drills = json.loads(done.stdout)["drills"]
    assert [one["verdict"] for one in drills] == ["PASS", "PASS"], done.stdout
    first, second = (json.loads((path / "verdict.json").read_text()) for path in lodge.folders()[-2:])
    assert datetime.fromisoformat(first["ended"]) <= datetime.fromisoformat(second["started"])
    assert lodge.is_whole()
    assert lodge.left_behind() == []
