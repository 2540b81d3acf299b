"""Containers that were removed, made again on a real engine from what was remembered of them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from containers.likeness import likeness
from containers.worlds import World
from gameday.errors import TargetError
from gameday.targets.base import Preparing, Remembering, Removable
from gameday.targets.docker.engine import NotThere
from gameday.targets.docker.target import DockerTarget

pytestmark = pytest.mark.docker


def state(small: World, component: str, number: int = 1) -> str:
    return str(small.inspect(component, number)["State"]["Status"])


@contextmanager
def volumes(small: World, *names: str) -> Iterator[None]:
    made = [small.client.volumes.create(name) for name in names]
    try:
        yield
    finally:
        for container in small.client.containers.list(
            all=True, filters={"label": f"gameday.test={small.prefix}"}
        ):
            container.remove(force=True, v=True)
        for volume in made:
            volume.remove(force=True)


def test_what_was_removed_is_made_again_and_differs_in_nothing(small: World) -> None:
    named = f"{small.prefix}-data"
    second = small.client.networks.create(f"{small.prefix}-second", labels={"gameday.test": small.prefix})
    try:
        with volumes(small, named):
            api = small.client.api
            endpoints = {small.network.name: api.create_endpoint_config(aliases=["the-api", "hotel"])}
            small.run(
                "api",
                volumes={named: {"bind": "/named", "mode": "ro"}},
                mounts=[{"Type": "volume", "Target": "/unnamed", "Source": ""}],
                tmpfs={"/scratch": "size=1m"},
                environment={"SAYS": "api", "TOKEN": "a=b c\n'\"$X"},
                restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
                mem_limit="256m",
                cap_add=["NET_ADMIN"],
                extra_hosts={"elsewhere": "127.0.0.9"},
                user="1000",
                hostname="reception",
                working_dir="/usr",
                stop_signal="SIGINT",
                log_config={"Type": "json-file", "Config": {"max-size": "5m"}},
                networking_config=endpoints,
            )
            second.connect(f"{small.prefix}-api-1", aliases=["inner"])
            small.run("client")
            target = small.target()
            before = small.inspect("api")

            said = target.remove("api", 10)
            assert said == f"removed container {small.prefix}-api-1 ({before['Id'][:12]})"
            with pytest.raises(NotThere):
                target._engine.inspect(f"{small.prefix}-api-1")
            assert target.status()["api"].detail == f"{small.prefix}-api-1 is gone"

            assert f"{small.prefix}-api-1, made again" in target.start("api", 20)
            after = small.inspect("api")
            assert after["Id"] != before["Id"]
            assert likeness(after) == likeness(before)
            assert small.reach(target, "client", "api")
    finally:
        for container in small.client.containers.list(
            all=True, filters={"label": f"gameday.test={small.prefix}"}
        ):
            container.remove(force=True, v=True)
        second.remove()


def test_what_is_in_volumes_without_a_name_is_there_again(small: World) -> None:
    """Also the second time: the engine then knows them by the name that it once gave them."""
    small.run("api", mounts=[{"Type": "volume", "Target": "/unnamed", "Source": ""}])
    target = small.target()
    target.execute("api", ["sh", "-c", "echo kept > /unnamed/file; echo lost > /file"], 5)
    volume = small.inspect("api")["Mounts"][0]["Name"]
    for _ in range(2):
        target.remove("api", 10)
        target.start("api", 20)
        assert small.inspect("api")["Mounts"][0]["Name"] == volume
        assert target.execute("api", ["cat", "/unnamed/file"], 5).output == "kept\n"
        assert target.execute("api", ["cat", "/file"], 5).exit_code == 1
        target.remember(10)


def test_volumes_that_the_image_declares_are_there_again(small: World) -> None:
    small.run("front")
    small.run("cache", image="redis:7", command=None, init=False)
    small.components["cache"] = {**small.components["cache"], "port": None, "ready": {}}
    target = small.target()
    (mount,) = small.inspect("cache")["Mounts"]
    target.execute("cache", ["sh", "-c", "echo kept > /data/file"], 5)
    target.remove("cache", 10)
    target.start("cache", 20)
    assert [one["Name"] for one in small.inspect("cache")["Mounts"]] == [mount["Name"]]
    assert target.execute("cache", ["cat", "/data/file"], 5).output == "kept\n"


def test_what_nobody_remembers_is_not_removed(small: World) -> None:
    small.run("api")
    target = small.target()
    small.run("api", 2)
    with pytest.raises(TargetError, match=r"remove api: .*-api-2 could not be made again: not remembered"):
        target.remove("api", 10)
    assert (state(small, "api"), state(small, "api", 2)) == ("running", "running")


def test_what_is_missing_is_made_again_beside_what_runs(small: World) -> None:
    small.run("api")
    small.run("api", 2)
    target = small.target()
    kept = small.inspect("api")["State"]["StartedAt"]
    target._engine.api.remove_container(f"{small.prefix}-api-2", force=True)
    target.start("api", 20)
    assert small.inspect("api")["State"]["StartedAt"] == kept
    assert state(small, "api", 2) == "running"
    assert target.start("api", 20) == "api was up already"


def test_another_process_of_gameday_makes_it_again_from_what_is_on_disk(small: World) -> None:
    small.run("api")
    small.target().remove("api", 10)
    DockerTarget(small.environment(), "world", small.project).start("api", 20)
    assert state(small, "api") == "running"


def test_only_the_owner_can_read_what_is_remembered(small: World) -> None:
    small.run("api", environment={"SAYS": "api", "PASSWORD": "hunter2"})
    target = small.target()
    path = target.folder / "docker.json"
    assert "hunter2" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_can_do_what_its_protocols_say(small: World) -> None:
    small.run("api")
    target = small.target()
    for protocol in (Preparing, Remembering, Removable):
        assert isinstance(target, protocol)
    assert target.remember(10) == "1 containers can be made again"
