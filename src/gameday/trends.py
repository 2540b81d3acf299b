"""What many drills say together: sums by month, trends of a scenario, the heat map. Pure.

A sum keeps what a mean needs and how much was not measured, so that months make quarters without another question to
the history. A rehearsal's figures say nothing of the real objectives: its trend stands apart, by its speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

Month = str
"""`2026-03`, in UTC: in order of time where it is in order of text."""


class Interval(StrEnum):
    """What is measured of every drill, in seconds."""

    MTTD = "mttd"
    TIME_TO_RECOVER = "time_to_recover"
    DATA_LOSS = "data_loss"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Interval.MTTD: "Time to detect (MTTD)",
    Interval.TIME_TO_RECOVER: "Time to recover",
    Interval.DATA_LOSS: "Data loss (RPO)",
}


@dataclass(frozen=True, slots=True)
class Sum:
    """One interval of several drills."""

    measured: int = 0
    total_s: float = 0.0
    least_s: float | None = None
    most_s: float | None = None
    objective_s: float | None = None
    """The strictest that was in force."""
    met: int = 0
    missed: int = 0
    never: int = 0
    """Missed without a value: the alert never fired, the service never came back."""
    expected: int = 0
    """Drills that had an objective; those neither met nor missed are not measured, or straddle it."""

    @property
    def mean_s(self) -> float | None:
        return self.total_s / self.measured if self.measured else None

    @property
    def adherence(self) -> float | None:
        """Share of the drills that say whether the objective was met; None where none does."""
        return self.met / (self.met + self.missed) if self.met + self.missed else None

    @property
    def unknown(self) -> int:
        return self.expected - self.met - self.missed

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.measured + other.measured,
            self.total_s + other.total_s,
            _either(min, self.least_s, other.least_s),
            _either(max, self.most_s, other.most_s),
            _either(min, self.objective_s, other.objective_s),
            self.met + other.met,
            self.missed + other.missed,
            self.never + other.never,
            self.expected + other.expected,
        )


def _either(choose: Callable[[float, float], float], a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return b if a is None else a
    return choose(a, b)


@dataclass(frozen=True, slots=True)
class Tally:
    """The drills of one scenario in one environment, at one speed, of one month."""

    month: Month
    scenario: str
    environment: str
    """Without the instance: all instances of an environment are the same system."""
    speed: float
    severity: str
    drills: int
    passed: int
    failed: int
    last: datetime
    mttd: Sum = field(default_factory=Sum)
    time_to_recover: Sum = field(default_factory=Sum)
    data_loss: Sum = field(default_factory=Sum)

    @property
    def inconclusive(self) -> int:
        return self.drills - self.passed - self.failed

    @property
    def rehearsal(self) -> bool:
        return self.speed != 1

    def sum(self, interval: Interval) -> Sum:
        found: Sum = getattr(self, interval.value)
        return found


@dataclass(frozen=True, slots=True)
class Standing:
    """How drills ended, as a heat map shows it."""

    drills: int = 0
    passed: int = 0
    failed: int = 0

    @property
    def inconclusive(self) -> int:
        return self.drills - self.passed - self.failed

    @property
    def tone(self) -> str:
        """`none` without drills, `fail` with one FAIL, `unknown` where some proved nothing, else `pass`."""
        if not self.drills:
            return "none"
        if self.failed:
            return "fail"
        return "unknown" if self.inconclusive else "pass"

    def __add__(self, other: Standing) -> Standing:
        return Standing(self.drills + other.drills, self.passed + other.passed, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class Series:
    """The trend of a scenario in an environment at a speed: one tally for each month with drills, oldest first."""

    scenario: str
    environment: str
    speed: float
    tallies: tuple[Tally, ...]

    @property
    def last(self) -> datetime:
        return max(tally.last for tally in self.tallies)

    @property
    def standing(self) -> Standing:
        return sum(map(standing, self.tallies), Standing())

    def at(self, month: Month) -> Tally | None:
        return next((tally for tally in self.tallies if tally.month == month), None)


@dataclass(frozen=True, slots=True)
class HeatRow:
    scenario: str
    cells: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Scenario by month, over all environments and speeds."""

    months: tuple[Month, ...]
    rows: tuple[HeatRow, ...]


def standing(tally: Tally) -> Standing:
    return Standing(tally.drills, tally.passed, tally.failed)


def series(tallies: Iterable[Tally]) -> tuple[Series, ...]:
    """Trends, the one with the newest drill first."""
    found: dict[tuple[str, str, float], dict[Month, Tally]] = {}
    for tally in tallies:
        months = found.setdefault((tally.scenario, tally.environment, tally.speed), {})
        before = months.get(tally.month)
        months[tally.month] = tally if before is None else _merged(before, tally)
    rows = (Series(*key, tuple(months[month] for month in sorted(months))) for key, months in found.items())
    return tuple(
        sorted(rows, key=lambda row: (-row.last.timestamp(), row.scenario, row.environment, row.speed))
    )


def _merged(a: Tally, b: Tally) -> Tally:
    """Of one month; its severity was changed within it, and the worse of both stands for the month."""
    return Tally(
        a.month,
        a.scenario,
        a.environment,
        a.speed,
        min(a.severity, b.severity),
        a.drills + b.drills,
        a.passed + b.passed,
        a.failed + b.failed,
        max(a.last, b.last),
        a.mttd + b.mttd,
        a.time_to_recover + b.time_to_recover,
        a.data_loss + b.data_loss,
    )


def heat_map(tallies: Sequence[Tally]) -> HeatMap:
    """Every month from the first drill to the last, and a row for each scenario."""
    months = months_of(tallies)
    cells: dict[str, dict[Month, Standing]] = {}
    for tally in tallies:
        row = cells.setdefault(tally.scenario, {})
        row[tally.month] = row.get(tally.month, Standing()) + standing(tally)
    return HeatMap(
        months,
        tuple(
            HeatRow(scenario, tuple(cells[scenario].get(month, Standing()) for month in months))
            for scenario in sorted(cells)
        ),
    )


def months_of(tallies: Iterable[Tally]) -> tuple[Month, ...]:
    """Every month from the first of them to the last: one without a drill shows that there was none."""
    found = {tally.month for tally in tallies}
    return months_between(min(found), max(found)) if found else ()


def months_between(first: Month, last: Month) -> tuple[Month, ...]:
    """Both included."""
    return tuple(
        f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(_number(first), _number(last) + 1)
    )


def months_back(now: datetime, months: int) -> datetime:
    """The beginning of the first of so many months, of which the current one is the last."""
    number = _number(month_of(now)) - months + 1
    return datetime(max(number // 12, 1), number % 12 + 1, 1, tzinfo=UTC)


def month_of(at: datetime) -> Month:
    return f"{at.astimezone(UTC):%Y-%m}"


def _number(month: Month) -> int:
    year, _, of_year = month.partition("-")
    return int(year) * 12 + int(of_year) - 1
