"""Each toxic, measured from outside, on connections that were open before it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from gameday.proxy import (
    Bandwidth,
    Blackhole,
    Direction,
    Latency,
    LimitData,
    Loss,
    Refuse,
    Reset,
    Slicer,
    SlowClose,
    Timeout,
    launch,
)
from proxy.world import World, exchange, receive, silent, timed
from targets.eventually import eventually

pytestmark = pytest.mark.process


@pytest.mark.parametrize(("direction", "times"), [("upstream", 1), ("downstream", 1), ("both", 2)])
def test_latency_adds_its_value_in_each_direction(world: World, direction: str, times: int) -> None:
    connection = world.open()
    assert world.put(Latency(latency_s=0.4), direction=direction) == 1
    with timed(0.4 * times, 0.4 * times + 0.35):
        assert exchange(connection, b"x") == b"x"
    assert world.client.remove("db", "toxic")
    with timed(0, 0.35):
        exchange(connection, b"x")


def test_jitter_stays_within_its_range_and_varies(world: World) -> None:
    connection = world.open()
    world.put(Latency(latency_s=0.03, jitter_s=0.02), direction="upstream")
    took = []
    for _ in range(20):
        began = time.monotonic()
        exchange(connection, b"x")
        took.append(time.monotonic() - began)
    assert min(took) >= 0.01
    assert sorted(took)[15] <= 0.12
    assert max(took) - min(took) > 0.01


def test_lost_packets_come_as_late_as_retransmissions_and_in_order(world: World) -> None:
    connection = world.open()
    world.put(Loss(percent=30), direction="upstream")
    took = []
    for number in range(30):
        began = time.monotonic()
        assert exchange(connection, bytes([number])) == bytes([number])
        took.append(time.monotonic() - began)
        if sum(took) > 12:
            break
    late = [seconds for seconds in took if seconds >= 0.2]
    assert 1 <= len(late) < len(took), "some were lost, not all"
    connection.sendall(b"one")
    connection.sendall(b"two")
    connection.settimeout(20)
    assert receive(connection, 6) == b"onetwo"


def test_without_loss_nothing_is_late(world: World) -> None:
    connection = world.open()
    world.put(Loss(percent=0))
    with timed(0, 0.35):
        exchange(connection, b"x")


def test_bandwidth_is_what_was_asked_for(world: World) -> None:
    connection = world.open()
    world.put(Bandwidth(bytes_per_s=200_000), direction="downstream")
    with timed(0.5 * 0.75, 0.5 * 2):
        assert exchange(connection, bytes(100_000)) == bytes(100_000)


@pytest.mark.parametrize("direction", list(Direction))
def test_blackhole_passes_nothing_and_loses_nothing_when_it_heals(world: World, direction: Direction) -> None:
    connection = world.open()
    before = len(world.echo.received)
    world.put(Blackhole(), direction=direction)
    connection.sendall(b"later")
    assert silent(connection)
    arrived = len(world.echo.received) - before
    assert arrived == (5 if direction is Direction.DOWNSTREAM else 0)  # half-open: one way still works
    assert world.client.reset() == ("db/toxic",)
    assert receive(connection, 5) == b"later"


def test_a_toxic_that_spares_a_connection_does_not_let_it_through_a_blackhole(world: World) -> None:
    world.put(Latency(latency_s=0.1), name="spares", percentage=0)
    world.put(Blackhole(), name="holds")
    connection = world.connect()
    connection.sendall(b"later")
    assert silent(connection)
    assert not world.echo.connections


def test_blackhole_accepts_new_connections_that_never_reach_the_server(world: World) -> None:
    world.put(Blackhole())
    connection = world.connect()
    connection.sendall(b"later")
    assert silent(connection)
    assert not world.echo.connections
    world.client.reset()
    assert receive(connection, 5) == b"later"


def test_blackhole_hides_that_a_side_has_gone(world: World) -> None:
    world.open()
    connection = world.open()
    world.put(Blackhole())
    world.echo.connections[1].shutdown(socket.SHUT_RDWR)
    assert silent(connection)
    world.client.reset()
    assert connection.recv(1) == b""


def test_healing_goes_on_where_a_client_has_gone_meanwhile(world: World, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")  # as where it is not installed
    world.process.terminate()
    world.process.wait(5)
    world.process = launch(world.config, world.output, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert world.client.status().loop == "asyncio"
    gone, there = world.open(), world.open()
    world.put(Blackhole(), direction=Direction.DOWNSTREAM)
    for connection in (gone, there):
        connection.sendall(b"later")
    gone.shutdown(socket.SHUT_WR)  # the server answers and ends: both are held
    gone.close()
    assert silent(there)
    assert world.client.remove(
        "db", "toxic"
    )  # what is passed on meets a reset, and the end after it no connection
    assert receive(there, 5) == b"later"
    assert eventually(lambda: world.client.status().link("db").connections == 1, 5)


def test_reset_breaks_open_and_new_connections(world: World) -> None:
    connection = world.open()
    world.put(Reset())
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    with pytest.raises(ConnectionResetError):
        world.connect().recv(1)
    world.client.reset()
    world.open()


@pytest.mark.parametrize(
    ("which", "open_breaks", "new_breaks"), [("open", True, False), ("new", False, True)]
)
def test_reset_of_some_spares_the_others(
    world: World, which: str, open_breaks: bool, new_breaks: bool
) -> None:
    connection = world.open()
    world.put(Reset(connections=which))  # type: ignore[arg-type]
    assert _breaks(connection) is open_breaks
    assert _connecting_breaks(world) is new_breaks


def _connecting_breaks(world: World) -> bool:
    """The reset may come while the client is still connecting."""
    try:
        return _breaks(world.connect())
    except ConnectionResetError:
        return True


def test_reset_waits_for_its_time(world: World) -> None:
    connection = world.open()
    world.put(Reset(after_s=0.2))
    with timed(0.15, 1.5), pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_refuse_and_heal_on_the_same_port(world: World) -> None:
    connection = world.open()
    for _ in range(3):
        world.put(Refuse())
        with pytest.raises(ConnectionRefusedError):
            world.connect()
        assert exchange(connection, b"open ones stay") == b"open ones stay"
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind(("127.0.0.1", world.port))
        world.client.reset()
        world.open()


def test_refuse_can_close_open_connections(world: World) -> None:
    connection = world.open()
    world.put(Refuse(close_open=True))
    assert connection.recv(1) == b""


def test_slow_close_delays_the_end_only(world: World) -> None:
    connection = world.open()
    world.put(SlowClose(delay_s=0.8), direction="downstream")
    with timed(0, 0.6):
        exchange(connection, b"data is not delayed")
    connection.shutdown(socket.SHUT_WR)
    with timed(0.8, 1.6):
        assert connection.recv(1) == b""


def test_limit_data_closes_after_its_bytes(world: World) -> None:
    connection = world.open()
    world.put(LimitData(max_bytes=1000), direction="downstream")
    assert len(exchange(connection, bytes(5000))) == 1000


def test_timeout_drops_and_closes(world: World) -> None:
    connection = world.open()
    world.put(Timeout(after_s=0.3))
    connection.sendall(b"gone")
    with timed(0.2, 1.5):
        assert connection.recv(1) == b""
    assert b"gone" not in world.echo.received


def test_timeout_of_zero_closes_when_it_is_removed(world: World) -> None:
    connection = world.open()
    world.put(Timeout())
    connection.sendall(b"gone")
    assert silent(connection)
    world.client.reset()
    assert connection.recv(1) == b""


def test_slicer_cuts_and_spaces(world: World) -> None:
    connection = world.open()
    world.put(Slicer(average_size=10, size_variation=5, delay_s=0.01), direction="downstream")
    connection.sendall(bytes(200))
    first = connection.recv(65536)
    assert len(first) <= 50
    assert len(first) + len(receive(connection, 200 - len(first))) == 200


def test_toxics_add_up_and_are_removed_one_by_one(world: World) -> None:
    connection = world.open()
    world.put(Latency(latency_s=0.4), name="one", direction="upstream")
    world.put(Latency(latency_s=0.4), name="two", direction="upstream")
    with timed(0.8, 1.15):
        exchange(connection, b"x")
    world.client.remove("db", "one")
    with timed(0.4, 0.75):
        exchange(connection, b"x")


def test_putting_a_blackhole_again_lets_nothing_through(world: World) -> None:
    connection = world.open()
    world.put(Blackhole())
    connection.sendall(b"later")
    world.put(Blackhole(), ttl_s=30.0)
    assert silent(connection)
    world.client.reset()
    assert receive(connection, 5) == b"later"


def test_percentage_hits_its_share_and_the_same_connections_again(world: World) -> None:
    connections = [world.open() for _ in range(100)]
    hit = world.put(Blackhole(), percentage=30.0)
    assert 18 <= hit <= 42
    assert world.put(Blackhole(), percentage=30.0) == hit
    for connection in connections:
        connection.sendall(b"x")
    time.sleep(0.3)
    assert eventually(lambda: sum(_has_data(connection) for connection in connections) == 100 - hit, 5)


def _has_data(connection: socket.socket) -> bool:
    try:
        connection.setblocking(False)
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def _breaks(connection: socket.socket) -> bool:
    try:
        return exchange(connection, b"x") != b"x"
    except (ConnectionResetError, BrokenPipeError):
        return True
