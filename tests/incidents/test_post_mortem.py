"""The draft of a post-mortem: sections of the teams' templates, filled from the evidence, read back as Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gameday.incidents.build import build
from gameday.incidents.model import LogNote
from gameday.incidents.people import with_done, with_draft, with_entry
from gameday.incidents.store import Incidents, Stored
from gameday.record import DrillRecord
from gameday.reporting.postmortem import post_mortem
from reporting import records

SECTIONS = [
    "Executive Summary",
    "Timeline",
    "Impact Analysis",
    "Root Cause Analysis",
    "Resolution & Recovery",
    "What Went Well",
    "What Could Be Improved",
    "Action Items",
    "Lessons Learned",
    "Prevention Measures",
    "Follow-up Actions",
    "Links",
]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def stored(root: Path, record: DrillRecord) -> Stored:
    incidents = Incidents(root / "reports")
    evidence = f"../../{record.folder.name}"
    found, _ = incidents.create(
        record.drill, record.started.utc, lambda number, _: build(record, number, evidence, {})
    )
    return incidents.change(found, lambda response: with_draft(response, NOON))


def draft(root: Path, record: DrillRecord, title: str = "A title") -> str:
    path = root / "docs/post-mortems/one.md"
    return post_mortem(stored(root, record), record, title, path, root)


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def headings(text: str, level: str) -> list[str]:
    tokens = parsed(text)
    return [
        after.content for before, after in pairwise(tokens)
        if before.type == "heading_open" and before.tag == level
    ]  # fmt: skip


def tables(text: str) -> list[list[list[str]]]:
    """Cells, by row, of each table."""
    found: list[list[list[str]]] = []
    inside = False
    for token in parsed(text):
        if token.type in ("table_open", "table_close"):
            inside = token.type == "table_open"
            found += [[]] if inside else []
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and inside:
            found[-1][-1].append(token.content)
    return found


@pytest.mark.parametrize("name", sorted(records.ALL))
def test_every_drill_s_draft_has_every_section_in_order(tmp_path: Path, name: str) -> None:
    text = draft(tmp_path, records.ALL[name](tmp_path / "reports" / name))
    assert [one.replace("&amp;", "&") for one in headings(text, "h2")] == SECTIONS
    assert "\n\n\n" not in text
    for table in tables(text):
        assert {len(row) for row in table} == {len(table[0])}


def test_a_failed_drill_s_draft_tells_what_it_measured(tmp_path: Path) -> None:
    text = draft(tmp_path, records.failed(tmp_path / "reports/failed"))
    assert "**Severity:** SEV-1 (SEV-1, SEV1, P0)" in text
    assert "**Duration:** 5m7s" in text
    assert "**Affected:** 100.0% of users, tenants: not measured" in text
    assert "- **Detected by:** the expected alert did not fire" in text
    assert "- **Restored by:** Runbook 01-database-down, step “Start PostgreSQL again”" in text
    assert "1. Start PostgreSQL again: done in 137.00 s, budget 2m, **over it**" in text
    events, phases, owed, todo = tables(text)
    assert events[0] == ["Time (UTC)", "Since the effect", "Event", "By"]
    assert ["09:05:10", "+307.40 s", "service recovered and stable for 10s", "service"] in events
    assert phases[-1] == ["post-mortem", "2026-03-02T12:00:00Z", "draft written"]
    assert ["draft the post-mortem", "within 1d", "2026-03-03T09:05:10Z", "2026-03-02T12:00:00Z", "met"] in [
        row[:5] for row in owed
    ]
    assert todo[0] == ["Action item", "Owner", "Due", "Priority", "Status"]
    assert [row[1:] for row in todo[1:3]] == [["platform", "2026-03-09", "High", "Open"]] * 2


def test_what_was_not_measured_is_neither_good_nor_left_out(tmp_path: Path) -> None:
    text = draft(tmp_path, records.passed(tmp_path / "reports/one"))
    assert "- SLA breach: none seen; not everything was measured" in text
    assert "- Revenue loss: not measured" in text
    _, phases, owed, _ = tables(text)
    assert [
        "classify",
        "not measured",
        "people decide; the severity here is derived from the measured impact",
    ] in phases
    assert {row[4] for row in owed[1:] if row[0] == "tell customers"} == {"not measured"}


def test_steps_of_the_runbook_are_one_list(tmp_path: Path) -> None:
    text = draft(tmp_path, records.passed(tmp_path / "reports/one"))
    assert (
        "1. Look at the database process: done in 0.90 s, budget 1m\n"
        "2. Start PostgreSQL again: done in 2.30 s, budget 2m\n"
        "3. Check that bookings work: done in 0.50 s, budget 30s\n"
    ) in text


def test_the_rule_s_known_weakness_is_there(tmp_path: Path) -> None:
    folder = records.passing(tmp_path / "reports/one")
    folder.rule(0.5, records.ALERT)
    text = draft(tmp_path, folder.write())
    assert (
        "- The alert's rule: It divides a series by itself, so that it is 1 for any 5xx. Instead: divide by"
        in text
    )


def test_links_lead_to_what_is_there_wherever_the_draft_lies(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "reports/with space")
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks/01-database-down.md").write_text("# Database down\n")
    text = draft(tmp_path, record)
    targets = re.findall(r"^- \[[^]]+\]\((.+)\)$", text, re.MULTILINE)
    assert "../../reports/with%20space/timeline.jsonl" in targets
    assert "../../runbooks/01-database-down.md" in targets
    assert len(targets) == 4  # of the reports none were written here
    start = tmp_path / "docs/post-mortems"
    for target in targets:
        assert (start / target.replace("%20", " ")).resolve().exists()


def test_hostile_text_is_text(tmp_path: Path) -> None:
    title = f"{records.HOSTILE} | x {records.RIGHT_TO_LEFT}"
    text = draft(tmp_path, records.hostile(tmp_path / "reports/one"), title)
    tokens = [child for token in parsed(text) for child in (token, *(token.children or ()))]
    assert not [one for one in tokens if one.type in ("html_block", "html_inline")]
    links = [str(one.attrs["href"]) for one in tokens if one.type == "link_open"]
    assert links
    assert all(link.startswith("../../") for link in links)
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert headings(text, "h1")[0].startswith("Post-mortem INC-20260302-001: &lt;script&gt;")


def test_it_names_systems_and_no_person(tmp_path: Path) -> None:
    text = draft(tmp_path, records.failed(tmp_path / "reports/one"))
    assert {row[3] for row in tables(text)[0][1:]} <= {
        "drill",
        "detector",
        "alert rule",
        "runbook",
        "service",
        "canary",
    }


def test_what_people_said_and_did_is_in_the_draft_as_text(tmp_path: Path) -> None:
    record = records.failed(tmp_path / "one")
    one, path = stored(tmp_path, record), tmp_path / "docs/post-mortems/one.md"
    before = post_mortem(one, record, "A title", path, tmp_path)
    assert "What people said" not in before
    entry = LogNote(what="meet about the post-mortem", at=NOON, by="A|na", note="<b>all</b>")
    response = with_done(with_entry(one.response, entry, NOON), 1, NOON, "Bo", NOON)
    text = post_mortem(replace(one, response=response), record, "A title", path, tmp_path)
    said = "2026-03-02T12:00:00Z  meet about the post-mortem, by A|na: <b>all</b>"
    assert [
        token.content for token in parsed(text) if said in "".join(c.content for c in token.children or ())
    ]
    assert "- [x] meet about the post-mortem" in text
    assert "- [ ] meet about the post-mortem" in before
    assert text.count("| Done 2026-03-02 |") == 1
