"""The terminal: plain where it must be, quiet where nobody listens, and never a control character of others."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from gameday.record import DrillRecord
from gameday.reporting.console import REFRESH_S, DrillConsole, LiveStatus, StepStatus, status_text
from gameday.timeline import Phase
from reporting import records

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def status(**changes: object) -> LiveStatus:
    values: dict[str, object] = {
        "phase": Phase.DETECT,
        "phase_elapsed_s": 12.0,
        "phase_budget_s": 180.0,
        "since_effect_s": 12.4,
        "rto_s": 900.0,
        "alerts": (("database_connection_failures", "pending", 3.0),),
        "probes": (("bookings", False, "503"), ("database-answers", None, "")),
        "step": StepStatus("Start PostgreSQL again", 120.0, 1.5),
        **changes,
    }
    return LiveStatus(**values)  # type: ignore[arg-type]


def play(record: DrillRecord, stream: IO[str], **options: bool) -> DrillConsole:
    console = DrillConsole(stream, **options)
    for event in record.timeline:
        console.event(event)
        console.tick(status())
    console.finish(record)
    return console


class Terminal:
    """A pseudo-terminal and everything that was written to it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._parts: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 65536)
            except OSError:
                return
            if not part:
                return
            self._parts.append(part)

    def close(self) -> str:
        self.stream.close()
        self._reader.join(5)
        os.close(self._master)
        return b"".join(self._parts).decode("utf-8")


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "")
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", sorted(records.ALL))
def test_a_pipe_gets_plain_lines_without_control_characters(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # even then: what is piped must stay greppable
    stream = io.StringIO()
    record = records.ALL[name](tmp_path / "drill")
    play(record, stream)
    text = stream.getvalue()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert record.verdict.outcome.value in text
    assert text.rstrip().splitlines()[-1] == f"Report: {record.folder / 'report.html'}"


def test_a_pipe_gets_one_line_for_each_event_with_its_time(tmp_path: Path) -> None:
    stream = io.StringIO()
    record = records.passed(tmp_path / "drill")
    play(record, stream)
    timed = [line for line in stream.getvalue().splitlines() if re.match(r" *\d+\.\d\d s  ", line)]
    silent = {"drill.started", "drill.ended", "undo.started"}
    assert len(timed) == len([event for event in record.timeline if event.kind.value not in silent])
    assert "    16.80 s    alert database_connection_failures is FIRING" in timed
    assert "     2.70 s  4/9 detect: budget 3m" in timed


def test_the_final_screen_has_the_verdict_figures_reasons_and_report(tmp_path: Path) -> None:
    stream = io.StringIO()
    record = records.failed(tmp_path / "drill")
    play(record, stream)
    final = stream.getvalue().split("drill ended")[-1]
    for words in ("✗ FAIL", "did not fire", "within 3m", "RTO 15m", *record.verdict.reasons, "report.html"):
        assert words in final


def test_a_rehearsal_is_marked_before_and_after(tmp_path: Path) -> None:
    stream = io.StringIO()
    play(records.rehearsed(tmp_path / "drill"), stream)
    lines = [line for line in stream.getvalue().splitlines() if "ehearsal at 10 times speed" in line]
    assert len(lines) == 2


def test_a_terminal_gets_a_live_region_that_is_gone_at_the_end(tmp_path: Path, on_terminal: None) -> None:
    terminal = Terminal()
    console = play(records.passed(tmp_path / "drill"), terminal.stream)
    assert console.live
    text = terminal.close()
    assert "4/9 detect" in text
    assert "12.4 s of 15m" in ESCAPE.sub("", text)
    assert "\x1b[32m" in text  # coloured
    assert "RTO ██" not in ESCAPE.sub("", text).split("PASS")[-1]
    assert text.rindex("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_a_ci_job_or_a_dumb_terminal_gets_plain_lines(
    name: str, value: str, tmp_path: Path, on_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    terminal = Terminal()
    play(records.passed(tmp_path / "drill"), terminal.stream)
    assert "\x1b" not in terminal.close()


def test_no_color_is_honoured_on_a_terminal(
    tmp_path: Path, on_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    play(records.failed(tmp_path / "drill"), terminal.stream)
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38)", terminal.close())


def test_the_live_region_is_redrawn_at_most_four_times_a_second(on_terminal: None) -> None:
    terminal = Terminal()
    console = DrillConsole(terminal.stream)
    end = time.monotonic() + 3 * REFRESH_S
    while time.monotonic() < end:
        console.tick(status())
        time.sleep(0.005)
    console.close()
    assert 2 <= terminal.close().count("4/9 detect") <= 5


def test_watching_costs_less_than_two_percent_of_a_core(on_terminal: None) -> None:
    terminal = Terminal()
    console = DrillConsole(terminal.stream)
    console.tick(status())
    start, ticks = time.thread_time(), 20
    for number in range(ticks):
        console._last = float("-inf")
        console.tick(status(since_effect_s=float(number)))
    spent_s = time.thread_time() - start
    console.close()
    terminal.close()
    assert spent_s / (ticks * REFRESH_S) < 0.02


def test_a_reader_who_goes_away_does_not_end_the_drill(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w", buffering=1)
    play(records.passed(tmp_path / "drill"), stream)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_terminal_that_has_only_ascii_is_no_reason_to_fail(tmp_path: Path) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    play(records.passed(tmp_path / "drill"), stream)
    stream.flush()
    assert b"PASS" in raw.getvalue()


def test_nothing_is_written_to_stdout_when_another_stream_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play(records.passed(tmp_path / "drill"), sys.stderr)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "PASS" in captured.err


def test_the_live_region_counts_the_rto_down_and_says_when_it_is_over() -> None:
    assert "887.6 s left" in status_text(status(), 100).plain
    assert "100.0 s over" in status_text(status(since_effect_s=1000.0), 100).plain
    assert "recovered after 17.6 s" in status_text(status(recovered_s=17.6), 100).plain
    assert "the clock starts when" in status_text(status(since_effect_s=None), 100).plain


def test_hostile_names_cannot_break_the_live_region() -> None:
    nasty = f"{records.CONTROLS}\n{records.LONG}"
    drawn = status_text(
        status(
            alerts=((nasty, "firing", 1.0),), probes=((nasty, True, nasty),), step=StepStatus(nasty, 1.0, 2.0)
        ),
        80,
    ).plain
    lines = drawn.splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) < 80
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", drawn)
