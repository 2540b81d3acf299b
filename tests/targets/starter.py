"""Run by tests as a process of its own: does one thing with an instance, and may be told to die half-way.

starter.py ROOT COMPONENTS_JSON up|start|hold [die-after-spawn | on-signal]
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from gameday.project import Project
from gameday.targets import component, supervise
from gameday.targets.process import ProcessTarget
from targets.small import make_environment


def _die_after_spawn(*args: Any, **kwargs: Any) -> supervise.Identity:
    supervise.spawn(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def main() -> None:
    root, components, action, *more = sys.argv[1:]
    target = ProcessTarget(make_environment(json.loads(components)), "small", Project(Path(root)))
    if more == ["die-after-spawn"]:
        component.spawn = _die_after_spawn  # type: ignore[attr-defined]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])
    print("ready", flush=True)
    if more == ["on-signal"]:
        signal.sigwait([signal.SIGCONT])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCONT])
    if action == "start":
        target.start(next(iter(json.loads(components))), 20)
    else:
        target.up()
    print("done", flush=True)
    if action == "hold":
        signal.pause()


if __name__ == "__main__":
    main()
