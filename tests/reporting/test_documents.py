"""The written reports, read back by parsers as their consumers would."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, TestSuite
from markdown_it import MarkdownIt

from gameday.intervals import Result
from gameday.record import DrillRecord, Sample, load_record
from gameday.reporting.chart import MAX_BINS, chart
from gameday.reporting.document import as_json, json_text
from gameday.reporting.html import to_html
from gameday.reporting.junit import to_junit
from gameday.reporting.markdown import to_markdown
from gameday.reporting.write import write_reports
from gameday.verdict import Outcome
from reporting import records

VOID = frozenset(["meta", "link", "br", "hr", "img", "input"])
ALL = sorted(records.ALL)


class Page(HTMLParser):
    """A page's elements and their text; an element that is never closed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.append((self._open[-1], data))

    def text(self, *, without: tuple[str, ...] = ("style",)) -> str:
        return " ".join(" ".join(data.split()) for tag, data in self.texts if tag not in without)

    def classes(self, tag: str) -> list[str]:
        return [attributes.get("class") or "" for name, attributes in self.elements if name == tag]


@pytest.fixture(params=ALL)
def record(request: pytest.FixtureRequest, tmp_path: Path) -> DrillRecord:
    return records.ALL[request.param](tmp_path / request.param)


def test_every_drill_gets_four_documents_that_parse(record: DrillRecord) -> None:
    paths = write_reports(record)
    assert [path.name for path in paths] == ["verdict.json", "report.md", "report.html", "junit.xml"]
    assert json.loads(paths[0].read_text())["verdict"] == record.verdict.outcome.value
    assert record.verdict.outcome.value in Page(paths[2].read_text()).text()
    suites = list(JUnitXml.fromfile(str(paths[3])))
    assert len(suites) == 1


def test_the_same_record_gives_the_same_bytes(record: DrillRecord, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_reports(record)]
    moved = tmp_path / "elsewhere"
    shutil.copytree(record.folder, moved)
    assert [path.read_bytes() for path in write_reports(load_record(moved))] == first


def test_reports_leave_no_other_file_behind(record: DrillRecord) -> None:
    before = {path.name for path in record.folder.iterdir()}
    written = {path.name for path in write_reports(record)}
    assert {path.name for path in record.folder.iterdir()} == before | written


def test_a_folder_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    shutil.rmtree(record.folder)
    with pytest.raises(FileNotFoundError):
        write_reports(record)


def test_a_failed_write_keeps_the_old_report(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    write_reports(record)
    (record.folder / "report.md").unlink()
    (record.folder / "report.md").mkdir()
    with pytest.raises(IsADirectoryError):
        write_reports(record)
    assert not [path for path in record.folder.iterdir() if path.name.endswith(".tmp")]


# --- the first lines ------------------------------------------------------------------------------------------


def test_a_manager_finds_the_answers_in_the_first_ten_lines_of_markdown(tmp_path: Path) -> None:
    top = to_markdown(records.passed(tmp_path / "drill")).splitlines()[:10]
    text = "\n".join(top)
    assert top[0] == "# PASS: PostgreSQL dies under load"
    for answer in (
        "14.20 s ± 0.10 s",
        "within 3m",
        "17.60 s ± 0.10 s",
        "RTO 15m",
        "no record lost",
        "RPO 15m",
    ):
        assert answer in text
    assert "Start PostgreSQL again" in text
    assert "Proven: " in text


def test_the_reasons_of_a_failure_stand_before_the_figures_in_html(tmp_path: Path) -> None:
    record = records.failed(tmp_path / "drill")
    text = Page(to_html(record)).text()
    assert text.index("FAIL") < text.index(record.verdict.reasons[0]) < text.index("Time to detect")
    assert "did not fire" in text
    assert "3 records lost" in text


@pytest.mark.parametrize("make", [to_markdown, to_html, to_junit, lambda r: json_text(as_json(r))])
def test_a_drill_at_speed_says_so_in_every_document(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = "rehearsal at 10 times speed"
    assert words in make(records.rehearsed(tmp_path / "fast")).lower()
    assert words not in make(records.passed(tmp_path / "real")).lower()


def test_a_rehearsal_is_marked_before_any_figure(tmp_path: Path) -> None:
    record = records.rehearsed(tmp_path / "drill")
    assert "Rehearsal at 10 times speed" in "\n".join(to_markdown(record).splitlines()[:4])
    page = Page(to_html(record))
    notice = next(
        number for number, (_, text) in enumerate(page.texts) if text.startswith("Rehearsal at 10 times")
    )
    figure = next(number for number, (_, text) in enumerate(page.texts) if text == "Time to detect (MTTD)")
    assert notice < figure


def test_a_drill_that_broke_off_says_so_and_is_not_green(tmp_path: Path) -> None:
    record = records.broken_off(tmp_path / "drill")
    assert "broken off" in to_markdown(record)
    assert "broken off" in Page(to_html(record)).text()
    assert as_json(record)["complete"] is False
    assert "gameday recover" in to_markdown(record)


def test_nothing_unknown_is_told_as_proven(tmp_path: Path) -> None:
    for name in ("ineffective", "aborted", "blind"):
        record = records.ALL[name](tmp_path / name)
        assert record.verdict.outcome is Outcome.INCONCLUSIVE
        assert "Proven:" not in to_markdown(record)


# --- HTML -----------------------------------------------------------------------------------------------------


def test_the_page_asks_for_nothing_from_outside(record: DrillRecord) -> None:
    page = Page(to_html(record))
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form", "img"}
        for name in ("src", "href", "action", "xlink:href", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), f"{tag} {name}={value}"
        assert not [name for name in attributes if name.startswith("on")]
    css = " ".join(data for tag, data in page.texts if tag == "style")
    assert "@import" not in css
    assert set(re.findall(r"url\(([^)]*)\)", css)) == {"#hatch", "#cross", "#dots"}


def test_every_id_stands_once_and_every_reference_leads_to_one(record: DrillRecord) -> None:
    page = Page(to_html(record))
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in (attributes.get("aria-labelledby") or "").split():
            assert name in ids
        if (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids


def test_hostile_text_appears_as_text(tmp_path: Path) -> None:
    record = records.hostile(tmp_path / "drill")
    page = Page(to_html(record))
    assert not [tag for tag, _ in page.elements if tag == "script"]
    assert records.HOSTILE in page.text()
    assert not re.search("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", to_html(record))
    assert "\u05e9\u05dc\u05d5\u05dd" in page.text()


def test_the_page_of_a_drill_without_samples_or_events_still_draws(tmp_path: Path) -> None:
    folder = records.Folder(tmp_path / "drill").start()
    page = Page(to_html(folder.write()))
    assert "nothing was injected" in page.text()


# --- the drawing ----------------------------------------------------------------------------------------------


def _lane(record: DrillRecord, start: str):  # type: ignore[no-untyped-def]
    return next(lane for lane in chart(record).lanes if lane.title.startswith(start))


def test_phases_states_and_instants_lie_where_they_happened(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    drawn = chart(record)
    seconds = record.ended - record.started
    lane = _lane(record, "expected alert")
    assert [span.kind for span in lane.spans] == ["inactive", "pending", "firing", "resolved"]
    firing = lane.spans[2]
    assert firing.x == pytest.approx(100 * 16.8 / seconds, abs=0.01)
    assert firing.width == pytest.approx(100 * (41.0 - 16.8) / seconds, abs=0.01)
    assert [span.kind for span in drawn.phases] == [
        "preflight", "arm", "inject", "detect", "respond", "recover", "account", "undo", "judge",
    ]  # fmt: skip
    names = [mark.moment.name for mark in drawn.marks]
    assert names == [
        "inject", "effective", "pending", "firing", "notified", "first_step", "recovered", "resolved", "undone",
    ]  # fmt: skip
    effective = drawn.marks[1]
    assert effective.moment.since_s == 0
    assert effective.x == pytest.approx(100 * 2.6 / seconds, abs=0.01)


def test_a_blind_detector_is_drawn_as_unknown_over_every_alert(tmp_path: Path) -> None:
    assert "unknown" in [
        span.kind for span in _lane(records.blind(tmp_path / "drill"), "expected alert").spans
    ]


def test_badges_of_neighbours_do_not_touch(tmp_path: Path) -> None:
    levels: dict[int, list[float]] = {}
    for mark in chart(records.passed(tmp_path / "drill")).marks:
        levels.setdefault(mark.level, []).append(mark.x)
    for positions in levels.values():
        assert all(b - a >= 7 for a, b in pairwise(positions))


def test_a_single_failure_among_fifty_thousand_samples_stays_visible(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    base, length_ns = record.started.mono_ns, record.ended.mono_ns - record.started.mono_ns
    count, bad = 50_000, 31_234
    samples = tuple(
        Sample(
            base + length_ns * n // count,
            base + length_ns * n // count + 1000,
            n != bad,
            "" if n != bad else "boom",
        )
        for n in range(count)
    )
    lane = _lane(replace(record, samples={"bookings": samples}), "probe bookings")
    assert [span.kind for span in lane.spans] == ["holds", "mixed", "holds"]
    assert "1 of" in lane.spans[1].note
    assert "boom" in lane.spans[1].note
    assert lane.spans[1].x == pytest.approx(100 * bad / count, abs=0.2)


def test_flapping_samples_are_thinned_to_a_thousand_bins(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    base, length_ns = record.started.mono_ns, record.ended.mono_ns - record.started.mono_ns
    samples = tuple(
        Sample(base + length_ns * n // 20_000, base + length_ns * n // 20_000, (n // 30) % 2 == 0)
        for n in range(20_000)
    )
    lane = _lane(replace(record, samples={"bookings": samples}), "probe bookings")
    assert 100 < len(lane.spans) <= MAX_BINS


def test_a_faster_pace_around_recovery_leaves_no_gaps_elsewhere(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    start = record.started.mono_ns
    slow = [n * 100_000_000 for n in range(100)]
    fast = [10_000_000_000 + n * 20_000_000 for n in range(600)]
    late = [22_000_000_000 + n * 100_000_000 for n in range(150)]
    samples = tuple(Sample(start + at, start + at + 4_000_000, True) for at in (*slow, *fast, *late))
    lane = _lane(replace(record, samples={"bookings": samples}), "probe bookings")
    assert len(lane.spans) == 1


def test_events_are_told_in_order_of_time(record: DrillRecord) -> None:
    rows = re.findall(r"^\| ([+\u2212]?\d+\.\d\d) s \| \w+ \|", to_markdown(record), re.MULTILINE)
    times = [float(text.replace("\u2212", "-")) for text in rows]
    assert len(times) == len(record.timeline.events)
    assert times == sorted(times)


def test_a_hole_in_the_samples_is_not_drawn_as_held(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    kept = tuple(
        s for s in record.samples["bookings"] if not 25 < (s.started_ns - record.started.mono_ns) / 1e9 < 35
    )
    lane = _lane(replace(record, samples={"bookings": kept}), "probe bookings")
    hole = 100 * 30 / (record.ended - record.started)
    assert not [span for span in lane.spans if span.x < hole < span.x + span.width]


# --- JUnit ----------------------------------------------------------------------------------------------------


def _suite(record: DrillRecord) -> TestSuite:
    (suite,) = JUnitXml.fromstring(to_junit(record).encode())
    assert isinstance(suite, TestSuite)
    return suite


def test_junit_has_one_case_for_each_check_and_never_skips(record: DrillRecord) -> None:
    suite = _suite(record)
    cases = {case.name: case for case in suite}
    assert suite.tests == len(cases)
    assert suite.skipped == 0
    for check in record.verdict.checks:
        results = [type(result) for result in cases[check.title].result]
        assert results == {Result.MET: [], Result.MISSED: [Failure], Result.UNKNOWN: [Error]}[check.result]


def test_junit_is_green_for_a_pass_only(record: DrillRecord) -> None:
    suite = _suite(record)
    assert (suite.failures + suite.errors == 0) == (record.verdict.exit_code == 0)


def test_junit_is_red_where_only_the_abort_spoils_a_drill(tmp_path: Path) -> None:
    folder = records.passing(tmp_path / "drill")
    last = folder.events.pop()
    folder.add(41.65, records.Kind.DRILL_ABORTED, reason="SIGTERM")
    folder.events.append(replace(last, seq=len(folder.events)))
    record = folder.write()
    assert {check.result for check in record.verdict.checks} == {Result.MET}
    assert _suite(record).errors == 1


def test_junit_times_are_the_measured_seconds(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "drill")
    cases = {case.name: case for case in _suite(record)}
    assert cases["Alert database_connection_failures fired"].time == pytest.approx(14.2)
    properties = {item.name: item.value for item in _suite(record).properties()}
    assert properties["mttd_s"] == "14.200"
    assert properties["mttd_resolution_s"] == "0.100"


# --- Markdown -------------------------------------------------------------------------------------------------


def test_markdown_renders_hostile_text_as_that_text(tmp_path: Path) -> None:
    record = records.hostile(tmp_path / "drill")
    rendered = MarkdownIt("commonmark").enable("table").render(to_markdown(record))
    page = Page(rendered.replace("<br>", ""))
    assert {tag for tag, _ in page.elements} <= {
        "h1", "h2", "p", "ul", "li", "strong", "table", "thead", "tbody", "tr", "th", "td", "pre", "code", "blockquote",
    }  # fmt: skip
    assert "<script>alert('x')</script>" in page.text()
    assert "[a](javascript:alert(1))" in page.text()


def test_every_markdown_table_has_as_many_cells_in_each_row(record: DrillRecord) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(to_markdown(record))
    width, cells = 0, 0
    for token in tokens:
        if token.type == "thead_open":
            width = 0
        if token.type == "th_open":
            width += 1
        if token.type == "tr_open":
            cells = 0
        if token.type == "td_open":
            cells += 1
        if token.type == "tr_close" and cells:
            assert cells == width


# --- JSON -----------------------------------------------------------------------------------------------------


def test_json_is_plain_utf8_whatever_a_probe_answered(tmp_path: Path) -> None:
    value = json.loads(json_text({"detail": "lone \ud800 and ± and \x1b"}).encode("utf-8"))
    assert value == {"detail": "lone \ud800 and ± and \x1b"}


def test_json_has_the_verdict_and_where_the_folder_is(tmp_path: Path) -> None:
    record = records.failed(tmp_path / "drill")
    value = as_json(record)
    assert value["verdict"] == "FAIL"
    assert value["exit_code"] == 1
    assert value["folder"] == str(record.folder)
    assert value["steps"][0]["over_budget"] is True
    assert [check["name"] for check in value["checks"]] == [check.name for check in record.verdict.checks]
    assert str(tmp_path) not in (write_reports(record)[0]).read_text()
