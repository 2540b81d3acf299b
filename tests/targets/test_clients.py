"""Strange clients of a real PostgreSQL and a real Valkey, and an operator who ends their sessions."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gameday.agents.resp import RespClient, RespError
from gameday.errors import TargetError, UsageError
from gameday.strays import VARIABLE, end_strays
from gameday.targets.base import Clients, Running
from gameday.targets.process import ProcessTarget
from targets.eventually import eventually
from targets.kept import connect, is_full
from targets.small import CACHE, WEB, MakeTarget, marked, run_starter

pytestmark = pytest.mark.process
SMALL: dict[str, Any] = {
    "postgresql": {
        "database": "shop",
        "user": "shop",
        "base_backup": False,
        "settings": {"max_connections": 12},
    }
}


@contextmanager
def cache_client(target: ProcessTarget, name: str = "") -> Iterator[RespClient]:
    address = target.address("cache")
    with RespClient(address.host, address.port, 2.0) as client:
        if name:
            client.command("CLIENT", "SETNAME", name)
        yield client


def agents(target: ProcessTarget) -> list[int]:
    return [pid for pid in marked(target.folder) if b"gameday.agents." in command_line(pid)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # gone meanwhile
        return b""


# --- exhaust ------------------------------------------------------------------------------------------------


def test_an_exhausted_database_refuses_everybody_until_the_client_is_ended(make_target: MakeTarget) -> None:
    target = make_target(database=SMALL)
    target.up()
    assert isinstance(target, Clients)
    before = target.status()["database"].targets

    said = target.attach("database", "exhaust", {}, 60, 10)

    assert said.endswith("holds 9 connections, none is left"), "12, and 3 are kept for operators"
    assert is_full(target)
    assert len(agents(target)) == 1
    assert target.status()["database"].targets[0].split(" and")[0] == before[0].split(" and")[0]
    assert target.detach("database", "exhaust", 5).startswith("ended the client of database: pid")
    assert eventually(lambda: not is_full(target), 5)
    assert target.detach("database", "exhaust", 5) == "no such client of database runs"


def test_connections_in_use_are_taken_too(make_target: MakeTarget) -> None:
    target = make_target(database=SMALL)
    target.up()
    with connect(target, "shop-web") as early:
        target.attach("database", "exhaust", {}, 60, 10)
        assert eventually(lambda: sessions(target) == ["nightly-report"] * 9, 5)
        with pytest.raises(psycopg.errors.AdminShutdown):
            early.execute("select 1")
    assert is_full(target)


def sessions(target: ProcessTarget) -> list[str]:
    """Names of the clients' sessions, asked as the operator for whom room is kept."""
    url = target.address("database").url
    with psycopg.connect(url, user="postgres", connect_timeout=5) as operator:
        rows = operator.execute(
            "select application_name from pg_stat_activity"
            " where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        return sorted(row[0] for row in rows)


def test_an_operator_who_ends_sessions_is_rid_of_the_client_and_keeps_whom_he_names(
    make_target: MakeTarget,
) -> None:
    target = make_target(database=SMALL)
    target.up()
    target.attach("database", "exhaust", {}, 60, 10)

    said = target.disconnect("database", ["shop-web"], 10)

    assert said == "ended 9 sessions of database: 9 of nightly-report"
    assert eventually(lambda: not agents(target), 5)
    assert not is_full(target)
    log = (target.folder / "database" / "client-exhaust.log").read_text()
    assert "an operator ended its session" in log
    with connect(target, "shop-web") as kept, connect(target, "stranger") as lost:
        target.disconnect("database", ["shop-web"], 10)
        kept.execute("select 1")
        with pytest.raises(psycopg.errors.AdminShutdown):
            lost.execute("select 1")
        assert sessions(target) == ["shop-web"]
    assert eventually(lambda: target.disconnect("database", [], 10) == "no session of database to end", 5)


def test_the_client_waits_for_a_database_that_died_and_ends_after_its_time(make_target: MakeTarget) -> None:
    target = make_target(database=SMALL)
    target.up()
    target.attach("database", "exhaust", {}, 4, 10)
    target.kill("database", "SIGKILL", 10)
    assert len(agents(target)) == 1
    target.start("database", 20)
    assert eventually(lambda: is_full(target), 2)

    assert eventually(lambda: not agents(target), 8)
    assert eventually(lambda: not is_full(target), 5)


def test_an_exhausted_database_can_be_started_again_and_taken_down(make_target: MakeTarget) -> None:
    target = make_target(database=SMALL)
    target.up()
    target.attach("database", "exhaust", {}, 60, 10)
    assert target.start("database", 5) == "database was up already"

    target.down()

    assert not marked(target.folder)


# --- flush --------------------------------------------------------------------------------------------------


def test_a_flushed_cache_stays_empty_until_the_clients_session_is_ended(make_target: MakeTarget) -> None:
    target = make_target(cache=CACHE)
    target.up()
    with cache_client(target, "shop-web") as web, cache_client(target) as stranger:
        web.command("SET", "key", "value")
        target.attach("cache", "flush", {"every_s": 0.05}, 60, 10)
        assert web.command("GET", "key") is None, "it has begun: the first flush is done"
        web.command("SET", "key", "value")
        assert eventually(lambda: web.command("GET", "key") is None, 5)
        assert "name=nightly-import " in str(web.command("CLIENT", "LIST"))

        said = target.disconnect("cache", ["shop-web"], 5)

        assert said.startswith("ended 2 sessions of cache: ")
        assert "1 of nightly-import" in said
        assert "1 of no name" in said
        with pytest.raises(OSError, match=r"ended the connection|reset|[Bb]roken pipe"):
            stranger.command("PING")
        assert eventually(lambda: not agents(target), 5)
        web.command("SET", "key", "value")
        time.sleep(0.2)
        assert web.command("GET", "key") == "value"
    assert target.detach("cache", "flush", 5) == "no such client of cache runs"


def test_the_flushing_client_ends_after_its_time_and_keeps_its_pace(make_target: MakeTarget) -> None:
    target = make_target(cache=CACHE)
    target.up()
    target.attach("cache", "flush", {"every_s": 0.2}, 1.0, 10)
    assert eventually(lambda: not agents(target), 4)

    log = (target.folder / "cache" / "client-flush.log").read_text()
    assert "ended after 5 flushes: its time was over" in log


# --- both ---------------------------------------------------------------------------------------------------


def test_a_client_that_is_attached_again_replaces_the_first(make_target: MakeTarget) -> None:
    target = make_target(cache=CACHE)
    target.up()
    target.attach("cache", "flush", {"every_s": 1}, 60, 10)
    (first,) = agents(target)
    target.attach("cache", "flush", {"every_s": 1}, 60, 10)
    assert len(agents(target)) == 1
    assert agents(target) != [first]


def test_a_client_whose_starter_died_is_found_by_its_mark(make_target: MakeTarget, tmp_path: Path) -> None:
    target = make_target(cache=CACHE)
    target.up()
    action = f"attach:{json.dumps(['cache', 'flush', {'every_s': 0.1}, 60, 10])}"
    starter = run_starter(tmp_path, {"cache": CACHE}, action, "die-at", "clients._wait_begun")
    starter.communicate(timeout=20)
    assert starter.returncode == -signal.SIGKILL
    assert len(agents(target)) == 1

    assert target.status()["cache"].running == Running.UP
    assert target.kill("cache", "SIGKILL", 5).count("pid") == 1, "the client is no part of the cache"
    target.start("cache", 10)
    target.detach("cache", "flush", 5)
    assert not agents(target)

    run_starter(tmp_path, {"cache": CACHE}, action, "die-at", "clients._wait_begun").communicate(timeout=20)
    target.down()
    assert not marked(target.folder)


def test_a_client_is_no_stray_of_the_drill_that_attached_it(
    make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_target(cache=CACHE)
    target.up()
    monkeypatch.setenv(VARIABLE, "drill-of-clients")
    target.attach("cache", "flush", {"every_s": 1}, 60, 10)

    assert end_strays("drill-of-clients") == 0
    assert len(agents(target)) == 1


def test_what_cannot_be_troubled_so_is_refused_and_a_dead_server_is_told(make_target: MakeTarget) -> None:
    target = make_target(database=SMALL, cache=CACHE, web=WEB)
    target.up()
    target.check_client("database", "exhaust")
    target.check_client("cache", "flush")
    with pytest.raises(UsageError, match="cache is a valkey; exhaust troubles a postgresql"):
        target.check_client("cache", "exhaust")
    with pytest.raises(UsageError, match="web is a command; flush troubles a valkey"):
        target.attach("web", "flush", {"every_s": 1}, 60, 10)
    with pytest.raises(UsageError, match="web is a command; sessions can be ended at"):
        target.disconnect("web", [], 5)
    super_user = {"postgresql": {"database": "shop", "user": "postgres", "base_backup": False}}
    with pytest.raises(UsageError, match="its user is the superuser postgres"):
        make_target("small@super", database=super_user).check_client("database", "exhaust")
    for name, kind, settings in (("database", "exhaust", {}), ("cache", "flush", {"every_s": 1})):
        target.kill(name, "SIGKILL", 5)
        with pytest.raises(TargetError, match=r"the client ended with exit code 1: .*refused"):
            target.attach(name, kind, settings, 60, 10)  # type: ignore[arg-type]
        with pytest.raises(TargetError, match="refused"):
            target.disconnect(name, [], 5)
    assert not agents(target)


def test_an_answer_in_pieces_an_error_and_silence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        RespClient("127.0.0.1", server.getsockname()[1], 0.3) as client,
    ):
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"$7\r\nab\r\nc")
            peer.sendall(b"de\r\n-ERR no\r\n:12\r\n$-1\r\n")
            assert client.command("GET", "key") == "ab\r\ncde"
            with pytest.raises(RespError, match="ERR no"):
                client.command("BAD")
            assert client.command("CLIENT", "ID") == 12
            assert client.command("GET", "none") is None
            assert peer.recv(100).startswith(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
            with pytest.raises(TimeoutError):
                client.command("PING")
