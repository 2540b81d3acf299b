"""Links through the fault proxy: components reach each other by it, and it can cut, slow and narrow the way."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from gameday.errors import ComponentNotFound, TargetError, UsageError
from gameday.fault_spec import DelayFault, LoseFault, NetworkFault, PartitionFault, ThrottleFault
from gameday.proxy import Direction
from gameday.strays import VARIABLE, end_strays
from gameday.targets.base import Networked, Running
from gameday.targets.links import toxic_of
from gameday.targets.process import ProcessTarget
from gameday.targets.state import recorded_ports
from targets.small import CACHE, DATABASE, ECHO, WEB, MakeTarget, marked, run_starter, variables

pytestmark = pytest.mark.process
LINKS = [("web", "peer")]
CLIENT: dict[str, Any] = {**WEB, "env": {"PEER": "${peer.url}", "AT": "${peer.host}:${peer.port}"}}
PAIR = {"web": CLIENT, "peer": ECHO}
PROXY = "fault-proxy"


def delay(server: str) -> DelayFault:
    return DelayFault.model_validate({"delay": server, "by": "300ms"})


def through(target: ProcessTarget) -> str:
    """Where the client reaches its peer."""
    return variables(target, "web")["PEER"]


def ask(url: str, timeout_s: float = 2.0) -> float:
    """Seconds until the answer came."""
    begun = time.monotonic()
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        assert answer.read()
    return time.monotonic() - begun


def proxy_pid(target: ProcessTarget) -> int:
    return int(target.status()[PROXY].targets[0].split()[1])


def test_the_client_goes_through_the_proxy_and_everybody_else_directly(make_target: MakeTarget) -> None:
    target = make_target(**PAIR, other={**WEB, "env": {"PEER": "${peer.url}"}}, links=LINKS)
    said: list[str] = []
    assert target.up(on_progress=said.append)[0] == PROXY
    assert isinstance(target, Networked)

    assert ask(through(target)) < 1
    direct = target.address("peer")
    assert through(target) != direct.url
    assert variables(target, "web")["AT"] == f"127.0.0.1:{urlsplit(through(target)).port}"
    assert variables(target, "other")["PEER"] == direct.url
    assert target.status()[PROXY].running == Running.UP
    assert target.paths("peer", None) == target.paths("peer", "web") == ("web -> peer",)
    assert urlsplit(through(target)).port in recorded_ports(target.folder.parent)
    assert any(line.startswith("fault-proxy: ready after") for line in said)

    assert target.down()[-1] == PROXY


def test_a_database_is_reached_through_the_proxy_with_its_own_kind_of_address(
    make_target: MakeTarget,
) -> None:
    web = {**WEB, "env": {"PEER": "${database.url}", "CACHE": "${cache.url}"}, "after": ["database"]}
    links = [("web", "database"), ("web", "cache")]
    target = make_target(web=web, database=DATABASE, cache=CACHE, links=links)
    target.up()

    with psycopg.connect(through(target), connect_timeout=5) as connection:
        assert connection.execute("select current_user").fetchone() == ("shop",)
    assert variables(target, "web")["CACHE"].startswith("redis://127.0.0.1:")
    target.impair(PartitionFault(partition="database", how="refuse"), "cut", 30, 5)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(through(target), connect_timeout=5)
    with psycopg.connect(target.address("database").url, connect_timeout=5) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def hangs(url: str) -> None:
    with pytest.raises(TimeoutError):
        ask(url, 0.4)


def breaks(url: str) -> None:
    # urllib's own error where the reset comes while it connects or sends
    with pytest.raises((ConnectionResetError, urllib.error.URLError), match="reset"):
        ask(url)


def refuses(url: str) -> None:
    with pytest.raises(urllib.error.URLError, match="refused"):
        ask(url)


def waits(url: str) -> None:
    assert 0.3 <= ask(url) < 1.5


def crawls(url: str) -> None:
    assert ask(url) > 0.4


@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        pytest.param(PartitionFault(partition="peer"), hangs, id="blackhole"),
        pytest.param(PartitionFault(partition="peer", how="reset"), breaks, id="reset"),
        pytest.param(PartitionFault(partition="peer", how="refuse", client="web"), refuses, id="refuse"),
        pytest.param(delay("peer"), waits, id="delay"),
        pytest.param(ThrottleFault(throttle="peer", bytes_per_s=800), crawls, id="throttle"),
        pytest.param(LoseFault(lose="peer", percent=100), hangs, id="lose"),
    ],
)
def test_each_fault_acts_until_it_is_healed(
    make_target: MakeTarget, fault: NetworkFault, effect: Any
) -> None:
    target = make_target(**PAIR, links=LINKS)
    target.up()
    assert ask(through(target)) < 0.3

    said = target.impair(fault, "fault-1", 30, 5)

    assert "on web -> peer (" in said
    effect(through(target))
    assert ask(target.address("peer").url) < 0.3, "others go directly"
    assert target.heal("peer", None, "fault-1", 5) == "healed web -> peer: fault-1"
    assert ask(through(target)) < 0.3
    assert target.heal("peer", None, "fault-1", 5) == "nothing to heal on web -> peer"


def test_a_delay_is_one_way_and_the_rest_goes_both_ways() -> None:
    toxic = toxic_of(delay("peer"), "fault-1", 30)
    assert (toxic.direction, toxic.ttl_s) == (Direction.UPSTREAM, 30)
    throttled = toxic_of(ThrottleFault(throttle="peer", bytes_per_s=800), "fault-1", 30)
    assert throttled.direction is Direction.BOTH


def test_lost_packets_come_late_and_others_do_not(make_target: MakeTarget) -> None:
    target = make_target(**PAIR, links=LINKS)
    target.up()
    target.impair(LoseFault(lose="peer", percent=50), "fault-1", 30, 5)
    took = []
    for _ in range(12):
        try:
            took.append(ask(through(target), 0.5))
        except TimeoutError:
            took.append(0.5)
    assert sum(seconds >= 0.2 for seconds in took) >= 2, "the first retransmission comes after 0.2 s"


def test_open_connections_are_cut_too_and_a_fault_ends_by_itself(make_target: MakeTarget) -> None:
    target = make_target(**PAIR, links=LINKS)
    target.up()
    address = urlsplit(through(target))
    with socket.create_connection((address.hostname, address.port), timeout=2) as connection:  # type: ignore[arg-type]
        connection.sendall(b"GET / HTTP/1.1\r\n")
        said = target.impair(PartitionFault(partition="peer"), "fault-1", 0.8, 5)
        assert "(1 open) for at most 0.8 s" in said
        connection.sendall(b"\r\n")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        connection.settimeout(3)
        assert connection.recv(100).startswith(b"HTTP/1.0 200")


def test_a_reconnect_ends_all_that_acts_on_the_paths_of_one_component(make_target: MakeTarget) -> None:
    web = {**WEB, "env": {"PEER": "${peer.url}", "THIRD": "${third.url}"}}
    target = make_target(web=web, peer=ECHO, third=ECHO, links=[("web", "peer"), ("web", "third")])
    target.up()
    target.impair(delay("peer"), "fault-1", 30, 5)
    target.impair(PartitionFault(partition="peer"), "fault-2", 30, 5)
    target.impair(delay("third"), "fault-1", 30, 5)

    assert target.heal("peer", None, None, 5) == "healed web -> peer: fault-1, web -> peer: fault-2"

    assert ask(through(target)) < 0.3
    assert ask(variables(target, "web")["THIRD"]) >= 0.3
    assert "nothing to heal" in target.heal("peer", None, None, 5)
    assert "nothing to heal" in target.heal("web", None, None, 5)


@pytest.mark.parametrize("how", ["SIGKILL", "pause"])
def test_healing_starts_a_dead_proxy_again_on_the_same_ports(make_target: MakeTarget, how: str) -> None:
    target = make_target(**PAIR, links=LINKS)
    target.up()
    before = through(target)
    target.impair(PartitionFault(partition="peer"), "fault-1", 30, 5)
    if how == "pause":
        target.pause(PROXY, 5)
    else:
        os.kill(proxy_pid(target), 9)

    target.heal("peer", None, "fault-1", 10)

    assert ask(before) < 0.5
    assert target.status()[PROXY].running == Running.UP
    target.stop(PROXY, 5)
    with pytest.raises(TargetError, match="does not answer"):
        target.impair(PartitionFault(partition="peer"), "fault-1", 30, 5)
    assert target.start(PROXY, 10).startswith("started fault-proxy")
    assert ask(before) < 0.5


def test_the_proxy_is_no_stray_of_the_drill_that_started_it(
    make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_target(**PAIR, links=LINKS)
    target.up()
    os.kill(proxy_pid(target), 9)
    monkeypatch.setenv(VARIABLE, "drill-of-this-test")
    target.heal("peer", None, None, 10)

    assert VARIABLE not in variables(target, PROXY)
    assert end_strays("drill-of-this-test") == 0
    assert ask(through(target)) < 0.5


def test_a_proxy_whose_pid_was_never_recorded_is_adopted_and_ended_by_down(
    make_target: MakeTarget, tmp_path: Path
) -> None:
    target = make_target(**PAIR, links=LINKS)
    run_starter(tmp_path, PAIR, "up", "die-after-spawn", links=LINKS).communicate(timeout=20)
    assert json.loads((target.folder / "state.json").read_text())["components"][PROXY]["process"] is None
    assert len(marked(target.folder)) == 1
    time.sleep(0.5)

    assert "web" in target.up()

    assert ask(through(target)) < 0.5
    assert len(marked(target.folder)) == 3
    make_target(web=WEB, peer=ECHO).down()  # the environment's file has no links any more
    assert not marked(target.folder)


def test_a_server_that_moved_before_it_ever_ran_is_still_reached(
    make_target: MakeTarget, tmp_path: Path
) -> None:
    target = make_target(**PAIR, links=LINKS)
    run_starter(tmp_path, PAIR, "up", "die-after-spawn", links=LINKS).communicate(timeout=20)
    port = json.loads((target.folder / "state.json").read_text())["components"]["peer"]["port"]
    with socket.create_server(("127.0.0.1", port)):
        target.up()
        assert target.address("peer").port != port
        assert ask(through(target)) < 0.5


def test_what_cannot_be_impaired_is_refused_and_says_what_would_be_needed(make_target: MakeTarget) -> None:
    target = make_target(**PAIR, links=LINKS)
    target.up()
    with pytest.raises(
        UsageError, match=r"no network path to web .*links: \[\{client: CLIENT, server: web\}\]"
    ):
        target.paths("web", None)
    with pytest.raises(UsageError, match=r"from peer to web .*\{client: peer, server: web\}"):
        target.impair(PartitionFault(partition="web", client="peer"), "fault-1", 30, 5)
    with pytest.raises(UsageError, match="dns: cut: target process cannot do that"):
        target.paths("peer", None, PartitionFault(partition="peer", dns="cut"))
    with pytest.raises(ComponentNotFound, match="no component 'nobody'"):
        target.paths("nobody", None)
    with pytest.raises(UsageError, match="ttl_s"):
        target.impair(PartitionFault(partition="peer"), "fault-1", 0, 5)
    with pytest.raises(UsageError, match="this name is the fault proxy's own"):
        make_target(**{PROXY: WEB})
    with pytest.raises(UsageError, match=r"links\.0: peer does not name \$\{web\.url\}"):
        make_target(**PAIR, links=[("peer", "web")])


def test_links_that_changed_since_up_are_told_instead_of_passed_by(make_target: MakeTarget) -> None:
    target = make_target(**PAIR, links=LINKS)
    target.up()
    changed = make_target(
        **PAIR, third={**WEB, "env": {"P": "${peer.url}"}}, links=[*LINKS, ("third", "peer")]
    )

    with pytest.raises(
        TargetError, match=r"links of small have changed since it was brought up \(third -> peer\)"
    ):
        changed.up()
    target.down()
