"""A runner that is killed at any moment of a drill, with all of its processes: the job alone puts everything back."""

from __future__ import annotations

import json

import pytest

from cluster.lodge import Lodge
from process.inn import until

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


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_left_of_a_drill_that_was_killed_at(lodge: Lodge, moment: str) -> None:
    before = workloads(lodge)
    lodge.settle()
    known = lodge.folders()
    runner = lodge.start_drill()
    folder = lodge.wait_for(moment, runner, known)
    assert folder is not None, runner.communicate()[0]

    lodge.end(runner)

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
