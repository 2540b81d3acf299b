"""What a component is on one target, as an environment writes it: one small model for each kind."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, Tag

from gameday.docker_spec import ContainerDisk, ContainerPostgresql, ContainerVersion, Selector
from gameday.fields import (
    PATH_PATTERN,
    REQUEST_PATTERN,
    ByVerb,
    Model,
    Name,
    PositiveDuration,
    Size,
    Text,
    shown,
)
from gameday.kubernetes_spec import ObjectName, PodSelector


def _port(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535):
        return value
    raise ValueError(f"{shown(value)} is not a port; expected a number from 1 to 65535, or auto")


def _setting(value: object) -> object:
    if isinstance(value, str | int):
        return value
    raise ValueError(f"expected text, a whole number, or true or false, found {shown(value)}")


Port = Annotated[Annotated[int, Field(ge=1, le=65535)] | Literal["auto"], BeforeValidator(_port)]
Setting = Annotated[str | int | bool, BeforeValidator(_setting)]


# --- components of the process target ---------------------------------------------------------------------


class Ready(Model):
    """How to tell that a component has started."""

    http: str | None = Field(default=None, pattern=PATH_PATTERN)
    """A path that must answer 200. Without it a container's health check counts where it has one, else an accepted TCP
    connection."""
    within: PositiveDuration = 20.0
    """A component that is not ready by then has failed to start."""


class Operator(Model):
    """How an operator's requests reach a component."""

    headers: dict[str, str] = {}
    """Sent with each. `${secret:NAME}` is made by chance for each instance; `${env:NAME}` is read from the
    environment. Neither is ever written to evidence."""
    reset: str | None = Field(default=None, pattern=REQUEST_PATTERN)
    """The request that takes back what operators can switch: asked at the end of every drill."""


class _Described(Model):
    switch: str | None = Field(default=None, pattern=PATH_PATTERN)
    """For components made for drills: the path where PUT brings a fault into force and DELETE ends it."""
    operator: Operator = Operator()
    tier: int | None = Field(default=None, ge=1, le=4)
    """Service tier, 1 (critical) to 4."""
    after: tuple[Name, ...] = ()
    """Components that are started before this one."""
    ready: Ready = Ready()
    stop_within: PositiveDuration = 10.0
    """Time for an orderly stop; then the component is killed."""


class _Common(_Described):
    port: Port = "auto"
    """The port on 127.0.0.1; `auto` finds a free one at `env up` and keeps it while the environment lives."""


class PostgresqlSettings(Model):
    """A PostgreSQL cluster, from the wheel's binaries or those on PATH."""

    database: Name
    """Created at `env up`, owned by `user`."""
    user: Name
    archive: bool = True
    """Archive the write-ahead log continuously, so that later drills can restore to a point in time."""
    base_backup: bool = True
    """Take a base backup at `env up`."""
    settings: dict[str, Setting] = {}
    """Further lines of postgresql.conf."""


class PostgresqlComponent(_Common):
    """A PostgreSQL server."""

    verb: ClassVar[str] = "postgresql"
    postgresql: PostgresqlSettings


class ValkeySettings(Model):
    """A Valkey (Redis-compatible) server from the wheel's binary or the one on PATH."""

    append_only: bool = True
    """Write an append-only file, synced every second."""


class ValkeyComponent(_Common):
    """A Valkey server."""

    verb: ClassVar[str] = "valkey"
    valkey: ValkeySettings


class Version(Model):
    """Another version of a program: what is different in it."""

    command: tuple[Text, ...] | None = Field(default=None, min_length=1)
    env: dict[str, str] = {}


class Disk(Model):
    """A bounded disk for one component: a small file system where one may be mounted, else a quota."""

    size: Annotated[Size, Field(ge=2**20, le=2**30)]
    disposable: tuple[Text, ...] = ()
    """Patterns of file names in it that may be deleted when space runs out, such as `*.log.*`."""


class CommandComponent(_Common):
    """Any program that listens on one port."""

    verb: ClassVar[str] = "command"
    command: tuple[Text, ...] = Field(min_length=1)
    """Program and arguments. `${python}` is the interpreter that runs gameday."""
    directory: Text = "."
    """Working folder, relative to the project."""
    env: dict[str, str] = {}
    """Environment variables. `${port}` is its own port, `${database.url}` another component's address, `${disk}`
    and `${disk.quota}` its disk's folder and quota in bytes (0: the file system is the limit), `${secret:NAME}` a
    secret made by chance for each instance."""
    versions: dict[Name, Version] = {}
    """Versions that a drill can roll out beside the one above."""
    disk: Disk | None = None


ProcessComponent = PostgresqlComponent | ValkeyComponent | CommandComponent


class ContainerComponent(_Described):
    """One or more containers of a Docker engine."""

    verb: ClassVar[str] = "docker"
    docker: Selector
    port: int | None = Field(default=None, ge=1, le=65535)
    """The port in the container at which it answers; it must be published on this machine, and stay so when the
    container is started anew. Absent: nothing asks it."""
    url: Text | None = None
    """How it is asked from this machine; default `http://${host}:${port}`. Takes `${secret:NAME}` and `${env:NAME}`."""
    versions: dict[Name, ContainerVersion] = {}
    """Versions that a drill can roll out beside the one that runs."""
    disk: ContainerDisk | None = None
    database: ContainerPostgresql | None = None
    """For containers of PostgreSQL: what is destroyed, and restored from what."""


class PodComponent(_Described):
    """Pods of a Kubernetes cluster."""

    verb: ClassVar[str] = "kubernetes"
    kubernetes: PodSelector
    service: ObjectName | None = None
    """The Service by which it is asked; from outside the cluster it must have a node port. Absent, with `port`: one of
    the component's name."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """The Service's port. Absent: nothing asks it."""
    url: Text | None = None
    """How it is asked; default `http://${host}:${port}`. Takes `${secret:NAME}` and `${env:NAME}`."""
    versions: dict[Name, ContainerVersion] = {}
    """Versions that a drill can roll out beside the one that runs."""
    disk: ContainerDisk | None = None
    database: ContainerPostgresql | None = None
    """For pods of PostgreSQL: what is destroyed, and restored from what."""


class FakeComponent(Model):
    """A component of the target `fake`, which is made of nothing."""

    verb: ClassVar[str] = "fake"
    fake: dict[str, str]
    """Notes for people."""
    tier: int | None = Field(default=None, ge=1, le=4)
    after: tuple[Name, ...] = ()


_COMPONENT = ByVerb(
    PostgresqlComponent, ValkeyComponent, CommandComponent, ContainerComponent, PodComponent, FakeComponent
)
Component = Annotated[
    Annotated[PostgresqlComponent, Tag("PostgresqlComponent")]
    | Annotated[ValkeyComponent, Tag("ValkeyComponent")]
    | Annotated[CommandComponent, Tag("CommandComponent")]
    | Annotated[ContainerComponent, Tag("ContainerComponent")]
    | Annotated[PodComponent, Tag("PodComponent")]
    | Annotated[FakeComponent, Tag("FakeComponent")],
    _COMPONENT.discriminator,
    _COMPONENT.exactly_one,
]
