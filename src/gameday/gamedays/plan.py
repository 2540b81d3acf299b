"""The plan of a game day: which drill is when, what it needs, and which surprises are drawn. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gameday.gamedays.entries import Planned
from gameday.gamedays.model import GameDay
from gameday.plan import describe_during, describe_fault, plan
from gameday.runbook.model import Runbook
from gameday.scenario import Scenario


def drawn(scenarios: Iterable[str], seed: int) -> tuple[str, ...]:
    """The scenarios in the order that a seed gives them.

    By digest, so that it depends on seed and names alone: not on Python's version, nor on the order in the file.
    """
    return tuple(sorted(scenarios, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()))


def order(day: GameDay, seed: int | None) -> tuple[Planned, ...]:
    """Every drill in its order; a surprise that nobody has drawn yet (`seed` is None) has no scenario."""
    pool = iter(drawn(day.surprises.scenarios, seed) if day.surprises and seed is not None else ())
    return tuple(
        Planned(
            number=number,
            scenario=slot.scenario if slot.scenario is not None else next(pool, None),
            surprise=bool(slot.surprise),
            pause_s=slot.pause,
        )
        for number, slot in enumerate(day.drills, 1)
    )


@dataclass(frozen=True, slots=True)
class Needs:
    """What one drill needs of its environment and of people."""

    title: str
    severity: str
    fault: str
    components: tuple[str, ...]
    probes: tuple[str, ...]
    alert: str | None
    runbook: str | None
    questions: tuple[str, ...]
    """Headings of the runbook's manual steps: somebody has to answer them."""
    alone: bool


def needs(scenario: Scenario, runbook: Runbook | None) -> Needs:
    during = describe_during(scenario)
    fault = describe_fault(scenario)
    return Needs(
        title=scenario.title,
        severity=scenario.severity,
        fault=f"{fault}, during {during}" if during else fault,
        components=tuple(dict.fromkeys(fault.component for fault in scenario.faults)),
        probes=scenario.probes,
        alert=scenario.alert,
        runbook=scenario.runbook,
        questions=tuple(step.heading for step in runbook.manual_steps) if runbook else (),
        alone=scenario.safety.alone,
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One drill of the plan. `begins_by`: the latest, when all before it take their whole time. Times in seconds."""

    planned: Planned
    begins_by: datetime
    at_most_s: float
    pause_s: float
    needs: Needs | None
    """None: a surprise that is kept, or not drawn yet."""


def timetable(
    begins: datetime,
    planned: Sequence[Planned],
    scenarios: Mapping[str, tuple[Scenario, Runbook | None]],
    *,
    speed: float = 1.0,
    reveal: bool = False,
) -> tuple[Entry, ...]:
    """The drills with their times. What a kept surprise may take is what the longest of `scenarios` may."""
    longest_s = max(_at_most_s(scenario, speed) for scenario, _ in scenarios.values())
    entries: list[Entry] = []
    for one in planned:
        hidden = one.scenario is None or (one.surprise and not reveal)
        known = None if hidden else scenarios[str(one.scenario)]
        at_most_s = longest_s if known is None else _at_most_s(known[0], speed)
        shown = one.model_copy(update={"scenario": None}) if hidden else one
        entry = Entry(shown, begins, at_most_s, one.pause_s / speed, None if known is None else needs(*known))
        entries.append(entry)
        begins += timedelta(seconds=at_most_s + entry.pause_s)
    return tuple(entries)


def _at_most_s(scenario: Scenario, speed: float) -> float:
    return plan(scenario.at_speed(speed)).deadline_s
