"""Strange clients of a PostgreSQL and a Redis in containers, and an operator who ends their sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from containers.cellar import MAX_CONNECTIONS, run_cache, run_database, shell
from containers.seen import comparable
from containers.worlds import World
from gameday.agents.resp import RespClient
from gameday.errors import TargetError, UsageError
from gameday.journal import Undo
from gameday.targets.base import Clients, Running
from gameday.targets.docker import clients
from gameday.targets.docker.clients import CLIENT_LABEL
from gameday.targets.docker.target import DockerTarget
from gameday.undo import revert
from targets.eventually import eventually
from targets.kept import connect, is_full
from targets.killed import killed_at

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]
FREE = MAX_CONNECTIONS - 3
"""PostgreSQL keeps three for superusers."""
DATABASE_UNDO = Undo("detach", "database", {"kind": "exhaust"})
CACHE_UNDO = Undo("detach", "cache", {"kind": "flush"})


def again(small: World) -> DockerTarget:
    """Another runner, which has the first one's state and nothing else of it."""
    return DockerTarget(small.environment(), "world", small.project)


def strangers(small: World) -> list[Any]:
    """Clients on this world's network, as another client of the engine sees them."""
    found = small.client.containers.list(all=True, filters={"label": CLIENT_LABEL}, ignore_removed=True)
    return [one for one in found if small.network.name in one.attrs["NetworkSettings"]["Networks"]]


def sessions(small: World) -> list[str]:
    """Names of the clients' sessions, asked as the superuser for whom room is kept."""
    ask = "select application_name from pg_stat_activity where backend_type = 'client backend'"
    said = shell(small, f'psql -X -A -t -U postgres -c "{ask} and pid <> pg_backend_pid()"')
    return sorted(said.split())


@contextmanager
def cache_client(target: DockerTarget, name: str = "", password: str = "") -> Iterator[RespClient]:
    address = target.address("cache")
    with RespClient(address.host, address.port, 2.0) as client:
        if password:
            client.command("AUTH", password)
        if name:
            client.command("CLIENT", "SETNAME", name)
        yield client


# --- exhaust ------------------------------------------------------------------------------------------------


def test_an_exhausted_database_refuses_everybody_until_the_client_is_ended(small: World) -> None:
    target = run_database(small)
    assert isinstance(target, Clients)
    before = comparable(small.inspect("database"))
    target.check_client("database", "exhaust")
    assert strangers(small) == []

    with connect(target, "shop-web") as early:
        said = target.attach("database", "exhaust", {}, 120, 30)
        assert eventually(lambda: sessions(small) == ["nightly-report"] * FREE, 5)
        with pytest.raises(psycopg.errors.AdminShutdown):
            early.execute("select 1")

    assert said.endswith("connections, none is left")
    assert is_full(target)
    assert "shop-word" not in said
    (helper,) = strangers(small)
    assert "shop-word" not in str(helper.top()), "no list of processes shows the password"
    assert target.status()["database"].running is Running.UP
    assert target.status()["database"].targets == (
        f"container {small.prefix}-database-1 ({before['Id'][:12]})",
    )
    assert revert(DATABASE_UNDO, again(small)).startswith("ended the client of database: container")
    assert eventually(lambda: not is_full(target), 5)
    assert revert(DATABASE_UNDO, target) == "no such client of database runs"
    assert strangers(small) == []
    assert comparable(small.inspect("database")) == before


def test_an_operator_who_ends_sessions_is_rid_of_the_client_and_keeps_whom_he_names(small: World) -> None:
    target = run_database(small)
    target.attach("database", "exhaust", {}, 120, 30)
    assert eventually(lambda: sessions(small) == ["nightly-report"] * FREE, 5)

    said = again(small).disconnect("database", ["shop-web"], 20)

    assert said == f"ended {FREE} sessions of database: {FREE} of nightly-report"
    assert eventually(lambda: not strangers(small), 10), "it is gone, and so is its container"
    assert not is_full(target)
    with connect(target, "shop'|web") as kept, connect(target, "st|ranger") as lost:
        assert target.disconnect("database", ["shop'|web"], 20).endswith("1 of st|ranger")
        kept.execute("select 1")
        with pytest.raises(psycopg.errors.AdminShutdown):
            lost.execute("select 1")
    assert eventually(lambda: target.disconnect("database", [], 20) == "no session of database to end", 5)


def test_the_client_waits_for_a_database_that_died_and_ends_after_its_time(small: World) -> None:
    target = run_database(small)
    target.attach("database", "exhaust", {}, 20, 30)
    begun = time.monotonic()
    target.kill("database", "SIGKILL", 10)
    assert len(strangers(small)) == 1
    target.start("database", 30)
    assert time.monotonic() - begun < 15
    assert eventually(lambda: is_full(target), 5)

    assert eventually(lambda: not strangers(small), 30)
    assert 15 < time.monotonic() - begun < 30
    assert eventually(lambda: not is_full(target), 5)


def test_a_superuser_is_refused_also_one_with_another_name(small: World) -> None:
    target = run_database(small)
    shell(small, 'psql -U postgres -c "alter role shop superuser"')
    for call in (
        lambda: target.check_client("database", "exhaust"),
        lambda: target.attach("database", "exhaust", {}, 60, 10),
    ):
        with pytest.raises(UsageError, match="database: its user shop is a superuser, who would take"):
            call()
    assert strangers(small) == []


# --- flush --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "cache-word"])
def test_a_flushed_cache_stays_empty_until_the_clients_session_is_ended(small: World, password: str) -> None:
    target = run_cache(small, *(["--requirepass", password] if password else []))
    if password:
        small.components["cache"]["url"] = f"redis://:{password}@${{host}}:${{port}}/0"
        target = again(small)
    before = comparable(small.inspect("cache"))
    with (
        cache_client(target, "shop-web", password) as web,
        cache_client(target, password=password) as stranger,
    ):
        web.command("SET", "key", "value")
        target.attach("cache", "flush", {"every_s": 0.05}, 60, 30)
        assert web.command("GET", "key") is None, "it has begun: the first flush is done"
        web.command("SET", "key", "value")
        assert eventually(lambda: web.command("GET", "key") is None, 5)
        assert "name=nightly-import " in str(web.command("CLIENT", "LIST"))

        said = again(small).disconnect("cache", ["shop-web"], 5)

        assert said.startswith("ended 2 sessions of cache: ")
        assert "1 of nightly-import" in said
        with pytest.raises(OSError, match=r"ended the connection|reset|[Bb]roken pipe"):
            stranger.command("PING")
        assert eventually(lambda: not strangers(small), 10)
        web.command("SET", "key", "value")
        time.sleep(0.3)
        assert web.command("GET", "key") == "value"
    assert revert(CACHE_UNDO, target) == "no such client of cache runs"
    assert comparable(small.inspect("cache")) == before


def test_the_flushing_client_ends_after_its_time_or_at_once_by_the_undo(small: World) -> None:
    target = run_cache(small)
    target.attach("cache", "flush", {"every_s": 0.1}, 2.0, 30)
    assert eventually(lambda: not strangers(small), 10)

    target.attach("cache", "flush", {"every_s": 0.1}, 60, 30)
    (first,) = strangers(small)
    target.attach("cache", "flush", {"every_s": 0.1}, 60, 30)
    (second,) = strangers(small)
    assert first.id != second.id, "the second takes the first one's place"
    for said in ("ended the client of cache: container", "no such client of cache runs"):
        assert revert(CACHE_UNDO, again(small)).startswith(said)
    with cache_client(target) as web:
        web.command("SET", "key", "value")
        time.sleep(0.3)
        assert web.command("GET", "key") == "value"


# --- both ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_client_whose_starter_died_is_found_by_its_labels(small: World, after: bool) -> None:
    target = run_cache(small)

    def attach() -> str:
        return again(small).attach("cache", "flush", {"every_s": 0.1}, 60, 30)

    killed_at(clients, "start_helper", attach, after=after)
    assert len(strangers(small)) == (1 if after else 0)
    assert target.status()["cache"].targets == (
        f"container {small.prefix}-cache-1 ({small.inspect('cache')['Id'][:12]})",
    ), "the client is no part of the cache"
    revert(CACHE_UNDO, target)
    assert strangers(small) == []


def test_a_client_is_ended_also_when_its_victim_is_gone(small: World) -> None:
    target = run_cache(small)
    target.attach("cache", "flush", {"every_s": 0.1}, 60, 30)
    target.remove("cache", 10)
    revert(CACHE_UNDO, target)
    assert strangers(small) == []


def test_what_cannot_be_troubled_so_is_refused_and_a_dead_server_is_told(small: World) -> None:
    small.run("web")
    target = run_cache(small)
    target.check_client("cache", "flush")
    with pytest.raises(
        UsageError, match=r"cache: its url begins with redis://; exhaust troubles what is at a po"
    ):
        target.check_client("cache", "exhaust")
    with pytest.raises(
        UsageError, match=r"web: its url begins with http://; flush troubles what is at a redis"
    ):
        target.attach("web", "flush", {"every_s": 1}, 60, 10)
    with pytest.raises(UsageError, match=r"web: its url begins with http://; sessions can be ended at"):
        target.disconnect("web", [], 5)
    target.kill("cache", "SIGKILL", 5)
    with pytest.raises(
        TargetError, match=r"flush cache: the client ended with exit code 1: cannot|ended after 0"
    ):
        target.attach("cache", "flush", {"every_s": 1}, 60, 30)
    assert strangers(small) == []
    with pytest.raises(TargetError, match=r"disconnect cache: .*refused"):
        target.disconnect("cache", [], 5)
