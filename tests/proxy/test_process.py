"""The proxy as a process: it outlives its clients, starts healed, keeps its memory and answers nobody else."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gameday.errors import InvalidFile, OperationTimedOut, TargetError
from gameday.proxy import (
    Bandwidth,
    Blackhole,
    Latency,
    ProxyClient,
    Refuse,
    Slicer,
    Toxic,
    launch,
    load_config,
)
from gameday.targets.ports import find_free_ports
from proxy.world import World, exchange, receive, silent
from targets.eventually import eventually

pytestmark = pytest.mark.process


def test_a_toxic_ends_by_itself_after_its_client_was_killed(world: World) -> None:
    connection = world.open()
    code = (
        "import os, signal, sys; from pathlib import Path; from gameday.proxy import *\n"
        "toxic = Toxic(name='cut', effect=Blackhole(), ttl_s=0.6)\n"
        "ProxyClient(Path(sys.argv[1])).put('db', toxic)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(world.control)], timeout=20, check=False)
    assert done.returncode == -signal.SIGKILL
    connection.sendall(b"x")
    assert silent(connection)
    assert receive(connection, 1) == b"x"
    assert not world.client.status().link("db").toxics
    assert json.loads((world.folder / "state.json").read_text())["in_force"] == []


def test_a_killed_proxy_comes_back_healed_on_its_port(world: World) -> None:
    world.put(Refuse(), name="down")
    world.process.send_signal(signal.SIGKILL)
    world.process.wait(timeout=5)
    assert json.loads((world.folder / "state.json").read_text())["in_force"][0]["toxic"]["name"] == "down"
    with pytest.raises(TargetError, match="does not answer"):
        world.client.status()
    world.restart()
    world.open()
    status = world.client.status()
    assert status.found_in_force == ("db/down",)
    assert not status.link("db").toxics


def test_it_has_a_session_of_its_own_and_ignores_a_hangup(world: World) -> None:
    assert os.getsid(world.process.pid) == world.process.pid
    world.process.send_signal(signal.SIGHUP)
    world.open()


def test_control_is_a_private_socket_and_nothing_else_listens(world: World) -> None:
    assert stat.S_IMODE(world.control.stat().st_mode) == 0o600
    listening = [c.laddr for c in psutil.Process(world.process.pid).net_connections("inet") if not c.raddr]
    assert [(at.ip, at.port) for at in listening] == [("127.0.0.1", world.port)]


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_another_user_cannot_give_orders(world: World) -> None:
    for folder in (world.folder, *world.folder.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    with socket.socket(socket.AF_UNIX) as stranger:
        os.seteuid(65534)
        try:
            with pytest.raises(PermissionError):
                stranger.connect(str(world.control))
        finally:
            os.seteuid(0)


def test_a_second_proxy_on_the_same_state_is_refused(world: World) -> None:
    with pytest.raises(TargetError, match="another proxy runs"):
        launch(world.config, world.folder / "second.log")
    world.open()


@pytest.mark.parametrize("effect", [None, Bandwidth(bytes_per_s=10), Blackhole(), Latency(latency_s=30)])
def test_memory_stays_bounded_when_nobody_reads(world: World, effect: object) -> None:
    process = psutil.Process(world.process.pid)
    sender = world.open()
    before = process.memory_info().rss
    if effect is not None:
        world.put(effect)
    sender.settimeout(0.3)
    with pytest.raises(TimeoutError):
        sender.sendall(bytes(200_000_000))
    assert process.memory_info().rss - before < 40_000_000
    sender.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=20), sliced=st.booleans())
def test_every_byte_arrives_in_order(world: World, chunks: list[bytes], sliced: bool) -> None:
    connection = world.open()
    if sliced:
        world.put(Slicer(average_size=700, size_variation=300), name="slicer")
    change = threading.Timer(0.002, world.client.reset)  # in the middle of the stream
    change.start()
    sent = b"".join(chunks)
    for chunk in chunks:
        connection.sendall(chunk)
    connection.shutdown(socket.SHUT_WR)
    assert receive(connection, len(sent) + 1) == sent
    change.join()
    connection.close()


def test_megabytes_arrive_while_toxics_come_and_go(world: World) -> None:
    connection, data = world.open(), os.urandom(8_000_000)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(receive(connection, len(data))))
    reader.start()
    writer = threading.Thread(target=lambda: connection.sendall(data))
    writer.start()
    for number in range(20):
        world.put(Latency(latency_s=0.005, jitter_s=0.005), name="a")
        world.put(Slicer(average_size=5000), name="b")
        world.client.remove("db", "ab"[number % 2])
        time.sleep(0.005)
    world.client.reset()
    reader.join(20)
    assert got == [data]


def test_closed_connections_are_forgotten(world: World) -> None:
    for _ in range(50):
        world.open().close()
    assert eventually(lambda: world.client.status().link("db").connections == 0, 5)


def test_a_dead_server_resets_the_client(world: World) -> None:
    world.echo.listener.shutdown(socket.SHUT_RDWR)
    world.echo.listener.close()
    with pytest.raises(ConnectionResetError):
        world.connect().recv(1)


def test_orders_that_make_no_sense_are_refused_with_a_reason(world: World) -> None:
    with pytest.raises(TargetError, match="no link 'cache'; there are db"):
        world.client.put("cache", Toxic(name="x", effect=Blackhole(), ttl_s=1))
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(world.control))
        for line in (
            b"nonsense\n",
            b"[]\n",
            b'{"do": "dance"}\n',
            b'{"do": "put", "link": "db", "toxic": {}}\n',
        ):
            raw.sendall(line)
            assert "error" in json.loads(raw.recv(65536))
    assert exchange(world.open(), b"alive") == b"alive"


def test_a_proxy_that_hangs_is_an_operation_timed_out(world: World) -> None:
    world.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(OperationTimedOut, match=r"no answer within 0\.2 s"):
            ProxyClient(world.control, timeout_s=0.2).status()
    finally:
        world.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"listen": "0.0.0.0:5432"}, r"links\[0\]\.listen: '0\.0\.0\.0:5432' is not on loopback"),
        ({"listen": "localhost:5432"}, "not on loopback"),
        ({"listen": "127.0.0.1:0"}, "expected host:port"),
        ({"upstream": "nowhere"}, "expected host:port"),
        ({"name": "No Name"}, "is not a name"),
        ({"lisen": "x"}, "did you mean 'listen'"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    link = {"name": "db", "listen": "127.0.0.1:1234", "upstream": "127.0.0.1:1235", **change}
    file = tmp_path / "proxy.json"
    file.write_text(json.dumps({"links": [link], "control": "c", "state": "s"}))
    with pytest.raises(InvalidFile, match=message):
        load_config(file)


def test_only_a_file_that_says_so_lets_others_connect(tmp_path: Path) -> None:
    link = {"name": "db", "listen": "0.0.0.0:15432", "upstream": "database:5432"}
    document = {"links": [link], "control": "/run/gameday/control.sock", "state": "s"}
    file = tmp_path / "proxy.json"
    file.write_text(json.dumps({**document, "exposed": True}))
    config = load_config(file)
    assert (config.links[0].listen_host, config.links[0].upstream_host) == ("0.0.0.0", "database")
    assert config.control == "/run/gameday/control.sock"
    file.write_text(json.dumps({**document, "exposed": False}))
    with pytest.raises(InvalidFile, match="unless the file says `exposed: true`"):
        load_config(file)
    file.write_text(json.dumps({**document, "exposed": True, "links": [{**link, "listen": "network:15432"}]}))
    with pytest.raises(InvalidFile, match="any IP address"):
        load_config(file)


def test_an_exposed_proxy_answers_at_every_address_and_takes_orders_at_its_socket_only(
    tmp_path: Path, world: World
) -> None:
    port = find_free_ports(1)[0]
    link = {"name": "out", "listen": f"0.0.0.0:{port}", "upstream": f"127.0.0.1:{world.echo.port}"}
    file = tmp_path / "exposed.json"
    file.write_text(json.dumps({"exposed": True, "links": [link], "control": "c.sock", "state": "s.json"}))
    process = launch(file, tmp_path / "out.log")
    try:
        with socket.create_connection(("127.0.0.2", port), timeout=5) as connection:
            assert exchange(connection, b"hello") == b"hello"
        listening = [c.laddr for c in psutil.Process(process.pid).net_connections("inet") if not c.raddr]
        assert [(at.ip, at.port) for at in listening] == [("0.0.0.0", port)]
        assert stat.S_IMODE((tmp_path / "c.sock").stat().st_mode) == 0o600
    finally:
        process.terminate()
        process.wait(timeout=5)


def test_two_links_cannot_share_a_name(tmp_path: Path) -> None:
    link = {"name": "db", "listen": "127.0.0.1:1234", "upstream": "127.0.0.1:1235"}
    file = tmp_path / "proxy.json"
    file.write_text(json.dumps({"links": [link, link], "control": "c", "state": "s"}))
    with pytest.raises(InvalidFile, match="two links have the same name: db"):
        load_config(file)


def test_values_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="data would leave early"):
        Latency(latency_s=0.1, jitter_s=0.2)
    with pytest.raises(ValueError, match="no percentage"):
        Toxic(name="x", effect=Refuse(), percentage=50.0, ttl_s=1)
