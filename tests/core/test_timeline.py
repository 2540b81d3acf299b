"""The timeline on disk: what was written is read, whatever happened to the writer or to the end of the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timelines import ZERO, passing
from gameday.clock import Instant
from gameday.errors import InvalidFile
from gameday.timeline import Event, Kind, Phase, TimelineWriter, read_timeline

STRANGE = 'ü \u2028 \x85 \x0c \x1b[31m \u202e \ud800 "quoted" 🦆 line\nbreak'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "timeline.jsonl"


def write_three(path: Path) -> tuple[Event, ...]:
    with TimelineWriter(path) as writer:
        writer.record(Kind.DRILL_STARTED, drill="d", instance="demo")
        writer.enter(Phase.DETECT, 180.0)
        writer.record(Kind.STEP_ENDED, at=ZERO, heading="Ä", output=STRANGE)
        return tuple(writer.events)


def test_what_was_written_is_read(path: Path) -> None:
    events = write_three(path)
    assert read_timeline(path).events == events
    assert [(event.seq, event.kind, event.phase) for event in events] == [
        (0, Kind.DRILL_STARTED, Phase.PREFLIGHT),
        (1, Kind.PHASE_STARTED, Phase.DETECT),
        (2, Kind.STEP_ENDED, Phase.DETECT),
    ]
    assert events[2].at == ZERO
    assert events[2].data["output"] == STRANGE


def test_one_event_is_one_line_of_json(path: Path) -> None:
    write_three(path)
    content = path.read_bytes()
    assert content.endswith(b"\n")
    lines = [json.loads(line) for line in content.split(b"\n")[:-1]]
    assert [line["event"] for line in lines] == ["drill.started", "phase.started", "step.ended"]
    assert lines[2]["at"] == {"utc": "2026-03-02T09:00:00.000000+00:00", "mono_ns": ZERO.mono_ns}


def test_an_event_is_on_disk_before_anybody_hears_of_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        happened.append(f"synced {path.read_bytes().count(b'event')}")
        fsync(handle)

    monkeypatch.setattr("gameday.timeline.os.fsync", watched)
    with TimelineWriter(path, lambda event: happened.append(f"told {event.seq}")) as writer:
        writer.record(Kind.DRILL_STARTED)
        writer.record(Kind.DRILL_ENDED)
    assert happened == ["synced 1", "told 0", "synced 2", "told 1"]


def test_after_a_crash_at_any_byte_of_the_last_line_the_drill_goes_on(path: Path) -> None:
    events = write_three(path)
    content = path.read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    for length in range(last, len(content) + 1):
        path.write_bytes(content[:length])
        whole = length >= len(content) - 1
        assert read_timeline(path).events == (events if whole else events[:2])
        with TimelineWriter.resume(path) as writer:
            assert writer.phase is Phase.DETECT
            added = writer.record(Kind.DRILL_ABORTED, reason="crash")
        assert added.seq == (3 if whole else 2)
        assert read_timeline(path).events == (*(events if whole else events[:2]), added)


@pytest.mark.parametrize("junk", [b"{}\n", b"null\n", b"\xff\xfe\n", b'{"seq":3,"event":"no.such"}\n', b"\n"])
def test_a_last_line_that_is_no_event_is_left_out_and_overwritten(path: Path, junk: bytes) -> None:
    events = write_three(path)
    path.write_bytes(path.read_bytes() + junk)
    assert read_timeline(path).events == events
    with TimelineWriter.resume(path) as writer:
        added = writer.record(Kind.DRILL_ENDED)
    assert read_timeline(path).events == (*events, added)


@pytest.mark.parametrize(
    "junk", [b"{", b"null", b"[]", b"\xff", b"", b'{"seq":1}', b'{"seq":1,"event":"no.such"}']
)
def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(path: Path, junk: bytes) -> None:
    write_three(path)
    lines = path.read_bytes().split(b"\n")
    lines[1] = junk
    path.write_bytes(b"\n".join(lines))
    for read in (read_timeline, TimelineWriter.resume):
        with pytest.raises(InvalidFile) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}:2: not a timeline event: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "1: not a timeline event: ", id="empty"),
        pytest.param(b"{", "1: not a timeline event: ", id="only-a-torn-line"),
        pytest.param(None, "1: cannot be read: ", id="absent"),
    ],
)
def test_a_file_without_a_whole_event_is_no_timeline(path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidFile) as caught:
        read_timeline(path)
    assert str(caught.value).startswith(f"{path}:{message}")


def test_a_timeline_begins_with_the_start_of_its_drill(path: Path) -> None:
    with TimelineWriter(path) as writer:
        writer.record(Kind.DRILL_ENDED)
    with pytest.raises(InvalidFile, match=r":1: expected a drill\.started event first$"):
        read_timeline(path)


def test_first_last_and_all_follow_the_order_of_writing() -> None:
    timeline = passing().timeline()
    steps = timeline.all(Kind.STEP_STARTED)
    assert [event.data["heading"] for event in steps] == ["Look at the log", "Start it again"]
    assert (timeline.first(Kind.STEP_STARTED), timeline.last(Kind.STEP_STARTED)) == steps
    assert timeline.first(Kind.STEP_STARTED, lambda event: bool(event.data["acts"])) is steps[1]
    assert timeline.first(Kind.DRILL_ABORTED) is None
    assert timeline.last(Kind.DRILL_ABORTED) is None
    assert timeline.started.kind is Kind.DRILL_STARTED


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
records = st.lists(
    st.tuples(
        st.sampled_from(Kind), st.integers(-(10**9), 10**15), st.dictionaries(st.text(), plain, max_size=3)
    ),
    max_size=6,
)


@given(records, st.data())
def test_any_events_come_back_and_any_cut_leaves_a_prefix(
    tmp_path: Path, records: list[tuple[Kind, int, dict[str, object]]], data: st.DataObject
) -> None:
    path = tmp_path / "timeline.jsonl"
    path.unlink(missing_ok=True)
    with TimelineWriter(path) as writer:
        writer.record(Kind.DRILL_STARTED)
        for kind, mono_ns, values in records:
            values.pop("at", None)
            writer.record(kind, at=Instant(mono_ns, ZERO.utc), **values)
        events = tuple(writer.events)
    assert read_timeline(path).events == events
    content = path.read_bytes()
    cut = data.draw(st.integers(content.find(b"\n"), len(content)))
    path.write_bytes(content[:cut])
    left = read_timeline(path).events
    assert left == events[: len(left)]
    with TimelineWriter.resume(path) as writer:
        added = writer.record(Kind.DRILL_ENDED)
    assert read_timeline(path).events == (*left, added)


@given(st.integers(-(10**12), 10**15), st.integers(-(10**9), 10**9), st.floats(-1e5, 1e5))
def test_instants_are_ordered_and_subtracted_by_the_monotonic_clock(
    first: int, later: int, seconds: float
) -> None:
    one, other = Instant(first, ZERO.utc), Instant(first + later, ZERO.utc)
    assert other - one == later / 1e9
    assert (one < other) == (later > 0)
    assert (one <= other) == (later >= 0)
    assert one.plus(seconds) - one == pytest.approx(seconds, abs=1e-9)
    assert Instant.from_json(json.loads(json.dumps(one.to_json()))) == one
