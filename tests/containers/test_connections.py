"""Containers that are taken off their networks, and come back as they were."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import docker
import pytest

from containers.networks import reaches, saved_of_host
from containers.worlds import World
from gameday.errors import ComponentNotFound, TargetError, UsageError
from gameday.targets.base import Connectable
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.target import DockerTarget
from targets.eventually import eventually

pytestmark = pytest.mark.docker


def networks(world: World, component: str, number: int = 1) -> Mapping[str, Any]:
    """As the engine shows them, but for the endpoint's own id."""
    found = world.inspect(component, number)["NetworkSettings"]["Networks"]
    return {
        name: {key: value for key, value in end.items() if key != "EndpointID"} for name, end in found.items()
    }


def second(world: World, key: str, subnet: str | None = None) -> Any:
    """Another network, called `key` in a compose file."""
    pools = [docker.types.IPAMPool(subnet=subnet)] if subnet else []
    return world.client.networks.create(
        f"{world.prefix}-{key}",
        labels={"gameday.test": world.prefix, "com.docker.compose.network": key},
        ipam=docker.types.IPAMConfig(pool_configs=pools) if pools else None,
    )


def host_answers(target: DockerTarget, component: str) -> bool:
    try:
        with urllib.request.urlopen(target.address(component).url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def test_off_and_on_again_leaves_all_as_it_was(engine: Engine, small: World) -> None:
    small.run("api")
    small.run("database", ports={})
    small.network.disconnect(small.client.containers.get(f"{small.prefix}-database-1"))
    small.network.connect(f"{small.prefix}-database-1", aliases=["db", "primary"])
    small.components["database"] = {"docker": small.components["database"]["docker"]}
    target = small.target()
    assert isinstance(target, Connectable)
    assert eventually(lambda: reaches(small, "api", "database"))
    before, before_here = networks(small, "database"), saved_of_host(engine, small)
    connections = json.loads(json.dumps(target.connections("database", None, None)))
    assert target.disconnect_network("database", None, 15) == (
        f"disconnected {small.prefix}-database-1 from {small.network.name}"
    )
    assert networks(small, "database") == {}
    assert not reaches(small, "api", "database")
    assert host_answers(target, "api")
    said = target.connect("database", connections, 15)
    assert said == f"connected {small.prefix}-database-1 to {small.network.name}"
    assert networks(small, "database") == before
    assert reaches(small, "api", "database")
    assert saved_of_host(engine, small) == before_here
    assert target.connect("database", connections, 15) == "database was on its networks already"


def test_published_ports_come_back(small: World) -> None:
    small.run("api")
    target = small.target()
    before = networks(small, "api")
    connections = target.connections("api", None, None)
    target.disconnect_network("api", None, 15)
    assert not host_answers(target, "api")
    target.connect("api", connections, 15)
    assert eventually(lambda: host_answers(target, "api"))
    assert networks(small, "api") == before


def test_one_of_two_networks_by_name_or_by_its_key_in_the_compose_file(small: World) -> None:
    small.run("api")
    back = second(small, "back", "10.213.77.0/24")
    back.connect(f"{small.prefix}-api-1", aliases=["inner", "api"], ipv4_address="10.213.77.9")
    target = small.target()
    before = networks(small, "api")
    assert len(before) == 2
    for called in ("back", back.name, small.network.name, None):
        connections = target.connections("api", called, None)
        target.disconnect_network("api", called, 15)
        left = set() if called is None else set(before) - set(connections[f"{small.prefix}-api-1"])
        assert set(networks(small, "api")) == left
        assert len(left) == (1 if called else 0)
        target.connect("api", connections, 15)
        assert networks(small, "api") == before
        assert eventually(lambda: host_answers(target, "api"))
    with pytest.raises(UsageError, match=r"is not on network nowhere; it is on: .*-back \(back\)"):
        target.connections("api", "nowhere", None)
    with pytest.raises(TargetError, match="on nowhere"):
        target.disconnect_network("api", "nowhere", 15)


def test_an_address_that_was_given_away_is_asked_for_and_a_loss_is_told(small: World) -> None:
    """`lower` leaves: its address is free then, and lower than the one that the component had."""
    back = second(small, "back", "10.213.78.0/24")
    small.run("lower")
    small.run("api")
    for component in ("lower", "api"):
        back.connect(f"{small.prefix}-{component}-1")
    target = small.target()
    before = networks(small, "api")
    connections = target.connections("api", None, None)
    target.disconnect_network("api", None, 15)
    small.client.containers.get(f"{small.prefix}-lower-1").remove(force=True)
    said = target.connect("api", connections, 15)
    after = networks(small, "api")
    assert after[back.name]["IPAddress"] == before[back.name]["IPAddress"]
    assert "taken anew" in said
    now = after[small.network.name]["IPAddress"]
    was = before[small.network.name]["IPAddress"]
    assert now != was
    assert f"its address is {now} and was {was}: the network takes no wishes" in said
    assert eventually(lambda: host_answers(target, "api"))


def test_some_of_several_containers(small: World) -> None:
    small.run("api", 1)
    small.run("api", 2)
    target = small.target()
    before = [networks(small, "api", number) for number in (1, 2)]
    connections = target.connections("api", None, 1)
    assert list(connections) == [f"{small.prefix}-api-1"]
    target.disconnect_network("api", None, 15, 1)
    assert networks(small, "api", 1) == {}
    assert networks(small, "api", 2) == before[1]
    target.connect("api", connections, 15)
    assert [networks(small, "api", number) for number in (1, 2)] == before


def test_reconnect_puts_a_component_back_onto_the_networks_that_it_was_on(small: World) -> None:
    small.run("api")
    small.run("other")
    small.network.disconnect(f"{small.prefix}-api-1")
    small.network.connect(f"{small.prefix}-api-1", aliases=["front"])
    second(small, "back").connect(f"{small.prefix}-api-1")
    target = small.target()
    before = networks(small, "api")
    target.disconnect_network("api", None, 15)
    said = target.heal("api", None, None, 30)
    assert said.startswith(f"healed connected {small.prefix}-api-1 to")
    assert networks(small, "api") == before
    assert reaches(small, "other", "api")
    assert "nothing to heal" in target.heal("api", None, None, 30)


def test_containers_that_are_down_gone_or_without_a_network(small: World) -> None:
    small.run("api")
    small.run("own", network="none", ports={})
    small.components["own"] = {"docker": small.components["own"]["docker"]}
    target = small.target()
    with pytest.raises(UsageError, match="network mode none"):
        target.connections("own", None, None)
    connections = target.connections("api", None, None)
    target.disconnect_network("api", None, 15)
    api = small.client.containers.get(f"{small.prefix}-api-1")
    api.stop(timeout=1)
    with pytest.raises(UsageError, match="is down"):
        target.connections("api", None, None)
    target.connect("api", connections, 15)
    api.start()
    assert eventually(lambda: host_answers(target, "api"))
    api.remove(force=True)
    assert target.connect("api", connections, 15) == f"{small.prefix}-api-1 is gone"
    with pytest.raises(ComponentNotFound):
        target.connections("api", None, None)


def test_a_network_that_is_gone_is_told(small: World) -> None:
    small.run("api")
    back = second(small, "back")
    back.connect(f"{small.prefix}-api-1")
    target = small.target()
    connections = target.connections("api", "back", None)
    target.disconnect_network("api", "back", 15)
    time.sleep(0.1)
    back.remove()
    with pytest.raises(TargetError, match=f"connect .* to {back.name}"):
        target.connect("api", connections, 15)
