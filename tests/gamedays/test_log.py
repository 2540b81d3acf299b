"""The log: nothing lost, nothing twice, whoever writes at the same time and wherever one is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gameday.errors import InvalidFile
from gameday.gamedays import entries as e
from gameday.gamedays.log import FILE, GameDayLog, Logged, read_log
from gamedays.world import GO, STARTED, TAKEN_UP, logged, write_log

WRITER = """
import sys
from pathlib import Path
from gameday.gamedays.entries import Note
from gameday.gamedays.log import GameDayLog
with GameDayLog(Path(sys.argv[1])) as log:
    for number in range(50):
        log.append(Note(text=f"{sys.argv[2]}-{number}", by="w"))
"""


def notes(folder: Path) -> list[str]:
    return [line.entry.text for line in read_log(folder) if isinstance(line.entry, e.Note)]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    lines = logged(TAKEN_UP, GO, e.Action(text="Mend it", owner="Ana", due="2026-12-20", by="Dora"))
    folder = write_log(tmp_path / "day", lines)
    assert read_log(folder) == lines
    assert [Logged.from_line(line.to_line()) for line in lines] == list(lines)


def test_every_kind_of_entry_has_a_name_and_comes_back_from_it() -> None:
    kinds = e.KINDS.values()
    assert len(set(kinds)) == len(e.KINDS)
    assert {kind.__name__ for kind in kinds} == {kind.__name__ for kind in e.Entry.__args__}
    assert e.entry_from("note", {"text": "x", "by": "y"}) == e.Note(text="x", by="y")


def test_writers_in_several_processes_lose_nothing_and_leave_no_gap(tmp_path: Path) -> None:
    write_log(tmp_path, logged())
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(number)]) for number in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    assert sorted(notes(tmp_path)) == sorted(f"{w}-{n}" for w in range(4) for n in range(50))
    for writer in range(4):
        mine = [text for text in notes(tmp_path) if text.startswith(f"{writer}-")]
        assert mine == [f"{writer}-{number}" for number in range(50)]


def test_a_line_that_a_killed_writer_left_is_cut_off_by_the_next_one(tmp_path: Path) -> None:
    write_log(tmp_path, logged(TAKEN_UP))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"seq":2,"entry":"note","at":{"utc":"2026')
    assert len(read_log(tmp_path)) == 2, "it was never written"
    with GameDayLog(tmp_path) as log:
        log.append(e.Note(text="after", by="Dora"))
    assert [line.seq for line in read_log(tmp_path)] == [0, 1, 2]
    assert notes(tmp_path) == ["after"]


def test_one_sees_what_others_have_written(tmp_path: Path) -> None:
    write_log(tmp_path, logged())
    with GameDayLog(tmp_path) as mine, GameDayLog(tmp_path) as other:
        mine.append(TAKEN_UP)
        other.append(e.Note(text="hello", by="Eva"))
        assert [line.entry for line in mine.refresh()] == [e.Note(text="hello", by="Eva")]
        assert mine.append(GO).seq == 3


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", 1, "cannot be read"),
        (b"nonsense\n", 1, "not an entry of a game day"),
        (logged(TAKEN_UP)[1].to_line(), 1, "its number is 1, expected 0"),
        (logged()[0].to_line() * 2, 2, "its number is 0, expected 1"),
        (logged()[0].to_line() + logged(STARTED)[1].to_line(), 2, "stands first, and only there"),
        (logged()[0].to_line() + b'{"seq":1,"entry":"dance","at":{"utc":"2026-01-01","mono_ns":1},"data":{}}\n', 2, ""),
    ],
)  # fmt: skip
def test_a_damaged_log_is_told_with_its_line(tmp_path: Path, content: bytes, line: int, said: str) -> None:
    if content:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InvalidFile) as caught:
        read_log(tmp_path)
    assert caught.value.problems[0].line == line
    assert said in str(caught.value)


def test_half_of_a_pair_from_a_terminal_does_not_end_the_log(tmp_path: Path) -> None:
    write_log(tmp_path, logged())
    with GameDayLog(tmp_path) as log:
        log.append(e.Note(text="\udce9", by="Dora"))
        log.append(GO)
    assert len(read_log(tmp_path)) == 3


FULL = """
import resource, sys
from pathlib import Path
from gameday.errors import UsageError
from gameday.gamedays.entries import Note
from gameday.gamedays.log import GameDayLog
with GameDayLog(Path(sys.argv[1])) as log:
    log.refresh()
    size = log.path.stat().st_size
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, most))
    try:
        log.append(Note(text="too much", by="Dora"))
    except UsageError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    log.append(Note(text="there is room again", by="Dora"))
"""


def test_what_there_was_no_room_for_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    write_log(tmp_path, logged())
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "cannot write" in said.stdout
    assert notes(tmp_path) == ["there is room again"]
