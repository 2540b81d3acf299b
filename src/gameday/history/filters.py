"""Which drills are asked for, and the few expressions that databases write differently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Double, SQLColumnExpression, String, case, func, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from gameday.history.model import DrillRow


@dataclass(frozen=True, slots=True)
class Wanted:
    """Drills that all of these hold for; None is no condition."""

    scenario: str | None = None
    environment: str | None = None
    """Its instances are in it."""
    verdict: str | None = None
    since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.scenario is not None:
            found.append(DrillRow.scenario == self.scenario)
        if self.environment is not None:
            found.append(within(self.environment))
        if self.verdict is not None:
            found.append(DrillRow.verdict == self.verdict.upper())
        if self.since is not None:
            found.append(DrillRow.started >= self.since)
        return found


def within(environment: str) -> ColumnElement[bool]:
    """In an environment, in another instance of it, or in the part of it that one drill concerned."""
    beside = DrillRow.environment.startswith(f"{environment}@", autoescape=True)
    return or_(DrillRow.environment == environment, beside)


def how_many(condition: SQLColumnExpression[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


class month_of(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """`2026-03` of an instant, in UTC."""

    type = String()
    inherit_cache = True


class environment_of(FunctionElement[str]):  # noqa: N801
    """`hotel-local` of `hotel-local@second`."""

    type = String()
    inherit_cache = True


class seconds_from(FunctionElement[float]):  # noqa: N801
    """Seconds from the second instant to the first."""

    type = Double()
    inherit_cache = True


@compiles(month_of)
def _month(element: month_of, compiler: Any, **kw: Any) -> str:
    return f"to_char({compiler.process(element.clauses, **kw)} AT TIME ZONE 'UTC', 'YYYY-MM')"


@compiles(month_of, "sqlite")
def _month_in_sqlite(element: month_of, compiler: Any, **kw: Any) -> str:
    # instants are text there, and five times as fast to cut as to understand
    return f"substr({compiler.process(element.clauses, **kw)}, 1, 7)"


@compiles(environment_of)
def _environment(element: environment_of, compiler: Any, **kw: Any) -> str:
    return f"split_part({compiler.process(element.clauses, **kw)}, '@', 1)"


@compiles(environment_of, "sqlite")
def _environment_in_sqlite(element: environment_of, compiler: Any, **kw: Any) -> str:
    name = compiler.process(element.clauses, **kw)
    return f"substr({name}, 1, instr({name} || '@', '@') - 1)"


@compiles(seconds_from)
def _seconds(element: seconds_from, compiler: Any, **kw: Any) -> str:
    later, earlier = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM ({later} - {earlier})) AS DOUBLE PRECISION)"


@compiles(seconds_from, "sqlite")
def _seconds_in_sqlite(element: seconds_from, compiler: Any, **kw: Any) -> str:
    later, earlier = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"((julianday({later}) - julianday({earlier})) * 86400.0)"
