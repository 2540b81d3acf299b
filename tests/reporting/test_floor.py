"""The floor beside the measured time, and how an instant is known: the same in every form of the report."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gameday.record import DrillRecord
from gameday.reporting import console_final
from gameday.reporting.document import verdict_document
from gameday.reporting.html import to_html
from gameday.reporting.markdown import to_markdown
from gameday.timeline import Kind
from reporting.folders import ALERT, Folder
from reporting.records import passing

FLOOR = {
    "scrape_s": 5.0, "evaluation_s": 1.0, "for_s": 30.0, "group_wait_s": 0.3,
    "fires_s": 36.0, "notifies_s": 36.3,
}  # fmt: skip


def drill(path: Path, floor: dict[str, Any]) -> DrillRecord:
    folder: Folder = passing(path / "drill")
    return folder.rule(60, ALERT, floor=floor).write()


def forms(record: DrillRecord) -> tuple[str, ...]:
    out = io.StringIO()
    console_final.show(Console(file=out, width=400), record)
    return to_markdown(record).replace("\\_", "_"), to_html(record), out.getvalue()


def test_every_form_shows_the_floor_and_its_parts_beside_the_measured_time(tmp_path: Path) -> None:
    record = drill(tmp_path, FLOOR)
    said = "floor 36s = scrape 5s + evaluation 1s + for 30s; 36.3s until notified, with group_wait 300ms"
    for form in forms(record):
        line = next(line for line in form.splitlines() if said in line)
        assert "within" in line
    told = verdict_document(record)["floor"]
    assert (told["fires_s"], told["notifies_s"], told["unread"]) == (36.0, 36.3, [])
    assert told["parts"] == {"scrape": 5.0, "evaluation": 1.0, "for": 30.0, "group_wait": 0.3}


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        (
            ("scrape_s", "fires_s", "notifies_s"),
            (
                "floor not known, at least evaluation 1s + for 30s; group_wait 300ms more until notified; "
                "not read: scrape"
            ),
        ),
        (
            ("group_wait_s", "notifies_s"),
            "floor 36s = scrape 5s + evaluation 1s + for 30s; not read: group_wait",
        ),
    ],
)
def test_what_could_not_be_read_is_named_and_not_counted_as_nothing(
    tmp_path: Path, lacks: tuple[str, ...], said: str
) -> None:
    record = drill(tmp_path, {**FLOOR, **dict.fromkeys(lacks)})
    for form in forms(record):
        assert said in form
    assert verdict_document(record)["floor"]["unread"]


def test_a_detector_that_tells_of_no_floor_has_none(tmp_path: Path) -> None:
    record = drill(tmp_path, {})
    assert all("floor" not in form for form in forms(record)[2:])
    assert verdict_document(record)["floor"] is None


def test_how_an_alerts_instant_is_known_stands_in_every_form(tmp_path: Path) -> None:
    folder = passing(tmp_path / "drill")
    for index, event in enumerate(folder.events):
        if event.kind is Kind.ALERT_FIRING:
            folder.events[index] = replace(event, data={**event.data, "seen": "derived"})
    record = folder.write()
    markdown, html, _ = forms(record)
    assert "Alert firing (derived)" in markdown
    assert "Alert firing (derived)" in html
    firing = next(moment for moment in verdict_document(record)["moments"] if moment["name"] == "firing")
    assert firing["seen"] == "derived"
