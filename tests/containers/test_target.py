"""The Docker target's own operations on a real engine: what they do is looked up with another client."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from containers.likeness import likeness
from containers.worlds import World
from gameday.errors import ComponentNotFound, OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Running
from gameday.targets.docker.containers import ASIDE, HELPER_LABEL
from gameday.targets.docker.target import DockerTarget

pytestmark = pytest.mark.docker
SLEEPS = ("sleep", "300")
STUBBORN = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")


def state(small: World, component: str, number: int = 1) -> str:
    return str(small.inspect(component, number)["State"]["Status"])


def with_components(small: World, **components: dict[str, Any]) -> DockerTarget:
    """A target with these components beside those that run. Nothing is started, nothing remembered."""
    small.components.update({name: {"port": 8000, **spec} for name, spec in components.items()})
    return DockerTarget(small.environment(), "world", small.project)


# --- status -------------------------------------------------------------------------------------------------


def test_a_component_is_up_only_when_all_its_containers_run(small: World) -> None:
    small.run("api")
    small.run("api", 2)
    small.run("cache")
    target = small.target()
    ids = [small.inspect("api", number)["Id"][:12] for number in (1, 2)]

    status = target.status()
    assert {name: found.running for name, found in status.items()} == {"api": Running.UP, "cache": Running.UP}
    assert status["api"].targets == tuple(
        f"container {small.prefix}-api-{number} ({short})" for number, short in enumerate(ids, 1)
    )
    assert status["api"].address == target.address("api").url

    small.client.api.stop(f"{small.prefix}-api-2", timeout=0)
    status = target.status()
    assert (status["api"].running, status["cache"].running) == (Running.DOWN, Running.UP)
    assert status["api"].targets == (f"container {small.prefix}-api-1 ({ids[0]})",)
    assert status["api"].detail == f"{small.prefix}-api-2 is exited"

    small.client.api.remove_container(f"{small.prefix}-api-2")
    assert target.status()["api"].detail == f"{small.prefix}-api-2 is gone"


def test_one_paused_container_makes_its_component_paused(small: World) -> None:
    small.run("api")
    small.run("api", 2)
    target = small.target()
    small.client.api.pause(f"{small.prefix}-api-2")
    assert target.status()["api"].running is Running.PAUSED


def test_what_matches_nothing_is_down_and_told_by_its_selector(small: World) -> None:
    small.run("api")
    target = with_components(
        small,
        named={"docker": {"container": "no-such-container"}},
        labelled={"docker": {"labels": {"app": "none", "tier": "x"}}},
    )
    status = target.status()
    assert (status["named"].running, status["named"].targets, status["named"].address) == (
        Running.DOWN,
        (),
        "",
    )
    assert status["named"].detail == "no container named no-such-container"
    assert status["labelled"].detail == "no container with labels app=none, tier=x"
    assert status["api"].running is Running.UP
    calls: tuple[Callable[[], object], ...] = (
        lambda: target.kill("named", "SIGKILL", 5),
        lambda: target.stop("named", 5),
        lambda: target.pause("named", 5),
        lambda: target.resume("named", 5),
        lambda: target.remove("named", 5),
        lambda: target.execute("named", ["true"], 5),
        lambda: target.logs("named", 5, 5),
    )
    for call in calls:
        with pytest.raises(ComponentNotFound, match=r"^named: no container named no-such-container$"):
            call()
    with pytest.raises(
        TargetError, match=r"^start named: no container named no-such-container, and none is rem"
    ):
        target.start("named", 5)
    with pytest.raises(
        TargetError, match=r"^named: no container named no-such-container; bring the environment up"
    ):
        target.address("named")


def test_a_component_that_the_environment_does_not_have_is_told_with_those_it_has(small: World) -> None:
    small.run("api")
    small.run("cache")
    target = small.target()
    for call in (target.address, lambda name: target.start(name, 5), lambda name: target.logs(name, 1, 5)):
        with pytest.raises(
            ComponentNotFound, match=r"^world has no component 'db'; components here: api, cache$"
        ):
            call("db")


# --- which containers a component is ------------------------------------------------------------------------


def test_a_service_is_the_containers_of_its_project_and_no_one_off_nor_helper(small: World) -> None:
    project = f"{small.prefix}p"

    def service(number: int, **labels: str) -> None:
        of_project = {"com.docker.compose.project": project, "com.docker.compose.service": "api"}
        marked = {"gameday.test": small.prefix, **of_project, **labels}
        small.run("any", number, labels=marked, command=list(SLEEPS))

    service(1)
    service(2, **{"com.docker.compose.oneoff": "False"})
    service(3, **{"com.docker.compose.oneoff": "True"})
    service(4, **{HELPER_LABEL: "1"})
    service(5, **{"com.docker.compose.project": f"{project}-other"})
    service(6, **{"com.docker.compose.service": "api-2"})
    small.components = {}
    small.components["api"] = {"docker": {"service": "api"}, "port": 8000}
    target = DockerTarget(small.environment(compose={"project": project}), "world", small.project)

    names = [found.split()[1] for found in target.status()["api"].targets]
    assert names == [f"{small.prefix}-any-1", f"{small.prefix}-any-2"]


def test_a_name_is_exactly_one_container_and_labels_are_all_that_carry_them(small: World) -> None:
    small.run("api")
    small.run("api", 10)
    small.run("api", 2, labels={"gameday.test": small.prefix, "component": "api", HELPER_LABEL: "1"})
    target = with_components(small, one={"docker": {"container": f"{small.prefix}-api-1"}})
    status = target.status()
    assert [found.split()[1] for found in status["one"].targets] == [f"{small.prefix}-api-1"]
    assert [found.split()[1] for found in status["api"].targets] == [
        f"{small.prefix}-api-1",
        f"{small.prefix}-api-10",
    ]


def test_what_another_version_has_replaced_is_no_part_of_a_component(small: World) -> None:
    small.run("api")
    target = small.target()
    aside = small.run("api", 2, name=f"{small.prefix}-api-1{ASIDE}")
    assert len(target.status()["api"].targets) == 1
    target.kill("api", "SIGKILL", 10)
    aside.reload()
    assert aside.status == "running"


# --- kill, stop, start --------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_a_kill_returns_when_nothing_runs_and_a_start_when_it_answers(small: World, signal: str) -> None:
    small.run("api")
    small.run("client")
    target = small.target()
    before = likeness(small.inspect("api"))

    said = target.kill("api", signal, 10)
    assert state(small, "api") == "exited"
    assert said.startswith(f"{signal} ended container {small.prefix}-api-1 (")
    assert not small.reach(target, "client", "api")
    assert target.status()["api"].running is Running.DOWN

    said = target.start("api", 20)
    assert said.startswith(f"started api ({small.prefix}-api-1) in ")
    assert small.reach(target, "client", "api")
    assert likeness(small.inspect("api")) == before
    assert target.start("api", 20) == "api was up already"


def test_a_component_that_outlives_a_signal_is_told_and_named(small: World) -> None:
    small.run("front")
    small.run("api", command=list(STUBBORN), init=False)
    small.components["api"] = {**small.components["api"], "port": None, "ready": {}}
    target = small.target()
    with pytest.raises(TargetError, match=r"SIGTERM for api: still running after 1 s: container .*-api-1"):
        target.kill("api", "SIGTERM", 1)
    target.kill("api", "SIGKILL", 10)
    assert state(small, "api") == "exited"


def test_count_hits_only_the_first_so_many_that_run(small: World) -> None:
    for number in (1, 2, 3):
        small.run("api", number)
    target = small.target()
    target.kill("api", "SIGKILL", 10, 1)
    assert [state(small, "api", number) for number in (1, 2, 3)] == ["exited", "running", "running"]
    target.stop("api", 10, 1)
    assert [state(small, "api", number) for number in (1, 2, 3)] == ["exited", "exited", "running"]
    target.pause("api", 10, 5)
    assert [state(small, "api", number) for number in (1, 2, 3)] == ["exited", "exited", "paused"]
    target.resume("api", 10)
    target.start("api", 20)
    target.pause("api", 10, 2)
    assert [state(small, "api", number) for number in (1, 2, 3)] == ["paused", "paused", "running"]
    target.resume("api", 10)
    target.remove("api", 10, 1)
    names = [found.split()[1] for found in target.status()["api"].targets]
    assert names == [f"{small.prefix}-api-2", f"{small.prefix}-api-3"]


def test_what_is_no_signal_or_has_nobody_to_receive_it_is_refused(small: World) -> None:
    small.run("api")
    target = small.target()
    with pytest.raises(UsageError, match="'SIGFOO' is not a signal; expected one of SIGKILL, SIGTERM"):
        target.kill("api", "SIGFOO", 5)
    target.stop("api", 10)
    with pytest.raises(TargetError, match="SIGKILL for api: it is down, there is nothing to signal"):
        target.kill("api", "SIGKILL", 5)
    with pytest.raises(TargetError, match="pause api: it is down, there is nothing to pause"):
        target.pause("api", 5)


def test_a_stop_is_orderly_until_its_time_is_over_and_again_is_no_error(small: World) -> None:
    polite = ("sh", "-c", "trap 'echo ended in order; exit 0' TERM; while :; do sleep 0.1; done")
    small.run("front")
    small.run("polite", command=list(polite), init=False)
    small.run("stubborn", command=list(STUBBORN), init=False)
    for name in ("polite", "stubborn"):
        small.components[name] = {**small.components[name], "port": None, "ready": {}, "stop_within": "1s"}
    target = small.target()
    target.stop("polite", 10)
    assert small.inspect("polite")["State"]["ExitCode"] == 0
    assert "ended in order" in target.logs("polite", 5, 5)
    target.stop("stubborn", 10)
    assert small.inspect("stubborn")["State"]["ExitCode"] == 137
    assert target.stop("polite", 10) == "polite was down already"


def test_stopping_what_is_paused_ends_it_in_order(small: World) -> None:
    small.run("api")
    target = small.target()
    target.pause("api", 5)
    target.stop("api", 10)
    assert state(small, "api") == "exited"


def test_a_kill_also_ends_what_is_paused(small: World) -> None:
    small.run("api")
    target = small.target()
    target.pause("api", 5)
    target.kill("api", "SIGKILL", 5)
    assert state(small, "api") == "exited"


def test_a_restart_policy_does_not_bring_back_what_was_stopped_or_killed(small: World) -> None:
    small.run("api", restart_policy={"Name": "always"})
    target = small.target()
    target.kill("api", "SIGKILL", 5)
    time.sleep(1.5)  # the engine's first pause before it restarts something is 100 ms
    assert target.status()["api"].running is Running.DOWN


def test_pausing_freezes_and_resuming_lets_go_on_and_both_may_be_repeated(small: World) -> None:
    small.run("api")
    small.run("client")
    target = small.target()
    pid = small.inspect("api")["State"]["Pid"]
    for _ in range(2):
        target.pause("api", 5)
        assert state(small, "api") == "paused"
    assert not small.reach(target, "client", "api")
    with pytest.raises(TargetError, match=r"api is paused .*; resume it instead of starting it"):
        target.start("api", 5)
    assert target.resume("api", 5) == f"resumed {small.prefix}-api-1"
    assert target.resume("api", 5) == "api was not paused"
    assert small.reach(target, "client", "api")
    assert small.inspect("api")["State"]["Pid"] == pid, "the same process goes on"


@pytest.mark.parametrize("runs_for_s", [0, 1])
def test_what_ends_while_it_starts_is_told_with_the_end_of_its_log(small: World, runs_for_s: int) -> None:
    ends = f"echo no such table; sleep {runs_for_s}; exit 3"
    small.run("api", command=["sh", "-c", ends], restart_policy=None)
    with pytest.raises(
        TargetError, match=r"api ended with exit code 3 before it was ready.*\n    no such table"
    ):
        small.target()


def test_what_never_answers_is_not_ready(small: World) -> None:
    small.run("api", command=list(SLEEPS))
    small.components["api"] = {**small.components["api"], "ready": {"http": "/", "within": "1s"}}
    with pytest.raises(OperationTimedOut, match="api runs but was not ready within 1 s; its last log lines:"):
        small.target()


def test_an_unhealthy_container_is_not_ready_until_its_check_says_so(small: World) -> None:
    check = {"test": ["CMD", "test", "-e", "/well"], "interval": 10**8, "retries": 1000}
    small.run("api", healthcheck=check)
    small.components["api"] = {**small.components["api"], "ready": {"within": "1s"}}
    target = DockerTarget(small.environment(), "world", small.project)
    with pytest.raises(OperationTimedOut, match="api runs but was not ready within 1 s"):
        small.target()
    target.execute("api", ["touch", "/well"], 5)
    target.start("api", 10)
