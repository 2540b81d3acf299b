"""A target that can do everything that only some can, made of nothing: it remembers what it was told to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from core.good_files import ENVIRONMENT, broken
from gameday.environment import Environment
from gameday.errors import TargetError, UsageError
from gameday.fault_spec import NetworkFault
from gameday.fields import parse
from gameday.project import Project
from gameday.targets.base import ClientKind
from gameday.targets.fake import FakeTarget

SWITCHED = (
    (
        "    valkey: {append_only: true}\n",
        "    valkey: {append_only: true}\n    operator: {reset: POST /calm}\n",
    ),
    (
        "    port: 8080\n",
        "    port: 8080\n    switch: /mode\n    operator: {reset: DELETE /admin/overrides}\n",
    ),
)


def able_environment() -> Environment:
    """Components database, cache and api; the API has a switch, cache and API take back what operators switched."""
    text = ENVIRONMENT
    for old, new in SWITCHED:
        text = broken(text, old, new)
    return parse(Environment, yaml.safe_load(text))


@dataclass
class Abilities:
    """What is in force now, and every call that would change something."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    impaired: dict[tuple[str, str | None, str], NetworkFault] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    clients: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    modes: dict[str, Any] = field(default_factory=dict)
    cordoned: set[str] = field(default_factory=set)
    answer: str = "200 OK"
    refuses: str | None = None


class AbleTarget(FakeTarget):
    """Implements `Networked`, `Drainable`, `Requestable`, `Deployable`, `Disks`, `Clients` and `Destroyable`."""

    def __init__(self, environment: Environment, instance: str, project: Project) -> None:
        super().__init__(environment, instance, project)
        self.does = Abilities()

    @classmethod
    def at(cls, root: Path, environment: Environment | None = None) -> AbleTarget:
        """All its components are up."""
        target = cls(environment or able_environment(), "demo", Project(root))
        target.up()
        return target

    def asked(self) -> dict[str, int]:
        """One request for each call of an ability."""
        return {"call": len(self.does.calls)} if self.does.calls else {}

    def _told(self, *call: Any) -> str:
        if self.does.refuses is not None:
            raise TargetError(self.does.refuses)
        self.does.calls.append(call)
        return " ".join(str(part) for part in call if part is not None)

    # --- networks -------------------------------------------------------------------------------------------

    def paths(
        self,
        component: str,
        client: str | None,
        fault: NetworkFault | None = None,  # noqa: ARG002
    ) -> tuple[str, ...]:
        if component == "cache":
            raise UsageError("no path to cache can be impaired; the environment has no link to it")
        return (f"{client or 'api'} -> {component}",)

    def impair(self, fault: NetworkFault, name: str, ttl_s: float, timeout_s: float) -> str:  # noqa: ARG002
        self.does.impaired[fault.component, fault.client, name] = fault
        return self._told("impair", fault.component, fault.client, name, ttl_s)

    def heal(self, component: str, client: str | None, name: str | None, timeout_s: float) -> str:  # noqa: ARG002
        kept = {
            key: fault
            for key, fault in self.does.impaired.items()
            if key[0] != component or (client is not None and key[1] != client) or name not in (None, key[2])
        }
        self.does.impaired = kept
        return self._told("heal", component, client, name)

    # --- nodes ----------------------------------------------------------------------------------------------

    def nodes(self, component: str) -> tuple[str, ...]:
        return (f"below-{component}",)

    def evicted(self, component: str) -> tuple[str, ...]:
        return (component, "its neighbour")

    def drain(self, component: str, ttl_s: float, timeout_s: float) -> str:  # noqa: ARG002
        self.does.cordoned |= set(self.nodes(component))
        return self._told("drain", component, ttl_s)

    def uncordon(self, component: str, nodes: Sequence[str] | None, timeout_s: float) -> str:  # noqa: ARG002
        self.does.cordoned -= set(self.nodes(component) if nodes is None else nodes)
        return self._told("uncordon", component, nodes)

    # --- requests -------------------------------------------------------------------------------------------

    def request(self, component: str, http: str, body: Mapping[str, Any] | None, timeout_s: float) -> str:  # noqa: ARG002
        self._told("request", component, http, body)
        method, _, path = http.partition(" ")
        if method == "PUT":
            self.does.modes[path] = body
        elif method == "DELETE":
            self.does.modes.pop(path, None)
        return self.does.answer

    # --- versions -------------------------------------------------------------------------------------------

    def version(self, component: str) -> str:
        return self.does.versions.get(component, [""])[-1]

    def check_version(self, component: str, version: str) -> None:
        if version != "broken":
            raise UsageError(f"{component} has no version {version!r}; versions there: broken")

    def deploy(self, component: str, version: str, timeout_s: float) -> str:
        self.does.versions.setdefault(component, [""]).append(version)
        if version == "broken":
            self.stop(component, timeout_s)
        return self._told("deploy", component, version)

    def rollback(self, component: str, timeout_s: float) -> str:
        if len(self.does.versions.get(component, [""])) < 2:
            raise TargetError(f"rollback {component}: nothing was deployed")
        self.does.versions[component].pop()
        self.start(component, timeout_s)
        return self._told("rollback", component)

    # --- disks ----------------------------------------------------------------------------------------------

    def check_disk(self, component: str) -> str:
        if component != "api":
            raise UsageError(f"{component} has no disk of its own")
        return "a quota of 64 MiB"

    def fill(self, component: str, timeout_s: float) -> str:  # noqa: ARG002
        self.does.full.add(component)
        return self._told("fill", component)

    def unfill(self, component: str, timeout_s: float) -> str:  # noqa: ARG002
        self.does.full.discard(component)
        return self._told("unfill", component)

    def reclaim(self, component: str, timeout_s: float) -> str:  # noqa: ARG002
        self.does.full.discard(component)
        return self._told("reclaim", component)

    # --- clients --------------------------------------------------------------------------------------------

    def check_client(self, component: str, kind: ClientKind) -> None:
        if (component, kind) not in (("database", "exhaust"), ("cache", "flush")):
            raise UsageError(f"{component} cannot be troubled by a client that would {kind} it")

    def attach(
        self,
        component: str,
        kind: ClientKind,
        settings: Mapping[str, Any],
        ttl_s: float,
        timeout_s: float,  # noqa: ARG002
    ) -> str:
        self.does.clients[component, kind] = {**settings, "ttl_s": ttl_s}
        return self._told("attach", component, kind)

    def detach(self, component: str, kind: ClientKind, timeout_s: float) -> str:  # noqa: ARG002
        self.does.clients.pop((component, kind), None)
        return self._told("detach", component, kind)

    def disconnect(self, component: str, keep: Sequence[str], timeout_s: float) -> str:  # noqa: ARG002
        self.does.clients = {key: value for key, value in self.does.clients.items() if key[0] != component}
        return self._told("disconnect", component, tuple(keep))

    # --- data -----------------------------------------------------------------------------------------------

    def check_backup(self, component: str) -> str:
        if component != "database":
            raise UsageError(f"{component} has no backup")
        return "a base backup"

    def destroy(self, component: str, timeout_s: float) -> str:
        self.stop(component, timeout_s)
        return self._told("destroy", component)
