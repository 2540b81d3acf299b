"""What is wrong with a compose project that did not come up, from what the engine knows of its containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.errors import TargetError
from gameday.targets.docker.containers import PROJECT_LABEL, SERVICE_LABEL
from gameday.targets.docker.engine import Engine

_LOG_LINES = 15
_TEXT_LIMIT = 2000
_CHECK_LIMIT = 300


def troubles(engine: Engine, project: str) -> tuple[str, ...]:
    """A paragraph for each service that is not as it should be; the engine's failure to answer is one too."""
    try:
        with engine.translated(f"containers of {project}"):
            entries = engine.api.containers(all=True, filters={"label": f"{PROJECT_LABEL}={project}"})
            inspected = [engine.api.inspect_container(entry["Id"]) for entry in entries]
        return tuple(trouble(engine, one) for one in inspected if not _is_well(one["State"]))
    except TargetError as error:
        return (str(error),)


def trouble(engine: Engine, container: Mapping[str, Any]) -> str:
    """What one container, as it is inspected, is like, what its health check said, and its last lines."""
    service = container["Config"]["Labels"].get(SERVICE_LABEL, container["Name"].lstrip("/"))
    state = container["State"]
    health = state.get("Health") or {}
    text = f"service {service} is {described(state)}"
    asked = [entry for entry in health.get("Log") or [] if entry.get("ExitCode") != 0]
    if asked and health.get("Status") != "healthy":
        answer = " ".join(str(asked[-1].get("Output", "")).split())[:_CHECK_LIMIT]
        text += f"; its health check ended with exit code {asked[-1]['ExitCode']}: {answer or 'no output'}"
    return f"{text}; its last lines:\n{_last_lines(engine, container['Id'])}"


def described(state: Mapping[str, Any]) -> str:
    status = str(state["Status"])
    if status in ("exited", "dead"):
        return f"{status} with exit code {state['ExitCode']}" + (
            f" ({state['Error']})" if state["Error"] else ""
        )
    health = (state.get("Health") or {}).get("Status")
    return f"{status} and {health}" if health else status


def _is_well(state: Mapping[str, Any]) -> bool:
    if state["Status"] == "exited":
        return bool(state["ExitCode"] == 0)
    health = (state.get("Health") or {}).get("Status", "healthy")
    return bool(state["Status"] == "running" and health == "healthy")


def _last_lines(engine: Engine, container: str) -> str:
    try:
        with engine.translated(f"log of {container[:12]}"):
            output: bytes = engine.api.logs(container, tail=_LOG_LINES)
    except TargetError as error:  # a log driver that cannot be read is no reason to say less
        return f"({error})"
    text = output.decode(errors="replace").strip()[-_TEXT_LIMIT:]
    return "\n".join(f"  {line}" for line in text.splitlines()) or "  (none)"
