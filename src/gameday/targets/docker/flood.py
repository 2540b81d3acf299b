"""Lines that somebody else writes into a container's own log, as the engine collects it.

A helper in the container's process namespace writes to where the first process has its output. It ends at its total,
after its time, and with the container, since it is in that namespace.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from gameday.agents import BEGUN
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.docker.containers import Container, discard
from gameday.targets.docker.helper import end_helpers, hear, run_helper, start_helper
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.waiting import Deadline

FLOOD_LABEL = "gameday.flood"
"""Carries the name of the component whose log a helper floods."""
_AGENT = ("python3", "-m", "gameday.agents.log_writer")
_CHECK_TIMEOUT_S = 30.0
_BYTES_A_LINE = 200
_MOST_BYTES = 2**30
"""A log that is never cut is on the engine's disk, which must not fill."""
_CUTS = ("local", "journald")


class ContainerLogs(DockerInstance):
    """Implements `Floodable`."""

    def check_flood(self, component: str) -> str:
        """Whether its first process writes to the engine's log, found out beside it."""
        deadline = Deadline.after(_CHECK_TIMEOUT_S)
        self._engine.await_engine(deadline)
        victim = self._to_flood(component)
        driver, _ = self._log_of_victim(victim)
        if driver == "none":
            raise UsageError(
                f"flood {component}: the engine keeps no log of {victim}: its log driver is none"
            )
        argv = (*_AGENT, "--check")
        done = run_helper(
            self._engine, argv, deadline, environment=self.engine_name, check=False, **_beside(victim)
        )
        if done.exit_code != 0:
            raise UsageError(f"flood {component}: {victim}: {done.output.strip()[:500]}")
        return f"a helper writes to the output of {victim}, which goes to its log ({driver})"

    def flood(self, component: str, lines_per_s: int, lines: int, ttl_s: float, timeout_s: float) -> str:
        """Begin to write into the log of its first container that runs."""
        with self._operation(component, timeout_s) as deadline:
            victim = self._to_flood(component)
            driver, cut = self._log_of_victim(victim)
            most = min(lines, int(lines_per_s * ttl_s) + 1)
            if not cut and most * _BYTES_A_LINE > _MOST_BYTES:
                raise UsageError(
                    f"flood {component}: {most} lines would be more than {_MOST_BYTES} bytes, and the log of {victim} "
                    f"({driver}) is never cut; give it `max-size`, or write fewer lines"
                )
            self._end_floods(component, deadline)
            pace = ("--lines-per-s", str(lines_per_s), "--lines", str(lines), "--ttl", f"{ttl_s:.3f}")
            helper = start_helper(
                self._engine,
                (*_AGENT, *pace),
                environment=self.engine_name,
                name=f"gameday-flood-{uuid.uuid4().hex[:12]}",
                labels={FLOOD_LABEL: component},
                # what it says is read, whatever the engine's default is
                log_config={"Type": "json-file", "Config": {}},
                **_beside(victim),
            )
            self._await_flood(helper, f"flood {component}", deadline)
            return f"{lines_per_s} lines a second go into the log of {victim}, {lines} in all"

    def unflood(self, component: str, timeout_s: float) -> str:
        """End it."""
        with self._operation(component, timeout_s) as deadline:
            ended = self._end_floods(component, deadline)
            return f"ended the flood of {component}" if ended else f"nobody floods the log of {component}"

    def _to_flood(self, component: str) -> Container:
        for one in self._found(component):
            if one.running:
                return one
        raise TargetError(f"flood {component}: it is down, it has no log to write to")

    def _log_of_victim(self, victim: Container) -> tuple[str, bool]:
        """The driver of its log, and whether it is cut when it grows."""
        config = self._engine.inspect(victim.id)["HostConfig"].get("LogConfig") or {}
        driver = str(config.get("Type") or "json-file")
        return driver, driver in _CUTS or "max-size" in (config.get("Config") or {})

    def _await_flood(self, helper: str, what: str, deadline: Deadline) -> None:
        said, in_time = hear(self._engine, helper, lambda text: BEGUN in text, what, deadline)
        if BEGUN in said:
            return
        discard(self._engine, helper, Deadline.after(10.0))
        if not in_time:
            raise OperationTimedOut(f"{what}: its writer had not begun within {deadline.timeout_s:g} s")
        raise TargetError(f"{what}: its writer ended before it began: {said.strip()[:500] or 'no word'}")

    def _end_floods(self, component: str, deadline: Deadline) -> bool:
        return bool(end_helpers(self._engine, self.engine_name, deadline, **{FLOOD_LABEL: component}))


def _beside(victim: Container) -> Mapping[str, Any]:
    """In its process namespace; to open another process' output takes the capability."""
    return {"pid_mode": f"container:{victim.id}", "cap_add": ["SYS_PTRACE"], "network_mode": "none"}
