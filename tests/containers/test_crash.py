"""The runner of a drill on Docker is killed with SIGKILL after every kind of timeline event; nothing may be left.

Half of the time `gameday recover` puts things back, half of the time nobody does but the dead-man switch.
"""

from __future__ import annotations

import random
import subprocess
import time
from typing import Any

import pytest

from containers.seen import rules_of
from containers.tavern import Tavern
from process import crashes
from process.crashes import BEFORE_THE_UNDO_IS_RECORDED, kill_after
from process.inn import kill, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

AFTER = tuple(kind for kind in crashes.AFTER if kind != "canary.accounted")  # a tavern has no canary
SWITCH_WITHIN_S = 60


def grouped(kinds: tuple[str, ...]) -> list[Any]:
    """Two taverns side by side."""
    return [
        pytest.param(kind, marks=pytest.mark.xdist_group(f"tavern-{'ab'[number % 2]}"))
        for number, kind in enumerate(kinds)
    ]


def everything(tavern: Tavern) -> dict[str, Any]:
    """What a drill must leave as it was: containers, what is on their network, rules in their namespaces."""
    network = tavern.world.client.networks.get(tavern.world.network.id)
    attached = {one["Name"]: one["IPv4Address"] for one in network.attrs["Containers"].values()}
    pids = [tavern.inspect(name)["State"]["Pid"] for name in ("cellar", "bar")]
    return {**tavern.seen(), "network": attached, "rules": [rules_of(pid) for pid in pids]}


def is_over(tavern: Tavern, *, unstarted: bool = False) -> bool:
    """With `unstarted`, a switch may be there that was made and never started: the next drill removes it."""
    helpers = [one for one in tavern.helpers() if not (unstarted and one.status == "created")]
    return not tavern.drill_processes() and not helpers


@pytest.mark.parametrize("kind", grouped((*BEFORE_THE_UNDO_IS_RECORDED, *AFTER)))
def test_a_killed_runner_leaves_nothing_behind(tavern: Tavern, kind: str) -> None:
    before = everything(tavern)
    by_recover = AFTER.index(kind) % 2 == 0 if kind in AFTER else True
    kill_after(tavern, kind)

    if by_recover:
        recovered = tavern.gameday("recover")
        assert recovered.code == 0, recovered.stdout + recovered.stderr

    until(lambda: is_over(tavern), SWITCH_WITHIN_S, "no process and no helper of the drill")
    until(lambda: tavern.answers("cellar"), 20, "the cellar answers")
    assert tavern.left_behind() == []
    assert everything(tavern) == before


@pytest.mark.xdist_group("tavern-a")
def test_a_drill_that_was_broken_off_is_judged_by_the_dead_man_switch(tavern: Tavern) -> None:
    kill_after(tavern, "fault.injected")

    until(lambda: is_over(tavern), SWITCH_WITHIN_S, "no process and no helper of the drill")

    until((tavern.latest() / "verdict.json").exists, 20, "judged")
    assert tavern.verdict()["exit_code"] == 4
    assert tavern.events()[-1]["event"] == "drill.ended"


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.xdist_group("tavern-a")
def test_fifty_runners_killed_at_random_moments_leave_nothing_behind(tavern: Tavern) -> None:
    moments = random.Random(20261125)
    before, rules = everything(tavern), rules_of_host(tavern)
    for number in range(50):
        runner = tavern.start_drill()
        time.sleep(moments.uniform(0.2, 12))
        kill(runner)
        assert runner.stdout is not None
        runner.stdout.close()
        if number % 2:
            assert tavern.gameday("recover").code == 0
        until(
            lambda: is_over(tavern, unstarted=True),
            SWITCH_WITHIN_S,
            f"run {number}: no process and no helper of the drill",
        )
        until(lambda: tavern.answers("cellar"), 20, f"run {number}: the cellar answers")
        assert [one for one in tavern.left_behind() if not one.endswith("is created")] == [], f"run {number}"
        assert everything(tavern) == before, f"run {number}"
    assert tavern.drill().code == 0
    assert is_over(tavern)
    assert rules_of_host(tavern) == rules


def rules_of_host(tavern: Tavern) -> list[str]:
    """This machine's rules for the tavern's network; others of the same engine come and go with their containers."""
    done = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True, timeout=10)
    bridge = f"br-{tavern.world.network.id[:12]}"
    found = sorted(line for line in done.stdout.splitlines() if bridge in line)
    assert found
    return found
