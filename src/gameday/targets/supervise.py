"""Finding, starting and ending process trees so that none is ever lost, whoever dies in between.

A process is known by its pid **and** its start in clock ticks since boot: a pid alone is reused, and a start
in wall-clock time moves when the clock is set. A process whose pid nobody wrote down (its starter was killed)
is found by a mark in its environment variables. One read of `/proc/PID/stat` gives parent, session, state and
start together, which is why this reads `/proc` itself: asking four times would be four different moments.

PostgreSQL needs two more words: its children overwrite their environment with their title and each open a
session of their own, so they are found by parentage and, once orphaned, by the cluster name in the title; and
as root in a container without CAP_SYS_PTRACE the environment of another user's process cannot be read, its
title can.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gameday.targets.privilege import Footing
from gameday.targets.waiting import Deadline, wait_until

COMPONENT_VARIABLE = "GAMEDAY_COMPONENT"
CHILD_SUFFIX = "!child"  # of a PostgreSQL, known by its title
HELPER_SUFFIX = "!helper"  # initdb and the like
COMMAND_SUFFIX = "!command"  # what `execute` runs
CLIENT_SUFFIX = "!client"  # a strange client that troubles it
_POSTGRESQL_PROGRAMS = frozenset({"postgres", "initdb", "pg_basebackup"})


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for ever: a pid and its start in clock ticks since boot."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Row:
    """One process at one moment."""

    pid: int
    started: int
    name: str
    state: str
    parent: int
    session: int
    threads: int

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)

    @property
    def alive(self) -> bool:
        """A zombie is dead, unless other threads of it are still on their way out and hold its files."""
        return self.state not in "ZXx" or self.threads > 1

    @property
    def stopped(self) -> bool:
        return self.state == "T"

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.name})"


def read_row(pid: int) -> Row | None:
    """The process with this pid, zombies included; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Row(
        pid=pid,
        started=int(fields[19]),
        name=head.partition("(")[2],
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        threads=int(fields[17]),
    )


def find_alive(identity: Identity | None) -> Row | None:
    """The process, if it is still that process and alive."""
    if identity is None:
        return None
    row = read_row(identity.pid)
    return row if row is not None and row.started == identity.started and row.alive else None


def process_table() -> dict[int, Row]:
    """All living processes of this machine (or container)."""
    rows = (read_row(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208 (speed)
    return {row.pid: row for row in rows if row is not None and row.alive}


def descendants(table: Mapping[int, Row], root: Row) -> list[Row]:
    """Children of `root`, their children and so on, and what shares its session; parents first."""
    children: dict[int, list[Row]] = {}
    for row in table.values():
        children.setdefault(row.parent, []).append(row)
        if row.session == root.pid:
            children.setdefault(root.pid, []).append(row)
    found = {root.pid: root}
    unseen = [root.pid]
    while unseen:
        for row in children.get(unseen.pop(0), ()):
            if row.pid not in found:
                found[row.pid] = row
                unseen.append(row.pid)
    return list(found.values())[1:]


def cluster_name(mark: str) -> str:
    """A short name for a component's mark, for PostgreSQL's process titles (at most 63 characters)."""
    return "gameday-" + hashlib.sha256(mark.encode()).hexdigest()[:16]


def scan(folder: Path, postgresql: Mapping[str, Path], table: Mapping[int, Row]) -> dict[str, list[Row]]:
    """Processes that belong to the instance in `folder`, by component; those that are not the component
    itself by its name with a suffix: `!child`, `!helper`, `!command`, `!client-…`.

    `postgresql` names the PostgreSQL components and where their data is. The caller and its ancestors are
    never part of it: a command that runs in an environment may call gameday.
    """
    titles = {cluster_name(mark_of(folder, name)).encode(): name for name in postgresql}
    own = _self_and_ancestors(table)
    found: dict[str, list[Row]] = {}
    for row in table.values():
        if row.pid in own:
            continue
        component = _titled(row, titles, postgresql) if row.name in _POSTGRESQL_PROGRAMS else None
        component = component or _marked(row.pid, folder)
        if component is not None:
            found.setdefault(component, []).append(row)
    return found


def mark_of(folder: Path, component: str) -> str:
    return f"{folder}#{component}"


def _marked(pid: int, folder: Path) -> str | None:
    prefix = f"{COMPONENT_VARIABLE}={folder}#".encode()
    environment = _read(pid, "environ")
    if prefix not in environment:
        return None
    for variable in environment.split(b"\0"):
        if variable.startswith(prefix):
            return os.fsdecode(variable[len(prefix) :])
    return None


def _titled(row: Row, titles: Mapping[bytes, str], homes: Mapping[str, Path]) -> str | None:
    line = _read(row.pid, "cmdline")
    for title, component in titles.items():
        if b"cluster_name=" + title in line:
            return component
        if line.startswith(b"postgres: " + title):
            return component + CHILD_SUFFIX
    for component, home in homes.items():
        if row.name != "postgres" and os.fsencode(home) + b"/" in line:
            return component + HELPER_SUFFIX
    return None


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:  # gone, or somebody else's: then it is not one of ours
        return b""


def _self_and_ancestors(table: Mapping[int, Row]) -> set[int]:
    own: set[int] = set()
    pid = os.getpid()
    while pid and pid not in own:
        own.add(pid)
        pid = table[pid].parent if pid in table else 0
    return own


# --- starting ---------------------------------------------------------------------------------------------

_exit_codes: dict[Identity, int] = {}


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: Path, footing: Footing
) -> Identity:
    """Start a process in a session of its own, its output appended to a file, its end collected by a thread.

    The thread matters: nobody else can collect a child, and PostgreSQL takes an uncollected postmaster for a
    running one.
    """
    with output.open("ab") as log:
        child = subprocess.Popen(
            [*footing.prefix, *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            close_fds=True,
            **footing.popen_options(),
        )
    row = read_row(child.pid)
    if row is None:  # cannot be: an uncollected child always has an entry
        raise ProcessLookupError(f"{argv[0]} vanished on start")
    threading.Thread(
        target=_collect, args=(child, row.identity), daemon=True, name=f"collect-{child.pid}"
    ).start()
    return row.identity


def _collect(child: subprocess.Popen[bytes], identity: Identity) -> None:
    _exit_codes[identity] = child.wait()


def describe_exit(identity: Identity) -> str:
    """How it ended, if it was this process that started it."""
    wait_until(lambda: identity in _exit_codes, Deadline.after(0.05))  # its collector may be about to note it
    code = _exit_codes.get(identity)
    if code is None:
        return "ended"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


# --- ending -----------------------------------------------------------------------------------------------


def send(row: Row, number: signal.Signals) -> None:
    """Signal exactly this process; if it is gone, there is nothing to do."""
    if find_alive(row.identity) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(row.pid, number)


def wait_gone(rows: Iterable[Row], deadline: Deadline) -> list[Row]:
    """Wait until none of them is alive; returns those that still are when the deadline passes."""
    left = list(rows)

    def gone() -> bool:
        left[:] = [row for row in left if find_alive(row.identity) is not None]
        return not left

    wait_until(gone, deadline)
    return left


def kill_all(find: Callable[[], Sequence[Row]], deadline: Deadline) -> list[Row]:
    """SIGKILL everything that `find` gives, the first first, and ask again until it gives nothing.

    Asking again catches what was being forked during the last look. Returns what survived the deadline.
    """
    while rows := list(find()):
        for row in rows:
            send(row, signal.SIGKILL)
        left = wait_gone(rows, deadline)
        if left and deadline.passed():
            return left
    return []
