"""What a helper does to a database's directories, killed before and after each of its commands. Needs no engine.

Commands that the script calls are replaced by ones that count, and at one number kill the script and themselves.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.targets.database_script import SCRIPT

COMMANDS = ("mkdir", "mv", "find", "rm", "rmdir", "cp")
"""Those that change something that matters."""
CONF = "\nrestore_command = 'x'\n"
OLD = {"PG_VERSION": "15", "base/1": "old", "pg_wal/0000A": "old log", "old-only": ""}
BACKUP = {"PG_VERSION": "15", "base/1": "backup", "pg_wal/0000B": "log", "postgresql.auto.conf": "a"}
NEW = {
    **BACKUP,
    "pg_wal/0000A": "old log",
    "postgresql.auto.conf": f"a{CONF}",
    "recovery.signal": "",
}
RESTORED = {name: text for name, text in NEW.items() if name != "pg_wal/0000A"}
KEEP = ("restore", "kept", "with-wal", CONF)
AFTER_LOSS = ("restore", "destroyed", "with-wal", CONF)
KILLED = -9
TICK = """#!/bin/sh
tick() {{
  read n <{count}
  n=$((n + 1))
  echo $n >{count}
  [ "$n$WHEN" != "$AT"before ] || kill -9 0
  {real} "$@"
  code=$?
  [ "$n$WHEN" != "$AT"after ] || kill -9 0
  return $code
}}
"""
RUN = 'tick "$@"'
ONE_BY_ONE = """
case " $* " in *" -- "*) ;; *) tick "$@"; exit ;; esac
options=
while [ "$1" != -- ]; do options="$options $1"; shift; done
shift
one() { [ ! -e "$1" ] || tick $options -- "$1"; }
for path in "$@"; do [ "${path##*/}" = PG_VERSION ] || { one "$path"; break; }; done
for path in "$@"; do [ "${path##*/}" != PG_VERSION ] || one "$path"; done
for path in "$@"; do one "$path"; done
"""
"""`mv` and `rm` of several paths take one after the other, and may be killed between two. PG_VERSION, if it is among
them, is neither first nor last."""


class Place:
    """Directories as in a container: data that may be a mount, so never renamed; a backup; an archive."""

    def __init__(self, root: Path) -> None:
        self.root, self.data, self.backup = root, root / "data", root / "backup"
        write(self.data, OLD)
        write(self.backup, BACKUP)
        (root / "archive").mkdir()
        self.inode = self.data.stat().st_ino
        self.tools, self.count = root / "tools", root / "count"
        self.tools.mkdir()
        for name in COMMANDS:
            real = str(shutil.which(name))
            tool = self.tools / name
            tool.write_text(
                TICK.format(count=self.count, real=real) + (ONE_BY_ONE if name in ("mv", "rm") else RUN)
            )
            tool.chmod(0o755)

    def run(self, mode: str, *more: str, at: int = 0, when: str = "") -> int:
        """The exit code; killed where `at` is the number of one of its commands."""
        self.count.write_text("0\n")
        argv = ["sh", "-c", SCRIPT, "gameday", mode, str(self.data), str(self.backup)]
        done = subprocess.run(
            [*argv, str(self.root / "archive"), *more],
            env={"PATH": f"{self.tools}:/usr/bin:/bin", "AT": str(at), "WHEN": when},
            start_new_session=True,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert done.returncode in (0, KILLED), done.stdout + done.stderr
        assert self.data.stat().st_ino == self.inode
        return done.returncode

    def recover(self) -> None:
        """As a server does that has recovered and taken a write."""
        (self.data / "recovery.signal").unlink()
        (self.data / "written-since").touch()

    def seen(self) -> dict[str, str]:
        """What a server would find, and what is gameday's."""
        return read(self.data)

    def without_ours(self) -> dict[str, str]:
        return {name: text for name, text in self.seen().items() if not name.startswith(".gameday")}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert read(tmp_path / "now" / "backup") == BACKUP, "the backup is never touched"


def moments(
    root: Path, mode: tuple[str, ...], *before: tuple[str, ...], recovered: bool = False
) -> Iterator[Place]:
    """A place for each command of `mode` and for before and after it, where it was killed there."""
    for when in ("before", "after"):
        at, killed = 0, True
        while killed:
            at += 1
            shutil.rmtree(root / "now", ignore_errors=True)
            place = Place(root / "now")
            for earlier in before:
                assert place.run(*earlier) == 0
            if recovered:
                place.recover()
            killed = place.run(*mode, at=at, when=when) == KILLED
            if killed:
                yield place
        assert at > 2, "commands were counted"


def whole(place: Place, *right: dict[str, str]) -> None:
    """A server or an initdb that is started now finds one of these, or refuses."""
    found = place.without_ours()
    if "PG_VERSION" in found:
        assert found in right
    else:
        assert place.seen(), "an empty directory would be made a new, empty database"


def test_a_restore_that_was_killed_anywhere_is_taken_back_or_repeated(root: Path) -> None:
    for place in moments(root, KEEP):
        whole(place, OLD, NEW)
        assert place.run("settle") == 0
        assert place.seen() == OLD
        assert place.run(*KEEP) == 0
        assert place.without_ours() == NEW
        assert place.run("undo") == 0
        assert place.seen() == OLD


def test_a_restore_that_was_killed_is_repeated_without_being_taken_back_first(root: Path) -> None:
    for place in moments(root, KEEP):
        assert place.run(*KEEP) == 0
        assert place.without_ours() == NEW
        assert place.run("settle") == 0
        assert place.seen() == OLD


@pytest.mark.parametrize("mode", ["undo", "settle"])
def test_putting_the_old_data_back_can_be_killed_anywhere(root: Path, mode: str) -> None:
    for place in moments(root, (mode,), KEEP):
        whole(place, OLD, NEW)
        assert place.run(mode) == 0
        assert place.seen() == OLD
        assert place.run(mode) == 0
        assert place.seen() == OLD


@pytest.mark.parametrize("mode", ["tidy", "settle"])
def test_what_has_recovered_is_kept_wherever_the_tidying_is_killed(root: Path, mode: str) -> None:
    right = {**NEW, "written-since": ""}
    del right["recovery.signal"]
    for place in moments(root, (mode,), KEEP, recovered=True):
        whole(place, right)
        assert place.run("settle") == 0
        assert place.seen() == right


def test_destroying_can_be_killed_anywhere_and_leaves_no_empty_directory(root: Path) -> None:
    for place in moments(root, ("destroy",)):
        whole(place, OLD)
        assert place.run("destroy") == 0
        assert list(place.seen()) == [".gameday-destroyed"]
        assert place.run("destroy") == 0
        assert place.run(*AFTER_LOSS) == 0
        assert place.seen() == RESTORED


@pytest.mark.parametrize("then", ["restore", "destroy"])
def test_a_restore_of_destroyed_data_can_be_killed_anywhere(root: Path, then: str) -> None:
    for place in moments(root, AFTER_LOSS, ("destroy",)):
        whole(place, RESTORED)
        if then == "destroy":
            assert place.run("destroy") == 0
            assert list(place.seen()) == [".gameday-destroyed"]
        assert place.run(*AFTER_LOSS) == 0
        assert place.seen() == RESTORED
