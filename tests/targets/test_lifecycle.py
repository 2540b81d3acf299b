"""Bringing a whole instance up and down, and what a person is told when it does not work."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import pytest

from gameday.errors import ComponentNotFound, OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Running
from gameday.targets.state import recorded_ports
from gameday.targets.waiting import Deadline, wait_until
from targets.small import CACHE, DATABASE, WEB, MakeTarget, marked, run_starter

pytestmark = pytest.mark.process


def test_up_starts_all_and_down_leaves_nothing(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE, cache=CACHE, web={**WEB, "after": ["database", "cache"]})
    said: list[str] = []

    assert set(target.up(on_progress=said.append)) == {"database", "cache", "web"}

    status = target.status()
    assert {name: one.running for name, one in status.items()} == dict.fromkeys(status, Running.UP)
    assert any("(postgres)" in process for process in status["database"].targets)
    assert urllib.request.urlopen(target.address("web").url, timeout=2).status == 200
    assert any(line.startswith("database: ready on port") for line in said)

    assert target.down()[0] == "web"
    assert not target.folder.exists()
    assert not marked(target.folder)
    assert target.status()["web"].running == Running.DOWN


def test_up_and_down_twice_do_nothing_more(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()
    before = target.status()

    assert target.up() == ()
    assert target.status() == before
    assert target.down() == ("web",)
    assert target.down() == ()


def test_another_process_sees_and_uses_what_one_has_started(make_target: MakeTarget, tmp_path: Path) -> None:
    components = {"web": WEB, "cache": CACHE}
    starter = run_starter(tmp_path, components, "up")
    assert starter.wait(20) == 0
    target = make_target(**components)

    assert {one.running for one in target.status().values()} == {Running.UP}
    assert target.up() == ()
    target.kill("web", "SIGKILL", 5)
    assert target.status()["web"].running == Running.DOWN
    starter.stdout.close()  # type: ignore[union-attr]


def test_two_instances_live_side_by_side(make_target: MakeTarget) -> None:
    blue, green = (make_target(f"small@{colour}", web=WEB, cache=CACHE) for colour in ("blue", "green"))
    blue.up()
    green.up()
    addresses = {target.address(name) for target in (blue, green) for name in ("web", "cache")}
    assert len(addresses) == 4

    blue.down()

    assert {one.running for one in green.status().values()} == {Running.UP}
    assert {one.running for one in blue.status().values()} == {Running.DOWN}


def test_a_component_that_is_down_keeps_its_port_from_a_neighbour(make_target: MakeTarget) -> None:
    blue = make_target("small@blue", web=WEB)
    blue.up()
    port = blue.address("web").port
    blue.kill("web", "SIGKILL", 5)
    green = make_target("small@green", web={**WEB, "port": port + 1}, cache=CACHE)

    assert port in recorded_ports(green.folder.parent)  # a collision by chance would be rare
    green.up()
    blue.start("web", 10)

    assert blue.address("web").port == port


def test_start_after_kill_comes_back_on_the_same_port(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()
    address = target.address("web")

    assert target.kill("web", "SIGKILL", 5).startswith("SIGKILL ended pid")
    assert target.start("web", 10).startswith("started web in")
    assert target.start("web", 10) == "web was up already"

    assert target.address("web") == address
    assert urllib.request.urlopen(address.url, timeout=2).status == 200


def test_killing_what_is_down_is_an_error_and_stopping_it_is_none(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()
    assert target.stop("web", 5).startswith("stopped web")

    assert target.stop("web", 5) == "web was down already"
    with pytest.raises(TargetError, match="SIGKILL for web: it is down"):
        target.kill("web", "SIGKILL", 5)


def test_sigterm_goes_to_the_main_process_and_its_end_is_awaited(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()

    assert target.kill("web", "SIGTERM", 5).startswith("SIGTERM ended")

    assert not marked(target.folder)


def test_a_signal_that_is_ignored_times_out(make_target: MakeTarget) -> None:
    deaf = "trap '' TERM; exec ${python} -m http.server ${port} --bind ${host}"
    target = make_target(web={"command": ["sh", "-c", deaf], "ready": {"http": "/"}, "stop_within": "300ms"})
    target.up()

    with pytest.raises(OperationTimedOut, match=r"SIGTERM for web: still alive after 0\.2 s"):
        target.kill("web", "SIGTERM", 0.2)
    assert "with SIGKILL for" in target.stop("web", 5)
    assert not marked(target.folder)


def test_a_killed_parent_takes_its_children_with_it(make_target: MakeTarget) -> None:
    server = "${python} -m http.server ${port} --bind ${host} & setsid sleep 600 & wait"
    target = make_target(web={"command": ["sh", "-c", server], "ready": {"http": "/"}})
    target.up()
    assert target.status()["web"].targets[0].endswith("(sh) and its 2 children")

    target.kill("web", "SIGKILL", 5)

    assert not marked(target.folder)
    assert target.start("web", 10).startswith("started")


def test_children_that_outlive_a_main_process_killed_by_others_are_no_obstacle(
    make_target: MakeTarget,
) -> None:
    server = "${python} -m http.server ${port} --bind ${host} & setsid sleep 600 & wait"
    target = make_target(web={"command": ["sh", "-c", server], "ready": {"http": "/"}})
    target.up()
    main = int(target.status()["web"].targets[0].split()[1])
    os.kill(main, 9)
    assert wait_until(lambda: target.status()["web"].running is Running.DOWN, Deadline.after(5))

    assert len(target.status()["web"].targets) == 2
    assert target.start("web", 10).startswith("started")
    assert len(marked(target.folder)) == 3


def test_pause_freezes_and_resume_goes_on(make_target: MakeTarget) -> None:
    target = make_target(database=DATABASE, web=WEB)
    target.up()
    url = target.address("web")
    for name in ("web", "database"):
        target.pause(name, 5)
    assert {one.running for one in target.status().values()} == {Running.PAUSED}
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(url.url, timeout=0.3)
    with pytest.raises(TargetError, match="is paused"):
        target.start("web", 5)

    for name in ("web", "database"):
        target.resume(name, 5)

    assert {one.running for one in target.status().values()} == {Running.UP}
    assert urllib.request.urlopen(url.url, timeout=2).status == 200
    assert target.resume("web", 5) == "web was not paused"


def test_a_component_that_ends_at_once_is_told_with_its_output_and_the_others_are_stopped(
    make_target: MakeTarget,
) -> None:
    broken = {"command": ["sh", "-c", "echo no such table >&2; exit 3"], "after": ["web"]}
    target = make_target(web=WEB, broken=broken)

    with pytest.raises(TargetError, match=r"(?s)broken ended with exit code 3.*no such table"):
        target.up()

    assert not marked(target.folder)
    assert target.status()["web"].running == Running.DOWN


def test_what_was_up_before_a_failed_up_stays_up(make_target: MakeTarget) -> None:
    make_target(web=WEB).up()
    target = make_target(web=WEB, broken={"command": ["false"], "after": ["web"]})

    with pytest.raises(TargetError, match="exit code 1"):
        target.up()

    assert target.status()["web"].running == Running.UP


def test_a_component_that_never_listens_times_out_with_its_output(make_target: MakeTarget) -> None:
    slow = {"command": ["sh", "-c", "echo still loading; sleep 600"], "ready": {"within": "300ms"}}
    target = make_target(slow=slow)

    with pytest.raises(OperationTimedOut, match=r"(?s)not ready within 0\.3 s.*still loading"):
        target.up()

    assert not marked(target.folder)


def test_a_program_that_does_not_exist_is_named(make_target: MakeTarget) -> None:
    target = make_target(web={"command": ["no-such-program"]})

    with pytest.raises(TargetError, match="cannot run 'no-such-program'"):
        target.up()


def test_a_fixed_port_that_is_taken_is_told(make_target: MakeTarget) -> None:
    first = make_target("small@first", web=WEB)
    first.up()
    second = make_target("small@second", web={**WEB, "port": first.address("web").port})

    with pytest.raises(TargetError, match="is taken by another program"):
        second.up()


def test_asking_before_up_says_what_to_do(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)

    with pytest.raises(TargetError, match="gameday env up small"):
        target.address("web")
    with pytest.raises(ComponentNotFound, match="components here: web"):
        target.start("database", 1)


def test_a_broken_state_file_is_told_and_down_still_cleans_up(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()
    (target.folder / "state.json").write_text('{"format": 1')

    with pytest.raises(TargetError, match="cannot be understood"):
        target.status()
    target.down()

    assert not marked(target.folder)
    assert not target.folder.exists()


def test_references_to_nothing_are_refused_before_anything_starts(make_target: MakeTarget) -> None:
    with pytest.raises(UsageError, match=r"components\.web\.env\.PEER: unknown reference \$\{databse\.url\}"):
        make_target(web={"command": ["true"], "env": {"PEER": "${databse.url}"}})
    with pytest.raises(UsageError, match="is not an instance"):
        make_target("../elsewhere", web=WEB)


def test_a_component_gets_the_addresses_of_others(make_target: MakeTarget) -> None:
    show = 'env > seen.txt; exec "$0" -m http.server ${port} --bind ${host}'
    environment = {"CACHE": "${cache.url}", "OWN": "${url}"}
    target = make_target(
        cache=CACHE,
        web={"command": ["sh", "-c", show, "${python}"], "env": environment, "ready": {"http": "/"}},
    )
    target.up()

    seen = urllib.request.urlopen(f"{target.address('web').url}/seen.txt", timeout=2).read().decode()

    assert f"CACHE={target.address('cache').url}\n" in seen
    assert f"OWN={target.address('web').url}\n" in seen


def test_a_large_output_is_put_aside_at_the_next_start(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()
    target.stop("web", 5)
    output = target.folder / "web" / "output.log"
    with output.open("ab") as file:
        file.truncate(9 * 1024 * 1024)

    target.start("web", 10)

    assert output.stat().st_size < 1024 * 1024
    assert output.with_name("output.log.1").exists()
