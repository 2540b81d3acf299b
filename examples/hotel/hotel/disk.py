"""The service's disk: an audit line for each booking, written before the booking is committed.

A line may lack its booking, when the COMMIT failed; a booking never lacks its line. The log rotates, so what the
service itself writes is bounded.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from hotel.logs import EventLog
from hotel.reservations import Reservation
from hotel.settings import DiskSettings

AUDIT_LOG = "audit.log"
USAGE_AGE_S = 0.5


class DiskUnavailableError(Exception):
    """The audit line cannot be written, so nothing may be committed."""


class Disk:
    """A quota counts every file of the folder, whoever wrote it; a look at the folder is good for half a second."""

    def __init__(
        self, settings: DiskSettings, log: EventLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._audit_log = settings.folder / AUDIT_LOG
        self._usage = 0
        self._looked_at = -math.inf

    def start(self) -> None:
        """Create the folder; a disk that cannot be used is each booking's trouble, not the end of the process."""
        try:
            self._settings.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._log.trouble("disk-unavailable", error)

    def audit(self, reservation: Reservation) -> None:
        """Append one line. Raises DiskUnavailableError when the disk is full or cannot be written."""
        line = {"at": datetime.now(UTC).isoformat(), "event": "booking", **asdict(reservation)}
        try:
            self.append((json.dumps(line, default=str) + "\n").encode())
        except OSError as error:
            self._log.trouble("disk-unavailable", error)
            raise DiskUnavailableError(str(error)) from error

    def size_bytes(self) -> float:
        """NaN where the folder cannot be read."""
        if self._settings.quota_bytes:
            return float(self._settings.quota_bytes)
        try:
            state = os.statvfs(self._settings.folder)
        except OSError:
            return math.nan
        return float(state.f_blocks * state.f_frsize)

    def free_bytes(self) -> float:
        """NaN where the folder cannot be read."""
        try:
            if self._settings.quota_bytes:
                return float(max(0, self._settings.quota_bytes - self._used()))
            state = os.statvfs(self._settings.folder)
        except OSError:
            return math.nan
        return float(state.f_bavail * state.f_frsize)

    def append(self, line: bytes) -> None:
        """All of it or nothing. Raises OSError, with ENOSPC also where the quota is what is full."""
        if self._settings.quota_bytes and self._used() + len(line) > self._settings.quota_bytes:
            raise OSError(errno.ENOSPC, "the quota is used up", str(self._settings.folder))
        handle = os.open(self._audit_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            size = os.fstat(handle).st_size
            if os.write(handle, line) < len(line):
                os.ftruncate(handle, size)  # the next line must not continue a torn one
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._audit_log))
        finally:
            os.close(handle)
        self._usage += len(line)
        if size + len(line) >= self._settings.file_bytes:
            self._rotate()

    def _rotate(self) -> None:
        """audit.log becomes audit.log.1, that becomes audit.log.2, and the oldest goes."""
        for number in range(self._settings.kept_files - 1, 0, -1):
            older = self._rotated(number)
            if older.exists():
                older.replace(self._rotated(number + 1))
        self._audit_log.replace(self._rotated(1))

    def _rotated(self, number: int) -> Path:
        return self._audit_log.with_name(f"{AUDIT_LOG}.{number}")

    def _used(self) -> int:
        now = self._clock()
        if now - self._looked_at >= USAGE_AGE_S:
            self._usage = folder_bytes(self._settings.folder)
            self._looked_at = now
        return self._usage


def folder_bytes(folder: Path) -> int:
    """The sizes of the files in a flat folder. Raises OSError when the folder cannot be read."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue  # deleted between listing and looking
    return total
