"""Whether the parts of an environment fit together: each right alone, and wrong beside the others.

Knows parts by their verbs (`postgresql`, `http`, …) only, so that it says nothing of what they contain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gameday.files import Location

if TYPE_CHECKING:
    from gameday.environment import Environment

_BELONGS: dict[str, dict[str, tuple[str, ...]]] = {
    "process": {
        "components": ("postgresql", "valkey", "command"),
        "probes": ("http", "sql", "tcp", "metric"),
    },
    "docker": {"components": ("docker",), "probes": ("http", "sql", "tcp", "metric")},
    "kubernetes": {"components": ("kubernetes",), "probes": ("http", "sql", "tcp", "metric")},
    "fake": {"components": ("fake",), "probes": ("state",)},
}
_REAL = ("embedded", "prometheus", "alertmanager", "webhook")
_DETECTS = {
    "process": _REAL,
    "docker": _REAL,
    "kubernetes": _REAL,
    "fake": ("fake",),
}
_CONTAINERS = ("docker", "kubernetes")
"""Targets, and verbs of their components, whose programs are anything: what answers is known by port and url."""
_ANSWERS = {"http": "command", "sql": "postgresql", "metric": "command"}
"""Which component answers a probe; any component answers the others."""


def misfits(environment: Environment) -> Iterator[tuple[Location, str]]:
    """Where something does not fit, and what would be right there."""
    yield from _of_another_target(environment)
    yield from _unknown_components(environment)
    yield from _wrong_components(environment)
    yield from _of_containers(environment)
    yield from _unreserved(environment)


def _of_another_target(environment: Environment) -> Iterator[tuple[Location, str]]:
    """Parts that this target does not have."""
    target = environment.target
    parts: dict[str, dict[str, Any]] = {"components": environment.components, "probes": environment.probes}
    for what, named in parts.items():
        verbs = _BELONGS[target][what]
        for name, part in named.items():
            if part.verb not in verbs:
                yield (what, name), f"is of {part.verb}; target {target} has {what} of {', '.join(verbs)}"
    kind, right = environment.detector.kind, _DETECTS[target]
    if kind not in right:
        expected = " or ".join(map(repr, right))
        yield ("detector", "kind"), f"{kind!r} is not for target {target}; expected {expected}"


def _unknown_components(environment: Environment) -> Iterator[tuple[Location, str]]:
    known = ", ".join(environment.components)
    for field, component in _named(environment):
        if component not in environment.components:
            yield field, f"no component {component!r}; components here: {known}"


def _named(environment: Environment) -> Iterator[tuple[Location, str]]:
    """Every field that names a component, and which."""
    for location, _, component in _asked(environment):
        yield location, component
    for index, link in enumerate(environment.links):
        yield ("links", index, "client"), link.client
        yield ("links", index, "server"), link.server
        if link.via is not None:
            yield ("links", index, "via"), link.via
    detector = environment.detector
    if detector.kind == "fake":
        yield ("detector", "watches"), detector.watches
    elif detector.kind == "embedded":
        for index, scrape in enumerate(detector.scrape):
            yield ("detector", "scrape", index, "component"), scrape.component
    else:
        for location, endpoint in detector.endpoints.items():
            if endpoint.component is not None:
                yield ("detector", *location, "component"), endpoint.component


def _unreserved(environment: Environment) -> Iterator[tuple[Location, str]]:
    """A detector that listens on a port that nobody reserves."""
    detector, compose = environment.detector, environment.compose
    if detector.kind == "fake" or detector.kind == "embedded" or detector.listener is None:  # noqa: PLR1714
        return
    name, reserved = detector.listener.reserved, compose.ports if compose is not None else ()
    if name is not None and name not in reserved:
        where = ("detector", "listen") if detector.kind == "webhook" else ("detector", "webhook", "listen")
        known = ", ".join(reserved) or "none"
        yield where, f"no port {name} among compose.ports; ports there: {known}"


def _asked(environment: Environment) -> Iterator[tuple[Location, str, str]]:
    """Every question: where its component is named, its verb, the component."""
    for name, probe in environment.probes.items():
        yield ("probes", name, "component"), probe.verb, probe.component
    if environment.canary is not None:
        yield ("canary", "write", "component"), "http", environment.canary.write.component
        yield ("canary", "find", "component"), "sql", environment.canary.find.component


def _wrong_components(environment: Environment) -> Iterator[tuple[Location, str]]:
    """Questions that their component cannot answer."""
    for field, verb, name in _asked(environment):
        component, right = environment.components.get(name), _ANSWERS.get(verb)
        if (
            component is not None
            and right is not None
            and component.verb not in (right, *_CONTAINERS, "fake")
        ):
            yield field, f"{name!r} is a {component.verb}; {verb} asks a component of {right}"


def _of_one_target(environment: Environment) -> Iterator[tuple[Location, str]]:
    """What only one target knows, or cannot be without."""
    target = environment.target
    if environment.compose is not None and target != "docker":
        yield ("compose",), f"is for target docker, not for target {target}"
    if environment.kubernetes is not None and target != "kubernetes":
        yield ("kubernetes",), f"is for target kubernetes, not for target {target}"
    if environment.kubernetes is None and target == "kubernetes":
        yield ("kubernetes",), "is required and absent: it says which namespace of which cluster"
    if target not in _CONTAINERS:
        for index, link in enumerate(environment.links):
            if link.via is not None:
                wanted = " and ".join(_CONTAINERS)
                yield ("links", index, "via"), f"is for targets {wanted}, not for target {target}"


def _of_containers(environment: Environment) -> Iterator[tuple[Location, str]]:
    """What containers need beside them, and what only containers can have."""
    yield from _of_one_target(environment)
    if environment.target not in _CONTAINERS:
        return
    components: dict[str, Any] = environment.components
    for name, component in components.items():
        if (
            component.verb == "docker"
            and component.docker.service is not None
            and environment.compose is None
        ):
            yield ("components", name, "docker", "service"), "needs `compose`, which says of which project"
    for field, verb, name in _asked(environment):
        component = components.get(name)
        if component is None or component.verb not in _CONTAINERS:
            continue
        if component.port is None:
            yield field, f"{name!r} has no port, so nothing can ask it"
        elif verb == "sql" and not (component.url or "").startswith(("postgresql://", "postgres://")):
            yield field, f"{name!r} has no url that begins with postgresql://, which {verb} needs"
