"""The one report: the same facts in Markdown, on the page and in JSON, whatever people have typed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from gameday.gamedays import entries as e
from gameday.reporting.gameday import Report
from gameday.reporting.gameday_documents import document, to_html, to_markdown, write_documents
from gamedays.world import GO, STARTED, TAKEN_UP, at, begun, died, ended, logged
from reporting import records
from reporting.folders import CONTROLS, HOSTILE, LONG, RIGHT_TO_LEFT
from reporting.test_browser import CONTRAST, DESK, PHONE, Visit

NASTY = f"{HOSTILE} {RIGHT_TO_LEFT} {CONTROLS}"


def full(root: Path) -> Report:
    """A day with a pass, a repeated failure, a drill that was not run, and everything that people can say."""
    folder = root / "gamedays" / "day"
    folder.mkdir(parents=True)
    lines = logged(
        TAKEN_UP,
        e.Checked(check="lock", ok=True, detail="nobody drills there"),
        e.Answered(question="ready", ask="Is everybody ready?", answer="yes", ok=True, took_s=3.2, by="Ana"),
        GO,
        *begun(1),
        e.Note(text="the desk was slow to answer", by="Dora"),
        e.StepAnswered(number=1, heading="Tell the desk", question="?", answer=None, took_s=20.0, by="Dora"),
        ended(1),
        e.PauseStarted(before=2, for_s=10.0),
        e.PauseEnded(before=2, by="Dora"),
        *begun(2),
        TAKEN_UP,
        died(2),
        e.DrillDecided(number=2, repeat=True, by="Ana"),
        GO,
        *begun(2, 2),
        e.Decision(text="we restore the backup", by="Ana"),
        e.HandOver(role="scribe", to="Zoe", by="Dora"),
        ended(2, 2, "FAIL", 1, "the alert did not fire"),
        e.Aborted(reason="key X at the console of the game day"),
        e.Action(text="Mend the rule", owner="Ben", due="2026-12-20", by="Zoe", finding="2.2"),
    )
    found = {"d1-1": records.passed(root / "d1-1"), "d2-2": records.failed(root / "d2-2")}
    incident = root / "incidents" / "INC-20261210-001" / "incident.json"
    incident.parent.mkdir(parents=True)
    incident.write_text("{}")
    return Report.of(folder, lines, found, {"d2-2": ("INC-20261210-001", incident)})


def hostile(root: Path) -> Report:
    """Everybody types attacks."""
    folder = root / "gamedays" / "hostile"
    folder.mkdir(parents=True)
    started = STARTED.model_copy(
        update={"title": NASTY, "goals": (NASTY, LONG), "roles": {"scribe": (NASTY,)}}
    )
    lines = list(
        logged(
            TAKEN_UP,
            e.Checked(check=NASTY, ok=False, detail=LONG),
            e.Answered(question="q", ask=NASTY, answer=NASTY, ok=False, took_s=1.0, by=NASTY),
            GO,
            *begun(1),
            e.Note(text=NASTY, by=NASTY),
            e.Decision(text=LONG, by="x"),
            e.HandOver(role="scribe", to=NASTY, by="x"),
            ended(1, 1, "FAIL", 1, NASTY, LONG),
            e.Action(text=NASTY, owner=NASTY, due="2026-12-20", by="x"),
        )
    )
    lines[0] = type(lines[0])(0, at(0), started)
    return Report.of(folder, lines, {"d1-1": records.hostile(root / "d1-1")})


def test_every_document_tells_every_drill_finding_action_and_word(tmp_path: Path) -> None:
    report = full(tmp_path)
    markdown, html = to_markdown(report), to_html(report)
    data = document(report)
    assert report.headline == "3 drills: 1 PASS, 1 FAIL, 1 NOT RUN"
    assert report.outcome == "FAIL"
    for words in (
        "1 PASS, 1 FAIL, 1 NOT RUN",
        "aborted: key X at the console of the game day",
        "taken up again, 1 time; 1 drill interrupted",
        "14.20 s",
        "the desk was slow to answer",
        "we restore the backup",
        "Dora → Zoe",
        "Mend the rule",
        "2026-12-20",
        "Dora ended the pause before drill 2",
        "no answer (Dora, after 20.0 s)",
        "database_connection_failures",
        "The runbook works.",
        "INC-20261210-001",
    ):
        assert words in markdown.replace("\\", ""), words
        assert words in html, words
    assert [drill["status"] for drill in data["drills"]] == ["ended", "ended", "waiting"]
    assert data["drills"][0]["mttd"]["value_s"] == pytest.approx(14.2)
    assert data["drills"][2]["mttd"] is None
    assert data["drills"][1]["attempts"][0]["interrupted"] == "put back"
    assert [drill["incident"] for drill in data["drills"]] == [None, "INC-20261210-001", None]
    assert data["actions"][0]["owner"] == "Ben"
    assert "2.2" not in data["open_findings"]
    assert "2.1" in data["open_findings"]
    assert [one["kind"] for one in data["timeline"] if one["during"] == 2][:2] == ["drill", "runner"]


def test_what_was_not_measured_is_shown_so_and_never_counted_as_good(tmp_path: Path) -> None:
    folder = tmp_path / "gamedays" / "day"
    folder.mkdir(parents=True)
    passed = (*begun(1), ended(1), *begun(2), ended(2))
    found = {"d1-1": records.passed(tmp_path / "d1-1"), "d2-1": records.passed(tmp_path / "d2-1")}
    report = Report.of(folder, logged(TAKEN_UP, GO, *passed), found)
    assert report.outcome == "INCONCLUSIVE", "one drill did not take place"
    assert [row.mttd for row in report.rows][2] == "not measured"
    assert ("unknown", "not over: drills are left to be run") in report.notices
    whole = logged(TAKEN_UP, GO, *passed, *begun(3), ended(3), e.Ended())
    assert Report.of(folder, whole, {**found, "d3-1": found["d1-1"]}).outcome == "PASS"
    lost = Report.of(folder, whole, found)
    assert lost.rows[2].mttd == "not measured"
    assert lost.findings[0].kind == "no evidence"


def test_links_lead_to_the_reports_of_the_drills(tmp_path: Path) -> None:
    report = full(tmp_path)
    for name in ("d1-1", "d2-2"):
        (tmp_path / name / "report.html").write_text("")
    write_documents(report)
    html = (report.folder / "report.html").read_text()
    links = re.findall(r'href="([^"#:]+)"', html)
    assert links
    assert all((report.folder / link).exists() for link in links)


def test_documents_are_the_same_bytes_for_the_same_log(tmp_path: Path) -> None:
    report = full(tmp_path)
    first = [path.read_bytes() for path in write_documents(report)]
    assert [path.read_bytes() for path in write_documents(report)] == first
    assert json.loads(first[2]) == json.loads(json.dumps(document(report), default=str))


def test_hostile_words_stay_text_in_every_document(tmp_path: Path) -> None:
    report = hostile(tmp_path)
    html, rendered = to_html(report), MarkdownIt("commonmark").enable("table").render(to_markdown(report))
    for text in (html, rendered):
        assert "<script" not in text
        assert not re.search(r'(?:href|src)="?javascript:', text)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    for path in write_documents(report):
        path.read_bytes().decode("utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    root = tmp_path_factory.mktemp("pages")
    yield {make.__name__: write_documents(make(root / make.__name__))[1] for make in (full, hostile)}
    shutil.rmtree(root)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["full", "hostile"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_works_at_every_size_without_trouble(
    browser: Any,
    pages: dict[str, Path],
    name: str,
    scheme: str,
) -> None:
    for size in (PHONE, DESK):
        with Visit(browser, pages[name], viewport=size, color_scheme=scheme) as visit:
            assert visit.width() == size["width"]
            assert visit.troubles == []
            assert visit.page.evaluate(CONTRAST) == []


@pytest.mark.browser
def test_the_page_can_be_used_with_keys(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["full"]) as visit:
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.textContent") == "Skip to the drills"
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("document.activeElement.id") == "drills"
        visit.page.keyboard.press("Tab")
        assert "report.html" in visit.page.evaluate("document.activeElement.href")
