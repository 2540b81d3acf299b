"""A bounded disk for one component: a tmpfs of that size where one may be mounted, else a folder with a quota.

Only root may mount, and in most containers not even root. The quota is then the component's own to keep: it is
told the number, and what fills the disk stops there. Which of the two a disk is, is asked of the kernel each
time, never remembered: so nothing is left mounted, whoever was killed when.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from gameday.agents.disk_files import CORE, reclaim_below
from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.waiting import Deadline, wait_until

_BLOCK = b"\0" * (1 << 20)
_COMMAND_TIMEOUT_S = 10.0
_UNMOUNT_TIMEOUT_S = 5.0
_OCTAL = re.compile(r"\\([0-7]{3})")


def folder_of(component_folder: Path) -> Path:
    return component_folder / "disk"


def make(component_folder: Path, size: int, deadline: Deadline) -> None:
    """Have the disk there; what is on it stays."""
    folder = folder_of(component_folder)
    folder.mkdir(parents=True, exist_ok=True)
    # never over what is there already: that would hide it
    if os.geteuid() == 0 and not is_mounted(folder) and not any(folder.iterdir()):
        _mount(folder, size, deadline)


def quota_of(component_folder: Path, size: int) -> int:
    """Bytes that the component must not exceed by itself; 0 where the file system sees to it."""
    return 0 if is_mounted(folder_of(component_folder)) else size


def describe(component_folder: Path, size: int) -> str:
    folder = folder_of(component_folder)
    kind = "a file system" if is_mounted(folder) else "a folder with a quota"
    return f"{kind} of {size} bytes at {folder}"


def used(folder: Path) -> int:
    """The sizes of all files below `folder`, in bytes."""
    total = 0
    for where, _, names, _ in os.fwalk(folder, follow_symlinks=False):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # a running component comes and goes
                total += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118
    return total


def fill(component_folder: Path, size: int, deadline: Deadline) -> int:
    """Write until not one byte more fits; returns how many were written.

    Raises:
        OperationTimedOut: what was written by then stays.
    """
    folder = folder_of(component_folder)
    quota = quota_of(component_folder, size)
    written = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    with os.fdopen(os.open(folder / CORE, flags, 0o600), "ab", buffering=0) as file:
        while True:
            if deadline.passed():
                raise OperationTimedOut(f"filling {folder}: not full after {deadline.timeout_s:g} s")
            room = min(len(_BLOCK), quota - used(folder)) if quota else len(_BLOCK)
            if room <= 0:
                break
            try:
                written += file.write(_BLOCK[:room])
            except OSError as error:
                if quota or error.errno != errno.ENOSPC:  # the machine's disk is full, not the component's
                    raise
                break
    return written


def reclaim(component_folder: Path, patterns: Sequence[str]) -> tuple[list[str], int]:
    """Delete the regular files whose names match; their paths and their size in all."""
    return reclaim_below(folder_of(component_folder), patterns)


# --- mounting ---------------------------------------------------------------------------------------------


def is_mounted(folder: Path) -> bool:
    return folder.resolve() in set(_mounts())


def release_below(folder: Path) -> Iterator[str]:
    """Unmount everything that is mounted below `folder`; says so where it could only be detached.

    Raises:
        TargetError: something stays mounted.
    """
    for mount in sorted((path for path in _mounts() if path.is_relative_to(folder.resolve())), reverse=True):
        problem = ""

        def gone(mount: Path = mount) -> bool:
            nonlocal problem
            problem = _run(["umount", str(mount)])
            return mount not in set(_mounts())

        if wait_until(gone, Deadline.after(_UNMOUNT_TIMEOUT_S), 0.1):
            continue
        _run(["umount", "--lazy", str(mount)])
        if mount in set(_mounts()):
            raise TargetError(f"{mount} cannot be unmounted: {problem}")
        yield f"{mount} was busy and was detached; it goes when its last user does ({problem})"


def _mount(folder: Path, size: int, deadline: Deadline) -> None:
    """Where it is not permitted the folder stays a folder."""
    options = f"size={size},mode=0755,uid={os.geteuid()},gid={os.getegid()}"
    argv = ["mount", "-t", "tmpfs", "-o", options, "gameday", str(folder)]
    _run(argv, deadline.at_most(_COMMAND_TIMEOUT_S).left_s())


def _run(argv: Sequence[str], timeout_s: float = _COMMAND_TIMEOUT_S) -> str:
    """What it said when it failed; empty when it worked."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False, text=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


def _mounts() -> list[Path]:
    """Mount points of this process's mount namespace; blanks in them are octal escapes."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [Path(_OCTAL.sub(lambda match: chr(int(match.group(1), 8)), line.split(" ")[1])) for line in lines]
