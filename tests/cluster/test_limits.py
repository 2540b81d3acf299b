"""Limits of memory and processor time of pods, looked up in the kernel's own files, as the container sees them."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from cluster.quarters import Quarters
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.fault_spec import LimitFault
from gameday.faults.resources import Limit
from gameday.journal import Undo
from gameday.targets.base import Limitable, Limits
from gameday.targets.kubernetes.limits import LIMITED
from gameday.targets.kubernetes.target import KubernetesTarget
from gameday.undo import revert
from targets.eventually import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(240)]
MIB = 2**20
OWN = {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "10m", "memory": "64Mi"}}
GUARANTEED = {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}}
GREEDY = "x = bytearray(60 * 2**20)\nprint('it took', flush=True)"
FILES = ("memory.max", "cpu.max", "memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us")


def run_api(place: Quarters, resources: Mapping[str, Any], **more: Any) -> KubernetesTarget:
    container = {"image": "python:3.11-slim", "command": ["sleep", "3600"], "resources": resources, **more}
    place.apply(*place.workload("api", container))
    place.ready("api")
    return place.target()


def pod_of(place: Quarters) -> str:
    (pod,) = place.pods_of("api")
    return pod


def held(place: Quarters) -> tuple[int, float]:
    """Memory in bytes, and processors, as the container itself reads them."""
    said = place.shell(
        pod_of(place), f"cd /sys/fs/cgroup; for f in {' '.join(FILES)}; do [ ! -r $f ] || cat $f; done"
    )
    memory, cpu = said.strip().splitlines()
    return int(memory), int(cpu.split()[0]) / 100_000


def prepare_and_apply(limit: Limit) -> None:
    limit.prepare()
    limit.apply()


@pytest.mark.parametrize("own", [OWN, GUARANTEED], ids=["burstable", "guaranteed"])
def test_limits_are_in_force_at_once_and_are_put_back_exactly(place: Quarters, own: dict[str, Any]) -> None:
    target = run_api(place, own)
    assert isinstance(target, Limitable)
    before, held_before = place.everything(), held(place)
    recorded = target.limits("api", None)
    assert place.everything() == before

    assert target.limit("api", Limits(memory=32 * MIB, cpus=0.05), 30).endswith("to memory 33554432, cpu 50m")

    assert held(place) == (32 * MIB, 0.05)
    assert LIMITED in place.get("pod", pod_of(place))["metadata"]["annotations"]
    assert place.get("pod", pod_of(place))["status"]["containerStatuses"][0]["restartCount"] == 0
    said = place.shell(pod_of(place), f'python3 -c "{GREEDY}"', check=False)
    assert "it took" not in said, "the kernel ends what exceeds it"

    undo = Undo("unlimit", "api", {"before": recorded})
    assert revert(undo, place.target()).startswith("limits of api-")
    assert held(place) == held_before
    assert revert(undo, target) == "no pod of api is limited"
    assert place.everything() == before
    if own is OWN:
        assert "it took" in place.shell(pod_of(place), f'python3 -c "{GREEDY}"')


def test_a_runner_that_dies_leaves_it_to_the_undo(place: Quarters) -> None:
    target = run_api(place, OWN)
    before = place.everything()
    recorded = target.limits("api", None)
    child = os.fork()
    if child == 0:
        place.target().limit("api", Limits(cpus=0.05), 30)
        os._exit(0)
    assert eventually(
        lambda: LIMITED in place.get("pod", pod_of(place))["metadata"].get("annotations", {}), 20
    )
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    revert(Undo("unlimit", "api", {"before": recorded}), place.target())
    assert place.everything() == before
    assert eventually(lambda: held(place)[1] == 0.5)


def test_less_memory_than_is_used_is_not_taken_and_put_back(place: Quarters) -> None:
    """The kubelet does not take what is used."""
    hungry = "x = bytearray(60 * 2**20)\nimport time\nwhile True: time.sleep(1)"
    target = run_api(place, OWN, command=["python3", "-c", hungry])
    before = place.everything()
    assert eventually(lambda: "VmRSS" in place.shell(pod_of(place), "cat /proc/1/status"))
    with pytest.raises(OperationTimedOut, match="was not resized within"):
        target.limit("api", Limits(memory=16 * MIB), 8)
    assert eventually(lambda: place.everything() == before)
    assert held(place)[0] == 128 * MIB


def test_a_pod_that_was_made_anew_has_its_own_limits_and_needs_no_undo(place: Quarters) -> None:
    target = run_api(place, OWN)
    recorded = target.limits("api", None)
    target.limit("api", Limits(cpus=0.05), 30)
    place.do("delete", "pod", pod_of(place), "--grace-period=1")
    place.ready("api")
    assert held(place)[1] == 0.5
    assert revert(Undo("unlimit", "api", {"before": recorded}), target) == "no pod of api is limited"


@pytest.mark.parametrize(
    ("own", "more", "limits", "message"),
    [
        ({}, {}, Limits(cpus=0.1), "has no limits, and Kubernetes could not take away again"),
        (
            {"limits": {"memory": "64Mi"}},
            {},
            Limits(cpus=0.1),
            "has no limit of cpu, and Kubernetes could not",
        ),
        (OWN, {}, Limits(pids=10), "Kubernetes has no limit of processes for one container"),
        (OWN, {}, Limits(memory=256 * MIB), "has a limit of memory of 128Mi; 268435456 would be more"),
        (
            OWN,
            {"resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]},
            Limits(memory=32 * MIB),
            "is restarted when its memory is resized",
        ),
    ],
    ids=["none", "not of that", "processes", "more", "restarts"],
)
def test_what_could_not_be_done_or_undone_is_refused(
    place: Quarters, own: dict[str, Any], more: dict[str, Any], limits: Limits, message: str
) -> None:
    target = run_api(place, own, **more)
    before = place.everything()
    limit = Limit(target, LimitFault(limit="api", memory=limits.memory, cpus=limits.cpus, pids=limits.pids))
    with pytest.raises(UsageError, match=message):
        prepare_and_apply(limit)
    assert place.everything() == before


def test_what_is_down_cannot_be_limited(place: Quarters) -> None:
    target = run_api(place, OWN)
    target.stop("api", 30)
    with pytest.raises(TargetError, match="limit api: it is down, there is nothing to limit"):
        target.limits("api", None)
