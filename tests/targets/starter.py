"""Run by tests as a process of its own: does one thing with an instance, and may be told to die half-way.

starter.py ROOT COMPONENTS_JSON LINKS_JSON ACTION [die-after-spawn | on-signal | die-at WHERE]

ACTION is up, start, hold, or a method with its arguments in JSON such as rollback:["web", 10]. WHERE is
MODULE.FUNCTION or MODULE:CLASS.METHOD in gameday.targets, and kills the process instead of being called.
"""

from __future__ import annotations

import json
import os
import pkgutil
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


def _die(*args: Any, **kwargs: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    root, components, links, action, *more = sys.argv[1:]
    environment = make_environment(json.loads(components), json.loads(links))
    target = ProcessTarget(environment, "small", Project(Path(root)))
    if more == ["die-after-spawn"]:
        component.spawn = _die_after_spawn  # type: ignore[attr-defined]
    if more[:1] == ["die-at"]:
        holder, _, name = more[1].rpartition(".")
        setattr(pkgutil.resolve_name(f"gameday.targets.{holder}"), name, _die)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])
    print("ready", flush=True)
    if more == ["on-signal"]:
        signal.sigwait([signal.SIGCONT])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCONT])
    if action == "start":
        target.start(next(iter(json.loads(components))), 20)
    elif ":" in action:
        method, _, arguments = action.partition(":")
        getattr(target, method)(*json.loads(arguments))
    else:
        target.up()
    print("done", flush=True)
    if action == "hold":
        signal.pause()


if __name__ == "__main__":
    main()
