"""Commands, logs and addresses of components on a real engine."""

from __future__ import annotations

import time
from typing import Any

import pytest

from containers.worlds import World
from gameday.errors import OperationTimedOut, UsageError
from gameday.targets.base import Running
from gameday.targets.docker.engine import OUTPUT_LIMIT
from gameday.targets.docker.target import DockerTarget
from gameday.targets.ports import find_free_ports

pytestmark = pytest.mark.docker


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
