"""A compose file as typed values: the part of the format that gameday brings up without Compose's plugin.

Any other field is refused. Half of what a file says, brought up in silence, would be an environment that nobody
described.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gameday.errors import InvalidFile, Problem
from gameday.fields import Misfit, Model, validate
from gameday.files import Document, Location
from gameday.targets.docker.compose_fields import (
    BUILD,
    NAMED,
    OR_NOTHING,
    Bytes,
    Flag,
    Hosts,
    Labels,
    MountedVolume,
    Pairs,
    Processors,
    PublishedPort,
    Restart,
    Scalar,
    Seconds,
    Test,
    Tmpfs,
    Whole,
    Words,
)
from gameday.targets.docker.compose_variables import dotenv, filled
from gameday.targets.docker.compose_yaml import load_compose_yaml

DEFAULT_NETWORK = "default"
VERSIONS_PROFILE = "versions"
"""Services of this profile are built, not started: drills roll their images out."""

_WITHOUT_PLUGIN = (
    "without the compose plugin (`docker compose version`) gameday brings up a part of the format only; install the "
    "plugin, or write the file without this"
)


class Build(Model):
    """How a service's image is made."""

    context: str
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Pairs = {}


class Dependency(Model):
    """When a service may start, by the state of another."""

    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = (
        "service_started"
    )


class HealthCheck(Model):
    """Absent fields are the image's."""

    test: Test | None = None
    interval: Seconds | None = None
    timeout: Seconds | None = None
    retries: Whole | None = None
    start_period: Seconds | None = None
    disable: Flag = False


class Attachment(Model):
    """A service's place in a network."""

    aliases: tuple[str, ...] = ()


class Service(Model):
    """One container."""

    image: str | None = None
    build: Annotated[Build | None, BUILD] = None
    pull_policy: Literal["missing", "if_not_present", "never"] = "missing"
    command: Words | None = None
    entrypoint: Words | None = None
    environment: Pairs = {}
    volumes: tuple[MountedVolume, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    depends_on: Annotated[dict[str, Dependency], NAMED] = {}
    healthcheck: HealthCheck | None = None
    restart: Restart | None = None
    user: str | None = None
    read_only: Flag = False
    tmpfs: Tmpfs = {}
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    mem_limit: Bytes = 0
    cpus: Processors = 0.0
    pids_limit: Whole | None = None
    extra_hosts: Hosts = ()
    profiles: tuple[str, ...] = ()
    networks: Annotated[dict[str, Attachment], NAMED] = {}
    init: Flag | None = None
    stop_grace_period: Seconds | None = None
    stop_signal: str | None = None
    labels: Labels = {}
    working_dir: str | None = None
    hostname: str | None = None

    @property
    def attached(self) -> dict[str, Attachment]:
        return self.networks or {DEFAULT_NETWORK: Attachment()}

    @model_validator(mode="after")
    def _has_an_image(self) -> Service:
        if self.image is None and self.build is None:
            raise Misfit(((), "expected an image, a build, or both"))
        return self


class Network(Model):
    """A network of the project."""

    driver: str | None = None
    driver_opts: dict[str, Scalar] = {}
    internal: Flag = False


class NamedVolume(Model):
    """A volume of the project."""

    driver: str | None = None
    driver_opts: dict[str, Scalar] = {}


class ComposeFile(Model):
    """A whole file."""

    name: str | None = None
    version: str | None = None
    """Means nothing since Compose 2; still there in many files."""
    services: dict[str, Service] = Field(min_length=1)
    networks: dict[str, Annotated[Network, OR_NOTHING]] = {}
    volumes: dict[str, Annotated[NamedVolume, OR_NOTHING]] = {}

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> ComposeFile:
        wrong: list[tuple[Location, str]] = []
        for name, service in self.services.items():
            here: Location = ("services", name)
            wrong += [
                ((*here, "networks", network), "is not among the file's `networks`")
                for network in service.networks
                if network not in self.networks and network != DEFAULT_NETWORK
            ]
            wrong += [
                ((*here, "volumes", index), f"volume {volume.source} is not among the file's `volumes`")
                for index, volume in enumerate(service.volumes)
                if volume.named and volume.source not in self.volumes
            ]
            wrong += [
                ((*here, "depends_on", other), self._missing(other))
                for other in service.depends_on
                if other not in self.services or (self.services[other].profiles and not service.profiles)
            ]
        if wrong:
            raise Misfit(*wrong)
        circle = self._circle()
        if circle:
            raise Misfit((("services", circle, "depends_on"), "waits for a service that waits for this one"))
        return self

    def _missing(self, other: str) -> str:
        if other not in self.services:
            return f"there is no such service; there: {', '.join(self.services)}"
        return "is in a profile, and so not started"

    def _circle(self) -> str | None:
        left = dict(self.services)
        while left:
            free = [name for name, one in left.items() if not set(one.depends_on) & set(left)]
            if not free:
                return next(iter(left))
            for name in free:
                del left[name]
        return None

    @property
    def started(self) -> dict[str, Service]:
        """Services that `up` starts, each after those that it waits for."""
        left = {name: one for name, one in self.services.items() if not one.profiles}
        ordered: dict[str, Service] = {}
        while left:
            for name in [name for name, one in left.items() if set(one.depends_on) <= set(ordered)]:
                ordered[name] = left.pop(name)
        return ordered

    @property
    def built(self) -> dict[str, Service]:
        """Services whose images are built."""
        return {
            name: one
            for name, one in self.services.items()
            if one.build is not None and (not one.profiles or VERSIONS_PROFILE in one.profiles)
        }

    def ends(self, service: str) -> bool:
        """Whether others wait until it has done its work."""
        conditions = [
            one.depends_on[service].condition for one in self.started.values() if service in one.depends_on
        ]
        return "service_completed_successfully" in conditions


def load_compose(path: Path, variables: Mapping[str, str]) -> ComposeFile:
    """Read a compose file and fill its variables in; those of `.env` beside it count where `variables` has none.

    Raises:
        InvalidFile: with every problem: file, line, field, what would be right.
    """
    document = load_compose_yaml(path)
    known = {**dotenv(path.parent / ".env"), **variables}
    try:
        return validate(ComposeFile, _without_extensions(filled(document, known)))
    except InvalidFile as error:
        raise InvalidFile([_with_advice(problem) for problem in error.problems]) from error


def _with_advice(problem: Problem) -> Problem:
    if not problem.message.startswith("unknown field"):
        return problem
    return replace(problem, message=f"{problem.message}; {_WITHOUT_PLUGIN}")


def _without_extensions(document: Document) -> Document:
    """`x-` fields are for people and for anchors: of the file, and of each service."""
    value = document.value
    if not isinstance(value, dict):
        return document
    kept = _plain(value)
    if isinstance(kept.get("services"), dict):
        kept["services"] = {
            name: _plain(one) if isinstance(one, dict) else one for name, one in kept["services"].items()
        }
    for section in ("networks", "volumes"):
        kept[section] = {} if kept.get(section) is None else kept[section]
    return replace(document, value=kept)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Without extensions, and without fields that are there and empty: those count as absent."""
    return {name: one for name, one in fields.items() if not name.startswith("x-") and one is not None}
