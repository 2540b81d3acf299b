"""A PostgreSQL and a Redis in containers of a test's own, filled and asked as their clients do."""

from __future__ import annotations

import subprocess
from typing import Any

from containers.worlds import World
from gameday.targets.docker.target import DockerTarget
from gameday.targets.ports import find_free_ports

DATA, BACKUP, ARCHIVE = "/var/lib/postgresql/data", "/backup/base", "/backup/archive"
MAX_CONNECTIONS = 12
_HEALTHY = {"test": ["CMD", "pg_isready", "-q", "-h", "127.0.0.1"], "interval": 5 * 10**8, "retries": 100}
_ARCHIVE_COMMAND = f"test ! -f {ARCHIVE}/%f && cp %p {ARCHIVE}/%f.tmp && mv {ARCHIVE}/%f.tmp {ARCHIVE}/%f"
_FILL = f"""
set -e
mkdir -p {ARCHIVE} && chown -R postgres:postgres /backup
psql -q -v ON_ERROR_STOP=1 -U postgres -c "create role shop login password 'shop-word'" \
    -c "create database shop owner shop"
psql -q -v ON_ERROR_STOP=1 -U postgres -d shop -c "set role shop; create table kept (id int primary key)"
"""
_BACK_UP = f"""
set -e
rm -rf {BACKUP}
pg_basebackup -U postgres -D {BACKUP} -c fast -X stream --no-sync --no-manifest
chown -R postgres:postgres {BACKUP}
"""


def run_database(small: World, *, database: dict[str, Any] | None = None, **more: Any) -> DockerTarget:
    """A database that is ready, with the user and database `shop`, an empty table and no backup; and its target."""
    (port,) = find_free_ports(1)
    settings = {
        "max_connections": MAX_CONNECTIONS,
        "shared_buffers": "16MB",
        "archive_mode": "on",
        "archive_command": _ARCHIVE_COMMAND,
    }
    options: dict[str, Any] = {
        "image": "postgres:15",
        "command": ["postgres", *(f"--{name}={value}" for name, value in settings.items())],
        "environment": {"POSTGRES_PASSWORD": "nobody-knows", "POSTGRES_INITDB_ARGS": "--wal-segsize=1"},
        "volumes": [DATA, "/backup"],
        "ports": {"5432/tcp": ("127.0.0.1", port)},
        "healthcheck": _HEALTHY,
        "init": False,
    }
    small.run("database", **{**options, **more})
    small.components["database"] = {
        **small.components["database"],
        "port": 5432,
        "url": "postgresql://shop:shop-word@${host}:${port}/shop",
        "ready": {"within": "60s"},
        "database": database or {"data": DATA, "backup": BACKUP, "archive": ARCHIVE},
    }
    small.components = dict(sorted(small.components.items(), key=lambda item: item[0] == "database"))
    target = small.target()
    shell(small, _FILL)
    return target


def run_cache(small: World, *words: str) -> DockerTarget:
    """A Redis; `words` are options of the server."""
    (port,) = find_free_ports(1)
    small.run(
        "cache",
        image="redis:7",
        command=["redis-server", "--protected-mode", "no", "--bind", "0.0.0.0", *words],
        ports={"6379/tcp": ("127.0.0.1", port)},
        volumes=["/data"],
        healthcheck={"test": ["CMD", "redis-cli", "ping"], "interval": 2 * 10**8, "retries": 100},
    )
    small.components["cache"] = {
        **small.components["cache"],
        "port": 6379,
        "url": "redis://${host}:${port}/0",
        "ready": {},
    }
    return small.target()


def shell(small: World, script: str, component: str = "database") -> str:
    """Run in a component's container as root, with another client than gameday's; what it said."""
    argv = ["docker", "exec", f"{small.prefix}-{component}-1", "bash", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def back_up(small: World) -> None:
    shell(small, _BACK_UP)


def archive_all(small: World) -> None:
    """Have everything that was written so far in the archive."""
    ask = "psql -X -A -t -U postgres -c"
    wait = f'until [ -f {ARCHIVE}/"$last" ]; do sleep 0.05; done'
    shell(
        small,
        f"last=$({ask} 'select pg_walfile_name(pg_current_wal_lsn())'); {ask} 'select pg_switch_wal()'; {wait}",
    )


def in_volumes(small: World, script: str) -> str:
    """Run a shell over the database's volumes, beside it: whether it runs or not."""
    argv = ["docker", "run", "--rm", "--volumes-from", f"{small.prefix}-database-1", "--network", "none"]
    done = subprocess.run(
        [*argv, "debian:bookworm-slim", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
