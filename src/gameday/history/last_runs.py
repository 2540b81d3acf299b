"""The newest drills of every scenario, for the calendar: one query, however long the history is."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select

from gameday.history.filters import Wanted
from gameday.history.model import DrillRow
from gameday.history.store import History


class LastRun(NamedTuple):
    """The newest drill of a scenario with this verdict; `rehearsal`: at speed."""

    scenario: str
    verdict: str
    rehearsal: bool
    started: datetime
    drill: str


def last_runs(history: History, environment: str) -> tuple[LastRun, ...] | None:
    """The newest drill of each scenario, verdict and kind in an environment and its instances; None where no drill
    was ever stored, so that nothing can be known.

    Raises:
        HistoryError: not readable.
    """
    kind = (DrillRow.scenario, DrillRow.verdict, DrillRow.speed != 1)
    place = func.row_number().over(
        partition_by=kind, order_by=(DrillRow.started.desc(), DrillRow.drill.desc())
    )
    ranked = (
        select(*kind[:2], kind[2].label("rehearsal"), DrillRow.started, DrillRow.drill, place.label("place"))
        .where(*Wanted(environment=environment).conditions())
        .subquery()
    )
    newest = select(*list(ranked.c)[:5]).where(ranked.c.place == 1).order_by(ranked.c.scenario)
    with history.reading() as session:
        if session is None:
            return None
        return tuple(LastRun(*row) for row in session.execute(newest))
