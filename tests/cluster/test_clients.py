"""Strange clients of a PostgreSQL and a Redis in pods, and an operator who ends their sessions."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from cluster.quarters import Quarters
from cluster.vault import MAX_CONNECTIONS, POD, run_database
from gameday.agents.resp import RespClient
from gameday.errors import TargetError, UsageError
from gameday.journal import Undo
from gameday.targets.base import Clients, Running
from gameday.targets.kubernetes.target import KubernetesTarget
from gameday.undo import revert
from targets.eventually import eventually
from targets.kept import connect, is_full

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]
FREE = MAX_CONNECTIONS - 3
"""PostgreSQL keeps three for superusers."""
DATABASE_UNDO = Undo("detach", "database", {"kind": "exhaust"})
CACHE_UNDO = Undo("detach", "cache", {"kind": "flush"})


def run_cache(place: Quarters, password: str = "") -> KubernetesTarget:
    container = {
        "image": "redis:7",
        "command": ["redis-server", "--protected-mode", "no", "--bind", "0.0.0.0", "--save", ""],
        "ports": [{"containerPort": 6379}],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
    }
    if password:
        container["command"] += ["--requirepass", password]
    place.apply(*place.workload("cache", container, port=6379))
    user = f":{password}@" if password else ""
    place.components["cache"]["url"] = f"redis://{user}${{host}}:${{port}}/0"
    place.ready("cache")
    target = place.target()
    target.start("cache", 60)  # its node port leads there, too
    return target


def strangers(place: Quarters) -> list[str]:
    """Clients that run, as another client of the cluster sees them."""
    found = place.listed("pods", "gameday.dev/helper=true")
    return [pod["metadata"]["name"] for pod in found if pod["status"]["phase"] in ("Pending", "Running")]


def sessions(place: Quarters) -> list[str]:
    """Names of the clients' sessions, asked as the superuser for whom room is kept."""
    ask = "select application_name from pg_stat_activity where backend_type = 'client backend'"
    said = place.shell(POD, f'psql -X -A -t -U postgres -c "{ask} and pid <> pg_backend_pid()"')
    return sorted(said.split())


@contextmanager
def cache_client(target: KubernetesTarget, name: str = "", password: str = "") -> Iterator[RespClient]:
    address = target.address("cache")
    with RespClient(address.host, address.port, 2.0) as client:
        if password:
            client.command("AUTH", password)
        if name:
            client.command("CLIENT", "SETNAME", name)
        yield client


# --- exhaust ------------------------------------------------------------------------------------------------


def test_an_exhausted_database_refuses_everybody_until_the_client_is_ended(place: Quarters) -> None:
    target = run_database(place)
    assert isinstance(target, Clients)
    before = place.everything()
    target.check_client("database", "exhaust")
    assert place.everything() == before

    with connect(target, "shop-web") as early:
        said = target.attach("database", "exhaust", {}, 120, 30)
        assert eventually(lambda: sessions(place) == ["nightly-report"] * FREE)
        with pytest.raises(psycopg.errors.AdminShutdown):
            early.execute("select 1")

    assert said.endswith("connections, none is left")
    assert is_full(target)
    (helper,) = strangers(place)
    assert "shop-word" not in said + str(place.get("pod", helper)), "the API server never has the password"
    assert "shop-word" not in place.shell(helper, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    status = target.status()["database"]
    assert (status.running, status.targets) == (Running.UP, (f"pod {POD}",))
    assert revert(DATABASE_UNDO, place.target()).startswith("ended the client of database: pod gameday-")
    assert eventually(lambda: not is_full(target))
    assert revert(DATABASE_UNDO, target) == "no such client of database runs"
    assert place.helpers() == []
    assert place.everything() == before


def test_an_operator_who_ends_sessions_is_rid_of_the_client_and_keeps_whom_he_names(place: Quarters) -> None:
    target = run_database(place)
    target.attach("database", "exhaust", {}, 120, 30)
    assert eventually(lambda: sessions(place) == ["nightly-report"] * FREE)

    said = place.target().disconnect("database", ["shop-web"], 20)

    assert said == f"ended {FREE} sessions of database: {FREE} of nightly-report"
    assert eventually(lambda: not strangers(place), 10), "it is gone"
    assert not is_full(target)
    with connect(target, "shop'|web") as kept, connect(target, "st|ranger") as lost:
        assert target.disconnect("database", ["shop'|web"], 20).endswith("1 of st|ranger")
        kept.execute("select 1")
        with pytest.raises(psycopg.errors.AdminShutdown):
            lost.execute("select 1")
    assert eventually(lambda: target.disconnect("database", [], 20) == "no session of database to end")


def test_the_client_waits_for_a_database_that_died_and_ends_after_its_time(place: Quarters) -> None:
    target = run_database(place)
    target.attach("database", "exhaust", {}, 40, 30)
    begun = time.monotonic()
    target.kill("database", "SIGKILL", 30)
    assert len(strangers(place)) == 1
    target.start("database", 30)
    assert time.monotonic() - begun < 30
    assert eventually(lambda: is_full(target), 10)

    assert eventually(lambda: not strangers(place), 60)
    assert 30 < time.monotonic() - begun < 60
    assert eventually(lambda: not is_full(target))


def test_a_superuser_is_refused_also_one_with_another_name(place: Quarters) -> None:
    target = run_database(place)
    place.shell(POD, 'psql -U postgres -c "alter role shop superuser"')
    for call in (
        lambda: target.check_client("database", "exhaust"),
        lambda: target.attach("database", "exhaust", {}, 60, 10),
    ):
        with pytest.raises(UsageError, match="database: its user shop is a superuser, who would take"):
            call()
    assert place.helpers() == []


# --- flush --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "cache-word"])
def test_a_flushed_cache_stays_empty_until_the_clients_session_is_ended(
    place: Quarters, password: str
) -> None:
    target = run_cache(place, password)
    before = place.everything()
    with (
        cache_client(target, "shop-web", password) as web,
        cache_client(target, password=password) as stranger,
    ):
        web.command("SET", "key", "value")
        target.attach("cache", "flush", {"every_s": 0.05}, 60, 30)
        assert web.command("GET", "key") is None, "it has begun: the first flush is done"
        web.command("SET", "key", "value")
        assert eventually(lambda: web.command("GET", "key") is None)
        assert "name=nightly-import " in str(web.command("CLIENT", "LIST"))

        said = place.target().disconnect("cache", ["shop-web"], 5)

        assert said.startswith("ended 2 sessions of cache: ")
        assert "1 of nightly-import" in said
        with pytest.raises(OSError, match=r"ended the connection|reset|[Bb]roken pipe"):
            stranger.command("PING")
        assert eventually(lambda: not strangers(place), 10)
        web.command("SET", "key", "value")
        time.sleep(0.3)
        assert web.command("GET", "key") == "value"
    assert revert(CACHE_UNDO, target).startswith("ended the client of cache"), "what is left of it is removed"
    assert revert(CACHE_UNDO, target) == "no such client of cache runs"
    assert place.everything() == before


def test_the_flushing_client_ends_after_its_time_or_at_once_by_the_undo(place: Quarters) -> None:
    target = run_cache(place)
    target.attach("cache", "flush", {"every_s": 0.1}, 2.0, 30)
    assert eventually(lambda: not strangers(place), 10)

    target.attach("cache", "flush", {"every_s": 0.1}, 60, 30)
    (first,) = place.helpers()
    target.attach("cache", "flush", {"every_s": 0.1}, 60, 30)
    (second,) = place.helpers()
    assert first != second, "the second takes the first one's place"
    for said in ("ended the client of cache: pod", "no such client of cache runs"):
        assert revert(CACHE_UNDO, place.target()).startswith(said)
    with cache_client(target) as web:
        web.command("SET", "key", "value")
        time.sleep(0.3)
        assert web.command("GET", "key") == "value"


# --- both ---------------------------------------------------------------------------------------------------


def test_a_client_whose_starter_died_is_found_by_its_labels(place: Quarters) -> None:
    target = run_cache(place)
    child = os.fork()
    if child == 0:
        place.target().attach("cache", "flush", {"every_s": 0.1}, 60, 30)
        os._exit(0)
    assert eventually(place.helpers, 20, 0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert target.status()["cache"].running is Running.UP

    revert(CACHE_UNDO, target)

    assert place.helpers() == []


def test_a_client_is_ended_also_when_its_victim_is_gone(place: Quarters) -> None:
    target = run_cache(place)
    target.attach("cache", "flush", {"every_s": 0.1}, 60, 30)
    place.do("delete", "deployment", "cache", "--wait=true")
    revert(CACHE_UNDO, target)
    assert place.helpers() == []


def test_what_cannot_be_troubled_so_is_refused_and_a_dead_server_is_told(place: Quarters) -> None:
    target = run_cache(place)
    target.check_client("cache", "flush")
    with pytest.raises(
        UsageError, match=r"cache: its url begins with redis://; exhaust troubles what is at a po"
    ):
        target.check_client("cache", "exhaust")
    target.kill("cache", "SIGKILL", 30)
    with pytest.raises(TargetError, match=r"flush cache: the client ended before it began: cannot connect"):
        target.attach("cache", "flush", {"every_s": 1}, 60, 30)
    assert place.helpers() == []
    with pytest.raises(TargetError, match=r"disconnect cache: .*refused"):
        target.disconnect("cache", [], 5)
