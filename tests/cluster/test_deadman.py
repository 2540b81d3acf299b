"""The dead-man switch as a job: it reverts when the runner is gone or hangs, not otherwise, and is the lock."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cluster.lodge import Lodge
from process.inn import kill_all, until

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("lodge"),
]

FREEZE = "GAMEDAY_FREEZE_API"
frozen = pytest.mark.skipif(
    FREEZE not in os.environ, reason=f"needs the command in {FREEZE}, which stops the API server for 20 s"
)
EXPIRES_S = 120
"""By then a switch has acted, on a node that has much to do: the lease is over after 15 s."""


def switch_restarts(lodge: Lodge) -> list[int]:
    """How often the container of each switch began again."""
    return [
        one["restartCount"]
        for pod in lodge.quarters.listed("pods", "gameday.dev/deadman")
        for one in pod["status"].get("containerStatuses", [])
    ]


@pytest.mark.long
def test_a_drill_has_it_before_the_steady_state_and_ends_without_it(lodge: Lodge) -> None:
    before = lodge.quarters.everything()

    done = lodge.drill()

    assert done.code == 0, done.stdout + done.stderr
    checks = [event["data"] for event in lodge.events() if event["event"] == "preflight.checked"]
    (switch,) = [check for check in checks if check["check"] == "dead-man switch"]
    assert "stands ready as pod gameday-deadman-" in switch["detail"]
    assert lodge.left_behind() == []
    after = lodge.quarters.everything()
    assert {k: v for k, v in after.items() if "Pod " not in k and "ReplicaSet" not in k} == {
        k: v for k, v in before.items() if "Pod " not in k and "ReplicaSet" not in k
    }


def test_a_runner_that_is_killed_is_reverted_by_the_job_alone(lodge: Lodge) -> None:
    runner, folder = lodge.struck()
    assert not lodge.answers("cellar")
    (records,) = lodge.records()
    assert f'"drill":"{folder.name}"' in records["data"]["log"]

    kill_all(runner)

    until(lodge.is_whole, EXPIRES_S, "the job has reverted, and nothing of it is there")
    assert list((lodge.root / ".gameday" / "undo").glob("*.jsonl"))
    # the next drill closes the evidence of that one, and is not hindered by it
    lodge.write_all()
    done = lodge.drill()
    assert done.code == 0, done.stdout + done.stderr
    assert f"{folder.name}: its dead-man switch had put it back" in done.stderr
    assert [event["event"] for event in lodge.events(folder)][-1] == "drill.ended"
    assert lodge.left_behind() == []


@pytest.mark.long
def test_while_its_runner_lives_the_job_does_not_act(lodge: Lodge) -> None:
    runner, folder = lodge.struck()
    try:
        time.sleep(20)  # longer than a lease that nobody renews
        assert not lodge.answers("cellar")
        assert lodge.lease()["spec"]["holderIdentity"] == folder.name
    finally:
        runner.send_signal(signal.SIGTERM)
        output, _ = runner.communicate(timeout=60)
    assert runner.returncode == 4, output
    assert {event["data"]["by"] for event in lodge.events(folder) if event["event"] == "undo.ended"} == {
        "runner"
    }
    assert lodge.left_behind() == []


def test_a_runner_that_is_frozen_beyond_the_time_to_live_is_reverted_and_told_so(lodge: Lodge) -> None:
    runner, _ = lodge.struck("30s")
    runner.send_signal(signal.SIGSTOP)
    restarts = 0
    try:
        until(lambda: lodge.answers("cellar"), EXPIRES_S, "the cellar answers")
    finally:
        runner.send_signal(signal.SIGCONT)
        while runner.poll() is None:
            restarts = max(restarts, *switch_restarts(lodge), 0)
        output, _ = runner.communicate(timeout=90)
    assert runner.returncode == 4, output
    assert restarts == 0, "the runner ended its own switch, whose processes may be seen from this machine"
    until(lodge.is_whole, EXPIRES_S, "nothing is left")
    assert lodge.left_behind() == []


def test_a_second_runner_is_refused_wherever_it_is(lodge: Lodge, tmp_path: Path) -> None:
    runner, folder = lodge.struck()
    try:
        second = lodge.another(tmp_path).drill()
    finally:
        runner.send_signal(signal.SIGTERM)
        output, _ = runner.communicate(timeout=60)

    said = second.stdout + second.stderr
    assert second.code == 3, said
    assert f"scenario cellar-down, drill {folder.name}, pid {runner.pid} on {os.uname().nodename}" in said
    assert "since 20" in said
    assert not (tmp_path / "reports").exists()
    assert runner.returncode == 4, output
    assert lodge.left_behind() == []


def test_recover_on_another_machine_finds_what_is_left_and_reverts_it(lodge: Lodge, tmp_path: Path) -> None:
    runner, folder = lodge.struck()
    elsewhere = lodge.another(tmp_path)

    running = elsewhere.gameday("recover", "-e", "lodge")
    assert running.code == 3, running.stdout + running.stderr
    assert f"drill {folder.name} is running" in running.stdout
    assert not lodge.answers("cellar")

    lodge.quarters.do("delete", "job", "--all", "--cascade=foreground")  # nobody else will
    kill_all(runner)
    done = elsewhere.gameday("recover", "-e", "lodge")

    assert done.code == 0, done.stdout + done.stderr
    assert f"{folder.name}: put back" in done.stdout
    until(lodge.is_whole, 30, "nothing is left")
    assert elsewhere.left_behind() == []
    again = lodge.gameday("recover", "-e", "lodge")  # its own machine learns it too
    assert again.code == 0, again.stdout + again.stderr
    assert lodge.left_behind() == []
    assert [event["event"] for event in lodge.events(folder)][-1] == "drill.ended"


@pytest.mark.long
def test_another_namespace_of_the_same_name_is_not_reverted(lodge: Lodge) -> None:
    log = lodge.root / ".gameday" / "undo" / "d1.jsonl"
    runner, folder = lodge.struck()
    kill_all(runner)
    header, *rest = (log.parent / f"{folder.name}.jsonl").read_text(encoding="utf-8").splitlines()
    log.write_text(
        "\n".join([json.dumps({**json.loads(header), "drill": "d1", "identity": "other"}), *rest, ""])
    )
    try:
        done = lodge.gameday("recover", "--log", str(log))
        assert done.code == 5, done.stdout + done.stderr
        assert "another of the same name" in done.stdout
        assert not lodge.answers("cellar")
    finally:
        log.unlink()
        log.with_suffix(".lock").unlink(missing_ok=True)
    until(lodge.is_whole, EXPIRES_S, "the job has reverted")
    assert lodge.gameday("recover").code == 0
    assert lodge.left_behind() == []


@pytest.mark.long
def test_a_switch_whose_job_is_removed_is_noticed_and_the_drill_reverted(lodge: Lodge) -> None:
    runner, folder = lodge.struck("60s")
    lodge.quarters.do("delete", "job", "--all")

    output, _ = runner.communicate(timeout=60)

    assert runner.returncode == 4, output
    (aborted,) = [event["data"] for event in lodge.events(folder) if event["event"] == "drill.aborted"]
    assert "the dead-man switch is lost" in aborted["reason"]
    assert lodge.left_behind() == []


@pytest.mark.long
def test_a_pod_that_is_lost_has_a_successor_that_acts(lodge: Lodge) -> None:
    runner, _ = lodge.struck("90s")
    (pod,) = lodge.quarters.helpers()
    lodge.quarters.do("delete", "pod", pod, "--grace-period=1")
    until(lambda: [one for one in lodge.quarters.helpers() if one != pod], 15, "another pod")
    until(
        lambda: pod not in lodge.lease()["metadata"]["annotations"]["gameday.dev/switch"],
        15,
        "it has answered",
    )
    assert runner.poll() is None

    kill_all(runner)

    until(lodge.is_whole, EXPIRES_S, "the job has reverted")
    assert lodge.gameday("recover").code == 0
    assert lodge.left_behind() == []


@pytest.mark.long
def test_an_environment_that_shares_a_workload_is_the_same_to_the_lock(lodge: Lodge, tmp_path: Path) -> None:
    elsewhere = lodge.another(tmp_path)
    text = (lodge.root / "environments" / "lodge.yaml").read_text(encoding="utf-8")
    elsewhere.write("environments/annex.yaml", text.replace("environment: lodge", "environment: annex"))
    runner, folder = lodge.struck()
    try:
        second = elsewhere.gameday("run", "cellar-down", "-e", "annex", "--yes")
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.communicate(timeout=60)
    assert second.code == 3, second.stdout + second.stderr
    assert (
        f"lodge is being drilled: scenario cellar-down, drill {folder.name}" in second.stdout + second.stderr
    )
    assert lodge.left_behind() == []


@pytest.mark.long
def test_a_variable_that_the_environment_needs_reaches_it_and_is_shown_nowhere(
    lodge: Lodge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLAR_WORD", "hunter2-of-the-cellar")
    text = (lodge.root / "environments" / "lodge.yaml").read_text(encoding="utf-8")
    url = '    url: "http://any:${env:CELLAR_WORD}@${host}:${port}"\n'
    of_cellar = "    kubernetes: {workload: deployment/cellar}\n"
    assert of_cellar in text
    lodge.write("environments/lodge.yaml", text.replace(of_cellar, of_cellar + url))
    runner, _ = lodge.struck()
    (pod,) = lodge.quarters.helpers()
    assert "hunter2-of-the-cellar" in lodge.quarters.shell(pod, "echo $CELLAR_WORD")
    shown = lodge.quarters.do("get", "configmaps,jobs,leases,pods", "-o", "yaml")
    assert "hunter2" not in shown

    kill_all(runner)

    until(lodge.is_whole, EXPIRES_S, "the job has reverted, and nothing of it is there")
    assert lodge.gameday("recover").code == 0
    assert lodge.left_behind() == []


def freeze() -> subprocess.Popen[bytes]:
    return subprocess.Popen(shlex.split(os.environ[FREEZE]))


@pytest.mark.long
@pytest.mark.alone
@frozen
def test_while_the_api_server_is_away_the_job_does_not_act(lodge: Lodge) -> None:
    """It is away for longer than a lease lasts that nobody renews."""
    runner, folder = lodge.struck("120s")
    assert freeze().wait(timeout=60) == 0
    output, _ = runner.communicate(timeout=120)
    assert runner.returncode in {1, 3, 4}, output
    undone = [event["data"] for event in lodge.events(folder) if event["event"] == "undo.ended"]
    assert [one["by"] for one in undone] == ["runner"], output
    until(lodge.is_whole, EXPIRES_S, "nothing is left")
    assert lodge.left_behind() == []


@pytest.mark.alone
@frozen
def test_after_the_api_server_was_away_the_job_reverts(lodge: Lodge) -> None:
    runner, _ = lodge.struck("120s")
    freezing = freeze()
    kill_all(runner)
    assert freezing.wait(timeout=60) == 0

    until(lodge.is_whole, EXPIRES_S, "the job has reverted")
    assert lodge.gameday("recover").code == 0
    assert lodge.left_behind() == []
