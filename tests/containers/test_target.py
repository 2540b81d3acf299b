"""The Docker target's own operations on a real engine: what they do is looked up with another client."""

from __future__ import annotations

import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from containers.likeness import likeness
from containers.worlds import World
from gameday.errors import ComponentNotFound, OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Preparing, Remembering, Removable, Running
from gameday.targets.docker.containers import ASIDE, HELPER_LABEL
from gameday.targets.docker.engine import OUTPUT_LIMIT, Engine, EngineAway, NotThere
from gameday.targets.docker.target import DockerTarget
from gameday.targets.ports import find_free_ports
from gameday.targets.waiting import Deadline

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


def test_what_ends_while_it_starts_is_told_with_the_end_of_its_log(small: World) -> None:
    small.run("api", command=["sh", "-c", "echo no such table; exit 3"], restart_policy=None)
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


# --- made again ---------------------------------------------------------------------------------------------


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


# --- execute and logs ---------------------------------------------------------------------------------------


def test_a_command_is_run_and_says_how_it_ended(small: World) -> None:
    small.run("api")
    target = small.target()
    done = target.execute("api", ["sh", "-c", "echo out; echo err >&2; exit 3"], 5)
    assert (done.argv, done.exit_code) == (("sh", "-c", "echo out; echo err >&2; exit 3"), 3)
    assert sorted(done.output.split()) == ["err", "out"]
    with pytest.raises(UsageError, match="execute on api: the command is empty"):
        target.execute("api", [], 5)


def test_a_command_that_is_not_there_says_so(small: World) -> None:
    small.run("api")
    done = small.target().execute("api", ["no-such-program"], 5)
    assert done.exit_code in (126, 127)
    assert "no-such-program" in done.output


def test_a_command_that_does_not_end_is_ended_in_the_container_too(small: World) -> None:
    small.run("api")
    target = small.target()
    begun = time.monotonic()
    with pytest.raises(OperationTimedOut, match=r"'sleep 98765' in .* did not end within 1 s and was killed"):
        target.execute("api", ["sleep", "98765"], 1)
    assert time.monotonic() - begun < 4
    assert not any(
        "sleep 98765" in " ".join(row) for row in small.client.api.top(f"{small.prefix}-api-1")["Processes"]
    )


def test_a_command_that_is_killed_by_somebody_else_is_no_time_out(small: World) -> None:
    small.run("api")
    done = small.target().execute("api", ["sh", "-c", "kill -9 $$"], 30)
    assert done.exit_code == 137


def test_output_is_kept_within_a_bound(small: World) -> None:
    small.run("api")
    shown = small.target().execute(
        "api", ["sh", "-c", "echo first; head -c 9000000 /dev/zero; echo last"], 20
    )
    assert shown.exit_code == 0
    assert shown.output.startswith("first\n")
    assert shown.output.endswith("last\n")
    assert len(shown.output) < OUTPUT_LIMIT + 100


def test_secrets_are_in_no_output_and_no_log(small: World) -> None:
    small.run("api")
    target = small.target()
    secret = target.secret("admin")
    assert secret not in target.execute("api", ["echo", secret], 5).output
    target.execute("api", ["sh", "-c", f"echo seen {secret} > /proc/1/fd/1"], 5)
    log = target.logs("api", 5, 5)
    assert "seen " in log
    assert secret not in log


def test_a_log_is_the_last_lines_of_each_container(small: World) -> None:
    small.run("front")
    for number in (1, 2):
        small.run("api", number, command=["sh", "-c", f"seq -f 'line {number}.%g' 9; sleep 300"])
    small.components["api"] = {**small.components["api"], "port": None, "ready": {}}
    target = small.target()
    wanted = ["line 1.8", "line 1.9", "line 2.8", "line 2.9"]
    assert [line.strip() for line in target.logs("api", 2, 5).splitlines()] == wanted


# --- addresses ----------------------------------------------------------------------------------------------


def test_an_address_is_the_published_port_also_while_it_is_down_or_gone(small: World) -> None:
    (port,) = find_free_ports(1)
    small.run("api", ports={"8000/tcp": ("127.0.0.1", port)})
    small.run("anywhere", ports={"8000/tcp": find_free_ports(1)[0]})
    target = small.target()
    for prepare in (lambda: None, lambda: target.stop("api", 9), lambda: target.remove("api", 9)):
        prepare()
        found = target.address("api")
        assert (found.host, found.port, found.url) == ("127.0.0.1", port, f"http://127.0.0.1:{port}")
    assert target.address("anywhere").host == "127.0.0.1"


def test_an_address_may_hold_a_secret_that_no_status_shows(small: World) -> None:
    small.run("api")
    small.components["api"] = {
        **small.components["api"],
        "url": "postgresql://hotel:${secret:database}@${host}:${port}/hotel",
    }
    target = small.target()
    address, secret = target.address("api"), target.secret("database")
    assert address.url == f"postgresql://hotel:{secret}@127.0.0.1:{address.port}/hotel"
    shown = target.status()["api"].address
    assert secret not in shown
    assert f"127.0.0.1:{address.port}/hotel" in shown


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({}, "api: port 8000 is not published on this machine, so nothing can ask it; publish it, such as"),
        ({"8001/tcp": ("127.0.0.1", None)}, "api: port 8000 is not published on this machine"),
        ({"8000/udp": ("127.0.0.1", None)}, "api: port 8000 is not published on this machine"),
        (
            {"8000/tcp": ("127.0.0.1", None)},
            "api: port 8000 is published at a port that changes with each start",
        ),
    ],
    ids=["none", "another", "udp", "ephemeral"],
)
def test_a_port_that_nobody_can_ask_lastingly_is_refused(small: World, ports: Any, message: str) -> None:
    small.run("api", ports=ports)
    target = DockerTarget(small.environment(), "world", small.project)
    with pytest.raises(UsageError, match=message):
        target.address("api")
    assert target.status()["api"].running is Running.UP, "a status is no place to fail"


def test_a_component_without_a_port_has_no_address(small: World) -> None:
    small.run("front")
    small.run("api")
    small.components["api"] = {**small.components["api"], "port": None, "ready": {}}
    target = small.target()
    assert target.address("api").host == ""
    with pytest.raises(
        UsageError, match="PUT /mode of api: it has no port in the environment, so nothing can ask it"
    ):
        target.request("api", "PUT /mode", None, 5)


# --- the engine ---------------------------------------------------------------------------------------------


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An engine that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.getsockname()[1]}")
        yield


def test_an_engine_that_is_away_is_told_within_the_time_out(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run("api")
    small.target()
    target = DockerTarget(small.environment(), "world", small.project)
    for host in ("tcp://127.0.0.1:1", f"unix://{small.project.root}/no.sock"):
        monkeypatch.setenv("DOCKER_HOST", host)
        calls: tuple[Callable[[], object], ...] = (
            lambda: target.start("api", 1),
            lambda: target.kill("api", "SIGKILL", 1),
            lambda: target.execute("api", ["true"], 1),
            lambda: target.logs("api", 1, 1),
            lambda: target.remember(1),
        )
        for call in calls:
            begun = time.monotonic()
            with pytest.raises(EngineAway, match=r"no Docker engine answers .*; waited 1 s"):
                call()
            assert time.monotonic() - begun < 3
        with pytest.raises(EngineAway, match="no Docker engine answers"):
            target.status()


def test_an_engine_that_is_deaf_is_told_within_the_time_out(small: World, deaf: None) -> None:
    small.run("api")
    target = DockerTarget(small.environment(), "world", small.project)
    begun = time.monotonic()
    with pytest.raises(TargetError, match="Docker engine"):
        target.start("api", 2)
    assert time.monotonic() - begun < 5


def test_an_engine_that_comes_back_is_waited_for(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small.run("api")
    socket_path = small.target()._engine.socket
    path = small.project.root / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    away = DockerTarget(small.environment(), "world", small.project)
    with pytest.raises(EngineAway):
        away.kill("api", "SIGKILL", 0.3)
    path.symlink_to(str(socket_path))
    away.kill("api", "SIGKILL", 5)
    assert state(small, "api") == "exited"


def test_credentials_of_an_engine_are_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://someone:hunter2@127.0.0.1:1")
    with pytest.raises(EngineAway) as caught:
        Engine.connect(timeout_s=1)
    assert "hunter2" not in str(caught.value)


def test_what_the_engine_refuses_is_told_in_its_words(engine: Engine) -> None:
    with pytest.raises(NotThere, match=r"inspect gameday-nobody: No such container: gameday-nobody"):
        engine.inspect("gameday-nobody")
    with pytest.raises(TargetError, match="create container"), engine.translated("create container"):
        engine.api.create_container("no-such-image-of-gameday:1", ["true"])


def test_an_engine_that_answers_is_waited_for_no_longer(engine: Engine) -> None:
    begun = time.monotonic()
    engine.await_engine(Deadline.after(30))
    assert time.monotonic() - begun < 1
