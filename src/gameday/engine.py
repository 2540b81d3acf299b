"""The engine process of one drill: chaostoolkit-lib runs the compiled experiment here, and nowhere else.

A process of its own because the library swallows SIGTERM, sets signal handlers, keeps global state and waits
for hanging activities; the runner can end this process at any moment and still put everything back. When the
runner dies, the kernel ends this process at once, so that nothing goes on unobserved.

    python -m gameday.engine EXPERIMENT JOURNAL RUNNER_PID
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Linux ends this process when its parent does; checks that it has not done so already."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit(3)


def main(arguments: list[str]) -> int:
    experiment_path, journal_path, runner_pid = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    die_with_parent(runner_pid)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    from chaoslib.experiment import run_experiment
    from chaoslib.run import RunEventHandler
    from chaoslib.types import Strategy

    class JournalWriter(RunEventHandler):  # type: ignore[misc]
        """Chaos Toolkit writes its journal at the end; ours is on disk whenever an activity begins."""

        def started(self, experiment: Any, journal: Any) -> None:
            del experiment
            self._journal = journal

        def start_activity(self, activity: Any) -> None:
            del activity
            write_journal(journal_path, self._journal)

    experiment = json.loads(experiment_path.read_text(encoding="utf-8"))
    settings = {"runtime": {"rollbacks": {"strategy": "always"}}}
    journal = run_experiment(
        experiment, settings=settings, strategy=Strategy.DEFAULT, event_handlers=[JournalWriter()]
    )
    write_journal(journal_path, journal)
    from gameday import activities

    activities.leave()
    return 0


def write_journal(path: Path, journal: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(journal, indent=2, default=str) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
