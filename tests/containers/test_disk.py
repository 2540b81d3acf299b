"""Disks of containers filled and cleared, looked up with statvfs in the containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from containers.seen import comparable
from containers.worlds import World
from gameday.errors import TargetError, UsageError
from gameday.targets.base import Disks
from gameday.targets.docker.target import DockerTarget

pytestmark = pytest.mark.docker
MIB = 2**20
STATVFS = "import os; v = os.statvfs('/data'); print(v.f_bavail * v.f_frsize)"


@pytest.fixture
def volume(small: World) -> Iterator[str]:
    """A small one in memory, as the hotel's API has it: nobody but user 10001 may look into it."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=8m,mode=0750,uid=10001,gid=10001"}
    made = small.client.volumes.create(f"{small.prefix}-data", driver="local", driver_opts=options)
    yield made.name
    for container in small.client.containers.list(
        all=True, filters={"label": f"gameday.test={small.prefix}"}
    ):
        container.remove(force=True, v=True)
    made.remove(force=True)


def locked(small: World, number: int = 1, **more: Any) -> Any:
    """An API without any right, whose only writable place is its disk."""
    options = {"user": "10001:10001", "read_only": True, "cap_drop": ["ALL"], **more}
    container = small.run("api", number, **options)
    small.components["api"]["disk"] = {"path": "/data", "disposable": ["*.log.*", "core.*"]}
    return container


def free(container: Any) -> int:
    return int(container.exec_run(["python3", "-c", STATVFS]).output)


def files(container: Any) -> list[str]:
    return sorted(container.exec_run(["ls", "/data"]).output.decode().split())


def put(container: Any, name: str, size: int = 1000) -> None:
    code, said = container.exec_run(["sh", "-c", f"head -c {size} /dev/zero > /data/{name}"])
    assert code == 0, said


@pytest.fixture(params=["volume", "tmpfs", "mount"])
def disk(request: pytest.FixtureRequest, volume: str) -> dict[str, Any]:
    owner = "size=8m,mode=0750,uid=10001,gid=10001"
    ways: dict[str, dict[str, Any]] = {
        "volume": {"volumes": {volume: {"bind": "/data", "mode": "rw"}}},
        "tmpfs": {"tmpfs": {"/data": owner}},
        "mount": {
            "mounts": [
                {"Type": "tmpfs", "Target": "/data", "TmpfsOptions": {"SizeBytes": 8 * MIB, "Mode": 0o1777}}
            ]
        },
    }
    return ways[request.param]


def test_a_disk_is_filled_to_the_last_byte_and_cleared_of_exactly_what_filled_it(
    small: World, disk: dict[str, Any]
) -> None:
    container = locked(small, **disk)
    put(container, "audit.log")
    target = small.target()
    assert isinstance(target, Disks)
    before, inspected = free(container), comparable(small.inspect("api"))
    assert f"{8 * MIB} bytes, {before} free" in target.check_disk("api")
    assert (free(container), files(container)) == (before, ["audit.log"])

    target.fill("api", 30)
    assert free(container) == 0
    code, said = container.exec_run(["sh", "-c", "head -c 9000 /dev/zero > /data/more"])
    assert (code, b"No space left" in said) == (1, True)
    container.exec_run(["rm", "/data/more"])

    assert target.unfill("api", 30) == "deleted core.gameday on the disk of api"
    assert (free(container), files(container)) == (before, ["audit.log"])
    assert target.unfill("api", 30) == "no core.gameday on the disk of api"
    assert comparable(small.inspect("api")) == inspected


def test_reclaiming_deletes_what_is_disposable_and_nothing_else(small: World, disk: dict[str, Any]) -> None:
    container = locked(small, **disk)
    for name in ("audit.log", "audit.log.1", "audit.log.2", "score.txt"):
        put(container, name)
    container.exec_run(["ln", "-s", "/etc/passwd", "/data/core.link"])
    target = small.target()
    target.fill("api", 30)
    said = target.reclaim("api", 30)
    assert said.startswith("deleted 3 files (")
    assert files(container) == ["audit.log", "core.link", "score.txt"]
    assert target.reclaim("api", 30) == "nothing disposable on the disk of api (*.log.*, core.*)"


def test_the_disk_of_the_engine_is_refused(small: World) -> None:
    named = small.client.volumes.create(f"{small.prefix}-plain")
    try:
        for more, message in (
            ({}, r"/data of container .* is no mount, so it is on the disk of the Docker engine"),
            ({"volumes": {named.name: {"bind": "/data", "mode": "rw"}}}, "is no disk of its own: to fill it"),
            ({"volumes": {named.name: {"bind": "/data", "mode": "ro"}}}, "is mounted read-only"),
            (
                {"volumes": {str(small.project.root): {"bind": "/data", "mode": "rw"}}},
                "is no disk of its own",
            ),
        ):
            container = locked(small, user="0", **more)
            target = DockerTarget(small.environment(), "world", small.project)
            with pytest.raises(UsageError, match=message):
                target.check_disk("api")
            with pytest.raises((UsageError, TargetError), match=message):
                target.fill("api", 10)
            container.remove(force=True)
        assert not list(small.project.root.glob("core*"))
    finally:
        small.close()  # a container that is left when this fails has the volume
        named.remove(force=True)


def test_a_component_without_a_disk_is_told_how_to_get_one(small: World) -> None:
    small.run("api")
    target = small.target()
    for call in (target.check_disk, lambda name: target.fill(name, 5), lambda name: target.reclaim(name, 5)):
        with pytest.raises(UsageError, match="api has no disk of its own; give it one in the environment"):
            call("api")


def test_a_volume_that_outlives_its_container_is_cleared_without_it(small: World, volume: str) -> None:
    keeper = small.run("keeper", volumes={volume: {"bind": "/data", "mode": "ro"}}, user="0")
    locked(small, volumes={volume: {"bind": "/data", "mode": "rw"}})
    target = small.target()
    target.fill("api", 30)
    target.stop("api", 10)
    assert target.unfill("api", 30).startswith("deleted")
    assert free(keeper) > 7 * MIB
    target.start("api", 20)
    target.fill("api", 30)
    small.client.api.remove_container(f"{small.prefix}-api-1", force=True)
    assert free(keeper) == 0
    assert target.unfill("api", 30).startswith("deleted")
    assert free(keeper) > 7 * MIB
    with pytest.raises(TargetError, match="api: no container with labels"):
        target.fill("api", 10)


def test_clearing_makes_no_volume_that_is_gone(small: World, volume: str) -> None:
    locked(small, volumes={volume: {"bind": "/data", "mode": "rw"}})
    target = small.target()
    small.client.api.remove_container(f"{small.prefix}-api-1", force=True)
    small.client.api.remove_volume(volume)
    assert target.unfill("api", 30) == "no core.gameday on the disk of api"
    assert volume not in [found.name for found in small.client.volumes.list()]
    small.client.volumes.create(volume)  # for its fixture to remove


def test_filling_takes_nothing_from_the_machine(small: World, volume: str) -> None:
    locked(small, volumes={volume: {"bind": "/data", "mode": "rw"}})
    target = small.target()
    before = os.statvfs("/")
    target.fill("api", 30)
    after = os.statvfs("/")
    assert (before.f_bavail - after.f_bavail) * before.f_frsize < 200 * MIB
