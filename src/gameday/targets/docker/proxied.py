"""Faults by a fault proxy that runs in a container of the environment: for what the kernel cannot do."""

from __future__ import annotations

from gameday.environment import Link
from gameday.errors import TargetError
from gameday.fault_spec import NetworkFault
from gameday.targets.contained_proxy import ContainedProxy
from gameday.targets.docker.containers import Container
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline


def put(
    engine: Engine,
    proxy: Container,
    link: Link,
    fault: NetworkFault,
    name: str,
    ttl_s: float,
    deadline: Deadline,
) -> int:
    """Bring it into force; the proxy itself ends it. Returns on how many open connections it acts."""
    return _in(engine, proxy, deadline).put(link, fault, name, ttl_s)


def heal(
    engine: Engine, proxy: Container, link: Link, name: str | None, deadline: Deadline
) -> tuple[str, ...]:
    """End one of them, or all of this link; names of what was ended. A proxy that is down has nothing in force."""
    if not proxy.running:
        return ()
    if proxy.paused:
        raise TargetError(
            f"{link.client} -> {link.server}: its fault proxy ({proxy}) is paused, and takes no orders; resume it first"
        )
    return _in(engine, proxy, deadline).heal(link, name)


def _in(engine: Engine, proxy: Container, deadline: Deadline) -> ContainedProxy:
    return ContainedProxy(proxy.name, lambda argv: engine.execute(proxy.id, argv, deadline))
