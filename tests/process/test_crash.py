"""The runner is killed with SIGKILL after every kind of timeline event; nothing may be left behind.

Half of the time `gameday recover` puts things back, half of the time nobody does but the dead-man switch.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time

import pytest

from process.crashes import AFTER, BEFORE_THE_UNDO_IS_RECORDED, kill_after
from process.inn import GAMEDAY, RULES, SCENARIO, Inn, kill, standing_still, until

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("inn-crash")]

SWITCH_WITHIN_S = 30


@pytest.mark.parametrize("kind", [*BEFORE_THE_UNDO_IS_RECORDED, *AFTER])
def test_recover_leaves_nothing_behind_after_the_runner_was_killed(inn: Inn, kind: str) -> None:
    kill_after(inn, kind)

    recovered = inn.gameday("recover")

    assert recovered.code == 0, recovered.stdout + recovered.stderr
    until(lambda: not inn.drill_processes(), SWITCH_WITHIN_S, "no process of the drill")
    assert inn.left_behind() == []


@pytest.mark.parametrize(
    "kind", ["deadman.armed", "fault.injected", "alert.firing", "step.started", "undo.started"]
)
def test_the_dead_man_switch_alone_leaves_nothing_behind(inn: Inn, kind: str) -> None:
    kill_after(inn, kind)

    until(lambda: not inn.drill_processes(), SWITCH_WITHIN_S, "the dead-man switch has ended")

    assert inn.left_behind() == []


def test_a_drill_that_was_broken_off_is_closed_and_judged(inn: Inn) -> None:
    kill_after(inn, "fault.injected")

    inn.gameday("recover")
    until(lambda: not inn.drill_processes(), SWITCH_WITHIN_S, "no process of the drill")

    kinds = [event["event"] for event in inn.events()]
    assert kinds[-1] == "drill.ended"
    assert "drill.aborted" in kinds
    assert inn.verdict()["verdict"] == "INCONCLUSIVE"
    assert inn.verdict()["exit_code"] == 4


def test_the_dead_man_switch_closes_a_drill_wherever_it_was_started_from(inn: Inn) -> None:
    """Nobody tells it the project, nor where state and reports are: the log of undos must."""
    known = inn.folders()
    outer = {name: value for name, value in inn.environ.items() if name != "GAMEDAY_PROJECT"}
    folders = {"GAMEDAY_STATE": str(inn.root / ".gameday"), "GAMEDAY_REPORTS": str(inn.reports)}
    runner = subprocess.Popen(
        [*GAMEDAY, "run", "database-down", "-e", "inn", "--yes"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=inn.root,
        env={**outer, **folders},
    )
    folder = inn.wait_for("fault.injected", runner, known)
    assert folder is not None
    kill(runner)

    until((folder / "verdict.json").exists, SWITCH_WITHIN_S, "judged by the dead-man switch")
    until(lambda: folder.name in inn.gameday("history", "-o", "json").stdout, 10, "in the history")
    assert inn.verdict()["exit_code"] == 4


def test_a_new_drill_is_refused_while_an_earlier_one_is_not_put_back(inn: Inn) -> None:
    log = inn.root / ".gameday" / "undo"
    known = inn.folders()
    runner = inn.start_drill()
    assert inn.wait_for("fault.injected", runner, known)
    kept = next(log.glob("*.jsonl")).read_text()
    runner.communicate(timeout=60)
    (log / "earlier.jsonl").write_text(kept)
    try:
        refused = inn.drill()
        assert refused.code == 3, refused.stdout
        assert "run `gameday recover`" in refused.stdout
    finally:
        recovered = inn.gameday("recover")
    assert recovered.code == 0, recovered.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["fault.injected", "step.started"])
def test_a_signal_undoes_at_once_and_exits_with_4(inn: Inn, number: signal.Signals, kind: str) -> None:
    known = inn.folders()
    runner = inn.start_drill()
    assert inn.wait_for(kind, runner, known)

    sent = time.monotonic()
    runner.send_signal(number)
    output, _ = runner.communicate(timeout=60)

    assert runner.returncode == 4, output
    assert time.monotonic() - sent < 20
    assert inn.verdict()["verdict"] == "INCONCLUSIVE"
    assert f"{number.name} received" in output
    assert inn.left_behind() == []


def test_gameday_stop_ends_a_drill(inn: Inn) -> None:
    known = inn.folders()
    runner = inn.start_drill()
    assert inn.wait_for("fault.effective", runner, known)

    stopped = inn.gameday("stop", "-e", "inn")

    output, _ = runner.communicate(timeout=60)
    assert stopped.code == 0, stopped.stderr
    assert runner.returncode == 4, output
    assert inn.gameday("stop", "-e", "inn").code == 2


def test_an_engine_that_dies_ends_the_drill_and_everything_is_put_back(inn: Inn) -> None:
    known = inn.folders()
    runner = inn.start_drill()
    assert inn.wait_for("fault.effective", runner, known)
    (engine,) = [line for line in inn.drill_processes() if "gameday.engine" in line]

    subprocess.run(["kill", "-9", engine.split()[0]], check=True, timeout=5)

    output, _ = runner.communicate(timeout=60)
    assert runner.returncode == 4, output
    assert "the engine process ended unexpectedly" in output
    assert inn.left_behind() == []


def test_the_engine_does_not_outlive_its_runner(inn: Inn) -> None:
    known = inn.folders()
    runner = inn.start_drill()
    assert inn.wait_for("fault.injected", runner, known)
    kill(runner)
    assert runner.stdout is not None
    runner.stdout.close()
    until(lambda: not [line for line in inn.drill_processes() if "gameday.engine" in line], 2, "no engine")
    inn.gameday("recover")
    until(lambda: not inn.drill_processes(), SWITCH_WITHIN_S, "no process of the drill")


SHORT_LIFE = SCENARIO.replace("rto: 30s", "rto: 4s").replace("ttl: 40s", "ttl: 4s")
BLIND = RULES.replace("> 1", "> 100000")


def test_a_fault_that_outlives_its_time_to_live_ends_the_drill(inn: Inn) -> None:
    inn.write("scenarios/database-down.yaml", SHORT_LIFE)
    inn.write("rules.yaml", BLIND)

    done = inn.drill()

    assert done.code == 4, done.stdout
    assert "time-to-live of 4s is over" in done.stdout
    assert inn.verdict()["restored_by"] != "runbook"
    assert inn.left_behind() == []


def test_the_dead_man_switch_ends_the_fault_in_time_while_the_runner_hangs(inn: Inn) -> None:
    inn.write("scenarios/database-down.yaml", SHORT_LIFE)
    inn.write("rules.yaml", BLIND)
    known = inn.folders()
    runner = inn.start_drill()
    assert inn.wait_for("fault.injected", runner, known)
    struck = time.monotonic()
    with standing_still(runner):
        until(lambda: '"ok":true' in undo_log(inn), 15, "the dead-man switch reverted the fault")
        assert 3 < time.monotonic() - struck < 15
    output, _ = runner.communicate(timeout=60)
    assert runner.returncode == 4, output
    assert inn.left_behind() == []


def undo_log(inn: Inn) -> str:
    return "".join(path.read_text() for path in (inn.root / ".gameday" / "undo").glob("*.jsonl"))


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_fifty_runners_killed_at_random_moments_leave_nothing_behind(inn: Inn) -> None:
    moments = random.Random(20261121)
    for number in range(50):
        runner = inn.start_drill()
        time.sleep(moments.uniform(0.2, 9))
        kill(runner)
        assert runner.stdout is not None
        runner.stdout.close()
        if number % 2:
            assert inn.gameday("recover").code == 0
        until(lambda: not inn.drill_processes(), 45, f"run {number}: no process of the drill")
        assert inn.left_behind() == [], f"run {number}"
