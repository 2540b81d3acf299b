"""`History`: add a drill, ask for drills, fetch what was stored, rebuild the index from the evidence folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, selectinload

from gameday.coverage import AlertOutcome, AlertTally, DrillTally
from gameday.history.connect import HistoryError, open_engine, reason, shown, writing
from gameday.history.evidence_files import EvidenceFile, StoredFile, read_folder, write_folder
from gameday.history.filters import Wanted, how_many
from gameday.history.folders import Rebuilt, Skipped, candidates, loaded
from gameday.history.listing import FILE_NAME, URL_VARIABLE
from gameday.history.migrate import ensure_schema, has_schema, is_unusable
from gameday.history.model import AlertRow, DrillRow, FileRow, alert_values, drill_name, drill_values
from gameday.project import Project

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

    from gameday.record import DrillRecord

BUSY_TIMEOUT_S = 10.0
_BATCH = 100
REBUILD = "gameday history rebuild"


@dataclass(frozen=True, slots=True)
class Tallies:
    """Counts of drills that one rules file judged."""

    alerts: list[AlertTally] = field(default_factory=list)
    drills: list[DrillTally] = field(default_factory=list)


class History:
    """The drills of one project, or of a team. Several processes may write at once; not for several threads."""

    def __init__(
        self,
        engine: Engine,
        reports: Path,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        *,
        keeps_files: bool = False,
    ) -> None:
        self._engine = engine
        self._reports = reports.absolute()
        self._busy_timeout_s = busy_timeout_s
        self.keeps_files = keeps_files
        """Whether the evidence itself goes into it, and not its index alone: where it is no file beside the reports."""

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
            engine = open_engine(target, busy_timeout_s)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            # the URL is not repeated: what cannot be parsed may hold a password anywhere
            raise HistoryError(
                f"{URL_VARIABLE} or the given URL is not usable: {type(error).__name__}"
            ) from error
        return cls(engine, project.reports, busy_timeout_s, keeps_files=bool(given))

    @property
    def where(self) -> str:
        """The database, without its password."""
        return shown(self._engine.url)

    def add(self, record: DrillRecord) -> None:
        """Store one drill, all of it or nothing; adding it again replaces what was there.

        Raises:
            HistoryError: not stored; says how to do it later.
        """
        later = f"gameday history add {record.folder}" if self.keeps_files else REBUILD
        with self._translated("write", later):
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
        query = select(DrillRow).where(*Wanted(scenario, environment, verdict, since).conditions())
        query = query.order_by(DrillRow.started.desc(), DrillRow.drill.desc()).limit(limit)
        with self.reading() as session:
            return tuple(session.scalars(query.options(selectinload(DrillRow.alerts)))) if session else ()

    def tallies(self, environment: str, since: datetime | None = None) -> dict[str | None, Tallies]:
        """For the coverage matrix: what came of alerts in drills that count, and how many drills there were, of
        an environment and its instances, by the rules file that judged.

        Raises:
            HistoryError: not readable.
        """
        here = Wanted(environment=environment, since=since).conditions()
        alerts = (
            select(DrillRow.rules, DrillRow.scenario, AlertRow.alert, AlertRow.outcome, func.count())
            .join(AlertRow, AlertRow.drill == DrillRow.drill)
            .where(*here, DrillRow.counted)
            .group_by(DrillRow.rules, DrillRow.scenario, AlertRow.alert, AlertRow.outcome)
            .order_by(DrillRow.scenario, AlertRow.alert, AlertRow.outcome)
        )
        drills = (
            select(DrillRow.rules, DrillRow.scenario, DrillRow.runbook, func.count())
            .add_columns(*map(how_many, (DrillRow.counted, DrillRow.verdict == "PASS", DrillRow.speed != 1)))
            .where(*here)
            .group_by(DrillRow.rules, DrillRow.scenario, DrillRow.runbook)
            .order_by(DrillRow.scenario, func.max(DrillRow.started))
        )
        found: dict[str | None, Tallies] = {}
        with self.reading() as session:
            if session is None:
                return {}
            for rules, *values in session.execute(drills):
                found.setdefault(rules, Tallies()).drills.append(DrillTally(*values))
            for rules, scenario, alert, outcome, count in session.execute(alerts):
                tally = AlertTally(scenario, alert, AlertOutcome(outcome), count)
                found.setdefault(rules, Tallies()).alerts.append(tally)
        return found

    def find(self, drill: str) -> DrillRow:
        """The drill of that name, the only one whose name ends so, or the `latest`.

        Raises:
            HistoryError: none, or several; or not readable.
        """
        newest = select(DrillRow).options(selectinload(DrillRow.alerts))
        query = newest.order_by(DrillRow.started.desc(), DrillRow.drill.desc()).limit(2)
        if drill != "latest":
            query = query.where(DrillRow.drill.endswith(drill, autoescape=True))
        exactly = newest.where(DrillRow.drill == drill)
        with self.reading() as session:
            found = (session and (list(session.scalars(exactly)) or list(session.scalars(query)))) or []
        if not found or (len(found) > 1 and drill != "latest"):
            raise HistoryError(
                f"{drill!r}: {'several' if found else 'no'} drills in the history at {self.where}"
            )
        return found[0]

    def files(self, drill: str) -> tuple[StoredFile, ...]:
        """What it has of a drill's evidence, by name; nothing where only the index was kept.

        Raises:
            HistoryError: not readable.
        """
        query = select(FileRow.name, FileRow.size, FileRow.sha256).where(FileRow.drill == drill)
        with self.reading() as session:
            rows = session.execute(query.order_by(FileRow.name)) if session else ()
            return tuple(StoredFile(*row) for row in rows)

    def fetch(self, drill: str, folder: Path) -> tuple[StoredFile, ...]:
        """Write a drill's evidence into a new folder, whole or not at all.

        Raises:
            HistoryError: it has no files of it, or damaged ones; or the folder cannot be written.
        """
        names = self.files(drill)
        if not names:
            raise HistoryError(f"the history at {self.where} has no files of {drill!r}")
        with self._translated("read", REBUILD):
            write_folder(folder, (self._file_of(drill, file) for file in names))
        return names

    def _file_of(self, drill: str, file: StoredFile) -> EvidenceFile:
        """One at a time: a drill may have more than fits into memory."""
        this = (FileRow.drill == drill, FileRow.name == file.name, FileRow.sha256 == file.sha256)
        content: bytes | None = None
        with self.reading() as session:
            if session is not None:
                content = session.scalar(select(FileRow.content).where(*this))
        if content is None:
            raise HistoryError(
                f"{file.name} of {drill} was replaced in the history meanwhile; fetch it again"
            )
        return EvidenceFile(**asdict(file), content=content)

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
        with self._translated("rebuild", REBUILD):
            folders = candidates((reports or self._reports).absolute())
            moved, why = self._move_unusable_aside()
            skipped: list[Skipped] = []
            self._index(folders, skipped, files=self.keeps_files)
        return Rebuilt(len(folders), len(folders) - len(skipped), tuple(skipped), moved, why)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _store(self, records: Sequence[DrillRecord], *, files: bool | None = None) -> None:
        """All of them or none."""
        self._prepare()
        keep = self.keeps_files if files is None else files
        with Session(writing(self._engine)) as session, session.begin():
            for record in records:
                self._upsert(session, record)
                if keep:
                    self._keep(session, record)

    def _prepare(self) -> None:
        """Tables of this version. What an older one did not keep is read from the evidence folders, once."""
        if ensure_schema(self._engine, self._busy_timeout_s):
            self._index(candidates(self._reports), [], files=False)

    def _index(self, folders: Sequence[Path], skipped: list[Skipped], *, files: bool) -> None:
        records = loaded(folders, skipped)
        # in batches: the write lock is not held while folders are read
        while batch := list(islice(records, 1 if files else _BATCH)):
            self._store(batch, files=files)

    def _upsert(self, session: Session, record: DrillRecord) -> None:
        """The drill's row first: it takes the lock, so that two writers of one drill follow each other."""
        values = drill_values(record, self._relative(record.folder))
        statement = self._insert().values(values)
        updates = {name: statement.excluded[name] for name in values if name != "drill"}
        session.execute(statement.on_conflict_do_update(index_elements=["drill"], set_=updates))
        session.execute(delete(AlertRow).where(AlertRow.drill == values["drill"]))
        if rows := alert_values(record):  # a quiet control has none
            session.execute(insert(AlertRow), rows)

    def _keep(self, session: Session, record: DrillRecord) -> None:
        """The files as they are now; those that are there already are not sent again."""
        drill = drill_name(record)
        now = {file.name: file for file in read_folder(record.folder)}
        rows = session.execute(select(FileRow.name, FileRow.sha256).where(FileRow.drill == drill))
        there = {name: digest for name, digest in rows}  # noqa: C416 - rows are no tuples for every SQLAlchemy
        for name, digest in there.items():
            if name not in now or now[name].sha256 != digest:
                session.execute(delete(FileRow).where(FileRow.drill == drill, FileRow.name == name))
        for file in now.values():
            if there.get(file.name) != file.sha256:
                session.execute(insert(FileRow).values(drill=drill, **asdict(file)))

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
    def reading(self) -> Iterator[Session | None]:
        """A session whose rows stay usable afterwards; None where nothing was ever stored.

        Raises:
            HistoryError: not readable.
        """
        with self._translated("read", REBUILD):
            if self._absent() or not has_schema(self._engine):
                yield None
                return
            self._prepare()
            with Session(self._engine, expire_on_commit=False) as session:
                yield session
                session.expunge_all()

    @contextmanager
    def _translated(self, what: str, later: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            # the last four: a driver or dialect that met content which it cannot understand
            raise HistoryError(
                f"cannot {what} the history at {self.where}: {reason(error, self._engine.url)}; the evidence folders "
                f"are unharmed, and `{later}` {'indexes them' if later == REBUILD else 'stores this one'}"
            ) from error
