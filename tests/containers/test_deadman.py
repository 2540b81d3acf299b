"""The dead-man switch as a container: it locks, it reverts, its loss is noticed, and it never locks for ever."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from containers.tavern import Tavern
from containers.worlds import World
from gameday.errors import LockHeld, UndoError
from gameday.project import Project
from gameday.targets.docker.deadman import ContainerSwitch
from gameday.targets.docker.switch_container import LABEL
from gameday.targets.docker.target import DockerTarget
from process.inn import GAMEDAY, environ_for, kill, kill_all, standing_still, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180), pytest.mark.xdist_group("tavern-switch")]

RESTART = "GAMEDAY_RESTART_ENGINE"
HOLD = """
import sys, time
from pathlib import Path
from gameday.environment import Environment
from gameday.fields import parse
from gameday.project import Project
from gameday.targets.docker.target import DockerTarget
import json
root = Path(sys.argv[1])
target = DockerTarget(parse(Environment, json.loads(sys.argv[2])), "world", Project(root))
switch = target.dead_man_switch(root / ".gameday/undo/d1.jsonl", root / "reports/d1/deadman.log", "one")
if sys.argv[3] == "started":
    switch.confirm()
print("held", flush=True)
time.sleep(60)
"""


# --- taking and letting go --------------------------------------------------------------------------------------------


def taken(target: DockerTarget, drill: str = "d1") -> ContainerSwitch:
    root = target.project.root
    log = root / ".gameday" / "undo" / f"{drill}.jsonl"
    return target.dead_man_switch(log, root / "reports" / drill / "deadman.log", "api-down")


def switches(world: World) -> list[Any]:
    found = world.client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [one for one in found if world.prefix in one.labels[f"{LABEL}.containers"]]


def gone(world: World) -> bool:
    return not switches(world)


def test_it_is_the_lock_for_another_project_too_until_it_is_let_go(small: World, tmp_path: Path) -> None:
    small.run("api")
    target = small.target()
    (tmp_path / "elsewhere").mkdir()
    elsewhere = DockerTarget(small.environment(), "otherwise", Project(tmp_path / "elsewhere"))

    switch = taken(target)
    try:
        switch.confirm()
        with pytest.raises(LockHeld) as caught:
            taken(elsewhere, "d2")
        said = str(caught.value)
        assert "scenario api-down, drill d1" in said
        assert f"pid {os.getpid()} on " in said
        assert re.search(r"since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", said)
        assert f"project {tmp_path}" in said
        assert psutil.Process(switch.pid).cmdline()[1:3] == ["-m", "gameday.deadman"]
        assert switch.lost() is None
    finally:
        switch.disarm()

    assert gone(small)
    again = taken(elsewhere, "d2")
    again.disarm()
    assert gone(small)


def test_it_is_not_armed_where_it_cannot_see_the_log(small: World) -> None:
    small.run("api")
    switch = taken(small.target())
    try:
        with pytest.raises(UndoError, match=r"there is no .*/undo/d1\.jsonl"):
            switch.arm(time.monotonic_ns() + 10**12)
    finally:
        switch.disarm()


def test_who_removes_it_is_noticed(small: World) -> None:
    small.run("api")
    switch = taken(small.target())
    try:
        switch.confirm()
        assert switch.lost() is None
        (container,) = switches(small)
        container.remove(force=True)
        until(lambda: switch.lost() is not None, 2, "the loss is noticed")
        assert container.name in str(switch.lost())
    finally:
        switch.disarm()


def test_a_variable_that_the_environment_needs_reaches_it_and_no_inspection_shows_it(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "hunter2-of-the-api")
    small.run("api")
    url = "http://user:${env:API_TOKEN}@${host}:${port}"
    target = small.target()
    target = DockerTarget(small.environment(components={"api": {"url": url}}), "world", target.project)
    switch = taken(target)
    try:
        switch.confirm()
        (container,) = switches(small)
        assert "hunter2" not in json.dumps(container.attrs)
        assert "hunter2" not in container.logs().decode()
        assert "hunter2" not in Path(f"/proc/{switch.pid}/cmdline").read_text()
        assert target._referred_variables() == {"API_TOKEN": "hunter2-of-the-api"}
    finally:
        switch.disarm()


def holder(world: World, root: Path, how: str) -> subprocess.Popen[str]:
    """Another process that has taken it."""
    document = json.dumps(world.environment().model_dump(mode="json", exclude_unset=True))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root), document, how], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_whose_runner_is_gone_ends_and_locks_no_more(small: World, tmp_path: Path) -> None:
    small.run("api")
    target = small.target()
    other = holder(small, tmp_path, "started")
    with pytest.raises(LockHeld, match=f"pid {other.pid} on "):
        taken(target)

    kill(other)
    other.communicate()

    until(lambda: gone(small), 10, "it has removed itself")
    taken(target).disarm()


@pytest.mark.parametrize("left", [False, True])
def test_one_that_was_stopped_with_its_runner_locks_as_long_as_something_is_left(
    small: World, tmp_path: Path, left: bool
) -> None:
    small.run("api")
    target = small.target()
    other = holder(small, tmp_path, "started")
    (container,) = switches(small)
    if left:
        (tmp_path / ".gameday/undo/d1.jsonl").write_text("{}\n")
    container.kill()
    kill(other)
    other.communicate()
    container.reload()
    assert container.status == "exited"

    if left:
        with pytest.raises(LockHeld, match=rf"drill d1.*run `gameday recover` in {tmp_path}"):
            taken(target, "d2")
        (tmp_path / ".gameday/undo/d1.jsonl").unlink()
    switch = taken(target, "d2")
    switch.confirm()
    switch.disarm()
    assert gone(small)


def test_one_that_was_never_started_does_not_lock_when_its_runner_is_gone(small: World) -> None:
    small.run("api")
    target = small.target()
    labels = {"gameday.helper": "1", LABEL: "1", f"{LABEL}.containers": f"{small.prefix}-api-1"}
    labels |= {f"{LABEL}.host": os.uname().nodename, f"{LABEL}.pid": "1", f"{LABEL}.created": "1.0"}
    small.client.containers.create("python:3.11-slim", name=f"{small.prefix}-never", labels=labels)

    taken(target).disarm()

    assert gone(small)


def test_a_remote_engine_is_refused_before_anything_is_touched(tavern: Tavern) -> None:
    for host in ("tcp://unix.example:2375", "ssh://anna@example"):
        done = subprocess.run(
            [*GAMEDAY, "run", "cellar-down", "-e", "tavern", "--yes"],
            env={**environ_for(tavern.root), "DOCKER_HOST": host},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "run gameday there" in done.stdout + done.stderr


# --- in a drill -------------------------------------------------------------------------------------------------------


def the_switch(tavern: Tavern) -> Any:
    (found,) = [one for one in tavern.helpers() if LABEL in one.labels]
    return found


def is_over(tavern: Tavern) -> bool:
    return not tavern.drill_processes() and not tavern.helpers()


def events_of(tavern: Tavern, kind: str) -> list[Mapping[str, Any]]:
    return [event for event in tavern.events() if event["event"] == kind]


def test_a_drill_has_it_before_the_steady_state_and_ends_without_it(tavern: Tavern) -> None:
    before = tavern.seen()

    done = tavern.drill()

    assert done.code == 0, done.stdout + done.stderr
    checks = [event["data"]["check"] for event in events_of(tavern, "preflight.checked")]
    assert "dead-man switch" in checks
    assert is_over(tavern)
    assert tavern.left_behind() == []
    assert tavern.seen() == before


def test_a_drill_whose_switch_is_removed_is_ended_and_reverted(tavern: Tavern) -> None:
    known = tavern.folders()
    runner = tavern.start_drill()
    assert tavern.wait_for("fault.injected", runner, known)

    the_switch(tavern).remove(force=True)

    output, _ = runner.communicate(timeout=60)
    assert runner.returncode == 4, output
    (aborted,) = events_of(tavern, "drill.aborted")
    assert "the dead-man switch is lost" in aborted["data"]["reason"]
    assert tavern.answers("cellar")
    assert tavern.left_behind() == []


def test_all_processes_of_the_drill_killed_at_once_leave_it_to_the_switch(tavern: Tavern) -> None:
    before = tavern.seen()
    known = tavern.folders()
    runner = tavern.start_drill()
    assert tavern.wait_for("fault.effective", runner, known)

    kill_all(runner)

    until(lambda: is_over(tavern), 30, "no process and no helper of the drill")
    assert {event["data"]["by"] for event in events_of(tavern, "undo.ended")} == {"dead-man switch"}
    assert tavern.left_behind() == []
    assert tavern.seen() == before


def test_a_second_runner_is_refused_wherever_it_is(tavern: Tavern, tmp_path: Path) -> None:
    elsewhere = tavern.another(tmp_path)
    known = tavern.folders()
    runner = tavern.start_drill()
    folder = tavern.wait_for("preflight.checked", runner, known)
    assert folder is not None
    try:
        with standing_still(runner):
            second = elsewhere.drill()
    finally:
        runner.communicate(timeout=120)

    said = second.stdout + second.stderr
    assert second.code == 3, said
    assert f"scenario cellar-down, drill {folder.name}, pid {runner.pid} on " in said
    assert "since 20" in said
    assert not elsewhere.folders()
    assert is_over(tavern)
    assert tavern.left_behind() == []


def frozen_drill(tavern: Tavern, ttl: str) -> subprocess.Popen[str]:
    """A drill whose runner neither goes on nor ends, with its fault in effect."""
    text = (tavern.root / "scenarios" / "cellar-down.yaml").read_text(encoding="utf-8")
    tavern.write("scenarios/cellar-down.yaml", text.replace("ttl: 40s", f"ttl: {ttl}"))
    known = tavern.folders()
    runner = tavern.start_drill()
    assert tavern.wait_for("fault.effective", runner, known)
    runner.send_signal(signal.SIGSTOP)
    return runner


def thaw(tavern: Tavern, runner: subprocess.Popen[str]) -> None:
    runner.kill()
    runner.communicate(timeout=10)
    until(lambda: is_over(tavern), 30, "no process and no helper of the drill")
    assert tavern.gameday("recover").code == 0
    assert tavern.left_behind() == []


@pytest.mark.xdist_group("tavern-switch")
def test_killed_it_is_started_again_and_reverts_without_a_word(tavern: Tavern) -> None:
    """As after a restart of the engine, and the runner hangs."""
    runner = frozen_drill(tavern, "160s")
    try:
        pid = the_switch(tavern).attrs["State"]["Pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: tavern.answers("cellar"), 40, "the cellar answers")
        said = (tavern.latest() / "deadman.log").read_text(encoding="utf-8")
        assert "started again, and no runner is there" in said
    finally:
        thaw(tavern, runner)


@pytest.mark.engine_restart
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    RESTART not in os.environ, reason=f"restarts the Docker engine, by the command in {RESTART}"
)
@pytest.mark.parametrize("runner_lives", [True, False])
def test_an_engine_that_is_restarted_mid_drill(tavern: Tavern, runner_lives: bool) -> None:
    """The drill ends, and whoever is still there reverts it as soon as an engine answers again."""
    known = tavern.folders()
    runner = tavern.start_drill()
    assert tavern.wait_for("fault.effective", runner, known)
    if not runner_lives:
        runner.send_signal(signal.SIGSTOP)

    subprocess.run(shlex.split(os.environ[RESTART]), check=True, timeout=120)

    tavern.world.client.containers.get(tavern.name("bar")).start()  # its policy is not to be started again
    if runner_lives:
        output, _ = runner.communicate(timeout=150)
        assert runner.returncode in (4, 5), output
    else:
        runner.kill()
        runner.communicate(timeout=10)
    until(lambda: is_over(tavern), 120, "no process and no helper of the drill")
    assert tavern.gameday("recover").code == 0
    until(lambda: tavern.answers("cellar"), 30, "the cellar answers")
    assert tavern.left_behind() == []
