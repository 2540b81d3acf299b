"""The first preflight, right after `gameday init`: do the files fit the service as it is now? Touches nothing.

A drill's own preflight says no at the first thing that is wrong. Here everything is looked at, since all of it has to
be mended before a drill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gameday.detectors import given_by, open_detector
from gameday.detectors.base import AlertState
from gameday.detectors.watch import watch
from gameday.drill import Request
from gameday.errors import GamedayError, Refused
from gameday.preflight import check_fault, check_targets
from gameday.probes import open_asker
from gameday.project import Project
from gameday.scaffold.render import Choice
from gameday.targets import open_target
from gameday.targets.base import OwnedTarget

_DETECTOR_S = 20.0


@dataclass(frozen=True, slots=True)
class _Look:
    request: Request
    target: OwnedTarget
    alert: str | None


def preflight(project: Project, choice: Choice) -> int:
    """Print what was found; 0 where a drill would not be refused for it, else 3.

    Raises:
        InvalidFile, UsageError: the files do not fit together.
    """
    request = Request.load(project, choice.scenario, choice.environment)
    Request.load(project, choice.control, choice.environment)
    target = open_target(request.environment, request.instance, project)
    look = _Look(request, target, choice.alert.name if choice.alert else None)
    checks: dict[str, Callable[[_Look], str]] = {
        "targets": lambda seen: check_targets(seen.request.scenario, seen.target.status(), seen.target),
        "fault": lambda seen: check_fault(seen.request.scenario, seen.target),
        "steady state": _steady_state,
        "alert": _quiet,
    }
    print("\nfirst preflight, which touches nothing:")
    bad = 0
    for name, check in checks.items():
        try:
            print(f"  {name:<12}  ok: {check(look)}")
        except GamedayError as error:
            bad += 1
            print(f"  {name:<12}  NOT YET: {error}")
    return 3 if bad else 0


def _steady_state(look: _Look) -> str:
    return asyncio.run(_ask(look))


async def _ask(look: _Look) -> str:
    said = []
    for name in look.request.scenario.steady_state:
        probe = look.request.environment.probes[name]
        asker = open_asker(probe, look.target.address(probe.component))
        try:
            held, detail = await asker.ask("")
        finally:
            await asker.close()
        if not held:
            raise Refused(f"probe {name} fails: {detail}")
        said.append(f"{name}: {detail}")
    return "; ".join(said)


def _quiet(look: _Look) -> str:
    """The alert is there, and does not fire already."""
    if look.alert is None:
        raise Refused("none was chosen yet")
    detector = open_detector(
        look.request.environment.detector,
        look.target.address,
        look.request.project.root,
        speed=1.0,
        on_transition=lambda _: None,
        on_health=lambda _: None,
        **given_by(look.target),
    )
    alerts = asyncio.run(watch(detector, once=True, out=lambda _: None, timeout_s=_DETECTOR_S))
    states = {alert.state for alert in alerts if alert.name == look.alert}
    if not states:
        raise Refused(f"the detector has no rule {look.alert}")
    for state in (AlertState.FIRING, AlertState.PENDING, AlertState.UNKNOWN):
        if state in states:
            raise Refused(f"{look.alert} is {state.value}: an alert that is not quiet proves nothing")
    return f"{look.alert} is quiet"
