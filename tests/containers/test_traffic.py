"""Loss, narrow and slow paths between containers, measured at the client."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest

from containers.networks import ask, helpers_of, proxy_command, reaches, saved
from containers.worlds import World
from gameday.errors import GamedayError, TargetError, UsageError
from gameday.fault_spec import DelayFault, LoseFault, NetworkFault, ThrottleFault
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.image import helper_image
from gameday.targets.docker.kernel import Kernel, kernel_of
from gameday.targets.docker.target import DockerTarget
from gameday.targets.waiting import Deadline
from targets.eventually import eventually

pytestmark = pytest.mark.docker
SIZE = 300_000
RATE = 100_000
BULK = """
import http.server
class Bulk(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"x" * int(self.path[1:] or 1)
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.end_headers(); self.wfile.write(b"y")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8000), Bulk).serve_forever()
"""
MOVE = """
import sys, time, urllib.request
url, down, up = sys.argv[1], sys.argv[2], int(sys.argv[3])
begun = time.monotonic()
urllib.request.urlopen(url + down, data=b"x" * up if up else None, timeout=60).read()
print(time.monotonic() - begun)
"""


def throttle(client: str | None = "api") -> ThrottleFault:
    return ThrottleFault(throttle="database", bytes_per_s=RATE, client=client)


def delay(client: str | None = "api", by: str = "400ms") -> DelayFault:
    return DelayFault.model_validate({"delay": "database", "by": by, "client": client})


@pytest.fixture
def three(small: World) -> World:
    for component in ("api", "database", "other"):
        small.run(component, command=["python3", "-c", BULK])
    return small


@pytest.fixture
def kernel(engine: Engine) -> Kernel:
    return kernel_of(engine, "tests", Deadline.after(30))


@pytest.fixture
def throttling(kernel: Kernel) -> None:
    """A kernel that can make a path narrow."""
    if kernel.lacks(throttle()):
        pytest.skip(f"this kernel has no {kernel.lacks(throttle())}")


@pytest.fixture
def target(three: World) -> Iterator[DockerTarget]:
    target = three.target()
    yield target
    target.heal("database", None, None, 30)


def seconds(
    world: World, client: str, *, down: int = 0, up: int = 0, server: str = "database", port: int = 8000
) -> float:
    """How long it takes to move so many bytes between a client and a server."""
    container = world.client.containers.get(f"{world.prefix}-{client}-1")
    url = f"http://{world.prefix}-{server}-1:{port}/"
    done = container.exec_run(["python3", "-c", MOVE, url, str(down), str(up)])
    assert done.exit_code == 0, done.output
    return float(done.output)


@pytest.mark.parametrize("client", ["api", None])
@pytest.mark.usefixtures("throttling")
def test_a_narrow_path_is_narrow_in_both_directions_and_wide_afterwards(
    engine: Engine, three: World, target: DockerTarget, client: str | None
) -> None:
    ends = [f"container:{three.prefix}-{name}-1" for name in ("api", "database", "other")]
    before = [saved(engine, end) for end in ends]
    assert "api -> database" in target.paths("database", client, throttle(client))
    target.impair(throttle(client), "gameday-throttle", 60, 15)
    expected = SIZE / RATE
    for moved in (seconds(three, "api", down=SIZE), seconds(three, "api", up=SIZE)):
        assert 0.75 * expected < moved < 1.5 * expected
    others = seconds(three, "other", down=SIZE)
    assert others < 1 if client else others > 0.75 * expected
    assert ask(three, "api", "other")
    target.heal("database", client, "gameday-throttle", 15)
    assert seconds(three, "api", down=SIZE) < 1
    assert seconds(three, "api", up=SIZE) < 1
    assert [saved(engine, end) for end in ends] == before
    assert helpers_of(engine, three) == []


@pytest.mark.usefixtures("throttling")
def test_a_narrow_path_becomes_wide_by_itself(engine: Engine, three: World, target: DockerTarget) -> None:
    ends = [f"container:{three.prefix}-{name}-1" for name in ("api", "database")]
    before = [saved(engine, end) for end in ends]
    target.impair(throttle(), "gameday-throttle", 2, 15)
    assert len(helpers_of(engine, three)) == 2
    assert [saved(engine, end) for end in ends] != before
    assert eventually(lambda: not helpers_of(engine, three))
    assert [saved(engine, end) for end in ends] == before


@pytest.mark.usefixtures("throttling")
def test_a_path_is_slowed_by_one_fault_at_a_time(three: World, target: DockerTarget) -> None:
    target.impair(throttle(), "gameday-throttle", 60, 15)
    target.impair(throttle(), "gameday-throttle", 60, 15)  # the same again is no other
    with pytest.raises(TargetError, match="slowed already"):
        target.impair(throttle(), "another", 60, 15)
    with pytest.raises(TargetError, match="slowed already"):
        target.impair(throttle(client=None), "gameday-throttle", 60, 15)


@pytest.mark.usefixtures("throttling")
def test_a_queue_discipline_of_somebody_else_is_left_alone(
    engine: Engine, three: World, target: DockerTarget
) -> None:
    database = three.client.containers.get(f"{three.prefix}-database-1")
    own = "tc qdisc add dev eth0 root tbf rate 1gbit burst 1mb latency 50ms"
    three.client.containers.run(
        helper_image(engine),
        own,
        network_mode=f"container:{database.id}",
        cap_add=["NET_ADMIN"],
        remove=True,
        labels={"gameday.test": three.prefix},
    )
    ends = [f"container:{three.prefix}-{name}-1" for name in ("api", "database")]
    before = [saved(engine, end) for end in ends]
    assert "tbf" in before[1]
    with pytest.raises(TargetError, match="queue discipline of its own"):
        target.impair(throttle(), "gameday-throttle", 60, 15)
    assert [saved(engine, end) for end in ends] == before
    assert helpers_of(engine, three) == []


@pytest.mark.parametrize("client", ["api", None])
def test_packets_are_lost_on_one_path_only(
    engine: Engine, three: World, target: DockerTarget, client: str | None
) -> None:
    fault = LoseFault(lose="database", percent=40, client=client)
    assert target.paths("database", client, fault)
    end = f"container:{three.prefix}-{'api' if client else 'database'}-1"
    before = saved(engine, end)
    undisturbed = [float(ask(three, "api", "database").split()[0]) for _ in range(5)]
    target.impair(fault, "gameday-lose", 60, 15)
    lossy = [float(ask(three, "api", "database").split()[0]) for _ in range(8)]
    assert max(undisturbed) < 0.15
    assert statistics.median(lossy) > 0.18  # a retransmission at the least
    if client:
        assert max(float(ask(three, "other", "database").split()[0]) for _ in range(3)) < 0.15
    target.heal("database", client, "gameday-lose", 15)
    assert saved(engine, end) == before
    assert max(float(ask(three, "api", "database").split()[0]) for _ in range(3)) < 0.15


def test_all_packets_lost_is_a_partition(three: World, target: DockerTarget) -> None:
    target.impair(LoseFault(lose="database", percent=100, client="api"), "gameday-lose", 60, 15)
    assert not reaches(three, "api", "database")
    assert reaches(three, "other", "database")


def test_a_delay_is_netems_where_the_kernel_has_it_and_refused_elsewhere(
    engine: Engine, three: World, target: DockerTarget, kernel: Kernel
) -> None:
    """No link leads through a proxy here. Which of the two this machine can show is the kernel's to say."""
    if kernel.lacks(delay()):
        for client in ("api", None):
            with pytest.raises(UsageError, match="has no netem and the environment routes no link from"):
                target.paths("database", client, delay(client))
        with pytest.raises(UsageError, match="no link from api to database"):
            target.impair(delay(), "gameday-delay", 60, 15)
    else:
        target.impair(delay(), "gameday-delay", 60, 15)
        assert float(ask(three, "api", "database").split()[0]) > 0.8  # the connection and the request
        assert float(ask(three, "other", "database").split()[0]) < 0.2
        target.heal("database", "api", "gameday-delay", 15)
        assert float(ask(three, "api", "database").split()[0]) < 0.2
    assert helpers_of(engine, three) == []


@pytest.fixture
def linked(engine: Engine, three: World) -> Iterator[DockerTarget]:
    """The API's link to the database goes through a fault proxy, which may do no more than it must."""
    upstream = f"{three.prefix}-database-1:8000"
    command = proxy_command("to-database", 15432, upstream)
    least = {"user": "65532:65532", "read_only": True, "cap_drop": ["ALL"]}
    own = {"/run/gameday": "mode=0700,uid=65532,gid=65532"}
    three.run("network", image=helper_image(engine), command=command, ports={}, tmpfs=own, **least)
    three.components["network"] = {"docker": three.components["network"]["docker"]}
    link = {"client": "api", "server": "database", "via": "network", "port": 15432, "name": "to-database"}
    target = three.target(links=[link])
    assert eventually(lambda: reaches(three, "api", "network", port=15432))
    yield target
    target.heal("database", None, None, 30)


@pytest.mark.parametrize("name", ["gameday-delay", None])
def test_a_delay_by_the_fault_proxy_of_the_link(
    three: World, linked: DockerTarget, kernel: Kernel, name: str | None
) -> None:
    target = linked

    def takes() -> float:
        answer = ask(three, "api", "network", port=15432)
        assert "FAILED" not in answer
        return float(answer.split()[0])

    paths = target.paths("database", "api", delay())
    assert paths == (("api -> database via network",) if kernel.lacks(delay()) else ("api -> database",))
    target.impair(delay(), "gameday-delay", 60, 15)
    assert 0.39 < takes() < 1.5
    assert float(ask(three, "other", "database").split()[0]) < 0.2
    assert "gameday-delay" in target.heal("database", "api", name, 15)
    assert takes() < 0.2
    target.impair(delay(), "gameday-delay", 1, 15)
    time.sleep(1.2)
    assert takes() < 0.2
    assert "nothing to heal" in target.heal("database", "api", name, 15) or not kernel.lacks(delay())
    proxy = three.client.containers.get(f"{three.prefix}-network-1")
    proxy.stop(timeout=1)
    with pytest.raises(GamedayError, match="network"):
        target.impair(delay(), "gameday-delay", 60, 15)
    assert "nothing to heal" in target.heal("database", "api", name, 15)


@pytest.mark.usefixtures("throttling")
def test_a_delay_and_a_throttle_on_one_link(
    engine: Engine, three: World, linked: DockerTarget, kernel: Kernel
) -> None:
    """One of the two by the proxy where the kernel can have both: each acts, and each ends alone."""
    ends = [f"container:{three.prefix}-{name}-1" for name in ("api", "database", "network")]
    before = [saved(engine, end) for end in ends]

    def takes(size: int) -> float:
        return seconds(three, "api", down=size, server="network", port=15432)

    assert takes(SIZE) < 1
    linked.impair(delay(), "gameday-delay", 60, 15)
    said = linked.impair(throttle(), "gameday-throttle", 60, 15)
    assert ("by rules" in said) == bool(kernel.lacks(delay()))
    assert takes(SIZE) > 0.75 * SIZE / RATE + 0.4
    assert seconds(three, "other", down=SIZE) < 1
    linked.heal("database", "api", "gameday-throttle", 15)
    assert 0.39 < takes(SIZE) < 0.75 * SIZE / RATE
    linked.heal("database", "api", "gameday-delay", 15)
    assert takes(SIZE) < 1
    assert [saved(engine, end) for end in ends] == before


@pytest.mark.usefixtures("throttling")
def test_a_path_that_is_slowed_already_is_slowed_once_more_by_the_proxy_of_the_link(
    engine: Engine, three: World, linked: DockerTarget
) -> None:
    half = throttle().model_copy(update={"bytes_per_s": RATE // 2})
    assert "by rules" in linked.impair(throttle(), "gameday-throttle", 60, 15)
    assert f"by {three.prefix}-network-1 for api" in linked.impair(half, "another", 60, 15)
    assert seconds(three, "api", down=SIZE, server="network", port=15432) > 0.75 * 2 * SIZE / RATE
    linked.heal("database", "api", "another", 15)
    assert seconds(three, "api", down=SIZE, server="network", port=15432) < 1.5 * SIZE / RATE
    assert len(helpers_of(engine, three)) == 2
    linked.heal("database", "api", "gameday-throttle", 15)
    assert helpers_of(engine, three) == []


@pytest.mark.usefixtures("throttling")
def test_what_killed_helpers_of_a_narrow_path_left_is_healed(
    engine: Engine, three: World, target: DockerTarget
) -> None:
    ends = [f"container:{three.prefix}-{name}-1" for name in ("api", "database")]
    before = [saved(engine, end) for end in ends]
    target.impair(throttle(), "gameday-throttle", 60, 15)
    for helper in helpers_of(engine, three):
        engine.api.kill(helper, signal="SIGKILL")
    assert eventually(lambda: not helpers_of(engine, three))
    left = [saved(engine, end) for end in ends]
    assert all("GAMEDAY" in one and "tbf" in one for one in left)
    assert "nobody was looking after" in target.heal("database", "api", "gameday-throttle", 15)
    assert [saved(engine, end) for end in ends] == before


def test_a_kernel_says_what_it_lacks() -> None:
    everything = dict.fromkeys(("reject", "lose", "classify", "htb", "class", "tbf", "netem"), "yes")
    faults: list[NetworkFault] = [throttle(), delay(), LoseFault(lose="database", percent=1)]
    assert [Kernel(everything).lacks(fault) for fault in faults] == ["", "", ""]
    poor = {**everything, "netem": "Error: Specified qdisc kind is unknown.", "lose": "no such match"}
    assert [Kernel(poor).lacks(fault) for fault in faults] == ["", "netem", "lose"]
