"""Which part of an environment a drill concerns: what it touches, and what it watches.

Two drills may run side by side when they have no component in common. One that watched what another breaks would
measure that other drill, so what is watched counts like what is touched.
"""

from __future__ import annotations

from collections.abc import Iterable

from gameday.environment import Environment, HttpProbe, Part
from gameday.fault_spec import DrainFault
from gameday.scenario import Scenario
from gameday.stop_spec import ProbeStop


def part_of(
    environment: Environment, scenario: Scenario, steps: Iterable[tuple[str | None, str | None]] = ()
) -> Environment:
    """The environment as one drill of it sees it. `steps` are the runbook's: the component that each acts on, and the
    probe that it is checked by. The names of both exist in the environment."""
    acted, checked = _columns(steps)
    touched = _touched(environment, scenario) | acted
    stops = {part.probe for part in environment.stop_when if isinstance(part, ProbeStop)}
    probes = {*scenario.probes, *stops, *checked}
    watched = {environment.probes[name].component for name in probes if name in environment.probes}
    canary = environment.canary
    if canary is not None:
        write: HttpProbe = canary.write
        watched |= {write.component, canary.find.component}
    found = touched | watched
    concerned = tuple(name for name in environment.components if name in found)
    part = Part(name=scenario.scenario, components=concerned)
    return environment.model_copy(update={"part": part})


def _columns(steps: Iterable[tuple[str | None, str | None]]) -> tuple[set[str], set[str]]:
    rows = list(steps)
    return {name for name, _ in rows if name}, {probe for _, probe in rows if probe}


def _touched(environment: Environment, scenario: Scenario) -> set[str]:
    """What the faults break, whose way to it they cut, and through which proxy. What else is on a node that is drained
    nobody can tell before: all of them may be."""
    if any(isinstance(fault, DrainFault) for fault in scenario.faults):
        return set(environment.components)
    found: set[str] = set()
    for fault in scenario.faults:
        found.add(fault.component)
        if not hasattr(fault, "client"):
            continue  # no way between two is meant
        client: str | None = fault.client
        found |= {client} if client else set()
        found |= {
            link.via
            for link in environment.links
            if link.via and link.server == fault.component and client in (None, link.client)
        }
    return found
