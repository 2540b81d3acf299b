"""Partitions between containers: the two are cut from each other, nobody else is, and nothing is left of it."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Iterator

import pytest

from containers.networks import ECHO, Talk, ask, helpers_of, proxy_command, reaches, saved, saved_of_host
from containers.worlds import World
from gameday.errors import GamedayError, UsageError
from gameday.fault_spec import PartitionFault
from gameday.targets.base import Networked
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.image import helper_image
from gameday.targets.docker.target import DockerTarget
from targets.eventually import eventually

pytestmark = pytest.mark.docker
NAME = "gameday-partition"
CUT = PartitionFault(partition="database", client="api")


def namespace(world: World, component: str, number: int = 1) -> str:
    return f"container:{world.prefix}-{component}-{number}"


@pytest.fixture
def three(small: World) -> World:
    for component in ("api", "database", "other"):
        small.run(component)
    return small


@pytest.fixture
def target(three: World) -> Iterator[DockerTarget]:
    target = three.target()
    yield target
    for client in ("api", None):
        target.heal("database", client, None, 30)


def host_answers(target: DockerTarget, component: str) -> bool:
    with urllib.request.urlopen(target.address(component).url, timeout=2) as answer:
        return bool(answer.status == 200)


def test_only_the_two_are_cut_from_each_other_and_nothing_is_left_of_it(
    engine: Engine, three: World, target: DockerTarget
) -> None:
    assert isinstance(target, Networked)
    assert target.paths("database", "api", CUT) == ("api -> database",)
    names = ("api", "database", "other")
    before = [saved(engine, namespace(three, name)) for name in names]
    before_here = saved_of_host(engine, three)
    said = target.impair(CUT, NAME, 30, 15)
    assert not three.reach(target, "api", "database")
    assert not three.reach(target, "database", "api")
    assert f"{three.prefix}-api-1" in said
    assert three.reach(target, "other", "database")
    assert three.reach(target, "api", "other")
    assert host_answers(target, "api")
    assert host_answers(target, "database")
    assert saved_of_host(engine, three) == before_here != []
    assert "healed api -> database: gameday-partition" in target.heal("database", "api", NAME, 15)
    assert three.reach(target, "api", "database")
    assert [saved(engine, namespace(three, name)) for name in names] == before
    assert saved_of_host(engine, three) == before_here
    assert helpers_of(engine, three) == []
    assert "nothing to heal" in target.heal("database", "api", NAME, 15)


@pytest.mark.parametrize(
    ("how", "new", "open_one"),
    [("blackhole", "timed out", "silent"), ("reset", "reset", "broken"), ("refuse", "refused", "broken")],
)
def test_how_it_is_cut_and_what_open_connections_suffer(
    small: World, how: str, new: str, open_one: str
) -> None:
    small.run("api")
    small.run("database", command=["python3", "-c", ECHO])
    small.components["database"]["ready"] = {"within": "20s"}
    target = small.target()
    talk = Talk(small, "api", "database")
    fault = PartitionFault.model_validate({"partition": "database", "client": "api", "how": how})
    target.impair(fault, NAME, 30, 15)
    try:
        assert eventually(lambda: talk.hears(open_one))
        assert new in ask(small, "api", "database")
    finally:
        target.heal("database", "api", NAME, 15)
    if how == "blackhole":
        assert eventually(lambda: talk.hears("ok"))  # as TCP sends again what was dropped


def test_without_a_client_everybody_is_cut_but_this_machine(
    engine: Engine, three: World, target: DockerTarget
) -> None:
    before = saved(engine, namespace(three, "database"))
    fault = PartitionFault(partition="database")
    assert target.paths("database", None, fault) == ("everybody -> database",)
    target.impair(fault, NAME, 30, 15)
    assert not reaches(three, "api", "database")
    assert not reaches(three, "other", "database")
    assert not reaches(three, "database", "api")
    assert reaches(three, "database", "database")
    assert host_answers(target, "database")
    assert three.reach(target, "api", "other")
    target.heal("database", None, NAME, 15)
    assert reaches(three, "api", "database")
    assert saved(engine, namespace(three, "database")) == before


def test_it_ends_by_itself_when_nobody_heals_it(engine: Engine, three: World, target: DockerTarget) -> None:
    before = saved(engine, namespace(three, "api"))
    begun = time.monotonic()
    target.impair(CUT, NAME, 3, 15)
    assert not reaches(three, "api", "database")
    assert eventually(lambda: not helpers_of(engine, three))
    assert 3 <= time.monotonic() - begun < 8
    assert reaches(three, "api", "database")
    assert saved(engine, namespace(three, "api")) == before


def test_it_ends_by_itself_when_its_runner_was_killed(
    engine: Engine, three: World, target: DockerTarget
) -> None:
    before = saved(engine, namespace(three, "api"))
    begun = time.monotonic()
    runner = os.fork()
    if runner == 0:
        try:
            DockerTarget(target.environment, "world", three.project).impair(CUT, NAME, 4, 15)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:  # whatever happens: this process has another one's tests in it
            os._exit(1)
    _, ended = os.waitpid(runner, 0)
    assert os.waitstatus_to_exitcode(ended) == -signal.SIGKILL
    assert len(helpers_of(engine, three)) == 1
    assert not reaches(three, "api", "database")
    assert eventually(lambda: not helpers_of(engine, three))
    assert 4 <= time.monotonic() - begun < 10
    assert reaches(three, "api", "database")
    assert saved(engine, namespace(three, "api")) == before


def test_a_helper_that_is_asked_to_end_takes_its_rules_along(
    engine: Engine, three: World, target: DockerTarget
) -> None:
    before = saved(engine, namespace(three, "api"))
    target.impair(CUT, NAME, 30, 15)
    (helper,) = helpers_of(engine, three)
    engine.api.kill(helper, signal="SIGTERM")
    assert eventually(lambda: not helpers_of(engine, three))
    assert reaches(three, "api", "database")
    assert saved(engine, namespace(three, "api")) == before


@pytest.mark.parametrize("name", [NAME, None])
def test_what_a_killed_helper_left_is_healed_by_another(
    engine: Engine, three: World, target: DockerTarget, name: str | None
) -> None:
    before = saved(engine, namespace(three, "api"))
    target.impair(CUT, NAME, 30, 15)
    (helper,) = helpers_of(engine, three)
    engine.api.kill(helper, signal="SIGKILL")
    assert eventually(lambda: not helpers_of(engine, three))
    assert not reaches(three, "api", "database")
    said = target.heal("database", "api" if name else None, name, 15)
    assert "nobody was looking after" in said
    assert reaches(three, "api", "database")
    assert saved(engine, namespace(three, "api")) == before


def test_putting_it_again_replaces_it_and_others_stay(
    engine: Engine, three: World, target: DockerTarget
) -> None:
    before = saved(engine, namespace(three, "api"))
    target.impair(CUT, NAME, 30, 15)
    target.impair(CUT.model_copy(update={"how": "refuse"}), NAME, 30, 15)
    assert len(helpers_of(engine, three)) == 1
    assert "refused" in ask(three, "api", "database")
    target.impair(PartitionFault(partition="other", client="api"), NAME, 30, 15)
    target.heal("database", "api", NAME, 15)
    assert reaches(three, "api", "database")
    assert not reaches(three, "api", "other")
    target.heal("other", "api", NAME, 15)
    assert saved(engine, namespace(three, "api")) == before


def test_containers_that_were_restarted_or_are_gone_are_well(
    engine: Engine, three: World, target: DockerTarget
) -> None:
    target.impair(CUT, NAME, 60, 15)
    api = three.client.containers.get(f"{three.prefix}-api-1")
    api.restart(timeout=1)
    target.start("api", 30)
    assert reaches(three, "api", "database")  # a new namespace has no rules
    assert "healed" in target.heal("database", "api", NAME, 15)
    target.impair(CUT, NAME, 60, 15)
    api.remove(force=True)
    assert "healed" in target.heal("database", "api", NAME, 15)
    assert "nothing" in target.heal("database", "api", NAME, 15)
    assert helpers_of(engine, three) == []


def test_every_container_of_both_is_cut(engine: Engine, small: World) -> None:
    for component in ("api", "database"):
        small.run(component, 1)
        small.run(component, 2)
    target = small.target()
    pairs = [(number, of) for number in (1, 2) for of in (1, 2)]
    target.impair(CUT, NAME, 30, 15)
    assert [reaches(small, "api", "database", number=number, of=of) for number, of in pairs] == [False] * 4
    target.heal("database", None, None, 15)
    assert [reaches(small, "api", "database", number=number, of=of) for number, of in pairs] == [True] * 4
    assert helpers_of(engine, small) == []


def test_reconnecting_a_component_ends_what_it_suffers_as_a_client_too(
    three: World, target: DockerTarget
) -> None:
    target.impair(CUT, NAME, 30, 15)
    target.impair(PartitionFault(partition="api", client="other"), NAME, 30, 15)
    target.impair(PartitionFault(partition="database", client="other"), NAME, 30, 15)
    said = target.heal("api", None, None, 15)
    assert "api -> database" in said
    assert "other -> api" in said
    assert reaches(three, "api", "database")
    assert reaches(three, "other", "api")
    assert not reaches(three, "other", "database")


def test_a_link_through_a_proxy_is_cut_at_its_port(engine: Engine, three: World) -> None:
    upstream = f"{three.prefix}-database-1:8000"
    command = proxy_command("api-database", 15432, upstream)
    three.run("network", image=helper_image(engine), command=command, ports={})
    three.components["network"] = {"docker": three.components["network"]["docker"]}
    link = {"client": "api", "server": "database", "via": "network", "port": 15432}
    target = three.target(links=[link])
    assert eventually(lambda: reaches(three, "api", "network", port=15432))
    target.impair(CUT, NAME, 30, 15)
    assert not reaches(three, "api", "network", port=15432)
    assert reaches(three, "other", "network", port=15432)
    assert reaches(three, "api", "database")  # not the path that the link is
    target.heal("database", "api", NAME, 15)
    assert reaches(three, "api", "network", port=15432)


def test_over_ipv6_too(engine: Engine, small: World) -> None:
    import docker

    subnet = f"fd00:{small.prefix[-4:]}::/64"
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=subnet)])
    six = small.client.networks.create(
        f"{small.prefix}-six", enable_ipv6=True, ipam=pool, labels={"gameday.test": small.prefix}
    )
    for component in ("api", "database", "other"):
        six.connect(small.run(component))
    target = small.target()
    ends = small.inspect("database")["NetworkSettings"]["Networks"]
    address = ends[f"{small.prefix}-six"]["GlobalIPv6Address"]
    script = f"import socket; socket.create_connection(('{address}', 9), timeout=1)"

    def hears(client: str) -> str:  # nobody listens there: a refusal comes from the other end
        container = small.client.containers.get(f"{small.prefix}-{client}-1")
        return str(container.exec_run(["python3", "-c", script]).output)

    assert "refused" in hears("api")
    for client in ("api", None):
        target.impair(CUT.model_copy(update={"client": client}), NAME, 30, 15)
        assert "timed out" in hears("api")
        assert ("refused" if client else "timed out") in hears("other")
        target.heal("database", client, NAME, 15)
        assert "refused" in hears("api")


def test_what_cannot_be_cut_is_refused_before_anything_is_touched(engine: Engine, small: World) -> None:
    small.run("api")
    small.run("database", network="bridge")
    small.run("own", network="none", ports={})
    small.components["own"] = {"docker": small.components["own"]["docker"]}
    target = small.target()
    for server, client, message in [
        ("database", "api", "share no network"),
        ("database", "own", "network mode none"),
        ("api", "api", "without a network"),
        ("api", "nobody", "no component 'nobody'"),
    ]:
        fault = PartitionFault(partition=server, client=client)
        with pytest.raises(GamedayError, match=message):
            target.paths(server, client, fault)
        with pytest.raises(GamedayError, match=message):
            target.impair(fault, NAME, 30, 15)
    with pytest.raises(UsageError, match="time-to-live"):
        target.impair(PartitionFault(partition="api"), NAME, 0, 15)
    small.client.containers.get(f"{small.prefix}-api-1").stop(timeout=1)
    with pytest.raises(GamedayError, match="no container of api runs"):
        target.impair(PartitionFault(partition="api"), NAME, 30, 15)
    assert helpers_of(engine, small) == []
