"""The write-ahead log of undos: what a drill is about to change, on disk before it is changed.

One file a drill, in the project's state folder, gone when everything in it is reverted. Whoever finds one can
finish it: the runner itself, the dead-man switch, or `gameday recover`. The file names the environment in
full, so that it can be reverted even when the environment's own file was edited or deleted meanwhile.

Some targets keep a mirror of it where the environment is. What was reverted according to either is reverted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gameday.errors import TargetError, UndoError
from gameday.targets.safety import Mirror

EXCLUSIVE_TIMEOUT_S = 400.0
"""Whoever else reverts a log may take as long as a restore does, and a little more; one that died is noticed sooner."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The exact, idempotent reverse of one change, as data: who reverts it need not be who made it."""

    operation: str
    component: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"operation": self.operation, "component": self.component, "arguments": dict(self.arguments)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Undo:
        return cls(value["operation"], value["component"], value["arguments"])


@dataclass(frozen=True, slots=True)
class Recorded:
    """An undo in a log. `deadline_ns` is monotonic; `boot` tells whether that clock is still the same."""

    id: int
    undo: Undo
    deadline_ns: int


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that runs a drill, told apart from a later one with the same pid by its creation time."""

    pid: int
    created: float

    @classmethod
    def me(cls) -> Holder:
        import psutil

        return cls(os.getpid(), psutil.Process().create_time())

    @property
    def alive(self) -> bool:
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 0.02
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class UndoLog:
    """One drill's undos. Every line is on disk before the call returns."""

    def __init__(self, path: Path, mirror: Mirror | None = None) -> None:
        self.path = path
        self.mirror = mirror

    @classmethod
    def create(
        cls, folder: Path, drill: str, header: Mapping[str, Any], mirror: Mirror | None = None
    ) -> UndoLog:
        """Begin the log of a drill. `header`: environment (whole), instance, evidence, holder, host."""
        folder.mkdir(parents=True, exist_ok=True)
        log = cls(folder / f"{drill}.jsonl", mirror)
        unfinished = cls(folder / f"{drill}.tmp")  # a log is there with its header or not at all
        unfinished._append({"drill": drill, "boot": boot_id(), **header})
        unfinished.path.rename(log.path)
        _sync_folder(folder)
        return log

    @classmethod
    def copied(cls, folder: Path, drill: str, lines: Iterable[str]) -> UndoLog:
        """A log as its mirror has it, on a machine that has none. One that is there is left as it is."""
        folder.mkdir(parents=True, exist_ok=True)
        log = cls(folder / f"{drill}.jsonl")
        if not log.path.exists():
            unfinished = folder / f"{drill}.tmp"
            unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            unfinished.rename(log.path)
        return log

    @classmethod
    def find(cls, folder: Path) -> tuple[UndoLog, ...]:
        """Logs of drills that have not put everything back, oldest first."""
        return tuple(cls(path) for path in sorted(folder.glob("*.jsonl")))

    @property
    def header(self) -> dict[str, Any]:
        return self._lines()[0]

    @property
    def holder(self) -> Holder:
        value = self.header["holder"]
        return Holder(value["pid"], value["created"])

    def record(self, undo: Undo, ttl_s: float) -> Recorded:
        """Put an undo on disk, and into the mirror. Only afterwards may the change be made.

        Raises:
            UndoError: the mirror did not take it; the change must not be made.
        """
        number = sum(1 for line in self._lines() if "undo" in line)
        deadline_ns = time.monotonic_ns() + round(ttl_s * 1e9)
        self._append({"id": number, "undo": undo.to_json(), "deadline_ns": deadline_ns})
        if self.mirror is not None:
            try:
                self.mirror.merge(self._texts(), create=True)
            except TargetError as error:
                raise UndoError(
                    f"the undo is recorded on this machine alone, so nothing is done: {error}"
                ) from error
        return Recorded(number, undo, deadline_ns)

    def mark(self, recorded: Recorded, *, ok: bool, by: str, detail: str) -> None:
        """What came of reverting it. A mirror that cannot be reached is told with the next mark."""
        self._append({"id": recorded.id, "ok": ok, "by": by, "detail": detail})
        if self.mirror is not None:
            with suppress(TargetError):
                self.mirror.merge(self._texts())

    def pending(self) -> tuple[Recorded, ...]:
        """What is still to be reverted, in the order in which it must be: last in, first out."""
        lines = self._lines()
        done = {line["id"] for line in lines if line.get("ok")}
        recorded = [
            Recorded(line["id"], Undo.from_json(line["undo"]), line["deadline_ns"])
            for line in lines
            if "undo" in line and line["id"] not in done
        ]
        return tuple(reversed(recorded))

    @contextmanager
    def exclusive(self, timeout_s: float = EXCLUSIVE_TIMEOUT_S) -> Iterator[None]:
        """Only one process reverts at a time: runner, dead-man switch or `gameday recover`.

        With a mirror, on any machine; what others had reverted is known from then on.

        Raises:
            UndoError: another process is at it for longer than `timeout_s`.
            Refused: the runner is alive, on another machine.
        """
        from filelock import FileLock, Timeout

        # one process may enter twice, on whatever thread: `gameday recover` does around its own undo
        lock = FileLock(self.path.with_suffix(".lock"), is_singleton=True, thread_local=False)
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout as error:
            raise UndoError(
                f"{self.path.name}: somebody else is reverting it for over {timeout_s:g} s"
            ) from error
        try:
            with nullcontext(True) if self.mirror is None else self.mirror.exclusive(timeout_s) as ours:
                self._learn(ours=ours)
                yield
        finally:
            lock.release()

    def _learn(self, *, ours: bool) -> None:
        """What was reverted by others, as the mirror has it."""
        if self.mirror is None:
            return
        if not ours:
            for recorded in self.pending():
                self.mark(
                    recorded, ok=True, by="another process", detail="reverted before another drill began"
                )
            return
        try:
            there = self.mirror.merge(self._texts())
        except TargetError as error:
            raise UndoError(f"what others had reverted cannot be known: {error}") from error
        known = set(self._texts())
        for line in (there or ())[1:]:  # its header may name other folders
            if line not in known:
                self._append_line(line.encode())

    def remove(self) -> None:
        """Forget the drill: everything in it is reverted.

        Raises:
            TargetError: the mirror could not be removed; it says that all is reverted, so whoever finds it removes it.
        """
        try:
            if self.mirror is not None:
                self.mirror.remove()
        finally:
            self.path.unlink(missing_ok=True)
            self.path.with_suffix(".lock").unlink(missing_ok=True)

    def _append(self, value: Mapping[str, Any]) -> None:
        self._append_line(json.dumps(value, separators=(",", ":")).encode())

    def _append_line(self, line: bytes) -> None:
        """Add one line, in place of what a crash left of the last one: behind that it could not be read."""
        with self.path.open("ab") as file:
            whole_bytes = len(self._whole())
            if whole_bytes < file.tell():
                file.truncate(whole_bytes)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _whole(self) -> bytes:
        """All lines that were written to their end. One cut off announced a change that was never made."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise UndoError(f"cannot read the log of undos {self.path}: {error}") from error
        return content[: content.rfind(b"\n") + 1]

    def _texts(self) -> list[str]:
        return self._whole().decode().splitlines()

    def _lines(self) -> list[dict[str, Any]]:
        """All entries, the header first.

        Raises:
            UndoError: there is none, or one is damaged: what it said is not known.
        """
        result = [self._entry(number, line) for number, line in enumerate(self._whole().splitlines(), 1)]
        if not result:
            raise UndoError(f"{self.path}: empty log of undos")
        return result

    def _entry(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            wanted = _FIELDS["header" if number == 1 else "undo" if "undo" in entry else "mark"]
            missing = [name for name in wanted if name not in entry]
            if missing or not isinstance(entry, dict):
                raise ValueError(f"without {', '.join(missing)}")
            if "undo" in entry:
                Undo.from_json(entry["undo"])
        except (ValueError, TypeError, KeyError) as error:
            raise UndoError(f"{self.path}:{number}: damaged entry: {error}") from error
        return entry


_FIELDS = {
    "header": ("drill", "boot"),
    "undo": ("id", "undo", "deadline_ns"),
    "mark": ("id", "ok"),
}


def boot_id() -> str:
    """Tells boots apart: monotonic readings of another boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
