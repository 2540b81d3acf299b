"""`python -m gameday.agents.disk_files COMMAND --path PATH`: fills a container's disk, and clears it again.

It runs beside the container, so that its image needs nothing: with the container's volumes mounted, or with `--inside`
in its process namespace, whose first process leads to all that is mounted there. Its answer is one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fnmatch
import json
import os
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CORE = "core.gameday"
"""What fills a disk: named like a core dump, since that is what fills disks."""
LARGEST = 4 * 2**30
"""No larger disk is filled: by mistake it might be the machine's."""
_BLOCK = b"\0" * (1 << 20)
_INSIDE = "/proc/1/root"
_ENGINES = ("/", "/etc/hosts")  # a container has both from the disk of its engine


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gameday.agents.disk_files")
    parser.add_argument("command", choices=("describe", "fill", "unfill", "reclaim"))
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--inside", action="store_true")
    parser.add_argument("--within", type=float, default=10.0, help="seconds that filling may take")
    parser.add_argument("--pattern", action="append", default=[])
    options = parser.parse_args(arguments)
    ends = time.monotonic() + options.within
    engines = {Path(path).stat().st_dev for path in _ENGINES}
    if options.inside:
        os.chroot(_INSIDE)
        os.chdir("/")
    problem = refusal(options.path, engines)
    answer: dict[str, Any] = {}
    if options.command == "unfill":  # what is there no more needs no clearing
        answer["deleted"] = problem is None and _unfill(options.path)
    elif problem is not None:
        answer["problem"] = problem
    elif options.command == "fill":
        answer["written"], answer["full"] = _fill(options.path, ends)
    elif options.command == "reclaim":
        answer["deleted"], answer["freed"] = reclaim_below(options.path, options.pattern)
    if problem is None:
        found = os.statvfs(options.path)
        answer |= {"size": found.f_blocks * found.f_frsize, "free": found.f_bavail * found.f_frsize}
    print(json.dumps(answer), flush=True)
    return 0


def refusal(path: Path, engines: set[int]) -> str | None:
    """Why this is no disk that may be filled. `engines` are devices of the engine's own."""
    try:
        found = os.lstat(path)
    except OSError as error:
        return f"is not there ({error.strerror})"
    if not stat.S_ISDIR(found.st_mode):
        return "is no folder"
    if not os.path.ismount(path) or found.st_dev in engines or found.st_dev == Path("/").stat().st_dev:
        return "is no disk of its own: to fill it would fill the disk of the Docker engine"
    volume = os.statvfs(path)
    size = volume.f_blocks * volume.f_frsize
    if not 0 < size <= LARGEST:
        return f"is a disk of {size} bytes; at most {LARGEST} are filled"
    return None


def _fill(path: Path, ends: float) -> tuple[int, bool]:
    """Write until not one byte more fits or the time is over; how many were written, and whether it is full."""
    written = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    with os.fdopen(os.open(path / CORE, flags, 0o600), "ab", buffering=0) as file:
        while time.monotonic() < ends and written <= LARGEST:
            try:
                written += file.write(_BLOCK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return written, True
    return written, False


def _unfill(path: Path) -> bool:
    try:
        (path / CORE).unlink()
    except FileNotFoundError:
        return False
    return True


def reclaim_below(top: Path, patterns: Sequence[str]) -> tuple[list[str], int]:
    """Delete the regular files whose names match; their paths and their size in all.

    Each is deleted by its name in a folder that is held open, so that no symlink put there meanwhile leads
    outside.
    """
    deleted: list[str] = []
    freed = 0
    for where, _, names, folder in os.fwalk(top, follow_symlinks=False):
        for name in sorted(names):
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                continue
            with contextlib.suppress(FileNotFoundError):
                found = os.lstat(name, dir_fd=folder)
                if stat.S_ISREG(found.st_mode):
                    os.unlink(name, dir_fd=folder)
                    deleted.append(str(Path(where, name).relative_to(top)))
                    freed += found.st_size
    return deleted, freed


if __name__ == "__main__":
    sys.exit(main())
