"""All documents of a drill into its evidence folder.

Each file appears whole or not at all, and the same record gives the same bytes, so that judging a drill again
changes nothing where nothing changed.
"""

from __future__ import annotations

from pathlib import Path

from gameday.record import DrillRecord
from gameday.reporting.document import json_text, verdict_document
from gameday.reporting.html import to_html
from gameday.reporting.junit import to_junit
from gameday.reporting.markdown import to_markdown
from gameday.reporting.whole_file import write_text

__all__ = ["write_reports", "write_text"]


def write_reports(record: DrillRecord) -> tuple[Path, ...]:
    """Write `verdict.json`, `report.md`, `report.html` and `junit.xml`; returns their paths in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    documents = {
        "verdict.json": json_text(verdict_document(record)),
        "report.md": to_markdown(record),
        "report.html": to_html(record),
        "junit.xml": to_junit(record),
    }
    return tuple(write_text(record.folder / name, text) for name, text in documents.items())
