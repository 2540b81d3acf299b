"""What one of several writing processes does; a module of its own, so that a started process can import it."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

from gameday.history import History
from gameday.project import Project
from reporting import records

WRITERS = 16
DRILLS_EACH = 6
NAMES = {f"w{writer}-{number}" for writer in range(WRITERS) for number in range(DRILLS_EACH)} | {"shared"}


def write_at_once(project: Project, url: str | None = None) -> None:
    """`WRITERS` processes write into one history at the same moment, and all of them succeed."""
    records.passed(project.reports / "shared", drill="shared")
    context = multiprocessing.get_context("forkserver")
    barrier = context.Barrier(WRITERS)
    writers = [
        # the URL as an argument: a forkserver started earlier has the environment of then
        context.Process(target=write_drills, args=(project.root, number, barrier, url))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(90)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS


def write_drills(root: Path, writer: int, barrier: Barrier, url: str | None) -> None:
    """Index `DRILLS_EACH` drills of its own and, between them, one that all writers write."""
    os.environ.pop("GAMEDAY_HISTORY_URL", None)  # of when the forkserver was started
    names = [f"w{writer}-{number}" for number in range(DRILLS_EACH)]
    drills = [records.passed(root / "reports" / name, drill=name) for name in names]
    shared = records.load_record(root / "reports" / "shared")
    barrier.wait(60)
    with History.open(Project(root), url) as history:
        for record in drills:
            history.add(record)
            history.add(shared)
