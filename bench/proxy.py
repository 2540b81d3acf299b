"""The fault proxy against a direct connection: delay of `SELECT 1`, and bulk throughput of a raw TCP stream."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.arithmetic import alternate
from bench.processes import PYTHON, BenchError
from bench.result import Result

QUERIES = 2000
PAIRS = 7
BULK_MB = 256
BULK_PAIRS = 5
COPY_MB = 128
_SOURCE = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
block = bytes(1 << 20)
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1)
        for _ in range(int(sys.argv[1])):
            connection.sendall(block)
"""


def measure(work: Path) -> list[Result]:
    from gameday.environment import Environment
    from gameday.project import Project
    from gameday.targets.process import ProcessTarget

    (work / "environments").mkdir()
    environment = Environment.model_validate(
        {
            "environment": "bench-proxy",
            "target": "process",
            "components": {"database": {"postgresql": {"database": "shop", "user": "shop"}}},
            "probes": {"answers": {"tcp": "", "component": "database"}},
            "detector": {
                "kind": "embedded",
                "rules": "rules.yaml",
                "scrape": [{"job": "job", "component": "database"}],
            },
        },
        strict=False,
    )
    target = ProcessTarget(environment, "bench-proxy", Project(work))
    source = subprocess.Popen([PYTHON, "-c", _SOURCE, str(BULK_MB)], stdout=subprocess.PIPE, text=True)
    try:
        target.up()
        if source.stdout is None:
            raise BenchError("no pipe to the source")
        return _against(work, target.address("database").port, int(source.stdout.readline()))
    finally:
        source.kill()
        source.wait(timeout=10)
        target.down()


def _against(work: Path, database: int, source: int) -> list[Result]:
    from gameday.proxy import ProxyClient, launch
    from gameday.targets.ports import find_free_ports

    first, second = find_free_ports(2)
    links = [
        {"name": "database", "listen": f"127.0.0.1:{first}", "upstream": f"127.0.0.1:{database}"},
        {"name": "bulk", "listen": f"127.0.0.1:{second}", "upstream": f"127.0.0.1:{source}"},
    ]
    config = work / "proxy.json"
    config.write_text(json.dumps({"links": links, "control": "control.sock", "state": "state.json"}))
    proxy = launch(config, work / "proxy.log")
    try:
        loop = ProxyClient(work / "control.sock").status().loop
        through, direct = alternate(lambda: _select_us(first), lambda: _select_us(database), PAIRS)
        # as time for the same bytes, so that a bar of "at least 0.9 times" is a ratio of at most 1 / 0.9
        copied, copied_direct = alternate(lambda: _copy_s(first), lambda: _copy_s(database), BULK_PAIRS)
        slow, fast = alternate(lambda: _bulk_s(second), lambda: _bulk_s(source), BULK_PAIRS)
    finally:
        proxy.terminate()
        proxy.wait(timeout=10)
    rates = (
        f"{BULK_MB / statistics.median(slow):.0f} MB/s against {BULK_MB / statistics.median(fast):.0f} MB/s"
    )
    return [
        Result(
            "proxy: p50 of SELECT 1",
            "us",
            tuple(through),
            "direct connection",
            tuple(direct),
            bar=2.2,
            judged="ratio",
            note=f"{QUERIES} queries on one psycopg connection, {loop}",
        ),
        Result(
            f"proxy: time to COPY {COPY_MB} MB",
            "s",
            tuple(copied),
            "direct connection",
            tuple(copied_direct),
            bar=1 / 0.9,
            judged="ratio",
            note="COPY TO STDOUT from PostgreSQL: the bar is 0.9 times the direct throughput",
        ),
        Result(
            f"proxy: time for {BULK_MB} MB",
            "s",
            tuple(slow),
            "direct connection",
            tuple(fast),
            note=f"raw TCP from a process of its own, {rates}; no bar: a second hop costs a second copy",
        ),
    ]


def _select_us(port: int) -> float:
    import psycopg

    took = []
    with psycopg.connect(
        host="127.0.0.1", port=port, user="shop", dbname="shop", autocommit=True, connect_timeout=5
    ) as connection:
        cursor = connection.cursor()
        for _ in range(QUERIES):
            began = time.perf_counter_ns()
            cursor.execute("SELECT 1")
            took.append(time.perf_counter_ns() - began)
    return statistics.median(took) / 1000


def _copy_s(port: int) -> float:
    import psycopg

    rows = COPY_MB * 1024
    with (
        psycopg.connect(
            host="127.0.0.1", port=port, user="shop", dbname="shop", autocommit=True, connect_timeout=5
        ) as connection,
        connection.cursor() as cursor,
    ):
        began, size = time.perf_counter(), 0
        query = f"COPY (SELECT repeat('x', 1023) FROM generate_series(1, {rows})) TO STDOUT"  # noqa: S608
        with cursor.copy(query.encode()) as copy:
            for block in copy:
                size += len(block)
        if size != COPY_MB << 20:
            raise BenchError(f"COPY gave {size} bytes")
        return time.perf_counter() - began


def _bulk_s(port: int) -> float:
    """In a process of its own, as the kernel would otherwise share one core between reader and measurement."""
    code = (
        "import socket, sys, time\n"
        "c = socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=60)\n"
        "began = time.perf_counter(); c.sendall(b'x'); size = 0; b = bytearray(1 << 20)\n"
        "while n := c.recv_into(b): size += n\n"
        "assert size == int(sys.argv[2]), size\n"
        "print(time.perf_counter() - began)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(port), str(BULK_MB << 20)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"the reader failed: {done.stderr[-500:]}")
    return float(done.stdout)
