"""A PostgreSQL in a pod of a test's own, filled and asked as its clients do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cluster.quarters import Quarters
from gameday.targets.kubernetes.target import KubernetesTarget
from targets.kept import insert

MOUNT, DATA = "/var/lib/postgresql/data", "/var/lib/postgresql/data/pgdata"
BACKUP, ARCHIVE = "/backup/base", "/backup/archive"
MAX_CONNECTIONS = 12
POD = "database-0"
USER, GROUP = 100, 102
"""Who `postgres` is in the image."""
_ARCHIVE_COMMAND = f"test ! -f {ARCHIVE}/%f && cp %p {ARCHIVE}/%f.tmp && mv {ARCHIVE}/%f.tmp {ARCHIVE}/%f"
_SETTINGS = {
    "max_connections": MAX_CONNECTIONS,
    "shared_buffers": "16MB",
    "archive_mode": "on",
    "archive_command": _ARCHIVE_COMMAND,
}
_FILL = f"""
set -e
mkdir -p {ARCHIVE}
psql -q -v ON_ERROR_STOP=1 -U postgres -c "create role shop login password 'shop-word'" \
    -c "create database shop owner shop"
psql -q -v ON_ERROR_STOP=1 -U postgres -d shop -c "set role shop; create table kept (id int primary key)"
"""
_BACK_UP = f"""
set -e
rm -rf {BACKUP}
pg_basebackup -U postgres -D {BACKUP} -c fast -X stream --no-sync --no-manifest
"""
_ASK = "psql -X -A -t -U postgres -c"
_ARCHIVED = f"""
last=$({_ASK} 'select pg_walfile_name(pg_current_wal_lsn())')
{_ASK} 'select pg_switch_wal()'
until [ -f {ARCHIVE}/"$last" ]; do sleep 0.05; done
"""


def run_database(
    place: Quarters,
    *,
    database: dict[str, Any] | None = None,
    claims: Iterable[str] = ("data", "backup"),
    kind: str = "StatefulSet",
) -> KubernetesTarget:
    """A database that is ready, with the user and database `shop`, an empty table and no backup; and its target."""
    volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in ("socket", "tmp")]
    for name in ("data", "backup"):
        kept = {"persistentVolumeClaim": {"claimName": name}} if name in claims else {"emptyDir": {}}
        volumes.append({"name": name, **kept})
    container = {
        "image": "postgres:15",
        "args": ["postgres", *(f"--{name}={value}" for name, value in _SETTINGS.items())],
        "env": [
            {"name": "PGDATA", "value": DATA},
            {"name": "POSTGRES_PASSWORD", "value": "nobody-knows"},
            {"name": "POSTGRES_INITDB_ARGS", "value": "--wal-segsize=1"},
        ],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-q", "-h", "127.0.0.1"]},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
        },
        "volumeMounts": [
            {"name": "data", "mountPath": MOUNT},
            {"name": "backup", "mountPath": "/backup"},
            {"name": "socket", "mountPath": "/var/run/postgresql"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod
        ],
    }
    place.apply(
        *(place.claim(name) for name in claims),
        *place.workload("database", container, kind=kind, port=5432, user=USER, group=GROUP, volumes=volumes),
    )
    place.components["database"] |= {
        "url": "postgresql://shop:shop-word@${host}:${port}/shop",
        "ready": {"within": "60s"},
        "database": database or {"data": DATA, "backup": BACKUP, "archive": ARCHIVE},
    }
    place.ready("database")
    place.shell(f"{kind.lower()}/database", _FILL)
    target = place.target()
    target.start("database", 60)  # its node port leads there, too
    return target


def back_up(place: Quarters) -> None:
    place.shell(POD, _BACK_UP)


def archive_all(place: Quarters) -> None:
    """Have everything that was written so far in the archive."""
    place.shell(POD, _ARCHIVED)


def filled(place: Quarters) -> KubernetesTarget:
    """Rows 1 to 3 in the backup, 4 to 6 in the archive only, 7 to 9 only in the data directory."""
    target = run_database(place)
    insert(target, range(1, 4))
    back_up(place)
    insert(target, range(4, 7))
    archive_all(place)
    insert(target, range(7, 10))
    return target


def files(place: Quarters) -> list[str]:
    """In the data directory, whether or not it runs."""
    return sorted(path.name for path in (place.folder / "volumes" / "data" / "pgdata").iterdir())
