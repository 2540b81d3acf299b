"""The history of drills: SQLite beside the reports by default, a team's PostgreSQL by URL.

    model.py            the rows, and how a record becomes some
    connect.py          connections and transactions, for several writers at once, within bounded time
    migrate.py          the tables at the version of this gameday; migrations/ is how they came to be
    filters.py          which drills are asked for
    figures.py          sums and medians of many drills, for trends, metrics and the gate
    listing.py          the newest drills, without what takes longer to import than to answer
    folders.py          which evidence folders there are
    evidence_files.py   a folder as rows, and back
    store.py            `History`: add, query, fetch, rebuild

The file beside the reports is their index alone: the folders are the truth. A database at a URL has the evidence too,
since the folder may be gone with the machine, or the pod, that made it. Neither may ever hurt a drill.

What this package offers is imported when it is first asked for: the list of drills needs none of SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gameday.history.connect import HistoryError
    from gameday.history.evidence_files import StoredFile
    from gameday.history.folders import Rebuilt, Skipped
    from gameday.history.listing import URL_VARIABLE
    from gameday.history.model import AlertRow, DrillRow
    from gameday.history.store import History, Tallies

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
_HOMES = {
    "URL_VARIABLE": "listing",
    "AlertRow": "model",
    "DrillRow": "model",
    "History": "store",
    "HistoryError": "connect",
    "Rebuilt": "folders",
    "Skipped": "folders",
    "StoredFile": "evidence_files",
    "Tallies": "store",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
