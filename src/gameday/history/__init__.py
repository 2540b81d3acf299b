"""The index of drills: SQLite beside the reports by default, a team's PostgreSQL by URL.

    model.py    the rows, and how a record becomes one
    schema.py   connections, transactions and tables, for several writers at once
    store.py    `History`: add, query, rebuild

The evidence folders are the truth and this is only their index: it can be rebuilt from them at any time, and a
database that is locked, full or damaged must never hurt a drill.
"""

from gameday.history.model import AlertRow, DrillRow
from gameday.history.schema import HistoryError
from gameday.history.store import History, Rebuilt, Skipped, Tallies

__all__ = ["AlertRow", "DrillRow", "History", "HistoryError", "Rebuilt", "Skipped", "Tallies"]
