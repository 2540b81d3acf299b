"""The page in a real browser: it works without a network, at every size, in light, dark and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest

from gameday.reporting.write import write_reports
from reporting import records

pytestmark = pytest.mark.browser
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1200, "height": 900}
CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const c = rgb(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *:not(svg):not(svg *)")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


class Visit:
    """One page as a visitor with certain preferences sees it; what went wrong is in `troubles`."""

    def __init__(self, browser: Any, report: Path, **preferences: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESK, **preferences})
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("request", self._requested)
        self.url = report.as_uri()
        self.page.goto(self.url)

    def _requested(self, request: Any) -> None:
        if request.url != self.url and not request.url.startswith("data:"):
            self.troubles.append(f"request: {request.url}")

    def width(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("reports")
    return {name: write_reports(make(root / name))[2] for name, make in records.ALL.items()}


@pytest.mark.parametrize("name", sorted(records.ALL))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_page_without_trouble_or_sideways_scrolling(
    browser: Any, reports: dict[str, Path], name: str, scheme: str
) -> None:
    with Visit(browser, reports[name], viewport=PHONE, color_scheme=scheme) as visit:
        assert visit.width() == PHONE["width"]
        assert visit.troubles == []
        assert visit.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("name", sorted(records.ALL))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_desk_shows_the_page_without_trouble(
    browser: Any, reports: dict[str, Path], name: str, scheme: str
) -> None:
    with Visit(browser, reports[name], color_scheme=scheme) as visit:
        assert visit.width() == DESK["width"]
        assert visit.troubles == []
        assert visit.page.evaluate(CONTRAST) == []


def test_the_timeline_is_drawn_and_named(browser: Any, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["passed"]) as visit:
        drawing = visit.page.get_by_role("img", name="Timeline of the drill")
        box = drawing.bounding_box()
        assert drawing.is_visible()
        assert box["width"] > 800
        assert box["height"] > 250
        firing = visit.page.locator(".lane.alert rect.firing").first.bounding_box()
        fails = visit.page.locator(".lane.probe rect.fails").first.bounding_box()
        effect = visit.page.locator(".mark-effective line").bounding_box()
        assert fails["x"] == pytest.approx(effect["x"], abs=2)
        assert firing["x"] > effect["x"] + 100
        assert firing["height"] > 15


def test_states_differ_by_shape_and_not_by_colour_alone(browser: Any, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["passed"]) as visit:

        def height(kind: str) -> float:
            return float(visit.page.locator(f".lane rect.{kind}").first.get_attribute("height"))

        assert len({height("inactive"), height("pending"), height("firing"), height("resolved")}) == 4
        assert height("fails") != height("holds")


def test_a_dark_scheme_is_dark_and_a_light_one_light(browser: Any, reports: dict[str, Path]) -> None:
    for scheme, expected in (("light", "rgb(245, 246, 248)"), ("dark", "rgb(14, 18, 23)")):
        with Visit(browser, reports["passed"], color_scheme=scheme) as visit:
            ground = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == expected


def test_hostile_text_is_shown_and_does_nothing(browser: Any, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["hostile"]) as visit:
        dialogs: list[str] = []
        visit.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        assert records.HOSTILE in visit.page.locator("h1").inner_text()
        assert visit.page.locator("script").count() == 0
        assert visit.page.locator("a[href^='javascript']").count() == 0
        assert dialogs == []


def test_the_page_works_without_javascript(browser: Any, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["passed"], java_script_enabled=False) as visit:
        assert visit.page.get_by_role("img", name="Timeline of the drill").is_visible()


def test_the_keyboard_reaches_what_can_be_opened(browser: Any, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["passed"]) as visit:
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.textContent") == "Skip to the timeline"
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("document.activeElement.id") == "timeline"
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.tagName") == "SUMMARY"
        visit.page.keyboard.press("Enter")
        assert visit.page.get_by_text("server started").is_visible()


def test_the_page_prints_on_paper(browser: Any, reports: dict[str, Path], tmp_path: Path) -> None:
    with Visit(browser, reports["passed"], color_scheme="dark") as visit:
        visit.page.emulate_media(media="print")
        assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        printed = visit.page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
        assert printed.startswith(b"%PDF")
        assert visit.troubles == []
