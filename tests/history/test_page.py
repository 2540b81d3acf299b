"""The page of the history in a real browser, made by the command of a real project from rows and reports."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from gameday.history import History
from gameday.project import Project
from gameday.reporting.write import write_reports
from history.conftest import ROOT
from history.plenty import Rows, many, one, store
from history.shop import gameday
from process.inn import until
from reporting import records
from reporting.test_browser import CONTRAST, DESK, PHONE, Visit

NASTY = f"{records.HOSTILE} {records.LONG}"
BENT = f"bell\x07 escape\x1b[31m {records.RIGHT_TO_LEFT} {records.LONG}"
FORMULA = "=HYPERLINK(1)"


def hostile_rows(now: datetime) -> Rows:
    """Whatever a database of others may hold."""
    alert = {"expected": True, "collateral": False, "fired": True, "outcome": "fired", "mttd_s": 1.0}
    row = one(
        "hostile",
        now,
        scenario=NASTY,
        environment=BENT,
        verdict="<b>PASS</b>",
        severity="<i>SEV",
        restored_by=BENT,
        folder="javascript:alert(1)//",
    )
    return [
        (row, [{"drill": "hostile", "alert": NASTY, **alert}]),
        (one("formula", now, scenario=FORMULA, environment="+SUM(1)"), []),
        (
            one("never", now, mttd_s=None, detected_result="missed", verdict="FAIL", exit_code=1),
            [{"drill": "never", "alert": NASTY, **alert, "outcome": "unexpected"}],
        ),
        (one("far", now, folder="/etc", scenario="\ud7ff\x00nul"), []),
    ]


def make(reports: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GAMEDAY_HISTORY_URL", "GAMEDAY_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with History.open(Project(ROOT, reports_folder=reports)) as history:
        for name, when in (("passed", "20260302T090000Z-a"), ("with space & #", "20260302T090000Z-b")):
            record = records.passed(reports / name, drill=when, zero=_now_instant())
            write_reports(record)
            history.add(record)
        store(history, rows)


def _now_instant() -> Any:
    from gameday.clock import Instant

    return Instant(records.ZERO.mono_ns, datetime.now(UTC) - timedelta(minutes=5))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        now = datetime.now(UTC)
        kinds: dict[str, Rows] = {
            "hostile": hostile_rows(now),
            "plenty": [
                ({**row, "started": row["started"] + (now - datetime(2026, 3, 1, tzinfo=UTC))}, alerts)
                for row, alerts in many(600)
            ],
        }
        found = {}
        for name, rows in kinds.items():
            reports = tmp_path_factory.mktemp(name)
            make(reports, rows, monkeypatch)
            found[name] = page(reports)
        found["empty"] = page(tmp_path_factory.mktemp("empty"))
        yield found


def page(reports: Path, *arguments: str) -> Path:
    done = gameday(ROOT, "history", "page", *arguments, GAMEDAY_REPORTS=str(reports))
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def form(reports: Path, name: str) -> str:
    done = gameday(ROOT, "history", "page", "--form", name, GAMEDAY_REPORTS=str(reports))
    assert done.returncode == 0, done.stderr
    return done.stdout


KINDS = ("empty", "hostile", "plenty")


def unfold(visit: Visit) -> None:
    visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


@pytest.mark.browser
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_page_is_shown_without_trouble_request_or_sideways_scrolling(
    browser: Any, pages: dict[str, Path], kind: str, scheme: str, size: dict[str, int]
) -> None:
    with Visit(browser, pages[kind], viewport=size, color_scheme=scheme) as visit:
        unfold(visit)
        assert visit.width() == size["width"]
        assert visit.troubles == []
        assert visit.page.evaluate(CONTRAST) == []


@pytest.mark.browser
def test_hostile_names_are_text(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["hostile"]) as visit:
        dialogs: list[str] = []
        visit.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        unfold(visit)
        text = visit.page.locator("body").inner_text()
        for words in (
            records.HOSTILE,
            "<U+202E>evil",
            "<U+001B>[31m",
            "more characters)",
            "<b>PASS</b>",
            "<i>SEV",
        ):
            assert words in text
        assert "\u202e" not in text
        assert visit.page.locator("script, b, i, iframe, img").count() == 0
        hrefs = visit.page.eval_on_selector_all("a", "all => all.map((one) => one.href)")
        assert all(href.startswith("file:///") for href in hrefs)
        assert dialogs == []


@pytest.mark.browser
def test_links_lead_to_the_reports_and_only_to_those_that_are_there(
    browser: Any, pages: dict[str, Path]
) -> None:
    with Visit(browser, pages["hostile"]) as visit:
        links = visit.page.locator("section:has(#latest) a")
        found = [unquote(str(links.nth(n).get_attribute("href"))) for n in range(links.count())]
        assert set(found) == {"passed/report.html", "with space & #/report.html"}
        assert "its report is not here" in visit.page.locator("section:has(#latest)").inner_text()
        links.nth(found.index("with space & #/report.html")).click()
        visit.page.wait_for_url("**/report.html")
        assert "PASS" in visit.page.locator(".stamp").inner_text()


@pytest.mark.browser
def test_the_keyboard_reaches_what_can_be_opened_and_scrolled(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["plenty"], viewport=PHONE) as visit:
        keyboard = visit.page.keyboard
        keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.textContent") == "Skip to the goals"
        keyboard.press("Enter")
        assert visit.page.evaluate("document.activeElement.id") == "goals"
        keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.getAttribute('role')") == "region"
        keyboard.press("ArrowRight")
        # playwright's own wait evaluates a string in the page, which its policy forbids
        until(lambda: visit.page.evaluate("document.activeElement.scrollLeft") > 0, 10, "it is scrolled")
        details = visit.page.locator("details.trend").last
        details.locator("> summary").focus()
        assert not details.evaluate("one => one.open")
        keyboard.press("Enter")
        assert details.get_by_role("img").first.is_visible()


@pytest.mark.browser
def test_trends_are_drawn_with_their_objectives_and_named(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["plenty"]) as visit:
        chart = visit.page.get_by_role("img", name="Time to detect (MTTD) of scenario-").first
        assert chart.bounding_box()["width"] > 200
        for kind in ("objective", "mean"):
            path = chart.locator(f"path.{kind}")
            assert path.count() == 1
            assert path.bounding_box()["width"] > 100
        assert (
            chart.locator("path.objective").bounding_box()["y"]
            < chart.locator("path.mean").bounding_box()["y"]
        )
        assert visit.page.locator("details.trend path.missed").count() > 0


@pytest.mark.browser
def test_an_empty_history_says_so_and_praises_nothing(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["empty"]) as visit:
        text = visit.page.locator("body").inner_text()
        assert "Not measured: there is no drill." in text
        assert "\u2713" not in visit.page.locator("section:has(#goals)").inner_text()


@pytest.mark.browser
def test_the_page_works_without_javascript_and_on_paper(
    browser: Any, pages: dict[str, Path], tmp_path: Path
) -> None:
    with Visit(browser, pages["plenty"], java_script_enabled=False, color_scheme="dark") as visit:
        assert visit.page.get_by_role("heading", name="Goals").is_visible()
        visit.page.emulate_media(media="print")
        assert visit.page.pdf(path=str(tmp_path / "page.pdf"), format="A4").startswith(b"%PDF")
        assert visit.troubles == []


# --- its content ----------------------------------------------------------------------------------------------


def test_a_month_without_a_goal_met_has_its_mark(pages: dict[str, Path]) -> None:
    text = pages["hostile"].read_text(encoding="utf-8")
    assert "1 never detected" in text
    assert "Coverage of <bdi>hotel-local</bdi>" in text


def test_the_page_is_self_contained(pages: dict[str, Path]) -> None:
    for kind in KINDS:
        text = pages[kind].read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        for word in ("<script", '<link rel="stylesheet', "https://", "@import", "url(http", "src="):
            assert word not in text, (kind, word)


def test_the_other_forms_hold_the_same_and_no_markup_or_formula(pages: dict[str, Path]) -> None:
    reports = pages["hostile"].parent
    text = form(reports, "markdown")
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "not measured" in text
    assert "## Coverage of hotel-local" in text
    rows = list(csv.DictReader(io.StringIO(form(reports, "csv"))))
    assert {row["scenario"] for row in rows} >= {"database-down", f"'{FORMULA}"}
    assert "'+SUM(1)" in {row["environment"] for row in rows}
    document = json.loads(form(reports, "json"))
    assert document["drills"]["drills"] == 6
    assert sum(month["drills"] for trend in document["trends"] for month in trend["months"]) == 6
    assert document["coverage"]["environment"] == "hotel-local"
    goals = document["metrics"]["month"][0]["periods"][-1]["metrics"]
    assert (goals["mttd"]["goal"], goals["mttd"]["goal_met"]) == ("below 5 min", False)
    assert goals["restore_tests_passed"]["value"] is None


def test_a_page_elsewhere_has_links_from_there(pages: dict[str, Path], tmp_path: Path) -> None:
    reports = pages["hostile"].parent
    target = tmp_path / "page.html"
    assert page(reports, "--to", str(target)) == target
    text = target.read_text(encoding="utf-8")
    link = next(part for part in text.split('href="') if part.startswith("..")).partition('"')[0]
    assert (target.parent / unquote(link)).resolve() == (reports / "passed" / "report.html").resolve() or (
        target.parent / unquote(link)
    ).resolve().is_file()


def test_where_it_cannot_be_written_the_message_names_the_file(
    pages: dict[str, Path], tmp_path: Path
) -> None:
    target = tmp_path / "missing" / "page.html"
    done = gameday(ROOT, "history", "page", "--to", str(target), GAMEDAY_REPORTS=str(pages["hostile"].parent))
    assert done.returncode == 2
    assert f"{target} cannot be written" in done.stderr
