"""Containers as an engine shows them: which are a component's, what they are, and how one is made again."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gameday.docker_spec import Selector
from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.docker.engine import Engine, NotThere
from gameday.targets.waiting import Deadline, wait_until

ASIDE = ".gameday-aside"
"""End of the name of a container that another version has replaced: a rollback goes back to it."""
HELPER_LABEL = "gameday.helper"
"""Carried by gameday's own containers, which are nobody's component."""
PROJECT_LABEL, SERVICE_LABEL = "com.docker.compose.project", "com.docker.compose.service"
_ONE_OFF = "com.docker.compose.oneoff"
_SHORT_ID = 12
_GONE_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine lists it. `state` is the engine's word: running, paused, exited, created, …"""

    id: str
    name: str
    state: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused")

    @property
    def paused(self) -> bool:
        return self.state == "paused"

    def __str__(self) -> str:
        return f"container {self.name} ({self.id[:_SHORT_ID]})"


def listed(engine: Engine) -> tuple[Container, ...]:
    """All containers of the engine, gameday's own aside, by name."""
    with engine.translated("list containers"):
        found = engine.api.containers(all=True)
    containers = [
        Container(
            entry["Id"],
            entry["Names"][0].lstrip("/"),
            entry["State"],
            entry["Image"],
            entry["Labels"] or {},
        )
        for entry in found
        if entry["Names"] and HELPER_LABEL not in (entry["Labels"] or {})
    ]
    return tuple(sorted(containers, key=lambda one: one.name))


def matching(
    containers: Iterable[Container], selector: Selector, project: str | None, *, aside: bool = False
) -> tuple[Container, ...]:
    """Those that a component is; with `aside`, those that were replaced by another version of it."""
    return tuple(
        container
        for container in containers
        if container.name.endswith(ASIDE) is aside and _matches(container, selector, project)
    )


def _matches(container: Container, selector: Selector, project: str | None) -> bool:
    if selector.container is not None:
        return container.name.removesuffix(ASIDE) == selector.container
    if selector.service is not None:
        wanted = {PROJECT_LABEL: str(project), SERVICE_LABEL: selector.service}
        one_off = container.labels.get(_ONE_OFF, "False") == "True"
        return not one_off and wanted.items() <= container.labels.items()
    if project is not None and container.labels.get(PROJECT_LABEL, project) != project:
        return False  # another instance of the same project carries the same labels
    return selector.labels.items() <= container.labels.items()


def recipe(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a container again that is like an inspected one: its configuration, host settings, networks and the
    volumes that it had, those without a name of their own too. Plain data; holds its environment, so secrets."""
    config = copy.deepcopy(inspected["Config"])
    short = inspected["Id"][:_SHORT_ID]
    if config.get("Hostname") == short:
        del config["Hostname"]
    host = copy.deepcopy(inspected["HostConfig"])
    named = {
        mount["Destination"]: mount["Name"] for mount in inspected["Mounts"] if mount["Type"] == "volume"
    }
    binds = [
        bind for bind in host.get("Binds") or [] if ":" in bind
    ]  # a place alone is a volume without a name
    for mount in host.get("Mounts") or []:
        if mount.get("Type") == "volume" and not mount.get("Source"):
            mount["Source"] = named[mount["Target"]]
    bound = {bind.split(":")[1] for bind in binds} | {mount["Target"] for mount in host.get("Mounts") or []}
    unnamed = [
        f"{mount['Name']}:{mount['Destination']}" + ("" if mount["RW"] else ":ro")
        for mount in inspected["Mounts"]
        if mount["Type"] == "volume" and mount["Destination"] not in bound
    ]
    host["Binds"] = [*binds, *unnamed] or None
    networks = {
        name: endpoint_config(endpoint, short)
        for name, endpoint in (inspected["NetworkSettings"]["Networks"] or {}).items()
    }
    return {"name": inspected["Name"].lstrip("/"), "config": config, "host": host, "networks": networks}


def endpoint_config(endpoint: Mapping[str, Any], short_id: str) -> dict[str, Any]:
    """How a container is put on a network, from what an inspection says of its being there. The engine adds the short
    id as an alias by itself."""
    aliases = [alias for alias in endpoint.get("Aliases") or [] if alias != short_id]
    kept = {name: endpoint.get(name) for name in ("IPAMConfig", "Links", "DriverOpts")}
    return {**kept, "Aliases": aliases}


def make(engine: Engine, what: Mapping[str, Any], **changed: Any) -> str:
    """Create a container by its recipe, on all its networks, and do not start it; its id. `changed` are fields of its
    configuration that are different."""
    name, networks = str(what["name"]), dict(what["networks"])
    first = str(what["host"].get("NetworkMode") or "default")
    begin = next((network for network in networks if network == first), next(iter(networks), None))
    config = {**what["config"], **changed, "HostConfig": what["host"]}
    if begin is not None and _can_be_joined(first):
        config["NetworkingConfig"] = {"EndpointsConfig": {begin: networks[begin]}}
    with engine.translated(f"create container {name}"):
        made = str(engine.api.create_container_from_config(config, name)["Id"])
        for network, endpoint in networks.items():  # engines before 25 take one network at creation
            if network != begin and _can_be_joined(first):
                engine.api._post_json(
                    engine.api._url("/networks/{0}/connect", network),
                    data={"Container": made, "EndpointConfig": endpoint},
                ).raise_for_status()
    return made


def _can_be_joined(mode: str) -> bool:
    return mode not in ("host", "none") and not mode.startswith("container:")


def discard(engine: Engine, container: str, deadline: Deadline, *, volumes: bool = False) -> None:
    """Remove a container at once, whatever it does, and wait until its name is free; with `volumes`, those without a
    name that only it has go too.

    Raises:
        OperationTimedOut, TargetError: it is still there at the deadline; says what came back last.
    """
    problem: TargetError | None = None

    def gone() -> bool:
        nonlocal problem
        try:
            with engine.translated(f"remove container {container[:32]}"):
                engine.api.remove_container(container, v=volumes, force=True)
        except NotThere:
            return True
        except TargetError as error:  # it is being removed, or restarted just now
            problem = error
        return False

    if not wait_until(gone, deadline, _GONE_POLL_S):
        late = OperationTimedOut(
            f"container {container[:32]} was not removed within {deadline.timeout_s:g} s"
        )
        raise problem or late


def names(containers: Sequence[Container]) -> str:
    """For people."""
    return ", ".join(container.name for container in containers)
