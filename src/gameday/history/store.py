"""`History`: add a drill, ask for drills, rebuild the index from the evidence folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    SQLColumnExpression,
    case,
    delete,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, selectinload

from gameday.coverage import AlertOutcome, AlertTally, DrillTally
from gameday.errors import GamedayError
from gameday.history.model import AlertRow, DrillRow, alert_values, drill_values
from gameday.history.schema import (
    HistoryError,
    ensure_schema,
    has_schema,
    is_unusable,
    open_engine,
    reason,
    writing,
)
from gameday.project import Project

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

    from gameday.record import DrillRecord

URL_VARIABLE = "GAMEDAY_HISTORY_URL"
FILE_NAME = "history.sqlite"
BUSY_TIMEOUT_S = 10.0
_BATCH = 100
_RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z-run(-[0-9]+)?")
"""Folders of `gameday run` with several scenarios; a drill's name ends with six hexadecimal digits."""


class Skipped(NamedTuple):
    """A folder that could not be indexed, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What `History.rebuild` did. `moved_aside` is where an unusable SQLite file was put, `why` what it was."""

    found: int
    indexed: int
    skipped: tuple[Skipped, ...]
    moved_aside: Path | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Tallies:
    """Counts of drills that one rules file judged."""

    alerts: list[AlertTally] = field(default_factory=list)
    drills: list[DrillTally] = field(default_factory=list)


class History:
    """The index of one project. Several processes may write at once; not for several threads."""

    def __init__(self, engine: Engine, reports: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._engine = engine
        self._reports = reports.absolute()
        self._busy_timeout_s = busy_timeout_s

    @classmethod
    def open(
        cls, project: Project, url: str | None = None, *, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> History:
        """The history of a project: at `url`, at `GAMEDAY_HISTORY_URL`, or in a file beside its reports.

        Contacts nothing yet, so that a database that is away does not hinder a drill's beginning.

        Raises:
            HistoryError: the URL cannot be understood, or no driver for it is installed.
        """
        given = url or os.environ.get(URL_VARIABLE)
        try:
            target = (
                make_url(given) if given else URL.create("sqlite", database=str(project.reports / FILE_NAME))
            )
            if target.get_backend_name() not in ("sqlite", "postgresql"):
                raise HistoryError(
                    f"history on {target.get_backend_name()}: expected a sqlite or postgresql URL"
                )
            return cls(open_engine(target, busy_timeout_s), project.reports, busy_timeout_s)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            # the URL is not repeated: what cannot be parsed may hold a password anywhere
            raise HistoryError(
                f"{URL_VARIABLE} or the given URL is not usable: {type(error).__name__}"
            ) from error

    @property
    def where(self) -> str:
        """The database, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    def add(self, record: DrillRecord) -> None:
        """Index one drill; adding it again replaces what was there.

        Raises:
            HistoryError: not stored; `gameday history rebuild` will find the folder.
        """
        with self._translated("write"):
            self._store([record])

    def drills(
        self,
        limit: int | None = 50,
        scenario: str | None = None,
        environment: str | None = None,
        verdict: str | None = None,
        since: datetime | None = None,
    ) -> tuple[DrillRow, ...]:
        """Drills with their alerts, the newest first; none where nothing was ever stored.

        Raises:
            HistoryError: not readable.
        """
        query = _filtered(scenario, environment, verdict, since)
        query = query.order_by(DrillRow.started.desc(), DrillRow.drill.desc()).limit(limit)
        with self._translated("read"):
            if self._absent() or not has_schema(self._engine):
                return ()
            self._prepare()
            with Session(self._engine) as session:
                rows = tuple(session.scalars(query.options(selectinload(DrillRow.alerts))))
                session.expunge_all()
                return rows

    def tallies(self, environment: str) -> dict[str | None, Tallies]:
        """For the coverage matrix: what came of alerts in drills that count, and how many drills there were, of
        an environment and its instances, by the rules file that judged.

        Raises:
            HistoryError: not readable.
        """
        here = or_(DrillRow.environment == environment, DrillRow.environment.startswith(f"{environment}@"))
        alerts = (
            select(DrillRow.rules, DrillRow.scenario, AlertRow.alert, AlertRow.outcome, func.count())
            .join(AlertRow, AlertRow.drill == DrillRow.drill)
            .where(here, DrillRow.counted)
            .group_by(DrillRow.rules, DrillRow.scenario, AlertRow.alert, AlertRow.outcome)
            .order_by(DrillRow.scenario, AlertRow.alert, AlertRow.outcome)
        )
        drills = (
            select(DrillRow.rules, DrillRow.scenario, DrillRow.runbook, func.count())
            .add_columns(*map(_how_many, (DrillRow.counted, DrillRow.verdict == "PASS", DrillRow.speed != 1)))
            .where(here)
            .group_by(DrillRow.rules, DrillRow.scenario, DrillRow.runbook)
            .order_by(DrillRow.scenario, func.max(DrillRow.started))
        )
        found: dict[str | None, Tallies] = {}
        with self._translated("read"):
            if self._absent() or not has_schema(self._engine):
                return {}
            self._prepare()
            with Session(self._engine) as session:
                for rules, *values in session.execute(drills):
                    found.setdefault(rules, Tallies()).drills.append(DrillTally(*values))
                for rules, scenario, alert, outcome, count in session.execute(alerts):
                    tally = AlertTally(scenario, alert, AlertOutcome(outcome), count)
                    found.setdefault(rules, Tallies()).alerts.append(tally)
        return found

    def folder(self, row: DrillRow) -> Path:
        """Where the evidence of a drill lies; it may have been deleted since."""
        return self._reports / row.folder

    def rebuild(self, reports: Path | None = None) -> Rebuilt:
        """Index every evidence folder in `reports`. Rows of drills whose folder is gone are kept.

        A SQLite file that is damaged or of another version is moved aside first. Damaged folders are skipped and
        named with the reason.

        Raises:
            HistoryError: the database cannot be written, or `reports` cannot be read.
        """
        with self._translated("rebuild"):
            folders = _candidates((reports or self._reports).absolute())
            moved, why = self._move_unusable_aside()
            skipped: list[Skipped] = []
            self._index(folders, skipped)
        return Rebuilt(len(folders), len(folders) - len(skipped), tuple(skipped), moved, why)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _store(self, records: Sequence[DrillRecord]) -> None:
        self._prepare()
        with Session(writing(self._engine)) as session, session.begin():
            for record in records:
                self._upsert(session, record)

    def _prepare(self) -> None:
        """Tables of this version. What an older one did not keep is read from the evidence folders, once."""
        if ensure_schema(self._engine, self._busy_timeout_s):
            self._index(_candidates(self._reports), [])

    def _index(self, folders: Sequence[Path], skipped: list[Skipped]) -> None:
        records = _loaded(folders, skipped)
        # in batches: the write lock is not held while folders are read
        while batch := list(islice(records, _BATCH)):
            self._store(batch)

    def _upsert(self, session: Session, record: DrillRecord) -> None:
        """The drill's row first: it takes the lock, so that two writers of one drill follow each other."""
        values = drill_values(record, self._relative(record.folder))
        statement = self._insert().values(values)
        updates = {name: statement.excluded[name] for name in values if name != "drill"}
        session.execute(statement.on_conflict_do_update(index_elements=["drill"], set_=updates))
        session.execute(delete(AlertRow).where(AlertRow.drill == values["drill"]))
        if rows := alert_values(record):  # a quiet control has none
            session.execute(insert(AlertRow), rows)

    def _insert(self) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows the database's ON CONFLICT."""
        if self._engine.dialect.name == "postgresql":
            from sqlalchemy.dialects import postgresql

            return postgresql.insert(DrillRow)
        return sqlite.insert(DrillRow)

    def _relative(self, folder: Path) -> str:
        """Relative to the reports, so that a moved or downloaded `reports/` keeps its links."""
        absolute = folder.absolute()
        inside = absolute.is_relative_to(self._reports)
        return absolute.relative_to(self._reports).as_posix() if inside else str(absolute)

    def _file(self) -> Path | None:
        """The SQLite file; None for PostgreSQL and for a database in memory."""
        url = self._engine.url
        if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
            return None
        return Path(url.database)

    def _absent(self) -> bool:
        """Asked before reading, which would leave an empty file behind."""
        path = self._file()
        return path is not None and not path.exists()

    def _move_unusable_aside(self) -> tuple[Path | None, str | None]:
        path = self._file()
        if path is None or not path.exists():
            return None, None
        why = is_unusable(self._engine)
        if why is None:
            return None, None
        aside = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.unusable")
        path.replace(aside)
        for suffix in ("-wal", "-shm"):
            log = path.with_name(path.name + suffix)
            if log.exists():
                log.replace(aside.with_name(aside.name + suffix))
        return aside, why

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            # the last four: a driver or dialect that met content which it cannot understand
            raise HistoryError(
                f"cannot {what} the history at {self.where}: {reason(error)}; the evidence folders are unharmed, "
                "and `gameday history rebuild` indexes them"
            ) from error


def _how_many(condition: SQLColumnExpression[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _filtered(
    scenario: str | None, environment: str | None, verdict: str | None, since: datetime | None
) -> Select[DrillRow]:
    query = select(DrillRow)
    if scenario is not None:
        query = query.where(DrillRow.scenario == scenario)
    if environment is not None:
        query = query.where(DrillRow.environment == environment)
    if verdict is not None:
        query = query.where(DrillRow.verdict == verdict.upper())
    if since is not None:
        query = query.where(DrillRow.started >= since)
    return query


def _candidates(reports: Path) -> list[Path]:
    """Evidence folders by name, without the summaries of runs; none where no drill ever ran."""
    if not reports.exists():
        return []
    return sorted(
        path
        for path in reports.iterdir()
        if path.is_dir() and not path.name.startswith(".") and not _RUN.fullmatch(path.name)
    )


def _loaded(folders: Sequence[Path], skipped: list[Skipped]) -> Iterator[DrillRecord]:
    """Records of the folders that can be read; the others join `skipped`."""
    from gameday.record import load_record  # asking for drills must not load what reading evidence needs

    for folder in folders:
        try:
            yield load_record(folder, with_samples=False)
        except GamedayError as error:
            skipped.append(Skipped(folder, reason(error)))
        except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # valid JSON of the wrong shape, as another version or a broken disk may leave
            skipped.append(
                Skipped(folder, f"not a drill's evidence: {type(error).__name__}: {reason(error)}")
            )
