"""One drill an environment at a time. The kernel releases the lock when its holder dies, however it dies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gameday.errors import LockHeld
from gameday.journal import Holder


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds the lock, as written beside it."""

    drill: str
    scenario: str
    holder: Holder
    since: str


class DrillLock:
    """The lock of one environment instance."""

    def __init__(self, state: Path, instance: str) -> None:
        folder = state / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        self.instance = instance
        self._note = folder / f"{instance}.json"
        self._lock = FileLock(folder / f"{instance}.lock")

    def acquire(self, drill: str, scenario: str) -> None:
        """Take the lock, at once or not at all.

        Raises:
            LockHeld: names the holder and since when.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise LockHeld(f"{self.instance} is being drilled: {self._who()}") from error
        me = Holder.me()
        note = {
            "drill": drill,
            "scenario": scenario,
            "pid": me.pid,
            "created": me.created,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        temporary = self._note.with_suffix(".tmp")
        temporary.write_text(json.dumps(note), encoding="utf-8")
        temporary.replace(self._note)

    def release(self) -> None:
        if self._lock.is_locked:
            self._note.unlink(missing_ok=True)
            self._lock.release()

    def holder(self) -> LockHolder | None:
        """Who drills this environment now; None when nobody does."""
        try:
            note: dict[str, Any] = json.loads(self._note.read_text(encoding="utf-8"))
            holder = Holder(note["pid"], note["created"])
            who = LockHolder(note["drill"], note["scenario"], holder, note["since"])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # between taking the lock and writing the note, or nobody
        return who if who.holder.alive else None

    def _who(self) -> str:
        who = self.holder()
        if who is None:
            return "by a runner that has just begun"
        return f"scenario {who.scenario}, drill {who.drill}, pid {who.holder.pid}, since {who.since}"
