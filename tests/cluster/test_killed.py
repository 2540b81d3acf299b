"""A runner that is killed at any moment of a drill, with all of its processes: its job, or `gameday recover`, puts
everything back."""

from __future__ import annotations

import json
import random
import time

import pytest

from cluster.lodge import Lodge
from process.inn import kill_all, until

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.long,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("lodge"),
]

MOMENTS = (
    "drill.started",
    "preflight.checked",
    "undo.recorded",
    "deadman.armed",
    "fault.injecting",
    "fault.injected",
    "fault.effective",
    "alert.firing",
    "runbook.started",
    "step.ended",
    "service.recovered",
    "undo.started",
    "undo.ended",
    "leftovers.checked",
    "drill.ended",
)


RUNS = 50


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_left_of_a_drill_that_was_killed_at(lodge: Lodge, moment: str) -> None:
    before = workloads(lodge)
    lodge.settle()
    known = lodge.folders()
    runner = lodge.start_drill()
    folder = lodge.wait_for(moment, runner, known)
    assert folder is not None, runner.communicate()[0]

    kill_all(runner)

    until(lodge.is_whole, 120, "everything is as before, and nothing of gameday is there")
    assert workloads(lodge) == before
    done = lodge.gameday("recover")
    assert done.code == 0, done.stdout + done.stderr
    assert lodge.left_behind() == []


def workloads(lodge: Lodge) -> str:
    seen = lodge.quarters.everything()
    return json.dumps(
        {name: one for name, one in seen.items() if name.startswith("Deployment")}, sort_keys=True
    )


@pytest.mark.timeout(4000)
def test_fifty_runners_killed_at_random_moments_leave_nothing_behind(lodge: Lodge) -> None:
    """Each other one is put back by its job alone, the rest by `gameday recover` with that job gone."""
    before, moments = workloads(lodge), random.Random(20261126)
    lodge.settle()
    for number in range(RUNS):
        runner = lodge.start_drill()
        time.sleep(moments.uniform(0.2, 20))
        kill_all(runner)
        if number % 2:
            lodge.quarters.do("delete", "job", "--all", "--cascade=foreground")
            done = lodge.gameday("recover", "-e", "lodge")
            assert done.code == 0, f"run {number}: {done.stdout}{done.stderr}"
        until(lodge.is_whole, 120, f"run {number}: everything is as before, and nothing of gameday is there")
        assert workloads(lodge) == before, f"run {number}"
        done = lodge.gameday("recover")
        assert done.code == 0, f"run {number}: {done.stdout}{done.stderr}"
        assert lodge.left_behind() == [], f"run {number}"
