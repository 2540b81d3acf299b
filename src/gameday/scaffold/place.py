"""A service as it was found: what would be its components, and where each is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

_MONITORING = (
    "prometheus",
    "alertmanager",
    "grafana",
    "pushgateway",
    "exporter",
    "cadvisor",
    "loki",
    "promtail",
    "jaeger",
)
_NAME_LENGTH = 48
"""Of a component: names of scenarios and instances are longer by some words."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component. `selector` is as an environment writes it, such as `{"service": "api"}`."""

    name: str
    selector: Mapping[str, str]
    image: str
    targets: int
    """Containers or pods."""
    running: int
    port: int | None = None
    """The port at which it may be asked: of the container, or of its Service."""
    service: str | None = None
    """In Kubernetes: the Service, where it has another name."""
    host: str | None = None
    published: int | None = None
    """Where it answers from here; None where nothing here reaches it."""
    unreachable: str = ""
    """Why not, and what would be right."""

    @property
    def url(self) -> str | None:
        return None if self.published is None else f"http://{self.host}:{self.published}"

    @property
    def image_name(self) -> str:
        """`redis` of `registry.example:5000/library/redis:7@sha256:…`."""
        return self.image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()

    @property
    def monitors(self) -> bool:
        """Whether it is a part of the monitoring: a drill breaks the service, not what watches it."""
        return any(word in text for word in _MONITORING for text in (self.image_name, self.name))

    @property
    def is_prometheus(self) -> bool:
        return self.image_name == "prometheus"


@dataclass(frozen=True, slots=True)
class Place:
    """What was looked at. `header` is the part of the environment that says where it is (`compose`, `kubernetes`)."""

    target: Literal["docker", "kubernetes"]
    name: str
    what: str
    """For people, such as `compose project shop`."""
    parts: tuple[Part, ...]
    header: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    """What people have to do there before the first drill."""

    def part(self, name: str) -> Part | None:
        return next((part for part in self.parts if part.name == name), None)

    @property
    def breakable(self) -> tuple[Part, ...]:
        """What a drill may be about."""
        return tuple(part for part in self.parts if not part.monitors)


def name_of(text: str, taken: Collection[str] = ()) -> str:
    """`text` as a name that gameday takes: lower-case letters, digits and hyphens, unlike those that are taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_NAME_LENGTH].rstrip("-") or "service"
    number, name = 2, plain
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    return name
