"""Limits of memory, processor time and processes, looked up in the kernel's own files, as the container sees them."""

from __future__ import annotations

import time
from collections.abc import Mapping

import docker
import pytest

from containers.seen import comparable
from containers.worlds import World
from gameday.errors import TargetError
from gameday.targets.base import Limitable, Limits
from gameday.targets.docker.helper import helpers
from gameday.targets.docker.limits import LIMITS_LABEL
from gameday.targets.docker.target import DockerTarget
from gameday.targets.waiting import Deadline, wait_until

pytestmark = pytest.mark.docker
MIB = 2**20
GREEDY = 'x = bytearray(100 * 2**20)\nprint("it took", flush=True)\nimport time\nwhile True: time.sleep(1)'
FILES = (
    "memory/memory.limit_in_bytes",
    "memory/memory.memsw.limit_in_bytes",
    "cpu/cpu.cfs_quota_us",
    "cpu/cpu.cfs_period_us",
    "pids/pids.max",
    "memory.max",
    "memory.swap.max",
    "cpu.max",
    "pids.max",
)


def held(small: World, component: str, number: int = 1) -> Mapping[str, str]:
    """What the container itself reads, whichever version of control groups the machine has."""
    container = small.client.containers.get(f"{small.prefix}-{component}-{number}")
    found = {}
    for file in FILES:
        code, text = container.exec_run(["cat", f"/sys/fs/cgroup/{file}"])
        if code == 0:
            found[file] = text.decode().strip()
    assert found
    return found


def memory_of(found: Mapping[str, str]) -> str:
    return found.get("memory/memory.limit_in_bytes") or found["memory.max"]


def pids_of(found: Mapping[str, str]) -> str:
    return found.get("pids/pids.max") or found["pids.max"]


def cpus_of(found: Mapping[str, str]) -> float:
    if "cpu.max" in found:
        quota, period = found["cpu.max"].split()
    else:
        quota, period = found["cpu/cpu.cfs_quota_us"], found["cpu/cpu.cfs_period_us"]
    return int(quota) / int(period)


def kept(target: DockerTarget) -> int:
    return len(helpers(target._engine, target.engine_name, **{LIMITS_LABEL: "api"}))


def burnt_s(small: World, for_s: float) -> float:
    """Processor time that a loop in the container gets in so much time."""
    loop = f"import time\nend = time.monotonic() + {for_s}\nwhile time.monotonic() < end: pass\n"
    code = f"{loop}print(time.process_time())"
    done = small.client.containers.get(f"{small.prefix}-api-1").exec_run(["python3", "-c", code])
    return float(done.output)


def test_limits_are_in_force_and_all_is_as_before_when_they_are_undone(small: World) -> None:
    small.run("api", mem_limit=256 * MIB, nano_cpus=1_500_000_000, pids_limit=99)
    target = small.target()
    assert isinstance(target, Limitable)
    inspected, kernel = comparable(small.inspect("api")), held(small, "api")
    before = target.limits("api", None)
    assert held(small, "api") == kernel, "asking changes nothing"

    said = target.limit("api", Limits(memory=64 * MIB, cpus=0.2, pids=40), 30)
    assert said == f"limited {small.prefix}-api-1 to memory {64 * MIB}, cpus 0.2, pids 40"
    found = held(small, "api")
    assert (memory_of(found), cpus_of(found), pids_of(found)) == (str(64 * MIB), 0.2, "40")
    assert burnt_s(small, 1.5) < 0.9, "a fifth of a processor"

    for _ in range(2):
        target.unlimit("api", before, 30)
        assert held(small, "api") == kernel
        assert kept(target) == 0
    assert comparable(small.inspect("api")) == inspected


def test_what_had_no_limit_has_none_again(small: World) -> None:
    small.run("api")
    target = small.target()
    kernel, before = held(small, "api"), target.limits("api", None)
    target.limit("api", Limits(memory=64 * MIB, cpus=0.5, pids=50), 30)
    assert held(small, "api") != kernel
    target.unlimit("api", before, 30)
    assert held(small, "api") == kernel


def test_what_is_not_named_stays_and_so_do_containers_beyond_the_count(small: World) -> None:
    small.run("api")
    small.run("api", 2)
    target = small.target()
    first, second, before = held(small, "api"), held(small, "api", 2), target.limits("api", 1)
    assert list(before) == [small.inspect("api")["Id"]]
    target.limit("api", Limits(pids=77), 30, 1)
    found = held(small, "api")
    assert pids_of(found) == "77"
    assert {**found, **{name: first[name] for name in found if "pids" in name}} == first
    assert held(small, "api", 2) == second
    target.unlimit("api", before, 30)
    assert held(small, "api") == first


def test_what_uses_more_memory_than_it_is_left_ends_and_the_limit_outlasts_a_restart(small: World) -> None:
    small.run("front")
    small.run("api", command=["sh", "-c", f"python3 -c '{GREEDY}'; echo it ended; sleep 300"])
    small.components["api"] = {**small.components["api"], "port": None, "ready": {}}
    target = small.target()
    before, kernel = target.limits("api", None), held(small, "api")
    pid = small.inspect("api")["State"]["Pid"]
    assert wait_until(lambda: "it took" in target.logs("api", 5, 5), Deadline.after(15), 0.1)
    target.limit("api", Limits(memory=40 * MIB), 30)
    assert wait_until(lambda: "it ended" in target.logs("api", 5, 5), Deadline.after(15), 0.1)
    assert small.inspect("api")["State"]["Pid"] == pid

    small.client.api.restart(f"{small.prefix}-api-1", timeout=0)
    time.sleep(1)
    assert memory_of(held(small, "api")) == str(40 * MIB), "the engine does not know of it, the helper does"
    target.unlimit("api", before, 30)
    assert held(small, "api") == kernel
    small.client.api.restart(f"{small.prefix}-api-1", timeout=0)
    time.sleep(1)
    assert held(small, "api") == kernel


def test_undoing_what_was_made_anew_or_is_gone_is_no_error(small: World) -> None:
    small.run("api", mem_limit=256 * MIB)
    target = small.target()
    before, kernel = target.limits("api", None), held(small, "api")
    target.limit("api", Limits(memory=64 * MIB), 30)
    target.remove("api", 10)
    target.start("api", 20)
    assert target.unlimit("api", before, 30) == "no container of api is limited"
    assert held(small, "api") == kernel
    small.client.api.remove_container(f"{small.prefix}-api-1", force=True)
    assert target.unlimit("api", before, 30) == "no container of api is limited"
    assert kept(target) == 0


def test_a_limit_gives_no_more_than_there_is(small: World) -> None:
    small.run("api", mem_limit=64 * MIB)
    target = small.target()
    kernel = held(small, "api")
    with pytest.raises(TargetError, match=r"limit api: container \w+ has less already: memory\."):
        target.limit("api", Limits(memory=128 * MIB), 30)
    assert held(small, "api") == kernel
    assert kept(target) == 0


def test_what_is_down_cannot_be_limited(small: World) -> None:
    small.run("api")
    target = small.target()
    target.stop("api", 10)
    with pytest.raises(TargetError, match="limit api: it is down, there is nothing to limit"):
        target.limits("api", None)
    assert docker.from_env().containers.get(f"{small.prefix}-api-1").status == "exited"
