"""What one of several writing processes does; a module of its own, so that a started process can import it."""

from __future__ import annotations

from multiprocessing.synchronize import Barrier
from pathlib import Path

from gameday.history import History
from gameday.project import Project
from reporting import records

DRILLS_EACH = 6


def write_drills(root: Path, writer: int, barrier: Barrier) -> None:
    """Index `DRILLS_EACH` drills of its own and, between them, one that all writers write."""
    names = [f"w{writer}-{number}" for number in range(DRILLS_EACH)]
    drills = [records.passed(root / "reports" / name, drill=name) for name in names]
    shared = records.load_record(root / "reports" / "shared")
    barrier.wait(60)
    with History.open(Project(root)) as history:
        for record in drills:
            history.add(record)
            history.add(shared)
