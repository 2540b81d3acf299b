"""The hotel's compose file on a real engine, brought up by the compose plugin: what drills rely on is there."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from containers.images import give_up
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.image import helper_image
from gameday.targets.ports import find_free_ports

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600), pytest.mark.xdist_group("compose-file")]

HOTEL = Path(__file__).parents[2] / "examples" / "hotel"
PORTS = ("API", "DATABASE", "CACHE", "PMS", "WHATSAPP", "LOAD", "PROMETHEUS", "ALERTMANAGER", "WEBHOOK")
TOKEN, PASSWORD, SECRET = "let-me-in", "Passw0rd", "only-alertmanager-knows"
ONCE = {"backup", "api-broken"}
CUT = """
from pathlib import Path; from gameday.proxy import *
client = ProxyClient(Path("/run/gameday/control.sock"))
client.put("api-database", Toxic(name="cut", effect=Refuse(close_open=True), ttl_s=60))
"""
HEAL = CUT.partition("client.put")[0] + 'print(client.reset("api-database"))'


def run(*argv: str, check: bool = True, **env: str) -> str:
    done = subprocess.run(
        argv, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False
    )
    if check:
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def eventually(what: str, within_s: float, condition: Callable[[], Any]) -> Any:
    deadline, last = time.monotonic() + within_s, None
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return last
        except (httpx.HTTPError, psycopg.Error) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not within {within_s:g} s: {what}; last: {last!r}")


class Receiver:
    """Where Alertmanager sends to: every interface, as it comes from a container."""

    def __init__(self, port: int) -> None:
        self.told: list[tuple[str, str, str]] = []
        told = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.extend((self.path, a["labels"]["alertname"], a["status"]) for a in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Stack:
    """One project of the compose file, with ports of its own."""

    def __init__(self, image: str) -> None:
        self.project = f"gameday-test-compose-{os.getpid()}"
        self.ports = dict(zip(PORTS, find_free_ports(len(PORTS)), strict=True))
        self.env = {f"{name}_PORT": str(port) for name, port in self.ports.items()} | {
            "GAMEDAY_IMAGE": image,
            "HOTEL_IMAGE": self.project,
            "RULES": "shortened",
            "DATABASE_PASSWORD": PASSWORD,
            "ADMIN_TOKEN": TOKEN,
            "WEBHOOK_SECRET": SECRET,
            "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0"),
        }

    def compose(self, *argv: str) -> str:
        return run(
            "docker", "compose", "-f", str(HOTEL / "compose.yaml"), "-p", self.project, *argv, **self.env
        )

    def up(self) -> None:
        self.compose("up", "-d", "--wait", "--wait-timeout", "240")

    def down(self) -> None:
        self.compose("down", "-v", "--timeout", "5")
        for tag in ("local", "broken"):
            give_up(self.project, f"{self.project}:{tag}")

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def docker(self, action: str, service: str, *argv: str, check: bool = True) -> str:
        return run("docker", action, self.container(service), *argv, check=check).strip()

    def state(self, service: str) -> dict[str, Any]:
        return dict(json.loads(self.docker("inspect", service))[0]["State"])

    def url(self, service: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    def query(self, statement: str, user: str = "hotel", database: str = "hotel") -> Any:
        address = f"127.0.0.1:{self.ports['DATABASE']}/{database}"
        with psycopg.connect(f"postgresql://{user}:{PASSWORD}@{address}", connect_timeout=3) as connection:
            row = connection.execute(statement.encode()).fetchone()
            return row[0] if row else None

    def book(self) -> int:
        body = {
            "guest": "Test",
            "room_type": "double",
            "arrival": datetime.now(UTC).date().isoformat(),
            "nights": 1,
        }
        return httpx.post(self.url("API", "/reservations"), json=body, timeout=5).status_code

    def alerts(self) -> dict[str, dict[str, Any]]:
        groups = httpx.get(self.url("PROMETHEUS", "/api/v1/rules")).json()["data"]["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}


@pytest.fixture(scope="module")
def stack(engine: Engine) -> Iterator[Stack]:
    stack = Stack(helper_image(engine))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
    label = f"label=com.docker.compose.project={stack.project}"
    for what in ("container", "volume", "network"):
        assert run("docker", what, "ls", "-q", "--filter", label) == "", f"a {what} is left"


def test_all_that_runs_on_is_healthy_and_what_ends_has_ended_well(stack: Stack) -> None:
    services = stack.compose("config", "--services").split()
    assert set(services) > ONCE
    states = {name: stack.state(name) for name in services}
    health = {name: state["Health"]["Status"] for name, state in states.items() if name not in ONCE}
    assert set(health.values()) == {"healthy"}, health
    assert {name: (states[name]["Status"], states[name]["ExitCode"]) for name in ONCE} == dict.fromkeys(
        ONCE, ("exited", 0)
    )


def test_a_booking_is_taken_and_known_to_the_pms(stack: Stack) -> None:
    assert stack.book() == 201
    confirmed = "select count(*) from reservations where pms_status = 'confirmed' and guest = 'Test'"
    assert eventually("the booking is confirmed", 10, lambda: stack.query(confirmed))


def test_prometheus_scrapes_the_job_of_the_rules_and_every_rule_is_well(stack: Stack) -> None:
    targets = httpx.get(stack.url("PROMETHEUS", "/api/v1/targets")).json()["data"]["activeTargets"]
    assert [(target["labels"]["job"], target["health"]) for target in targets] == [("agente-api", "up")]
    alerts = eventually(
        "every rule was evaluated",
        10,
        lambda: all(rule["health"] == "ok" for rule in stack.alerts().values()) and stack.alerts(),
    )
    assert len(alerts) == 13
    assert alerts["high_latency_p95"]["duration"] == 30  # RULES=shortened


def test_the_hotels_database_user_is_ordinary_and_the_superuser_does_not_get_in(stack: Stack) -> None:
    assert stack.query("select rolsuper from pg_roles where rolname = current_user") is False
    assert stack.query("show max_connections") == "100"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        stack.query("select 1", user="postgres", database="postgres")


def test_there_is_a_whole_base_backup_and_the_log_is_archived(stack: Stack) -> None:
    files = stack.docker("exec", "database", "sh", "-c", "ls -d /backup/*; ls /backup/base")
    assert "/backup/base.new" not in files
    assert {"/backup/archive", "/backup/base", "PG_VERSION", "backup_label"} <= set(files.split())
    archived = "select archived_count > 0 and failed_count = 0 from pg_stat_archiver"
    eventually("a segment is archived", 60, lambda: stack.query(archived))


def test_the_api_reaches_the_database_through_the_proxy(stack: Stack) -> None:
    assert stack.book() == 201
    stack.docker("exec", "network", "python", "-c", CUT)
    try:
        eventually("bookings fail", 10, lambda: stack.book() == 503)
        assert stack.query("select 1") == 1  # it is the link that is cut, and nothing else
    finally:
        assert "api-database/cut" in stack.docker("exec", "network", "python", "-c", HEAL)
    eventually("bookings are taken again", 20, lambda: stack.book() == 201)


def test_the_api_has_a_small_disk_that_outlives_it_no_rights_and_nothing_else_to_write(stack: Stack) -> None:
    audit = "df -B1 --output=size /data | tail -1; id -u; wc -l < /data/audit.log"
    size, user, lines = map(int, stack.docker("exec", "api", "sh", "-c", audit).split())
    assert (size, user) == (32 * 2**20, 10001)
    assert "Read-only file system" in stack.docker("exec", "api", "touch", "/x", check=False)
    assert "NoNewPrivs:\t1" in stack.docker("exec", "api", "cat", "/proc/1/status")
    stack.docker("kill", "api")
    time.sleep(1)
    assert stack.state("api")["Status"] == "exited"  # a kill by the engine is not undone by it
    stack.docker("start", "api")
    eventually("the API takes bookings again", 20, lambda: stack.book() == 201)
    assert int(stack.docker("exec", "api", "sh", "-c", "wc -l < /data/audit.log")) > lines


def test_the_broken_release_was_built_and_ends_before_it_listens(stack: Stack) -> None:
    name = f"{stack.project}-broken"
    run("docker", "run", "--detach", "--name", name, f"{stack.project}:broken")
    try:
        state = ("docker", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name)
        eventually("it ends", 20, lambda: run(*state).strip() == "exited 1")
        assert "ModuleNotFoundError: No module named 'psycopg_pool'" in run("docker", "logs", name)
    finally:
        run("docker", "rm", "-f", name)


def test_a_dead_database_is_noticed_and_told_and_its_return_too(stack: Stack) -> None:
    alert, path = "database_connection_failures", f"/gameday/{SECRET}"
    receiver = Receiver(stack.ports["WEBHOOK"])
    try:
        eventually("the alert is quiet", 60, lambda: stack.alerts()[alert]["state"] == "inactive")
        stack.docker("kill", "database")
        eventually("the alert fires", 40, lambda: stack.alerts()[alert]["state"] == "firing")
        eventually("somebody is told", 15, lambda: (path, alert, "firing") in receiver.told)
        assert stack.state("database")["Status"] == "exited"
        stack.docker("start", "database")
        eventually("bookings are taken again", 30, lambda: stack.book() == 201)
        eventually("the end is told", 60, lambda: (path, alert, "resolved") in receiver.told)
    finally:
        receiver.close()
        stack.docker("start", "database")


def test_another_up_changes_nothing(stack: Stack) -> None:
    label = f"label=com.docker.compose.project={stack.project}"
    before = run("docker", "ps", "-q", "--no-trunc", "--filter", label)
    backup = stack.docker("exec", "database", "stat", "-c", "%i %Y", "/backup/base")
    stack.up()
    assert run("docker", "ps", "-q", "--no-trunc", "--filter", label) == before
    assert stack.docker("exec", "database", "stat", "-c", "%i %Y", "/backup/base") == backup


def test_a_database_whose_data_are_lost_does_not_begin_anew(stack: Stack) -> None:
    # a server at work may write where something was just removed
    remove = "for _ in 1 2 3 4 5; do rm -rf /var/lib/postgresql/data/* && exit 0; sleep 0.2; done; exit 1"
    stack.docker("exec", "database", "sh", "-c", remove)
    stack.docker("kill", "database")
    stack.docker("start", "database")
    eventually(
        "it says what is the matter", 20, lambda: "the data are lost" in stack.docker("logs", "database")
    )
    assert stack.state("database")["Status"] != "running" or stack.state("database")["Restarting"]
