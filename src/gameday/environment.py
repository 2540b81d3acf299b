"""An environment: what each component is on one target, and where its probes, detector and backups are."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, Tag, field_validator, model_validator

from gameday.component_spec import Component
from gameday.detector_settings import AlertmanagerDetector, PrometheusDetector, WebhookDetector
from gameday.docker_spec import Compose
from gameday.errors import UsageError
from gameday.fields import (
    NAME_PATTERN,
    PATH_PATTERN,
    REQUEST_PATTERN,
    AlertName,
    ByVerb,
    Duration,
    Misfit,
    Model,
    Name,
    PositiveDuration,
    Text,
    load_named,
    shown,
)
from gameday.fit import misfits
from gameday.kubernetes_spec import ClusterSpec
from gameday.project import Project
from gameday.stop_spec import StopConditions, stop_misfits

_LABEL = 63
REFERENCE = re.compile(r"\$\{([a-z0-9_.-]+)\}")


def _number(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{shown(value)} is not a number")


Number = Annotated[float, BeforeValidator(_number)]


# --- probes, canary, detector -----------------------------------------------------------------------------


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
    http: str = Field(pattern=REQUEST_PATTERN)
    """Method and path, such as `POST /reservations`."""
    body: dict[str, Any] | None = None
    """Sent as JSON. `${key}` is unique for each sample, `${today}` the UTC date."""
    headers: dict[str, str] = {}
    """`${env:NAME}` is read from the environment and never written to evidence."""
    expect: HttpExpect = HttpExpect()

    @field_validator("body")
    @classmethod
    def _references_are_known(cls, body: dict[str, Any] | None) -> dict[str, Any] | None:
        _refuse_references(body, ("key", "today"))
        return body


class SqlProbe(_Probe):
    """A query to a PostgreSQL component; any answer counts."""

    verb: ClassVar[str] = "sql"
    sql: Text
    new_connection: bool = False
    """Ask over a new connection each time: a kept one does not notice that no more are to be had."""


class TcpProbe(_Probe):
    """An exchange over a new TCP connection."""

    verb: ClassVar[str] = "tcp"
    tcp: str
    """What to send; empty: an accepted connection is enough."""
    expect: str | None = None
    """Text that the answer must contain."""


class MetricProbe(_Probe):
    """A series of a component's metrics page; absent, it does not hold."""

    verb: ClassVar[str] = "metric"
    metric: Text
    """The series' name. Of several that match, the sum."""
    labels: dict[str, str] = {}
    """Labels that it must have; a value is a regular expression for the whole value, as in PromQL's `=~`."""
    path: str = Field(default="/metrics", pattern=PATH_PATTERN)
    over: PositiveDuration | None = None
    """Look at its increase a second over this time instead of its value."""
    at_least: Number | None = None
    at_most: Number | None = None


class StateProbe(_Probe):
    """Whether a component of the target `fake` is in a state."""

    verb: ClassVar[str] = "state"
    state: Literal["up", "down", "paused"]


AnyProbe = HttpProbe | SqlProbe | TcpProbe | MetricProbe | StateProbe
_PROBE = ByVerb(HttpProbe, SqlProbe, TcpProbe, MetricProbe, StateProbe)
Probe = Annotated[
    Annotated[HttpProbe, Tag("HttpProbe")]
    | Annotated[SqlProbe, Tag("SqlProbe")]
    | Annotated[TcpProbe, Tag("TcpProbe")]
    | Annotated[MetricProbe, Tag("MetricProbe")]
    | Annotated[StateProbe, Tag("StateProbe")],
    _PROBE.discriminator,
    _PROBE.exactly_one,
]


class CanaryFind(Model):
    """How to look acknowledged records up after recovery."""

    component: Name
    sql: Text
    """Returns the keys that are there, one a row. `${prefix}` is what this drill's keys begin with."""
    timeout: PositiveDuration = 30.0

    @field_validator("sql")
    @classmethod
    def _references_are_known(cls, sql: str) -> str:
        _refuse_references(sql, ("prefix",))
        return sql


class Canary(Model):
    """A writer of sequence-numbered, acknowledged records: what is missing afterwards is the data loss."""

    write: HttpProbe
    """One record; its body must carry `${key}`. An expected answer is the acknowledgement."""
    find: CanaryFind

    @field_validator("write")
    @classmethod
    def _records_can_be_told_apart(cls, write: HttpProbe) -> HttpProbe:
        if "key" not in _references(write.body):
            raise Misfit((("body",), "must carry ${key}, which tells the records apart"))
        return write


def _references(value: Any) -> set[str]:
    """Names that stand as `${name}` in any text of `value`."""
    if isinstance(value, dict | tuple | list):
        inner = value.values() if isinstance(value, dict) else value
        return {name for part in inner for name in _references(part)}
    return set(REFERENCE.findall(value)) if isinstance(value, str) else set()


def _refuse_references(value: Any, known: tuple[str, ...]) -> None:
    for name in sorted(_references(value) - set(known)):
        names = " and ".join(f"${{{name}}}" for name in known)
        raise ValueError(f"${{{name}}} is not known here; expected {names}")


class Scrape(Model):
    """One target that the embedded detector scrapes."""

    job: Text
    """The `job` label."""
    component: Name
    path: str = Field(default="/metrics", pattern=PATH_PATTERN)


class EmbeddedDetector(Model):
    """Scrapes metrics itself and evaluates a standard Prometheus rules file."""

    kind: Literal["embedded"]
    rules: Text
    """Path of the rules file, relative to the project."""
    every: Duration = Field(default=1.0, ge=0.1, le=300)
    """Time between two scrapes, each followed by an evaluation of all rules."""
    scrape: tuple[Scrape, ...] = Field(min_length=1)


class FakeDetector(Model):
    """Of the target `fake`: one alert, which fires while a component is not up."""

    kind: Literal["fake"]
    alert: AlertName
    watches: Name
    """The component."""


DetectorSettings = Annotated[
    EmbeddedDetector | PrometheusDetector | AlertmanagerDetector | WebhookDetector | FakeDetector,
    Field(discriminator="kind"),
]


class Link(Model):
    """A network path between two components that can be cut, slowed or narrowed."""

    client: Name
    server: Name
    via: Name | None = None
    """Targets docker and kubernetes: the component whose container runs the fault proxy through which the client
    reaches the server. In Kubernetes that is a container of the client's own pods."""
    name: Name | None = None
    """The link's name in that proxy's configuration; absent: `CLIENT-SERVER`."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Where that proxy listens for the client; needed beside `via`."""

    @model_validator(mode="after")
    def _of_a_proxy(self) -> Link:
        if (self.via is None) != (self.port is None):
            absent = "port" if self.port is None else "via"
            raise Misfit(((absent,), "is required and absent: via and port belong together"))
        if self.name is not None and self.via is None:
            raise Misfit((("name",), "is of a link `via` a proxy"))
        return self


class Part(Model):
    """What one drill touches and watches, where drills of an environment run side by side."""

    name: Name
    components: tuple[Name, ...] = Field(min_length=1)


class Environment(Model):
    """One environment file."""

    environment: Name
    """The environment's name, equal to its file name."""
    target: Literal["process", "docker", "kubernetes", "fake"]
    description: str = ""
    compose: Compose | None = None
    """Target docker: the project that its components are services of."""
    kubernetes: ClusterSpec | None = None
    """Target kubernetes: the namespace in which its components are."""
    components: dict[Name, Component] = Field(min_length=1)
    links: tuple[Link, ...] = Field(default=(), max_length=100)
    """Paths on which network faults are possible: the client reaches the server through the fault proxy."""
    probes: dict[Name, Probe] = Field(min_length=1)
    detector: DetectorSettings
    canary: Canary | None = None
    stop_when: StopConditions = ()
    """What ends any drill here at once, beside what its scenario says."""
    drills: Literal["allowed", "refused"] = "refused"
    """Must say `allowed`; otherwise every drill here is refused."""
    part: Part | None = None
    """For gameday itself: it writes this into what a drill records, and files have no use for it."""

    @property
    def scope(self) -> str:
        """What a drill locks: the environment, or its part. Fits into a label of Kubernetes."""
        whole = self.environment if self.part is None else f"{self.environment}.{self.part.name}"
        if len(whole) <= _LABEL:
            return whole
        return f"{whole[: _LABEL - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    @property
    def single(self) -> bool:
        """Whether there is one of it, because its place has a name: another instance of it would be the same."""
        if self.target == "docker":
            return self.compose is None or self.compose.project is not None
        return self.target == "kubernetes"

    def concerns(self, component: str) -> bool:
        """Whether a drill here has anything to do with a component."""
        return self.part is None or component in self.part.components

    @field_validator("components")
    @classmethod
    def _order_is_possible(cls, components: dict[str, Any]) -> dict[str, Any]:
        start_order(components)
        return components

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Environment:
        problems = list(misfits(self))
        wrong = stop_misfits(self.stop_when, self.probes, self.detector.kind)
        problems += [(("stop_when", *location), message) for location, message in wrong]
        if problems:
            raise Misfit(*problems)
        return self


def start_order(components: dict[str, Any]) -> tuple[str, ...]:
    """Names of components, each behind those it comes `after`.

    Raises:
        Misfit: an unknown name, or a circle.
    """
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise Misfit(((path[-1], "after"), f"goes in a circle: {circle}"))
        if name not in components:
            message = f"no component {name!r}; components here: {', '.join(components)}"
            raise Misfit(((path[-1], "after"), message))
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
    return load_named(Environment, path, "environment")


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
