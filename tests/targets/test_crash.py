"""Whoever starts or stops components may be killed at any moment: nothing is lost, nothing runs twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gameday.targets.base import Running
from targets.small import CACHE, DATABASE, WEB, MakeTarget, marked, run_starter

pytestmark = pytest.mark.process


def postmasters(folder: Path) -> list[int]:
    """Pids of PostgreSQL servers on an instance's data; a child just forked looks like one, so by parent too."""
    parents = {}
    for pid in marked(folder):
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # gone meanwhile
            continue
        if argv[0].endswith(b"/postgres") and b"-D" in argv and b"--boot" not in argv:
            parents[pid] = parent
    return [pid for pid, parent in parents.items() if parent not in parents]


def kill_after(starter: subprocess.Popen[str], delay_s: float) -> None:
    time.sleep(delay_s)
    starter.send_signal(signal.SIGKILL)
    starter.wait(10)
    assert starter.stdout is not None
    starter.stdout.close()


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.1, 0.3, 0.6, 0.9, 1.3])
def test_down_finds_everything_of_an_up_that_was_killed(
    make_target: MakeTarget, tmp_path: Path, delay_s: float
) -> None:
    components = {"database": DATABASE, "web": WEB}
    target = make_target(**components)
    kill_after(run_starter(tmp_path, components, "up"), delay_s)

    target.down()

    assert not marked(target.folder)
    assert not target.folder.exists()


@pytest.mark.parametrize("delay_s", [0.05, 0.3, 0.7])
def test_up_finishes_what_a_killed_up_began(make_target: MakeTarget, tmp_path: Path, delay_s: float) -> None:
    components = {"database": DATABASE, "web": WEB}
    target = make_target(**components)
    kill_after(run_starter(tmp_path, components, "up"), delay_s)

    target.up()

    assert {one.running for one in target.status().values()} == {Running.UP}
    assert len(postmasters(target.folder)) == 1
    assert urllib.request.urlopen(target.address("web").url, timeout=2).status == 200
    assert (target.folder / "database" / "backup" / "PG_VERSION").exists()


@pytest.mark.parametrize("component", [{"database": DATABASE}, {"cache": CACHE}, {"web": WEB}])
def test_a_process_whose_pid_was_never_recorded_is_adopted(
    make_target: MakeTarget, tmp_path: Path, component: dict[str, Any]
) -> None:
    (name,) = component
    target = make_target(**component)
    run_starter(tmp_path, component, "up", "die-after-spawn").communicate(timeout=20)
    time.sleep(0.3)  # by now it has set the title that it wants, over its environment if it is let
    assert '"process": null' in (target.folder / "state.json").read_text()

    orphan = target.status()[name].targets[0].split()[1]
    assert target.status()[name].running == Running.UP
    assert target.start(name, 20) == f"{name} was up already"
    assert target.status()[name].targets[0].split()[1] == orphan
    target.kill(name, "SIGKILL", 5)

    assert not marked(target.folder)


def test_an_orphan_that_nobody_recorded_is_ended_by_down(make_target: MakeTarget, tmp_path: Path) -> None:
    target = make_target(web=WEB)
    run_starter(tmp_path, {"web": WEB}, "up", "die-after-spawn").communicate(timeout=10)
    assert len(marked(target.folder)) == 1

    target.down()

    assert not marked(target.folder)


def test_start_after_a_killed_start_never_makes_two_servers(make_target: MakeTarget, tmp_path: Path) -> None:
    components = {"database": DATABASE}
    target = make_target(**components)
    target.up()
    for turn in range(8):
        target.kill("database", "SIGKILL", 10)
        kill_after(run_starter(tmp_path, components, "start"), turn * 0.03)

        target.start("database", 20)

        assert len(postmasters(target.folder)) == 1
        assert target.status()["database"].running == Running.UP


def test_two_starts_at_once_make_one_server(make_target: MakeTarget, tmp_path: Path) -> None:
    target = make_target(database=DATABASE)
    target.up()
    target.kill("database", "SIGKILL", 5)

    starters = [run_starter(tmp_path, {"database": DATABASE}, "start", "on-signal") for _ in range(3)]
    for starter in starters:
        starter.send_signal(signal.SIGCONT)

    assert [starter.wait(20) for starter in starters] == [0, 0, 0]
    assert len(postmasters(target.folder)) == 1
    for starter in starters:
        starter.communicate()


def test_a_caller_that_does_not_look_after_its_children_is_no_obstacle(
    make_target: MakeTarget, tmp_path: Path
) -> None:
    """The starter is stopped: it is the parent of the database and cannot collect it."""
    target = make_target(database=DATABASE)
    holder = run_starter(tmp_path, {"database": DATABASE}, "hold")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "done\n"
    os.kill(holder.pid, signal.SIGSTOP)
    try:
        target.kill("database", "SIGKILL", 5)
        assert target.status()["database"].running == Running.DOWN

        assert target.start("database", 20).startswith("started")
    finally:
        holder.kill()
        holder.communicate()
