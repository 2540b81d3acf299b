"""Floods of pods' own logs, counted in what the kubelet has collected."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from cluster.quarters import Quarters
from cluster.vault import POD, run_database
from gameday.errors import TargetError, UsageError
from gameday.targets.base import Floodable
from gameday.targets.kubernetes.target import KubernetesTarget
from targets.eventually import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(240)]
MARK = "gameday floods this log"
WAITS = "import signal, time; print('well', flush=True); signal.signal(signal.SIGTERM, lambda *_: exit())"
WAITS += "\nwhile True: time.sleep(1)"


def run_api(place: Quarters, *, pod: dict[str, Any] | None = None, **more: Any) -> KubernetesTarget:
    container = {"image": "python:3.11-slim", "command": ["python3", "-c", WAITS], **more}
    place.apply(*place.workload("api", container, **(pod or {})))
    place.ready("api")
    return place.target()


def lines(place: Quarters, component: str = "api") -> int:
    (pod,) = place.pods_of(component)
    return place.do("logs", pod, "--tail=-1").count(MARK)


def floods(place: Quarters, component: str = "api") -> int:
    (pod,) = place.pods_of(component)
    said = place.shell(pod, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '", check=False)
    return said.count("gameday-flood-")


def ended(place: Quarters, component: str = "api") -> bool:
    return eventually(lambda: floods(place, component) == 0, 15)


def test_lines_come_evenly_into_the_pods_own_log_until_it_is_undone(place: Quarters) -> None:
    target = run_api(place)
    assert isinstance(target, Floodable)
    before = place.everything()
    target.check_flood("api")
    assert lines(place) == 0
    said = target.flood("api", 200, 100_000, 60, 20)
    assert said.startswith("200 lines a second go into the log of pod api-")
    first, begun = lines(place), time.monotonic()
    time.sleep(3)
    rate = (lines(place) - first) / (time.monotonic() - begun)
    assert 150 < rate < 250
    assert place.target().unflood("api", 20) == "ended the flood of api"
    written = lines(place)
    time.sleep(0.5)
    assert lines(place) == written
    assert floods(place) == 0
    assert target.unflood("api", 20) == "nobody floods the log of api"
    assert place.everything() == before


def test_it_ends_by_itself_at_its_total_or_after_its_time(place: Quarters) -> None:
    target = run_api(place)
    target.flood("api", 1000, 500, 60, 20)
    assert ended(place)
    assert lines(place) == 500
    target.flood("api", 100, 100_000, 2, 20)
    assert ended(place)
    assert 600 <= lines(place) <= 750


def test_it_outlives_its_starter_and_another_runner_ends_it(place: Quarters) -> None:
    run_api(place)
    child = os.fork()
    if child == 0:
        place.target().flood("api", 100, 100_000, 60, 20)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert eventually(lambda: lines(place) > 50)
    place.target().unflood("api", 20)
    assert floods(place) == 0


def test_another_flood_replaces_the_first_and_only_one_pod_is_flooded(place: Quarters) -> None:
    target = run_api(place)
    place.do("scale", "deployment/api", "--replicas=2")
    place.ready("api")
    target.flood("api", 100, 100_000, 60, 20)
    target.flood("api", 10, 100_000, 60, 20)
    counts = [place.do("logs", pod, "--tail=-1").count(MARK) for pod in place.pods_of("api")]
    assert counts[0] > 0
    assert counts[1] == 0
    assert target.unflood("api", 20) == "ended the flood of api"


def test_a_database_does_not_take_the_writer_for_one_of_its_own_that_crashed(place: Quarters) -> None:
    target = run_database(place)
    target.flood("database", 100, 100_000, 60, 20)
    assert eventually(lambda: lines(place, "database") > 50)
    target.unflood("database", 20)
    target.flood("database", 100, 100_000, 1, 20)
    assert ended(place, "database")
    time.sleep(1)
    assert "terminating any other active server processes" not in place.do("logs", POD, "--tail=-1")
    state = place.get("pod", POD)["status"]["containerStatuses"][0]
    assert state["restartCount"] == 0


def test_it_ends_with_its_pod(place: Quarters) -> None:
    target = run_api(place)
    target.flood("api", 100, 100_000, 60, 20)
    target.kill("api", "SIGKILL", 30)
    assert target.unflood("api", 20) == "nobody floods the log of api"
    with pytest.raises(TargetError, match="flood api: it is down, it has no log to write to"):
        target.flood("api", 1, 1, 1, 5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"command": ["sh", "-c", "exec sleep 300 >/dev/null"]},
            "does not write to the log of the kubelet, but to /dev/null",
        ),
        ({"pod": {"shareProcessNamespace": True}}, "deployment/api has shareProcessNamespace"),
    ],
    ids=["elsewhere", "shared"],
)
def test_where_its_output_cannot_be_written_to_it_is_refused(
    place: Quarters, more: dict[str, Any], message: str
) -> None:
    target = run_api(place, **more)
    with pytest.raises(UsageError, match=message):
        target.check_flood("api")
    with pytest.raises((UsageError, TargetError), match=message):
        target.flood("api", 1, 1, 1, 10)
