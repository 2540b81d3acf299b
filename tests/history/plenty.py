"""Many drills, and single ones with certain figures, as rows of a history: no folder is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.history import drills
from sqlalchemy import insert

from gameday.history import AlertRow, DrillRow, History
from gameday.history.connect import open_engine, writing
from gameday.history.migrate import ensure_schema
from gameday.project import Project

NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
Rows = list[tuple[dict[str, Any], list[dict[str, Any]]]]


def many(count: int, seed: int = 7) -> Rows:
    """Of two years, six scenarios."""
    names = [f"scenario-{letter}" for letter in "abcdef"]
    return list(drills(count, NEWEST, seed, names))


def one(drill: str = "d", at: datetime = NEWEST, **columns: Any) -> dict[str, Any]:
    """A drill that passed at the real speed, but for `columns`."""
    return {
        "drill": drill,
        "scenario": "database-down",
        "environment": "hotel-local",
        "target": "process",
        "started": at,
        "ended": at + timedelta(minutes=5),
        "complete": True,
        "verdict": "PASS",
        "exit_code": 0,
        "speed": 1.0,
        "mttd_s": 10.0,
        "mttd_resolution_s": 0.1,
        "mttd_objective_s": 180.0,
        "time_to_recover_s": 60.0,
        "time_to_recover_resolution_s": 0.1,
        "rto_s": 900.0,
        "data_loss_s": 0.0,
        "rpo_s": 900.0,
        "restored_by": "runbook",
        "folder": drill,
        "severity": "SEV2",
        "tier": 1,
        "owner": "platform",
        "expected_alert": "database_down",
        "runbook": "01-database-down",
        "rules": None,
        "counted": True,
        "reasons": [],
        "detected_result": "met",
        "recovered_result": "met",
        "data_loss_result": "met",
        **columns,
    }


def store(history: History, rows: Rows | list[dict[str, Any]]) -> None:
    """Put rows where the history is."""
    engine = history._engine
    ensure_schema(engine, 5.0)
    pairs = [row if isinstance(row, tuple) else (row, []) for row in rows]
    with writing(engine).begin() as connection:
        connection.execute(insert(DrillRow), [row for row, _ in pairs])
        alerts = [alert for _, found in pairs for alert in found]
        if alerts:
            connection.execute(insert(AlertRow), alerts)


def project_at(root: Path) -> Project:
    (root / "environments").mkdir(parents=True)
    (root / "reports").mkdir()
    return Project(root)


__all__ = ["NEWEST", "many", "one", "open_engine", "project_at", "store"]
