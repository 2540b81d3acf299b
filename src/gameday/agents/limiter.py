"""`python -m gameday.agents.limiter COMMAND JSON`: limits of containers, in the control groups of the engine's machine.

The engine can lower a limit and cannot take one away again. So the kernel is told directly: what the engine knows of a
container stays as it is, and what was there before can be put back exactly. Its answer is one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path("/gameday/cgroup")
"""Where the machine's control groups are mounted in the helper."""
_MEMORY, _SWAP = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
_FILES = {
    1: {"memory": (_MEMORY, _SWAP), "cpus": ("cpu.cfs_quota_us",), "pids": ("pids.max",)},
    2: {"memory": ("memory.max", "memory.swap.max"), "cpus": ("cpu.max",), "pids": ("pids.max",)},
}
_CONTROLLERS = {"memory": "memory", "cpus": "cpu", "pids": "pids"}
_OPTIONAL = (_SWAP, "memory.swap.max")  # not every kernel accounts for swap
_DEPTH = 8
_LOOK_EVERY_S = 0.05
_SETTLES_S = 2.0
_DIES_S = 0.02

Values = dict[str, str]
"""What a control group's files hold, by their names."""


class Problem(Exception):
    """For the answer."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gameday.agents.limiter")
    parser.add_argument("command", choices=("read", "put", "keep", "write"))
    parser.add_argument("what", type=json.loads, help="by container, what to read, limit or write")
    parser.add_argument(
        "--within", type=float, default=10.0, help="seconds that it may take; for `keep` to go on"
    )
    options = parser.parse_args(arguments)
    ends = time.monotonic() + options.within
    answer: dict[str, Values] = {}
    try:
        if options.command == "keep":
            _keep(options.what, ends)
        for container, what in options.what.items():
            group = Group(container)
            if options.command == "read":
                answer[container] = group.read(what)
            elif options.command == "put":
                wanted = group.limited(what)
                group.refuse_more(wanted)
                group.write(wanted, ends)
            elif options.command == "write" and group.there():
                group.write(what, ends)
    except Problem as problem:
        print(problem, flush=True)
        return 1
    print(json.dumps(answer), flush=True)
    return 0


class Group:
    """The control groups of one container: one in each hierarchy of version 1, one in all for version 2."""

    def __init__(self, container: str) -> None:
        self.container = container
        self.version = 2 if (ROOT / "cgroup.controllers").exists() else 1
        self._folders: dict[str, Path] = {}

    def there(self) -> bool:
        return self._folder("pids") is not None

    def identity(self) -> int | None:
        """Another one each time the container starts; None while it does not run."""
        folder = self._folder("pids")
        try:
            return folder.stat().st_ino if folder is not None else None
        except FileNotFoundError:
            return None

    def read(self, wanted: Iterable[str]) -> Values:
        """What these limits are now. Raises Problem where they cannot be changed."""
        found: Values = {}
        for name in wanted:
            for file in _FILES[self.version][name]:
                path = self._path(file)
                if path is None and file in _OPTIONAL:
                    continue
                if path is None or not os.access(path, os.W_OK):
                    raise Problem(
                        f"{file} of container {self.container[:12]} cannot be changed by this engine"
                    )
                found[file] = path.read_text().strip()
        return found

    def limited(self, limits: Mapping[str, float]) -> Values:
        """What the files must hold for these limits."""
        values: Values = {}
        for name, limit in limits.items():
            if name == "memory":
                values |= {file: str(int(limit)) for file in _FILES[self.version]["memory"]}
                if self.version == 2:
                    values["memory.swap.max"] = "0"
            elif name == "pids":
                values["pids.max"] = str(int(limit))
            elif self.version == 2:
                period = self._read("cpu.max").split()[1]
                values["cpu.max"] = f"{_quota(limit, period)} {period}"
            else:
                values["cpu.cfs_quota_us"] = _quota(limit, self._read("cpu.cfs_period_us"))
        return values

    def refuse_more(self, values: Values) -> None:
        """Raises Problem where it has less already: a limit is taken from what is there."""
        for file, text in values.items():
            found = self._read(file)
            if found and _amount(found) < _amount(text) and not _same(file, found, text):
                raise Problem(
                    f"container {self.container[:12]} has less already: {file} is {found}, not {text}"
                )

    def holds(self, values: Values) -> bool:
        return all(_same(file, self._read(file), text) for file, text in values.items() if self._path(file))

    def write(self, values: Values, ends: float) -> None:
        """Raises Problem when they are not in force by then."""
        todo = [file for file in values if self._path(file) or file not in _OPTIONAL]
        if self.version == 1 and _SWAP in todo and _rises(self._read(_SWAP), values[_SWAP]):
            todo.sort(key=lambda file: file != _SWAP)  # memory alone never exceeds memory with swap
        for file in todo:
            self._write(file, values[file], ends)
        if self.there() and not self.holds(values):  # a limit may have ended it
            raise Problem(f"container {self.container[:12]} does not hold to {values}")

    def _write(self, file: str, text: str, ends: float) -> None:
        path = self._path(file)
        if path is None:
            if not self.there():
                return  # it ended just now, perhaps of this limit
            raise Problem(f"container {self.container[:12]} has no {file}")
        while True:
            try:
                path.write_text(text)
                return
            except FileNotFoundError:
                return  # the container ended just now, perhaps of this limit
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > ends:
                    raise Problem(
                        f"{file} of container {self.container[:12]} does not take {text}: {error.strerror}"
                    ) from error
            # version 1 refuses less memory than is used, where version 2 kills; here it is the same with both
            _kill_largest(path.parent)
            time.sleep(_DIES_S)

    def _read(self, file: str) -> str:
        path = self._path(file)
        with contextlib.suppress(FileNotFoundError):
            return path.read_text().strip() if path is not None else ""
        return ""

    def _path(self, file: str) -> Path | None:
        folder = self._folder(file.partition(".")[0])
        return folder / file if folder is not None and (folder / file).exists() else None

    def _folder(self, controller: str) -> Path | None:
        top = ROOT if self.version == 2 else ROOT / controller
        if controller not in self._folders:
            found = _below(top, self.container)
            if found is None:
                return None
            self._folders[controller] = found
        folder = self._folders[controller]
        return folder if folder.exists() else None


def _below(top: Path, container: str) -> Path | None:
    """The folder named by a container, such as `docker/ID` or `system.slice/docker-ID.scope`; the outermost."""
    level = [top]
    for _ in range(_DEPTH):
        inner = [path for folder in level for path in _folders(folder)]
        for path in inner:
            if container in path.name:
                return path
        level = inner
    return None


def _folders(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # containers come and go
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _quota(cpus: float, period: str) -> str:
    return str(max(1000, round(cpus * int(period))))  # the kernel takes no less than a millisecond


def _amount(text: str) -> float:
    """Of `cpu.max` the quota, whose period stays."""
    first = text.split(maxsplit=1)[0]
    return float("inf") if first in ("max", "-1") else float(first)


def _rises(before: str, after: str) -> bool:
    return after == "-1" or int(after) > int(before)


def _same(file: str, found: str, wanted: str) -> bool:
    """Memory is counted in pages."""
    if file.startswith("memory.") and found.isdigit() and wanted.isdigit():
        return int(found) // os.sysconf("SC_PAGE_SIZE") == int(wanted) // os.sysconf("SC_PAGE_SIZE")
    return found == wanted


def _kill_largest(folder: Path) -> None:
    """As the kernel does when there is no memory left."""
    used: dict[int, int] = {}
    for pid in map(int, (folder / "cgroup.procs").read_text().split()):
        with contextlib.suppress(OSError):
            used[pid] = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    if not used:
        return
    largest = max(used, key=lambda pid: used[pid])
    with contextlib.suppress(ProcessLookupError):
        os.kill(largest, signal.SIGKILL)
    ends = time.monotonic() + _SETTLES_S
    while _memory_is_held(largest) and time.monotonic() < ends:  # or the next would be killed for nothing
        time.sleep(_DIES_S)


def _memory_is_held(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/statm").read_text().split()[1] != "0"
    except OSError:
        return False


def _keep(limits: Mapping[str, Mapping[str, float]], ends: float) -> None:
    """Limit each container again that was started anew; the engine does not know of these limits."""
    known: dict[str, tuple[int | None, float]] = {}
    groups = {container: Group(container) for container in limits}
    while time.monotonic() < ends:
        for container, group in groups.items():
            now, found = time.monotonic(), group.identity()
            before, since = known.get(container, (None, now))
            if found != before:
                known[container] = before, since = found, now
            if found is None or now - since > _SETTLES_S:  # from then on others may change it
                continue
            with contextlib.suppress(Problem, OSError):  # it is just coming or going
                wanted = group.limited(limits[container])
                if not group.holds(wanted):  # the engine sets its own as it starts
                    group.write(wanted, now + _DIES_S)
        time.sleep(_LOOK_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
