"""Waiting until the containers of a compose project are as its file wants them, whoever started them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Progress
from gameday.targets.docker.compose_failure import described, trouble
from gameday.targets.docker.containers import ASIDE, PROJECT_LABEL, SERVICE_LABEL
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline, wait_until

HEALTHY, STARTED, COMPLETED = "service_healthy", "service_started", "service_completed_successfully"
_UP = "up"
"""Healthy where there is a health check, else running."""
_POLL_S = 0.2
_SETTLE_S = 0.5
_HEALTH_S = 30.0


def await_all(
    engine: Engine, project: str, ends: Mapping[str, bool], deadline: Deadline, say: Progress
) -> None:
    """Until every service is up, or has done its work where `ends` says so of it.

    Raises:
        OperationTimedOut, TargetError: with what is wrong with which service, and its last lines.
    """
    with engine.translated(f"containers of {project}"):
        found = engine.api.containers(all=True, filters={"label": f"{PROJECT_LABEL}={project}"})
    there = [
        (entry["Labels"].get(SERVICE_LABEL, ""), entry["Id"])
        for entry in found
        if not entry["Names"][0].endswith(ASIDE)
    ]
    for name in ends:
        if name not in [service for service, _ in there]:
            raise TargetError(f"service {name} of compose project {project} has no container")
    unwatched: list[tuple[str, str]] = []
    for name, container in there:
        if name in ends:
            state = await_one(
                engine, name, container, COMPLETED if ends[name] else _UP, deadline, "it was started"
            )
            say(f"{name} has ended" if ends[name] else f"{name} is up")
            if not ends[name] and "Health" not in state:
                unwatched.append((name, container))
    if unwatched:  # what cannot start runs for a moment, too
        time.sleep(min(_SETTLE_S, deadline.left_s()))
        for name, container in unwatched:
            await_one(engine, name, container, _UP, deadline, "it was started")


def await_one(
    engine: Engine, service: str, container: str, condition: str, deadline: Deadline, why: str
) -> Mapping[str, Any]:
    """Until one container is as `condition` says; its state then.

    Raises:
        TargetError: it cannot become so any more.
        OperationTimedOut: it is not by the deadline.
    """
    state: Mapping[str, Any] = {}

    def reached() -> bool:
        nonlocal state
        state = engine.inspect(container)["State"]
        answer = _fulfils(condition, state)
        if answer is None:
            what = f"service {service} failed: {described(state)}; {why}"
            raise TargetError(f"{what}\n{trouble(engine, engine.inspect(container))}")
        return answer

    if not wait_until(reached, deadline, _POLL_S):
        what = f"service {service} is {described(state)} after {deadline.timeout_s:g} s; {why}"
        raise OperationTimedOut(f"{what}\n{trouble(engine, engine.inspect(container))}")
    return state


def await_other_health(engine: Engine, container: str, deadline: Deadline) -> None:
    """Until a container that was paused is not called unhealthy for that any more; what it is then is another's
    question."""

    def said_anew() -> bool:
        return bool((engine.inspect(container)["State"].get("Health") or {}).get("Status") != "unhealthy")

    wait_until(said_anew, deadline.at_most(_HEALTH_S), _POLL_S)


def _fulfils(condition: str, state: Mapping[str, Any]) -> bool | None:
    """Whether a container is as it should be; None when it cannot become so by waiting."""
    ended = state["Status"] in ("exited", "dead")
    health = (state.get("Health") or {}).get("Status")
    if condition == STARTED:
        return True
    if condition == COMPLETED:
        return (state["ExitCode"] == 0 or None) if ended else False
    if ended or health == "unhealthy" or (condition == HEALTHY and health is None):
        return None
    return bool(state["Running"] and not state["Restarting"] and health in (None, "healthy"))
