"""Floods of containers' own logs, counted in what the engine has collected."""

from __future__ import annotations

import time
from typing import Any

import pytest

from containers.seen import comparable
from containers.worlds import World
from gameday.errors import TargetError, UsageError
from gameday.targets.base import Floodable
from gameday.targets.docker.flood import FLOOD_LABEL
from gameday.targets.docker.helper import helpers
from gameday.targets.docker.target import DockerTarget

pytestmark = pytest.mark.docker
MARK = b"gameday floods this log"


def lines(small: World, component: str = "api", number: int = 1) -> int:
    log: bytes = small.client.api.logs(f"{small.prefix}-{component}-{number}")
    return log.count(MARK)


def floods(target: DockerTarget) -> int:
    return len(helpers(target._engine, target.engine_name, **{FLOOD_LABEL: "api"}))


def gone_within(target: DockerTarget, within_s: float) -> bool:
    ends = time.monotonic() + within_s
    while floods(target) and time.monotonic() < ends:
        time.sleep(0.05)
    return floods(target) == 0


@pytest.mark.parametrize("user", ["0", "10001:10001"], ids=["root", "without rights"])
@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_lines_come_evenly_into_the_containers_own_log_until_it_is_undone(
    small: World, user: str, tty: bool
) -> None:
    small.run("api", user=user, read_only=True, cap_drop=["ALL"], tty=tty)
    target = small.target()
    assert isinstance(target, Floodable)
    before = comparable(small.inspect("api"))
    target.check_flood("api")
    assert lines(small) == 0
    said = target.flood("api", 200, 100_000, 60, 20)
    assert said.startswith("200 lines a second go into the log of container ")
    first, begun = lines(small), time.monotonic()
    time.sleep(3)
    rate = (lines(small) - first) / (time.monotonic() - begun)
    assert 150 < rate < 250
    assert target.unflood("api", 20) == "ended the flood of api"
    written = lines(small)
    time.sleep(0.5)
    assert lines(small) == written
    assert target.unflood("api", 20) == "nobody floods the log of api"
    assert comparable(small.inspect("api")) == before


def test_it_ends_by_itself_at_its_total(small: World) -> None:
    small.run("api")
    target = small.target()
    target.flood("api", 1000, 500, 60, 20)
    assert gone_within(target, 10)
    assert lines(small) == 500


def test_it_ends_by_itself_after_its_time(small: World) -> None:
    small.run("api")
    target = small.target()
    target.flood("api", 100, 100_000, 2, 20)
    assert gone_within(target, 10)
    assert 100 <= lines(small) <= 250


def test_only_one_container_is_flooded_and_another_flood_replaces_the_first(small: World) -> None:
    small.run("api")
    small.run("api", 2)
    target = small.target()
    target.flood("api", 100, 100_000, 60, 20)
    target.flood("api", 10, 100_000, 60, 20)
    assert floods(target) == 1
    assert (lines(small) > 0, lines(small, "api", 2)) == (True, 0)
    target.unflood("api", 20)


@pytest.mark.parametrize("end", ["kill", "remove"])
def test_it_ends_with_its_container(small: World, end: str) -> None:
    small.run("api")
    target = small.target()
    target.flood("api", 100, 100_000, 60, 20)
    if end == "kill":
        target.kill("api", "SIGKILL", 10)
    else:
        small.client.api.remove_container(f"{small.prefix}-api-1", force=True)
    assert gone_within(target, 10)
    assert target.unflood("api", 20) == "nobody floods the log of api"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"log_config": {"Type": "none", "Config": {}}}, "the engine keeps no log of"),
        (
            {"command": ["sh", "-c", "exec sleep 300 >/dev/null"], "init": False},
            "does not write to the engine's log, but to /dev/null",
        ),
    ],
    ids=["no log", "elsewhere"],
)
def test_where_its_output_goes_into_no_log_it_is_refused(
    small: World, more: dict[str, Any], message: str
) -> None:
    small.run("front")
    small.run("api", **more)
    small.components["api"] = {**small.components["api"], "port": None, "ready": {}}
    target = small.target()
    with pytest.raises(UsageError, match=message):
        target.check_flood("api")


def test_what_could_fill_the_disk_of_the_engine_is_refused(small: World) -> None:
    small.run("api")
    target = small.target()
    with pytest.raises(UsageError, match=r"is never cut; give it `max-size`, or write fewer lines"):
        target.flood("api", 100_000, 10**8, 3600, 20)
    assert floods(target) == 0


def test_what_is_down_has_no_log_to_write_to(small: World) -> None:
    small.run("api")
    target = small.target()
    target.stop("api", 10)
    with pytest.raises(TargetError, match="flood api: it is down, it has no log to write to"):
        target.flood("api", 1, 1, 1, 5)
