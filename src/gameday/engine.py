"""The engine process of one drill: chaostoolkit-lib runs the compiled experiment here, and nowhere else.

A process of its own because the library swallows SIGTERM, sets signal handlers, keeps global state and waits
for hanging activities; the runner can end this process at any moment and still put everything back. When the
runner dies, the kernel ends this process at once, so that nothing goes on unobserved.

    python -m gameday.engine RUNNER_PID
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

from gameday.enginehost import LINK_VARIABLE
from gameday.strays import VARIABLE as STRAY_VARIABLE

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Linux sends this process `by` when its parent ends; checks that it has not ended already."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, by, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit(3)


def main(runner_pid: int) -> int:
    die_with_parent(runner_pid)
    from chaoslib.experiment import run_experiment
    from chaoslib.run import RunEventHandler
    from chaoslib.types import Strategy

    from gameday import activities
    from gameday.link import RemoteLink

    link = RemoteLink(int(os.environ.pop(LINK_VARIABLE)))
    known = link.call("context")  # answered when the drill's session is open
    evidence = Path(known["evidence"])
    settle(evidence, known["instance"], known["speed"])
    activities.work_for(link)

    class JournalWriter(RunEventHandler):  # type: ignore[misc]
        """Chaos Toolkit writes its journal at the end; ours is on disk whenever an activity begins."""

        def started(self, experiment: Any, journal: Any) -> None:
            del experiment
            self._journal = journal

        def start_activity(self, activity: Any) -> None:
            del activity
            write_journal(evidence / "journal.json", self._journal)

    experiment = json.loads((evidence / "experiment.json").read_text(encoding="utf-8"))
    settings = {"runtime": {"rollbacks": {"strategy": "always"}}}
    journal = run_experiment(
        experiment, settings=settings, strategy=Strategy.DEFAULT, event_handlers=[JournalWriter()]
    )
    write_journal(evidence / "journal.json", journal)
    link.call("ended", asked=activities.asked())
    link.close()
    return 0


def settle(evidence: Path, instance: str, speed: float) -> None:
    """Log into the evidence; mark what this process will start; tell Chaos Toolkit where and how fast."""
    log = os.open(evidence / "engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    os.environ[STRAY_VARIABLE] = evidence.name
    os.environ["GAMEDAY_ENVIRONMENT"] = instance
    os.environ["GAMEDAY_SPEED"] = f"{speed:g}"


def write_journal(path: Path, journal: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(journal, indent=2, default=str) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
