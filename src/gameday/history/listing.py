"""The list of drills without SQLAlchemy: from a SQLite file it answers sooner than SQLAlchemy is imported.

Only for tables of this gameday's version. Whatever is in the way (a URL of another database, older tables, a lock,
damage) is no answer here: `History` is asked then, which knows what to do and what to say.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from gameday.project import Project

HEAD = "0003"
"""The version of the tables that this gameday uses: the last of `migrations/versions/`."""
VERSION_TABLE = "gameday_migrations"
URL_VARIABLE = "GAMEDAY_HISTORY_URL"
FILE_NAME = "history.sqlite"
_LIST = """
SELECT started, scenario, environment, verdict, speed, mttd_s, mttd_resolution_s, time_to_recover_s,
       time_to_recover_resolution_s, data_loss_s, restored_by, folder
FROM gameday_drills
WHERE (:scenario IS NULL OR scenario = :scenario) AND (:verdict IS NULL OR verdict = :verdict)
  AND (:since IS NULL OR started >= :since)
  AND (:environment IS NULL OR environment = :environment
       OR substr(environment, 1, length(:environment) + 1) = :environment || '@')
ORDER BY started DESC, drill DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list shows of a drill; named as the columns of `DrillRow`."""

    started: datetime
    scenario: str
    environment: str
    verdict: str
    speed: float
    mttd_s: float | None
    mttd_resolution_s: float | None
    time_to_recover_s: float | None
    time_to_recover_resolution_s: float | None
    data_loss_s: float | None
    restored_by: str | None
    folder: str

    @property
    def rehearsal(self) -> bool:
        return self.speed != 1


def listed(
    project: Project,
    limit: int,
    scenario: str | None = None,
    environment: str | None = None,
    verdict: str | None = None,
    since: datetime | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Sequence[Listed] | None:
    """The newest drills of the file beside the reports, as `History.drills` has them; None: ask that one."""
    path = project.reports / FILE_NAME
    if environ.get(URL_VARIABLE) or not path.is_file():
        return None
    wanted = {
        "limit": limit,
        "scenario": scenario,
        "environment": environment,
        "verdict": None if verdict is None else verdict.upper(),
        "since": None if since is None else f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}",
    }
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=1.0)
        ) as connection:
            if connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone() != (HEAD,):  # noqa: S608
                return None
            return [Listed(_utc(started), *rest) for started, *rest in connection.execute(_LIST, wanted)]
    except (sqlite3.Error, TypeError, ValueError):
        return None


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
