"""What runs on a Docker engine: compose projects and single containers, as components of an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gameday.errors import UsageError
from gameday.scaffold.place import Part, Place, name_of
from gameday.targets.docker.containers import PROJECT_LABEL, SERVICE_LABEL, Container, listed
from gameday.targets.docker.engine import Engine

_ONE_OFF = "com.docker.compose.oneoff"
_WEB = (80, 8080, 8000, 3000, 5000, 9090)
"""Of several published ports, the one that is asked."""
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - what the engine says of a port that is published everywhere


def choices(engine: Engine) -> tuple[dict[str, int], tuple[str, ...]]:
    """Compose projects with their number of containers, and the names of single containers."""
    containers = listed(engine)
    projects: dict[str, int] = {}
    for one in containers:
        if (project := one.labels.get(PROJECT_LABEL)) is not None:
            projects[project] = projects.get(project, 0) + 1
    single = tuple(one.name for one in containers if PROJECT_LABEL not in one.labels)
    return projects, single


def look_at_project(engine: Engine, project: str) -> Place:
    """Raises UsageError where the engine has no such project, with those it has."""
    mine = [
        one
        for one in listed(engine)
        if one.labels.get(PROJECT_LABEL) == project and one.labels.get(_ONE_OFF, "False") != "True"
    ]
    if not mine:
        there = ", ".join(choices(engine)[0]) or "none"
        raise UsageError(f"no compose project {project!r} on this Docker engine; projects there: {there}")
    services: dict[str, list[Container]] = {}
    for one in mine:
        services.setdefault(one.labels.get(SERVICE_LABEL, one.name), []).append(one)
    parts: list[Part] = []
    for service, containers in sorted(services.items()):
        name = name_of(service, [part.name for part in parts])
        parts.append(_part(engine, name, {"service": service}, containers))
    header = {"compose": {"project": project}}
    return Place("docker", name_of(project), f"compose project {project}", tuple(parts), header)


def look_at_containers(engine: Engine, names: Sequence[str]) -> Place:
    """Raises UsageError where the engine has no such container, with those it has."""
    there = {one.name: one for one in listed(engine)}
    missing = [name for name in names if name not in there]
    if missing:
        known = ", ".join(there) or "none"
        raise UsageError(
            f"no container {', '.join(missing)} on this Docker engine; containers there: {known}"
        )
    parts: list[Part] = []
    for name in names:
        known_as = there[name].labels.get(SERVICE_LABEL, name)
        component = name_of(known_as, [part.name for part in parts])
        parts.append(_part(engine, component, {"container": name}, [there[name]]))
    return Place("docker", parts[0].name, f"container {', '.join(names)}", tuple(parts))


def _part(engine: Engine, name: str, selector: Mapping[str, str], containers: Sequence[Container]) -> Part:
    """The engine is asked for the first that is published at all, else for the first."""
    port, host, published, why = None, None, None, "it publishes no port on this machine"
    for container in containers:
        port, host, published, why = _asked(engine.inspect(container.id))
        if published is not None:
            break
    return Part(
        name,
        selector,
        containers[0].image,
        len(containers),
        sum(one.running for one in containers),
        port=port,
        host=host,
        published=published,
        unreachable=why,
    )


def _asked(inspected: Mapping[str, Any]) -> tuple[int | None, str | None, int | None, str]:
    """The container's port, where it answers on this machine, and why not."""
    bound = inspected["HostConfig"].get("PortBindings") or {}
    ports = sorted((int(key.partition("/")[0]) for key in bound if key.endswith("/tcp")), key=_by_use)
    changing = None
    for port in ports:
        for binding in bound[f"{port}/tcp"] or []:
            if binding.get("HostPort") not in (None, "", "0"):
                host = binding.get("HostIp") or ""
                return port, "127.0.0.1" if host in _ANYWHERE else host, int(binding["HostPort"]), ""
            changing = port
    if changing is not None:
        return (
            changing,
            None,
            None,
            f"port {changing} is published at a new one with each start; publish it as 127.0.0.1:{changing}:{changing}",
        )
    exposed = [
        int(key.partition("/")[0])
        for key in inspected["Config"].get("ExposedPorts") or {}
        if key.endswith("/tcp")
    ]
    first = min(exposed, key=_by_use, default=None)
    example = first or "PORT"
    return (
        first,
        None,
        None,
        f"no port of it is published on this machine; publish one, such as 127.0.0.1:{example}:{example}",
    )


def _by_use(port: int) -> tuple[int, int]:
    return (_WEB.index(port) if port in _WEB else len(_WEB), port)
