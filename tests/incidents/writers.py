"""A process that makes incidents: for tests in which several do at once. `python writers.py REPORTS FIRST COUNT`"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from gameday.incidents.model import Incident, Response
from gameday.incidents.store import Incidents

DAY = datetime(2026, 3, 2, tzinfo=UTC)


def make(incident_id: str, folder: Path) -> tuple[Incident, Response]:
    """A small one."""
    incident = Incident(
        incident_id=incident_id,
        severity="SEV-3",
        title="One of many",
        detected_at=None,
        resolved_at=None,
        affected_tenants=None,
        root_cause="a test",
        resolution="none",
        preventive_measures=(),
    )
    response = Response.model_validate(
        {
            "incident_id": incident_id,
            "drill": "drill",
            "scenario": "one",
            "environment": "shop",
            "verdict": "FAIL",
            "rehearsal": None,
            "owner": "tests",
            "alert": None,
            "runbook": None,
            "evidence": "../../drill",
            "impact": {
                "users_share": None,
                "probes": (),
                "recovered_after_s": None,
                "lasted_s": None,
                "records_lost": None,
                "data_loss_s": None,
            },
            "severity": {"rank": 3, "because": (), "measured": False, "declared": "SEV3", "called": {}},
            "lifecycle": ({"phase": "post-mortem", "at": None, "detail": ""},),
            "deadlines": (),
            "action_items": (),
        }
    )
    return incident, response


def main() -> None:
    incidents = Incidents(Path(sys.argv[1]))
    first, count = int(sys.argv[2]), int(sys.argv[3])
    for number in range(first, first + count):
        stored, new = incidents.create(f"drill-{number}", DAY, make)
        print(number, stored.incident.incident_id, new)


if __name__ == "__main__":
    main()
