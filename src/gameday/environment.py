"""An environment: what each component is on one target, and where its probes, detector and backups are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag, field_validator, model_validator

from gameday.errors import InvalidFile, UsageError
from gameday.fields import NAME_PATTERN, ByVerb, Duration, Model, Name, PositiveDuration, Text, validate
from gameday.files import load_yaml
from gameday.project import Project

Port = Annotated[int, Field(ge=1, le=65535)]
REFERENCE = re.compile(r"\$\{([a-z0-9_.-]+)\}")


# --- components of the process target -----------------------------------------------------------------------


class Ready(Model):
    """How to tell that a component has started."""

    http: str | None = Field(default=None, pattern=r"^/")
    """A path that must answer 200; without it an accepted TCP connection counts."""
    within: PositiveDuration = 20.0
    """A component that is not ready by then has failed to start."""


class _ProcessComponent(Model):
    tier: int | None = Field(default=None, ge=1, le=4)
    """Service tier, 1 (critical) to 4."""
    port: Port | Literal["auto"] = "auto"
    """The port on 127.0.0.1; `auto` finds a free one at `env up` and keeps it while the environment lives."""
    after: tuple[Name, ...] = ()
    """Components that are started before this one."""
    ready: Ready = Ready()
    stop_within: PositiveDuration = 10.0
    """Time for an orderly stop; then the component is killed."""


class PostgresqlSettings(Model):
    """A PostgreSQL cluster, from the wheel's binaries or those on PATH."""

    database: Name
    """Created at `env up`, owned by `user`."""
    user: Name
    archive: bool = True
    """Archive the write-ahead log continuously, so that later drills can restore to a point in time."""
    base_backup: bool = True
    """Take a base backup at `env up`."""
    settings: dict[str, str | int | bool] = {}
    """Further lines of postgresql.conf."""


class PostgresqlComponent(_ProcessComponent):
    """A PostgreSQL server."""

    verb: ClassVar[str] = "postgresql"
    postgresql: PostgresqlSettings


class ValkeySettings(Model):
    """A Valkey (Redis-compatible) server from the wheel's binary or the one on PATH."""

    append_only: bool = True
    """Write an append-only file, synced every second."""


class ValkeyComponent(_ProcessComponent):
    """A Valkey server."""

    verb: ClassVar[str] = "valkey"
    valkey: ValkeySettings


class CommandComponent(_ProcessComponent):
    """Any program that listens on one port."""

    verb: ClassVar[str] = "command"
    command: tuple[Text, ...] = Field(min_length=1)
    """Program and arguments. `${python}` is the interpreter that runs gameday."""
    directory: Text = "."
    """Working folder, relative to the project."""
    env: dict[str, str] = {}
    """Environment variables. `${port}` is its own port, `${database.url}` another component's address."""


_COMPONENT = ByVerb(PostgresqlComponent, ValkeyComponent, CommandComponent)
ProcessComponent = Annotated[
    Annotated[PostgresqlComponent, Tag("PostgresqlComponent")]
    | Annotated[ValkeyComponent, Tag("ValkeyComponent")]
    | Annotated[CommandComponent, Tag("CommandComponent")],
    _COMPONENT.discriminator,
    _COMPONENT.exactly_one,
]


# --- probes, canary, detector ---------------------------------------------------------------------------------


class _Probe(Model):
    component: Name
    """The component that is asked."""
    every: PositiveDuration = 0.1
    """Time between two samples, kept by the clock whether or not the last one has answered."""
    timeout: PositiveDuration = 1.0
    """A sample without an answer by then has failed."""


class HttpExpect(Model):
    """What an HTTP answer must be."""

    status: int = Field(default=200, ge=100, le=599)
    contains: str | None = None
    """Text that the body must contain."""


class HttpProbe(_Probe):
    """A request to a component."""

    verb: ClassVar[str] = "http"
    http: str = Field(pattern=r"^(GET|POST|PUT|PATCH|DELETE|HEAD) /")
    """Method and path, such as `POST /reservations`."""
    body: dict[str, Any] | None = None
    """Sent as JSON. `${key}` is unique for each sample, `${today}` the UTC date."""
    headers: dict[str, str] = {}
    """`${env:NAME}` is read from the environment and never written to evidence."""
    expect: HttpExpect = HttpExpect()


class SqlProbe(_Probe):
    """A query to a PostgreSQL component; any answer counts."""

    verb: ClassVar[str] = "sql"
    sql: Text


class TcpProbe(_Probe):
    """An exchange over a new TCP connection."""

    verb: ClassVar[str] = "tcp"
    tcp: str
    """What to send; empty: an accepted connection is enough."""
    expect: str | None = None
    """Text that the answer must contain."""


_PROBE = ByVerb(HttpProbe, SqlProbe, TcpProbe)
Probe = Annotated[
    Annotated[HttpProbe, Tag("HttpProbe")]
    | Annotated[SqlProbe, Tag("SqlProbe")]
    | Annotated[TcpProbe, Tag("TcpProbe")],
    _PROBE.discriminator,
    _PROBE.exactly_one,
]


class CanaryFind(Model):
    """How to look acknowledged records up after recovery."""

    component: Name
    sql: Text
    """Returns the keys that are there, one a row. `${prefix}` is what this drill's keys begin with."""
    timeout: PositiveDuration = 30.0


class Canary(Model):
    """A writer of sequence-numbered, acknowledged records: what is missing afterwards is the data loss."""

    write: HttpProbe
    """One record; its body must carry `${key}`. An expected answer is the acknowledgement."""
    find: CanaryFind


class Scrape(Model):
    """One target that the embedded detector scrapes."""

    job: Text
    """The `job` label."""
    component: Name
    path: str = Field(default="/metrics", pattern=r"^/")


class EmbeddedDetector(Model):
    """Scrapes metrics itself and evaluates a standard Prometheus rules file."""

    verb: ClassVar[str] = "embedded"
    kind: Literal["embedded"]
    rules: Text
    """Path of the rules file, relative to the project."""
    every: Duration = Field(default=1.0, ge=0.1, le=300)
    """Time between two scrapes, each followed by an evaluation of all rules."""
    scrape: tuple[Scrape, ...] = Field(min_length=1)


class Environment(Model):
    """One environment file."""

    environment: Name
    """The environment's name, equal to its file name."""
    target: Literal["process"]
    description: str = ""
    components: dict[Name, ProcessComponent] = Field(min_length=1)
    probes: dict[Name, Probe] = Field(min_length=1)
    detector: EmbeddedDetector
    canary: Canary | None = None
    drills: Literal["allowed", "refused"] = "refused"
    """Must say `allowed`; otherwise every drill here is refused."""

    @field_validator("components")
    @classmethod
    def _order_is_possible(cls, components: dict[str, Any]) -> dict[str, Any]:
        start_order(components)
        return components

    @model_validator(mode="after")
    def _names_are_known(self) -> Environment:
        asked = [(f"probes.{name}", probe.component) for name, probe in self.probes.items()]
        asked += [("detector.scrape", scrape.component) for scrape in self.detector.scrape]
        if self.canary is not None:
            asked += [("canary.write", self.canary.write.component)]
            asked += [("canary.find", self.canary.find.component)]
        for field, component in asked:
            if component not in self.components:
                known = ", ".join(self.components)
                raise ValueError(f"{field}: no component {component!r}; components here: {known}")
        return self


def start_order(components: dict[str, Any]) -> tuple[str, ...]:
    """Names of components, each behind those it comes `after`.

    Raises:
        ValueError: an unknown name, or a circle.
    """
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"'after' goes in a circle: {' -> '.join((*path, name))}")
        if name not in components:
            raise ValueError(
                f"{path[-1]}.after: no component {name!r}; components here: {', '.join(components)}"
            )
        if name not in order:
            for earlier in components[name].after:
                visit(earlier, (*path, name))
            order.append(name)

    for name in components:
        visit(name, ())
    return tuple(order)


def load_environment(path: Path) -> Environment:
    """Read and check an environment file.

    Raises:
        InvalidFile: with file, line and field of every problem.
    """
    document = load_yaml(path)
    environment = validate(Environment, document)
    if environment.environment != path.stem:
        message = f"is {environment.environment!r} in a file named {path.name}; expected {path.stem!r}"
        raise InvalidFile([document.problem(("environment",), message)])
    return environment


def load_instance(project: Project, reference: str) -> tuple[Environment, str]:
    """The environment and the instance that a reference means.

    `hotel-local` is the environment's first instance; `hotel-local@blue` another one beside it, with ports and
    data of its own.

    Raises:
        InvalidFile: the environment's file has problems.
        UsageError: no such file, or an instance's name that is none.
    """
    name, _, suffix = reference.partition("@")
    if "@" in reference and not re.fullmatch(NAME_PATTERN, suffix):
        raise UsageError(f"{reference!r}: what follows @ must be lower-case letters, digits and hyphens")
    environment = load_environment(project.environment_file(name))
    return environment, f"{environment.environment}@{suffix}" if suffix else environment.environment
