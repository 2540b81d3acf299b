"""Literal runbooks for these tests."""

from __future__ import annotations

from pathlib import Path

from gameday.runbook.model import SECTIONS, Runbook
from gameday.runbook.parse import parse_runbook

PATH = Path("runbooks/demo.md")
FRONT = "---\nalerts: [it_is_down]\nseverity: HIGH\nrto: 15m\n---\n# Demo\n"


def step(heading: str, block: str, prose: str = "Do this.") -> str:
    return f"### {heading}\n\n{prose}\n\n```yaml step\n{block}\n```\n"


def document(*, front: str = FRONT, **sections: str) -> str:
    """All nine sections, those given with content: `resolution_steps=...`."""
    text = front
    for title in SECTIONS:
        content = sections.pop(title.lower().replace(" ", "_").replace("-", "_"), "Words.\n")
        text += f"## {title}\n{content}"
    assert not sections, f"no such section: {sections}"
    return text


def runbook(**sections: str) -> Runbook:
    return parse_runbook(document(**sections), PATH)
