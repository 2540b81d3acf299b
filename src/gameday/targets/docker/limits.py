"""Less memory, processor time or processes for containers that run, and back to exactly what they had.

The engine can lower a limit, and cannot take one away again: a container without a limit of memory never gets back to
none. So the kernel is told, in the control groups of the engine's machine, by a helper that sees them. What the engine
knows of the container stays as it is, and a container that is made anew has its own limits by itself.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gameday.errors import TargetError, UsageError
from gameday.targets.base import Execution, Limits
from gameday.targets.docker.containers import Container, names
from gameday.targets.docker.helper import answer, end_helpers, run_helper, start_helper
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.waiting import Deadline

LIMITS_LABEL = "gameday.limits"
"""Carries the name of the component whose limits a helper keeps."""
_AGENT = ("python3", "-m", "gameday.agents.limiter")
_ALL = ("memory", "cpus", "pids")
_READ_TIMEOUT_S = 30.0
_KEPT_S = 24 * 3600.0
"""A drill that runs longer loses its limits when the container is started anew, and nothing else."""
# the machine's control groups, and its processes: what exceeds a new limit of memory is ended
_HOST: Mapping[str, Any] = {
    "binds": ["/sys/fs/cgroup:/gameday/cgroup:rw"],
    "pid_mode": "host",
    "network_mode": "none",
}


class ContainerLimits(DockerInstance):
    """Implements `Limitable`."""

    def limits(self, component: str, count: int | None) -> Mapping[str, Any]:
        """What the kernel holds its containers to now, by container and file."""
        deadline = Deadline.after(_READ_TIMEOUT_S)
        self._engine.await_engine(deadline)
        running = self._to_limit(component, count)
        done = self._limiter("read", {one.id: _ALL for one in running}, deadline)
        if done.exit_code != 0:
            raise UsageError(f"limit {component}: {done.output.strip()}")
        return answer(done, f"limit {component}")

    def limit(self, component: str, limits: Limits, timeout_s: float, count: int | None = None) -> str:
        """In force when this returns, and again within moments when a container is started anew."""
        wanted = {name: value for name, value in asdict(limits).items() if value is not None}
        with self._operation(component, timeout_s) as deadline:
            running = self._to_limit(component, count)
            what = {one.id: wanted for one in running}
            done = self._limiter("put", what, deadline)
            if done.exit_code != 0:
                raise TargetError(f"limit {component}: {done.output.strip()}")
            self._keep(component, what)
            shown = ", ".join(f"{name} {value}" for name, value in wanted.items())
            return f"limited {names(running)} to {shown}"

    def unlimit(self, component: str, before: Mapping[str, Any], timeout_s: float) -> str:
        """Containers that are gone or down need nothing: the engine gives them their own limits when they start."""
        with self._operation(component, timeout_s) as deadline:
            end_helpers(self._engine, self.engine_name, deadline, **{LIMITS_LABEL: component})
            done = self._limiter("write", before, deadline)
            if done.exit_code != 0:
                raise TargetError(f"unlimit {component}: {done.output.strip()}")
            back = [one for one in self._find(component) if one.id in before and one.running]
            return f"limits of {names(back)} are back" if back else f"no container of {component} is limited"

    def _to_limit(self, component: str, count: int | None) -> Sequence[Container]:
        running = [one for one in self._found(component) if one.running][:count]
        if not running:
            raise TargetError(f"limit {component}: it is down, there is nothing to limit")
        return running

    def _limiter(self, command: str, what: Mapping[str, Any], deadline: Deadline) -> Execution:
        argv = (*_AGENT, command, json.dumps(what), "--within", f"{max(1.0, deadline.left_s() / 2):.1f}")
        return run_helper(self._engine, argv, deadline, environment=self.engine_name, check=False, **_HOST)

    def _keep(self, component: str, what: Mapping[str, Any]) -> None:
        argv = (*_AGENT, "keep", json.dumps(what), "--within", f"{_KEPT_S:g}")
        start_helper(
            self._engine,
            argv,
            environment=self.engine_name,
            name=f"gameday-limits-{uuid.uuid4().hex[:12]}",
            labels={LIMITS_LABEL: component},
            **_HOST,
        )
