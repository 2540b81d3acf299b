"""The coverage matrix, rule x scenario x runbook: what drills have proven of the alerts, and what not. Pure.

An alert is judged by the drills that say something of it: those whose fault took effect and that nobody broke
off, and controls that came to their end. What no such drill looked at is *not measured*, which is never counted
as good. The two figures are those of information retrieval, counted in drills:

    recall     expected and fired in time / expected (in time, late or missed): does it tell when it must?
    precision  fired and right to fire / fired (expected, in time or late, or unexpected): is it worth waking for?

An alert that a scenario names as collateral is neither right nor wrong, and stands apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class AlertOutcome(StrEnum):
    """What became of one alert in one drill."""

    FIRED = "fired"
    """Expected, and fired in time."""
    LATE = "late"
    """Expected, and fired after its objective: a miss."""
    MISSED = "missed"
    """Expected, and did not fire."""
    UNKNOWN = "unknown"
    """Expected, but the drill does not say."""
    UNEXPECTED = "unexpected"
    """Fired, and nobody had expected it."""
    COLLATERAL = "collateral"
    """Fired beside the expected one, as the scenario allows."""
    QUIET = "quiet"
    """Was allowed to fire beside it, and did not."""


@dataclass(frozen=True, slots=True)
class RuleFact:
    """An alert rule, and the runbook that its annotation names."""

    name: str
    runbook: str | None


@dataclass(frozen=True, slots=True)
class RunbookFact:
    """A runbook, and the alerts that its front matter lists."""

    name: str
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScenarioFact:
    """A scenario file. A control expects no alert and executes no runbook."""

    name: str
    alert: str | None
    runbook: str | None
    possible: bool = True
    """Whether the environment's target can do it: what it cannot is no gap there."""


@dataclass(frozen=True, slots=True)
class AlertTally:
    """In how many drills of a scenario that count an alert had an outcome."""

    scenario: str
    alert: str
    outcome: AlertOutcome
    drills: int


@dataclass(frozen=True, slots=True)
class DrillTally:
    """Drills of a scenario: how many there were, how many of them count, how many were rehearsals."""

    scenario: str
    runbook: str | None
    drills: int
    counted: int
    passed: int
    rehearsals: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often an alert was right. Drills, by what became of the alert."""

    fired: int = 0
    late: int = 0
    missed: int = 0
    unknown: int = 0
    unexpected: int = 0
    collateral: int = 0

    @property
    def true_positives(self) -> int:
        return self.fired

    @property
    def false_negatives(self) -> int:
        """Expected and not there in time: missed, or late."""
        return self.missed + self.late

    @property
    def false_positives(self) -> int:
        return self.unexpected

    @property
    def expected(self) -> int:
        """Drills that expected it and say what came of it."""
        return self.fired + self.late + self.missed

    @property
    def recall(self) -> float | None:
        """0 to 1; None where no drill measured it."""
        return self.fired / self.expected if self.expected else None

    @property
    def precision(self) -> float | None:
        """0 to 1; None where it never fired, apart from collateral."""
        right = self.fired + self.late
        return right / (right + self.unexpected) if right + self.unexpected else None

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


class Standing(StrEnum):
    """What drills have shown of a rule, in one word."""

    PROVEN = "proven"
    FAULTY = "missed or fired unexpectedly"
    UNKNOWN = "drilled, not measured"
    NOT_RUN = "never run"
    NO_SCENARIO = "never drilled"


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """One rule: its accuracy over all drills, and by scenario."""

    name: str
    runbook: str | None
    scenarios: tuple[str, ...]
    """Those that expect it."""
    accuracy: Accuracy
    by_scenario: Mapping[str, Accuracy]
    drilled: bool
    in_rules: bool = True
    """Whether the rules file has it now."""

    @property
    def standing(self) -> Standing:
        if self.accuracy.false_negatives or self.accuracy.false_positives:
            return Standing.FAULTY
        if self.accuracy.fired:
            return Standing.PROVEN
        if not self.scenarios:
            return Standing.NO_SCENARIO
        return Standing.UNKNOWN if self.drilled else Standing.NOT_RUN


@dataclass(frozen=True, slots=True)
class Coverage:
    """The whole matrix, and what is missing in it."""

    environment: str
    rules_file: str
    rules: tuple[RuleCoverage, ...]
    scenarios: tuple[ScenarioFact, ...]
    drills: Mapping[str, DrillTally]
    """By scenario; the sum where its runbook changed."""
    rules_without_runbook: tuple[str, ...]
    runbooks_without_scenario: tuple[str, ...]
    runbooks_never_drilled: tuple[str, ...]
    scenarios_never_run: tuple[str, ...]
    total: Accuracy = field(default_factory=Accuracy)
    other_rules: int = 0
    """Drills that were judged by another rules file and are not in the figures."""

    @property
    def counted(self) -> int:
        return sum(tally.counted for tally in self.drills.values())

    @property
    def left_out(self) -> int:
        """Drills that say nothing of alerts: refused, without effect, broken off."""
        return sum(tally.drills - tally.counted for tally in self.drills.values())

    @property
    def rehearsals(self) -> int:
        return sum(tally.rehearsals for tally in self.drills.values())


def matrix(
    *,
    environment: str,
    rules_file: str,
    rules: Sequence[RuleFact],
    scenarios: Sequence[ScenarioFact],
    runbooks: Sequence[RunbookFact],
    alerts: Iterable[AlertTally],
    drills: Iterable[DrillTally],
    other_rules: int = 0,
) -> Coverage:
    """Put the files and the history together; rows stand in the order of the files."""
    found: dict[str, dict[str, Accuracy]] = {}
    for tally in alerts:
        by_scenario = found.setdefault(tally.alert, {})
        by_scenario[tally.scenario] = by_scenario.get(tally.scenario, Accuracy()) + _one(tally)
    tallies = list(drills)
    run = {tally.scenario for tally in tallies if tally.drills}
    known = {rule.name for rule in rules}
    strange = [RuleFact(name, None) for name in sorted(set(found) - known) if _said(found[name])]
    answered = {alert: runbook.name for runbook in reversed(runbooks) for alert in runbook.alerts}
    names = {runbook.name for runbook in runbooks}
    rows = []
    for rule in (*rules, *strange):
        named = rule.runbook if rule.runbook in names else None
        cells = found.get(rule.name, {})
        expecting = tuple(one.name for one in scenarios if one.alert == rule.name and one.possible)
        rows.append(
            RuleCoverage(
                name=rule.name,
                runbook=named or answered.get(rule.name),
                scenarios=expecting,
                accuracy=sum(cells.values(), Accuracy()),
                by_scenario=cells,
                drilled=bool(run.intersection(expecting)),
                in_rules=rule.name in known,
            )
        )
    drilled = {tally.runbook for tally in tallies if tally.counted}
    planned = {scenario.runbook for scenario in scenarios}
    here = [scenario for scenario in scenarios if scenario.possible]
    waiting = {scenario.runbook for scenario in here} - drilled
    return Coverage(
        environment=environment,
        rules_file=rules_file,
        rules=tuple(rows),
        scenarios=tuple(scenarios),
        drills=_by_scenario(tallies),
        rules_without_runbook=tuple(row.name for row in rows if row.in_rules and row.runbook is None),
        runbooks_without_scenario=tuple(r.name for r in runbooks if r.name not in planned),
        runbooks_never_drilled=tuple(r.name for r in runbooks if r.name in waiting),
        scenarios_never_run=tuple(scenario.name for scenario in here if scenario.name not in run),
        total=sum((row.accuracy for row in rows), Accuracy()),
        other_rules=other_rules,
    )


def _one(tally: AlertTally) -> Accuracy:
    if tally.outcome is AlertOutcome.QUIET:
        return Accuracy()
    return Accuracy(**{tally.outcome.value: tally.drills})


def _said(cells: Mapping[str, Accuracy]) -> bool:
    return any(cell != Accuracy() for cell in cells.values())


def _by_scenario(tallies: Iterable[DrillTally]) -> dict[str, DrillTally]:
    """The tallies of a scenario's several runbooks added up, under the last of them."""
    found: dict[str, DrillTally] = {}
    for tally in tallies:
        before = found.get(tally.scenario)
        found[tally.scenario] = (
            tally
            if before is None
            else DrillTally(
                tally.scenario,
                tally.runbook,
                before.drills + tally.drills,
                before.counted + tally.counted,
                before.passed + tally.passed,
                before.rehearsals + tally.rehearsals,
            )
        )
    return found
