"""The metrics of incident response by month or quarter and by severity, with their goals. Pure.

Which they are, and their goals, is what the playbooks track: MTTD below 5 minutes, MTTR of SEV-1 below 1 hour and of
SEV-2 below 4, MTBF increasing, incidents decreasing; and by quarter 10 % less MTTR, and alerts more accurate. Here an
incident is a drill that FAILed, and all figures are of drills at the real speed: a rehearsal has other objectives.

    MTTD        mean from the fault's effect to the expected alert
    MTTR        mean from the fault's effect until the service was back, other than by the drill's own undo
    MTBF        mean between one FAIL and the next; it counts where the later one was
    frequency   FAILs; judged as a share of the drills that passed or failed, since fewer drills have fewer FAILs
    recurring   FAILs of a scenario that had failed within the 90 days before
    accuracy    alerts that were right to fire, of all that fired (the coverage matrix calls it precision)
    adherence   drills that met the objective, of those that say whether they did

What nobody measured has no value, and meets no goal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isclose

from gameday.coverage import Accuracy
from gameday.trends import Month, Standing, Sum, Tally, months_between, standing

RECURS_WITHIN_S = 90 * 86_400
MTTD_GOAL_S = 5 * 60
MTTR_GOALS_S: Mapping[str, int] = {"SEV1": 3600, "SEV2": 4 * 3600}
MTTR_LESS_A_QUARTER = 0.1
ALL = "all"
"""In place of a severity."""


@dataclass(frozen=True, slots=True)
class Failures:
    """FAILs of a month and severity: how many, how many of them came again, and the sum of the gaps before them, to
    the one before of any severity and of the same one. The first FAIL ever has no gap."""

    month: Month
    severity: str
    count: int
    gaps: int = 0
    gaps_s: float = 0.0
    same_gaps: int = 0
    same_gaps_s: float = 0.0
    recurring: int = 0


@dataclass(frozen=True, slots=True)
class AlertCount:
    """What became of alerts in the drills of a month and severity."""

    month: Month
    severity: str
    accuracy: Accuracy


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that metrics are made of. `restores` are the scenarios that restore a backup."""

    tallies: Sequence[Tally]
    failures: Sequence[Failures] = ()
    alerts: Sequence[AlertCount] = ()
    restores: Collection[str] = ()


class Every(StrEnum):
    MONTH = "month"
    QUARTER = "quarter"

    def of(self, month: Month) -> str:
        """The period that a month is in: `2026-03`, or `2026-Q1`."""
        if self is Every.MONTH:
            return month
        year, _, number = month.partition("-")
        return f"{year}-Q{(int(number) - 1) // 3 + 1}"


class Metric(StrEnum):
    MTTD = "mttd"
    MTTR = "mttr"
    MTTR_CHANGE = "mttr_change"
    MTBF = "mtbf"
    INCIDENTS = "incidents"
    RECURRING = "recurring_incidents"
    ACCURACY = "alert_accuracy"
    RTO = "rto_adherence"
    RPO = "rpo_adherence"
    RESTORES = "restore_tests_passed"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def unit(self) -> str:
        """`s`, `drills`, `share` (0 to 1) or `change` (-0.1: 10 % less)."""
        return _UNITS.get(self, "share")


_LABELS = {
    Metric.MTTD: "Mean time to detect (MTTD)",
    Metric.MTTR: "Mean time to recover (MTTR)",
    Metric.MTTR_CHANGE: "MTTR against the quarter before",
    Metric.MTBF: "Mean time between failures (MTBF)",
    Metric.INCIDENTS: "Incidents: drills that failed",
    Metric.RECURRING: "Recurring incidents",
    Metric.ACCURACY: "Alert accuracy",
    Metric.RTO: "RTO adherence",
    Metric.RPO: "RPO adherence",
    Metric.RESTORES: "Restore tests passed",
}
_UNITS = {
    Metric.MTTD: "s",
    Metric.MTTR: "s",
    Metric.MTTR_CHANGE: "change",
    Metric.MTBF: "s",
    Metric.INCIDENTS: "drills",
    Metric.RECURRING: "drills",
}


@dataclass(frozen=True, slots=True)
class Value:
    """A metric of one period. `value` is None where nobody measured it; `met` where there is no goal, or nothing that
    it could be held against. `basis` says how many drills it rests on, and how many do not say."""

    metric: Metric
    value: float | None
    basis: str
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The metrics of one severity, or of `all`: for each metric a value for each period, oldest first."""

    severity: str
    periods: tuple[str, ...]
    drills: tuple[int, ...]
    """At the real speed, by period."""
    rehearsals: tuple[int, ...]
    """Left out, by period."""
    rows: Mapping[Metric, tuple[Value, ...]]


@dataclass(slots=True)
class Bucket:
    """One period of one severity, as it is added up."""

    ended: Standing = field(default_factory=Standing)
    rehearsals: int = 0
    mttd: Sum = field(default_factory=Sum)
    recover: Sum = field(default_factory=Sum)
    loss: Sum = field(default_factory=Sum)
    restores: Standing = field(default_factory=Standing)
    recurring: int = 0
    gaps: int = 0
    gaps_s: float = 0.0
    """To the FAIL before, of any severity."""
    same_gaps: int = 0
    same_gaps_s: float = 0.0
    """To the FAIL before of the same severity."""
    accuracy: Accuracy = field(default_factory=Accuracy)

    @property
    def conclusive(self) -> int:
        return self.ended.passed + self.ended.failed

    @property
    def mtbf_s(self) -> float | None:
        return self.gaps_s / self.gaps if self.gaps else None

    def add(self, other: Bucket) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def of_one_severity(self) -> Bucket:
        return replace(self, gaps=self.same_gaps, gaps_s=self.same_gaps_s)


Buckets = Mapping[tuple[Month, str], Bucket]


def add_up(facts: Facts) -> Buckets:
    """By month and severity: what `reports` of months and of quarters are both made of."""
    found: defaultdict[tuple[Month, str], Bucket] = defaultdict(Bucket)
    for tally in facts.tallies:
        bucket = found[tally.month, tally.severity]
        if tally.rehearsal:
            bucket.rehearsals += tally.drills
            continue
        ended = standing(tally)
        bucket.ended += ended
        bucket.mttd += tally.mttd
        bucket.recover += tally.time_to_recover
        bucket.loss += tally.data_loss
        if tally.scenario in facts.restores:
            bucket.restores += ended
    for one in facts.failures:
        bucket = found[one.month, one.severity]
        bucket.recurring += one.recurring
        bucket.gaps, bucket.gaps_s = one.gaps, one.gaps_s
        bucket.same_gaps, bucket.same_gaps_s = one.same_gaps, one.same_gaps_s
    for count in facts.alerts:
        found[count.month, count.severity].accuracy += count.accuracy
    return dict(found)


def reports(buckets: Buckets, every: Every = Every.MONTH) -> tuple[Report, ...]:
    """Of all severities together, then of each that was drilled."""
    months = [month for month, _ in buckets]
    periods = tuple(dict.fromkeys(map(every.of, months_between(min(months), max(months))))) if months else ()
    severities = sorted({severity for _, severity in buckets})
    return tuple(_report(buckets, every, periods, severity) for severity in (ALL, *severities))


def _report(buckets: Buckets, every: Every, periods: tuple[str, ...], severity: str) -> Report:
    sums: defaultdict[str, Bucket] = defaultdict(Bucket)
    for (month, of), bucket in buckets.items():
        if severity == ALL:
            sums[every.of(month)].add(bucket)
        elif severity == of:
            sums[every.of(month)].add(bucket.of_one_severity())
    found = [sums[period] for period in periods]
    rows: dict[Metric, list[Value]] = {}
    for number, bucket in enumerate(found):
        for value in _values(bucket, found[:number], severity, every):
            rows.setdefault(value.metric, []).append(value)
    return Report(
        severity,
        periods,
        tuple(bucket.ended.drills for bucket in found),
        tuple(bucket.rehearsals for bucket in found),
        {metric: tuple(values) for metric, values in rows.items()},
    )


def _values(bucket: Bucket, before: Sequence[Bucket], severity: str, every: Every) -> Iterable[Value]:
    yield _mean(Metric.MTTD, bucket.mttd, MTTD_GOAL_S, "never detected")
    yield _mean(Metric.MTTR, bucket.recover, MTTR_GOALS_S.get(severity), "never recovered")
    if every is Every.QUARTER:
        yield _mttr_change(bucket, before[-1] if before else None)
    yield _mtbf(bucket, before)
    yield _incidents(bucket, before)
    conclusive = bucket.conclusive
    yield Value(Metric.RECURRING, bucket.recurring if conclusive else None, f"of {_drills(conclusive)}")
    yield _accuracy(bucket, before, every)
    yield _adherence(Metric.RTO, bucket.recover)
    yield _adherence(Metric.RPO, bucket.loss)
    yield _restores(bucket.restores)


def _mean(metric: Metric, found: Sum, goal_s: int | None, never: str) -> Value:
    """A drill that never got there has no time, and would flatter the mean by its absence: the goal is missed."""
    basis = _drills(found.measured) + (f", {found.never} {never}" if found.never else "")
    if goal_s is None:
        return Value(metric, found.mean_s, basis)
    met = None if found.mean_s is None else found.mean_s < goal_s
    goal = f"below {goal_s // 3600} h" if goal_s >= 3600 else f"below {goal_s // 60} min"
    return Value(metric, found.mean_s, basis, goal, False if found.never else met)


def _mttr_change(bucket: Bucket, before: Bucket | None) -> Value:
    now_s, then_s = bucket.recover.mean_s, before.recover.mean_s if before else None
    goal = f"{MTTR_LESS_A_QUARTER * 100:.0f} % less"
    if now_s is None or not then_s:
        return Value(Metric.MTTR_CHANGE, None, "nothing to compare", goal)
    change = now_s / then_s - 1
    less = now_s <= then_s * (1 - MTTR_LESS_A_QUARTER) or isclose(change, -MTTR_LESS_A_QUARTER)
    met = less and not bucket.recover.never
    return Value(Metric.MTTR_CHANGE, change, _drills(bucket.recover.measured), goal, met)


def _mtbf(bucket: Bucket, before: Sequence[Bucket]) -> Value:
    value, then = bucket.mtbf_s, next((one.mtbf_s for one in reversed(before) if one.gaps), None)
    met = None if value is None or then is None else value > then
    return Value(Metric.MTBF, value, f"{bucket.gaps} gaps", "increasing", met)


def _incidents(bucket: Bucket, before: Sequence[Bucket]) -> Value:
    conclusive = bucket.conclusive
    basis, goal = f"of {_drills(conclusive)}", "decreasing"
    if not conclusive:
        return Value(Metric.INCIDENTS, None, basis, goal)
    then = next((one for one in reversed(before) if one.conclusive), None)
    share = bucket.ended.failed / conclusive
    met = None if then is None else share == 0 or share < then.ended.failed / then.conclusive
    return Value(Metric.INCIDENTS, bucket.ended.failed, basis, goal, met)


def _accuracy(bucket: Bucket, before: Sequence[Bucket], every: Every) -> Value:
    found = bucket.accuracy
    right = found.fired + found.late
    basis = f"{right} true, {found.false_positives} false positives; {found.false_negatives} missed or late"
    if every is Every.MONTH:
        return Value(Metric.ACCURACY, found.precision, basis)
    value, goal = found.precision, "improving"
    then = next(
        (one.accuracy.precision for one in reversed(before) if one.accuracy.precision is not None), None
    )
    met = None if value is None or then is None else value == 1 or value > then
    return Value(Metric.ACCURACY, value, basis, goal, met)


def _adherence(metric: Metric, found: Sum) -> Value:
    basis = f"{found.met} of {_drills(found.met + found.missed)}"
    if found.unknown:
        basis += f", {found.unknown} not measured"
    return Value(metric, found.adherence, basis)


def _restores(found: Standing) -> Value:
    conclusive = found.passed + found.failed
    basis = f"{found.passed} of {_drills(conclusive)}"
    if found.inconclusive:
        basis += f", {found.inconclusive} not measured"
    return Value(Metric.RESTORES, found.passed / conclusive if conclusive else None, basis)


def _drills(count: int) -> str:
    return f"{count} drill" if count == 1 else f"{count} drills"
