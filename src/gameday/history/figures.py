"""Questions of trends, metrics and the gate: the database adds up, and answers with a few rows for 100,000 drills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from gameday.coverage import Accuracy, AlertOutcome
from gameday.history.filters import Wanted, environment_of, how_many, month_of, seconds_from
from gameday.history.model import AlertRow, DrillRow
from gameday.metrics import RECURS_WITHIN_S, AlertCount, Failures
from gameday.regressions import Candidate, Figures, Reading
from gameday.trends import Interval, Sum, Tally

MOST_TALLIES = 20_000
"""Beyond that many, the oldest are left out: names that nobody repeats make no trend, and must not fill the memory."""

_Figure = InstrumentedAttribute[float | None]
_COLUMNS: Mapping[Interval, tuple[_Figure, _Figure, InstrumentedAttribute[str | None]]] = {
    Interval.MTTD: (DrillRow.mttd_s, DrillRow.mttd_objective_s, DrillRow.detected_result),
    Interval.TIME_TO_RECOVER: (DrillRow.time_to_recover_s, DrillRow.rto_s, DrillRow.recovered_result),
    Interval.DATA_LOSS: (DrillRow.data_loss_s, DrillRow.rpo_s, DrillRow.data_loss_result),
}
_SUMS = 9  # columns of `_sums`


def tallies(session: Session, wanted: Wanted) -> tuple[list[Tally], bool]:
    """By month, scenario, environment, speed and severity, the newest months first; and whether some are left out."""
    keys = (
        month_of(DrillRow.started).label("month"),
        DrillRow.scenario,
        environment_of(DrillRow.environment).label("base"),
        DrillRow.speed,
        DrillRow.severity,
    )
    query = (
        select(*keys, func.count(), *map(how_many, (DrillRow.verdict == "PASS", DrillRow.verdict == "FAIL")))
        .add_columns(func.max(DrillRow.started, type_=DrillRow.started.type))
        .add_columns(*(column for interval in Interval for column in _sums(interval)))
        .where(*wanted.conditions())
        .group_by(*keys)
        .order_by(keys[0].desc(), DrillRow.scenario, keys[2], DrillRow.speed, DrillRow.severity)
        .limit(MOST_TALLIES + 1)
    )
    rows = [_tally(tuple(row)) for row in session.execute(query)]
    return rows[:MOST_TALLIES], len(rows) > MOST_TALLIES


def _sums(interval: Interval) -> list[ColumnElement[Any]]:
    value, objective, result = _COLUMNS[interval]
    return [
        func.count(value),
        func.coalesce(func.sum(value), 0.0),
        func.min(value),
        func.max(value),
        func.min(objective),
        how_many(result == "met"),
        how_many(result == "missed"),
        how_many(and_(result == "missed", value.is_(None))),
        func.count(objective),
    ]


def _tally(row: tuple[Any, ...]) -> Tally:
    sums = [Sum(*row[at : at + _SUMS]) for at in range(9, 9 + len(Interval) * _SUMS, _SUMS)]
    return Tally(*row[:9], *sums)


def failures(session: Session, wanted: Wanted) -> list[Failures]:
    """FAILs at the real speed by month and severity, with the time since the one before, whenever that was."""
    before = {
        "before": func.lag(DrillRow.started).over(order_by=_ORDER),
        "same": func.lag(DrillRow.started).over(partition_by=DrillRow.severity, order_by=_ORDER),
        "again": func.lag(DrillRow.started).over(
            partition_by=(DrillRow.scenario, environment_of(DrillRow.environment)), order_by=_ORDER
        ),
    }
    failed = (
        select(DrillRow.started, DrillRow.severity, *(found.label(name) for name, found in before.items()))
        .where(*replace(wanted, since=None, verdict="FAIL").conditions(), DrillRow.speed == 1)
        .subquery()
    )
    at = failed.c.started
    gap, same = seconds_from(at, failed.c.before), seconds_from(at, failed.c.same)
    keys = (month_of(at).label("month"), failed.c.severity)
    query = (
        select(*keys, func.count(), func.count(gap), func.sum(gap), func.count(same), func.sum(same))
        .add_columns(how_many(seconds_from(at, failed.c.again) <= RECURS_WITHIN_S))
        .group_by(*keys)
        .order_by(*keys)
    )
    if wanted.since is not None:
        query = query.where(at >= wanted.since)
    return [
        Failures(month, severity, count, gaps, gaps_s or 0.0, same_gaps, same_s or 0.0, again)
        for month, severity, count, gaps, gaps_s, same_gaps, same_s, again in session.execute(query)
    ]


_ORDER = (DrillRow.started, DrillRow.drill)


def alerts(session: Session, wanted: Wanted) -> list[AlertCount]:
    """What became of alerts by month and severity, in drills at the real speed that say something of them."""
    keys = (month_of(DrillRow.started).label("month"), DrillRow.severity)
    query = (
        select(*keys, AlertRow.outcome, func.count())
        .join(AlertRow, AlertRow.drill == DrillRow.drill)
        .where(*wanted.conditions(), DrillRow.counted, DrillRow.speed == 1)
        .where(AlertRow.outcome != AlertOutcome.QUIET.value)
        .group_by(*keys, AlertRow.outcome)
        .order_by(*keys)
    )
    found = []
    for (month, severity), rows in groupby(session.execute(query), key=lambda row: (row[0], row[1])):
        counts = {AlertOutcome(outcome).value: count for _, _, outcome, count in rows}
        found.append(AlertCount(month, severity, Accuracy(**counts)))
    return found


def candidates(session: Session, wanted: Wanted, last: int) -> list[Candidate]:
    """The newest drill of each scenario in each environment that `wanted` leaves, and up to `last` drills at its speed
    before it, whenever they were, whose fault took effect."""
    where = replace(wanted, since=None).conditions()
    base = environment_of(DrillRow.environment)
    newest_first = (DrillRow.started.desc(), DrillRow.drill.desc())
    place = func.row_number().over(partition_by=(DrillRow.scenario, base), order_by=newest_first)
    counted = func.sum(case((DrillRow.counted, 1), else_=0), type_=Integer).over(
        partition_by=(DrillRow.scenario, base, DrillRow.speed), order_by=newest_first
    )
    ranked = (
        select(DrillRow.drill, place.label("place"), counted.label("rank"), base.label("base"))
        .where(*where)
        .subquery()
    )
    query = (
        select(DrillRow, ranked.c.place, ranked.c.base)
        .join(ranked, ranked.c.drill == DrillRow.drill)
        .where(or_(ranked.c.place == 1, and_(DrillRow.counted, ranked.c.rank <= last + 1)))
        .order_by(DrillRow.scenario, ranked.c.base, ranked.c.place)
    )
    rows = ((row, place, environment) for row, place, environment in session.execute(query))
    found = (list(group) for _, group in groupby(rows, key=lambda one: (one[0].scenario, one[2])))
    return [
        one for one in map(_candidate, found) if wanted.since is None or one.newest.started >= wanted.since
    ]


def _candidate(rows: list[tuple[DrillRow, int, str]]) -> Candidate:
    newest, *rest = (_figures(row, environment) for row, _, environment in rows)
    return Candidate(newest, tuple(one for one in rest if one.speed == newest.speed))


def _figures(row: DrillRow, environment: str) -> Figures:
    return Figures(
        drill=row.drill,
        scenario=row.scenario,
        environment=environment,
        speed=row.speed,
        started=row.started,
        verdict=row.verdict,
        exit_code=row.exit_code,
        readings={
            Interval.MTTD: Reading(row.mttd_s, row.mttd_resolution_s or 0.0, row.detected_result),
            Interval.TIME_TO_RECOVER: Reading(
                row.time_to_recover_s, row.time_to_recover_resolution_s or 0.0, row.recovered_result
            ),
            Interval.DATA_LOSS: Reading(row.data_loss_s, 0.0, row.data_loss_result),
        },
        reasons=tuple(row.reasons or ()),
    )


def last_passes(session: Session, wanted: Wanted, *, rehearsals: bool) -> dict[str, datetime]:
    """When each scenario last began a drill that passed."""
    query = select(DrillRow.scenario, func.max(DrillRow.started, type_=DrillRow.started.type))
    query = query.where(*replace(wanted, since=None, verdict="PASS").conditions())
    if not rehearsals:
        query = query.where(DrillRow.speed == 1)
    rows = session.execute(query.group_by(DrillRow.scenario))
    return {scenario: at for scenario, at in rows}  # noqa: C416 - rows are no tuples for every SQLAlchemy
