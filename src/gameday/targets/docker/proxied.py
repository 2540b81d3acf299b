"""Faults by a fault proxy that runs in a container of the environment: for what the kernel cannot do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gameday.environment import Link
from gameday.errors import TargetError
from gameday.fault_spec import NetworkFault
from gameday.targets.docker.containers import Container
from gameday.targets.docker.engine import Engine
from gameday.targets.links import toxic_of
from gameday.targets.waiting import Deadline

CONTROL = "/run/gameday/control.sock"
"""Where the proxy in such a container takes its orders: `control` in its configuration."""


def name_in_proxy(link: Link) -> str:
    return link.name or f"{link.client}-{link.server}"


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
    toxic = toxic_of(fault, name, ttl_s).model_dump(mode="json")
    answer = _order(engine, proxy, ("put", name_in_proxy(link), json.dumps(toxic)), deadline)
    return int(answer["connections"])


def heal(
    engine: Engine, proxy: Container, link: Link, name: str | None, deadline: Deadline
) -> tuple[str, ...]:
    """End one of them, or all of this link; names of what was ended. A proxy that is down has nothing in force."""
    path = f"{link.client} -> {link.server}"
    if not proxy.running:
        return ()
    if proxy.paused:
        raise TargetError(
            f"{path}: its fault proxy ({proxy}) is paused, and takes no orders; resume it first"
        )
    if name is None:
        ended = _order(engine, proxy, ("reset", name_in_proxy(link)), deadline)
        return tuple(f"{path}: {one.partition('/')[2]}" for one in ended)
    removed = _order(engine, proxy, ("remove", name_in_proxy(link), name), deadline)
    return (f"{path}: {name}",) if removed else ()


def _order(engine: Engine, proxy: Container, order: Sequence[str], deadline: Deadline) -> Any:
    argv = ("python3", "-m", "gameday.proxy.control", "--socket", CONTROL, *order)
    done = engine.execute(proxy.id, argv, deadline)
    if done.exit_code != 0:
        said = done.output.strip()[-500:]
        raise TargetError(
            f"{order[0]} {order[1]} by the fault proxy in {proxy.name}: exit code {done.exit_code}: {said}"
        )
    try:
        return json.loads(done.output)
    except ValueError as error:
        said = done.output.strip()[-500:]
        raise TargetError(f"the fault proxy in {proxy.name} gave a strange answer: {said}") from error
