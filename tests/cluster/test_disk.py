"""Disks of pods filled and cleared, looked up with statvfs in the pods."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.quarters import Quarters
from gameday.errors import TargetError, UsageError
from gameday.targets.base import Disks
from gameday.targets.kubernetes.target import KubernetesTarget

pytestmark = pytest.mark.kubernetes
MIB = 2**20
STATVFS = "import os; v = os.statvfs('/data'); print(v.f_bavail * v.f_frsize)"
MEMORY = {"emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}


def run_api(place: Quarters, volume: dict[str, Any] | None, *objects: Any, **more: Any) -> KubernetesTarget:
    """An API without any right, whose only writable place is its disk."""
    container: dict[str, Any] = {"image": "python:3.11-slim", "command": ["sleep", "3600"]}
    pod: dict[str, Any] = {}
    if volume is not None:
        pod["volumes"] = [{"name": "disk", **volume}]
        container["volumeMounts"] = [{"name": "disk", "mountPath": "/data"}]
    container.update(more)
    place.apply(*objects, *place.workload("api", container, **pod))
    place.components["api"]["disk"] = {"path": "/data", "disposable": ["*.log.*", "core.*"]}
    place.ready("api")
    return place.target()


@pytest.fixture
def bounded(place: Quarters) -> Iterator[Path]:
    """A folder of this machine that is a small disk of its own."""
    folder = place.folder / "volumes" / "data"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "kd-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        place.close()
        subprocess.run(["umount", "-l", str(folder)], check=False)


def pod_of(place: Quarters) -> str:
    (pod,) = place.pods_of("api")
    return pod


def free(place: Quarters) -> int:
    return int(place.do("exec", pod_of(place), "--", "python3", "-c", STATVFS))


def files(place: Quarters) -> list[str]:
    return sorted(place.shell(pod_of(place), "ls /data").split())


def put(place: Quarters, name: str, size: int = 1000) -> None:
    place.shell(pod_of(place), f"head -c {size} /dev/zero > /data/{name}")


def fill_and_clear(place: Quarters, target: KubernetesTarget) -> None:
    put(place, "audit.log")
    assert isinstance(target, Disks)
    free_before, before = free(place), place.everything()
    assert f"{8 * MIB} bytes, {free_before} free" in target.check_disk("api")
    assert (free(place), files(place)) == (free_before, ["audit.log"])

    target.fill("api", 30)
    assert free(place) == 0
    said = place.shell(
        pod_of(place), "head -c 9000 /dev/zero 2>&1 > /data/more || echo refused; rm /data/more", check=False
    )
    assert "refused" in said

    assert target.unfill("api", 30) == "deleted core.gameday on the disk of api"
    assert (free(place), files(place)) == (free_before, ["audit.log"])
    assert target.unfill("api", 30) == "no core.gameday on the disk of api"
    assert place.everything() == before


def test_a_volume_in_memory_is_filled_to_the_last_byte_and_cleared_of_exactly_what_filled_it(
    place: Quarters,
) -> None:
    fill_and_clear(place, run_api(place, MEMORY))


def test_a_claim_is_filled_and_cleared_also_when_its_component_has_no_pods(
    place: Quarters, bounded: Path
) -> None:
    claimed = {"persistentVolumeClaim": {"claimName": "data"}}
    target = run_api(place, claimed, place.claim("data", bounded))
    fill_and_clear(place, target)

    target.fill("api", 30)
    target.stop("api", 30)
    found = os.statvfs(bounded)
    assert found.f_bavail == 0
    assert target.unfill("api", 60) == "deleted core.gameday on the disk of api"
    found = os.statvfs(bounded)
    assert found.f_bavail * found.f_frsize > 7 * MIB
    assert place.helpers() == []
    with pytest.raises(TargetError, match="api is down: its disk may not be there; start it first"):
        target.fill("api", 10)


def test_reclaiming_deletes_what_is_disposable_and_nothing_else(place: Quarters) -> None:
    target = run_api(place, MEMORY)
    for name in ("audit.log", "audit.log.1", "audit.log.2", "score.txt"):
        put(place, name)
    place.shell(pod_of(place), "ln -s /etc/passwd /data/core.link; mkdir /data/old; touch /data/old/a.log.3")
    target.fill("api", 30)
    said = target.reclaim("api", 30)
    assert said.startswith("deleted 4 files (")
    assert "old/a.log.3" in said
    assert files(place) == ["audit.log", "core.link", "old", "score.txt"]
    assert target.reclaim("api", 30) == "nothing disposable on the disk of api (*.log.*, core.*)"


def test_every_pod_of_a_component_is_filled_and_cleared(place: Quarters) -> None:
    target = run_api(place, MEMORY)
    place.do("scale", "deployment/api", "--replicas=2")
    place.ready("api")
    target.fill("api", 30)
    for pod in place.pods_of("api"):
        assert place.do("exec", pod, "--", "python3", "-c", STATVFS) == "0\n"
    target.unfill("api", 30)
    for pod in place.pods_of("api"):
        assert place.shell(pod, "ls /data") == ""


@pytest.mark.parametrize(
    ("volume", "more", "message"),
    [
        (None, {}, r"/data of deployment/api is no mount \(mounted are none\).*medium: Memory"),
        ({"emptyDir": {}}, {}, r"is an emptyDir on the disk of the node.*`medium: Memory` and a `sizeLimit`"),
        ({"emptyDir": {"sizeLimit": "8Mi"}}, {}, r"is an emptyDir on the disk of the node"),
        ({"emptyDir": {"medium": "Memory"}}, {}, r"is an emptyDir in memory without a `sizeLimit`"),
        (
            {"emptyDir": {"medium": "Memory", "sizeLimit": "60Mi"}},
            {"resources": {"limits": {"memory": "64Mi"}}},
            r"bytes free, which are memory, and its container can spare \d+: to fill",
        ),
    ],
    ids=["no mount", "node", "node with limit", "no limit", "all its memory"],
)
def test_what_would_harm_the_node_or_the_pod_is_refused(
    place: Quarters, volume: dict[str, Any] | None, more: dict[str, Any], message: str
) -> None:
    target = run_api(place, volume, **more)
    before = place.everything()
    with pytest.raises(UsageError, match=message):
        target.check_disk("api")
    with pytest.raises((UsageError, TargetError), match=message):
        target.fill("api", 10)
    assert place.everything() == before
    assert files(place) == [] if volume else True


def test_a_claim_on_the_disk_of_the_node_is_refused(place: Quarters) -> None:
    claimed = {"persistentVolumeClaim": {"claimName": "data"}}
    target = run_api(place, claimed, place.claim("data"))
    message = "is no disk of its own: to fill it would fill the disk of the node"
    with pytest.raises(UsageError, match=message):
        target.check_disk("api")
    with pytest.raises(TargetError, match=message):
        target.fill("api", 10)
    assert files(place) == []


def test_a_component_without_a_disk_is_told_how_to_get_one(place: Quarters) -> None:
    target = run_api(place, None)
    place.components["api"].pop("disk")
    target = place.target()
    for call in (target.check_disk, lambda name: target.fill(name, 5), lambda name: target.reclaim(name, 5)):
        with pytest.raises(UsageError, match="api has no disk of its own; give it one in the environment"):
            call("api")
