"""Whether drills allow a release: no FAIL, no regression, nothing stale. Pure.

Judged is the newest drill of each scenario in each environment, and each scenario that is to be drilled within a
period. The gate fails on one bad answer; where none is bad but one is missing it is INCONCLUSIVE, and so it is where
there is nothing to judge. It is never green by silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gameday.regressions import LAST, TOLERANCE, Candidate, Change, Comparison, Figures, compare_all
from gameday.schedule import is_stale
from gameday.trends import Interval


class Opinion(StrEnum):
    """The gate's answer; its exit code is that of a drill with this verdict."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        return {Opinion.PASS: 0, Opinion.FAIL: 1, Opinion.INCONCLUSIVE: 3}[self]


class Ground(StrEnum):
    FAILED = "FAIL"
    LEFT_BEHIND = "left behind"
    REGRESSION = "regression"
    STALE = "stale"
    INCONCLUSIVE = "inconclusive"
    NOTHING = "nothing to judge"

    @property
    def bad(self) -> bool:
        return self not in (Ground.INCONCLUSIVE, Ground.NOTHING)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the gate is not green. `drill` and `environment` are None of a scenario that has none to show."""

    ground: Ground
    scenario: str | None
    text: str
    environment: str | None = None
    drill: str | None = None


@dataclass(frozen=True, slots=True)
class GateVerdict:
    opinion: Opinion
    reasons: tuple[Reason, ...]
    drills: int
    """Newest drills that were judged."""
    scheduled: int
    """Scenarios whose period was judged."""
    without_baseline: tuple[Comparison, ...]
    """Measured, and too few drills before to say whether it is worse: shown, and no ground."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A scenario that is to pass again within a period, and when it last did; None where it never did."""

    scenario: str
    environment: str
    period: timedelta
    last_pass: datetime | None


def judge(
    candidates: Sequence[Candidate],
    scheduled: Sequence[Scheduled],
    now: datetime,
    *,
    last: int = LAST,
    tolerance: float = TOLERANCE,
) -> GateVerdict:
    """The gate's verdict on the newest drills, held against those before them, and on what is to be fresh."""
    compared = compare_all(candidates, last=last, tolerance=tolerance)
    reasons = [
        *(reason for candidate in candidates for reason in _of_drill(candidate.newest)),
        *map(_regression, (one for one in compared if one.change is Change.WORSE)),
        *_stale(scheduled, now),
    ]
    if not candidates:
        reasons.append(Reason(Ground.NOTHING, None, "no drill to judge"))
    return GateVerdict(
        _opinion(reasons),
        tuple(sorted(reasons, key=lambda reason: not reason.ground.bad)),
        len(candidates),
        len(scheduled),
        tuple(one for one in compared if one.change is Change.NO_BASELINE),
    )


def _opinion(reasons: Iterable[Reason]) -> Opinion:
    grounds = {reason.ground.bad for reason in reasons}
    if True in grounds:
        return Opinion.FAIL
    return Opinion.INCONCLUSIVE if grounds else Opinion.PASS


def _of_drill(newest: Figures) -> Iterable[Reason]:
    why = f": {newest.reasons[0]}" if newest.reasons else ""
    where = {"environment": newest.environment, "drill": newest.drill}
    if newest.verdict == "FAIL":
        yield Reason(Ground.FAILED, newest.scenario, f"failed{why}", **where)
    elif newest.verdict != "PASS":
        yield Reason(Ground.INCONCLUSIVE, newest.scenario, f"proved nothing{why}", **where)
    if newest.exit_code == 5:
        yield Reason(Ground.LEFT_BEHIND, newest.scenario, "left something behind", **where)


_NEVER = {
    Interval.MTTD: "the alert did not fire",
    Interval.TIME_TO_RECOVER: "the service did not come back",
    Interval.DATA_LOSS: "records were lost",
}


def _regression(one: Comparison) -> Reason:
    newest, label = one.newest, one.interval.label
    against = f"the median of the {one.of} drills before was {one.baseline_s or 0.0:.2f} s"
    value = _NEVER[one.interval] if one.value_s is None else f"{one.value_s:.2f} s"
    return Reason(
        Ground.REGRESSION,
        newest.scenario,
        f"{label}: {value}; {against}",
        environment=newest.environment,
        drill=newest.drill,
    )


def _stale(scheduled: Iterable[Scheduled], now: datetime) -> Iterable[Reason]:
    for one in scheduled:
        every = f"it is to pass every {_days(one.period)}"
        if one.last_pass is None:
            yield Reason(Ground.STALE, one.scenario, f"never passed; {every}", environment=one.environment)
        elif is_stale(one.last_pass, one.period, now):
            text = f"last passed {_days(now - one.last_pass)} ago, on {one.last_pass:%Y-%m-%d}; {every}"
            yield Reason(Ground.STALE, one.scenario, text, environment=one.environment)


def _days(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    number, unit = (hours, "hours") if hours < 48 else (hours / 24, "days")
    return f"{number:.1f}".removesuffix(".0") + f" {unit}"
