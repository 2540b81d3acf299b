"""The history of drills: SQLite beside the reports by default, a team's PostgreSQL by URL.

    model.py            the rows, and how a record becomes some
    connect.py          connections and transactions, for several writers at once, within bounded time
    migrate.py          the tables at the version of this gameday; migrations/ is how they came to be
    folders.py          which evidence folders there are
    evidence_files.py   a folder as rows, and back
    store.py            `History`: add, query, fetch, rebuild

The file beside the reports is their index alone: the folders are the truth. A database at a URL has the evidence too,
since the folder may be gone with the machine, or the pod, that made it. Neither may ever hurt a drill.
"""

from gameday.history.connect import HistoryError
from gameday.history.evidence_files import StoredFile
from gameday.history.folders import Rebuilt, Skipped
from gameday.history.model import AlertRow, DrillRow
from gameday.history.store import URL_VARIABLE, History, Tallies

__all__ = [
    "URL_VARIABLE",
    "AlertRow",
    "DrillRow",
    "History",
    "HistoryError",
    "Rebuilt",
    "Skipped",
    "StoredFile",
    "Tallies",
]
