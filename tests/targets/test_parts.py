"""The parts without processes of their own: ports, references, state, waiting."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets import ports
from gameday.targets.postgresql import archive_command
from gameday.targets.privilege import Footing
from gameday.targets.state import Record, State, StateFile
from gameday.targets.supervise import Identity, Row, descendants, find_alive, read_row
from gameday.targets.waiting import Deadline, wait_until


def row(pid: int, parent: int, session: int = 1, started: int = 5) -> Row:
    return Row(pid, started, "program", "S", parent, session, 1)


def test_descendants_are_children_of_children_and_the_session() -> None:
    rows = [row(10, 1), row(12, 10), row(11, 12), row(13, 1, session=10), row(14, 13), row(15, 1)]

    found = descendants({one.pid: one for one in rows}, rows[0])

    assert [one.pid for one in found] == [12, 13, 11, 14]


def test_a_reused_pid_is_not_the_recorded_process() -> None:
    own = read_row(threading.get_native_id())
    assert own is not None

    assert find_alive(own.identity) is not None
    assert find_alive(Identity(own.pid, own.started - 1)) is None


@pytest.mark.parametrize(
    ("state", "threads", "alive"), [("S", 1, True), ("Z", 1, False), ("Z", 2, True), ("T", 1, True)]
)
def test_a_zombie_is_dead_once_its_last_thread_is(state: str, threads: int, alive: bool) -> None:
    assert Row(1, 1, "program", state, 0, 1, threads).alive is alive


def test_free_ports_are_different_and_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAMEDAY_PORTS", raising=False)
    found = ports.find_free_ports(50, taken=range(20_000, 25_000))

    assert len(set(found)) == 50
    assert all(ports.is_free(port) and 25_000 <= port < 30_000 for port in found)


def test_ports_come_from_the_range_that_is_given_and_from_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAMEDAY_PORTS", "18000-18004")
    with socket.create_server((ports.HOST, 18_001)):
        assert sorted(ports.find_free_ports(3, taken=[18_003])) == [18_000, 18_002, 18_004]
        with pytest.raises(TargetError, match="only 3 of 4 ports are free"):
            ports.find_free_ports(4, taken=[18_003])


@pytest.mark.parametrize("text", ["18000", "18000-", "18004-18000", "80-90", "65000-65536", "a-b"])
def test_a_range_of_ports_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAMEDAY_PORTS", text)
    with pytest.raises(UsageError, match=f"GAMEDAY_PORTS is '{text}'; it must be a range"):
        ports.find_free_ports(1)


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.accepts(port)
    assert ports.is_free(port)
    assert not ports.accepts(port)


def test_archiving_a_segment_again_succeeds_only_if_it_is_the_same(tmp_path: Path) -> None:
    archive = tmp_path / "100% it's"
    archive.mkdir()
    segment = tmp_path / "segment"
    command = archive_command(archive).replace("%p", str(segment)).replace("%f", "0001").replace("%%", "%")

    def exit_code() -> int:
        return subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode

    segment.write_text("one")
    assert exit_code() == 0
    assert exit_code() == 0
    segment.write_text("two")
    assert exit_code() != 0
    assert (archive / "0001").read_text() == "one"


def test_state_is_read_back_as_written(tmp_path: Path) -> None:
    store = StateFile(tmp_path / "one", tmp_path / "locks")
    assert store.read() is None
    footing = Footing("unshare", Path("/bin"), Path("/data"))
    state = State("small").with_component("web", Record(1234, Identity(7, 99), True, footing))

    store.write(state)

    assert store.read() == state
    assert [path.name for path in store.folder.iterdir()] == ["state.json"]


def test_processes_of_an_earlier_boot_are_forgotten(tmp_path: Path) -> None:
    store = StateFile(tmp_path / "one", tmp_path / "locks")
    store.write(State("small").with_component("web", Record(1234, Identity(7, 99))))
    text = store.path.read_text()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    store.path.write_text(text.replace(boot, "another"))

    state = store.read()

    assert state is not None
    assert state.components["web"] == Record(1234)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "boot": "", "components": {"a": 1}}']
)
def test_a_state_that_is_not_one_is_told(tmp_path: Path, text: str) -> None:
    store = StateFile(tmp_path, tmp_path / "locks")
    store.path.write_text(text)

    with pytest.raises(TargetError, match="cannot be understood"):
        store.read()


def test_updates_from_many_threads_are_all_kept(tmp_path: Path) -> None:
    store = StateFile(tmp_path / "one", tmp_path / "locks")
    state = State("small")
    for number in range(8):
        state = state.with_component(f"c{number}", Record(1))
    store.write(state)
    threads = [
        threading.Thread(target=lambda name=f"c{number}": store.update(name, lambda _: Record(2)))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    found = store.read()
    assert found is not None
    assert {record.port for record in found.components.values()} == {2}


def test_a_lock_that_is_held_times_out(tmp_path: Path) -> None:
    store = StateFile(tmp_path / "one", tmp_path / "locks")
    with store.lock("web", Deadline.after(1)):
        begun = time.monotonic()
        with (
            pytest.raises(OperationTimedOut, match="another gameday process"),
            store.lock("web", Deadline.after(0.1)),
        ):
            pass
    assert 0.1 <= time.monotonic() - begun < 0.5


def test_waiting_asks_once_more_after_the_deadline_and_then_ends() -> None:
    answers = iter([False, True])
    assert wait_until(lambda: next(answers), Deadline.after(1))
    assert not wait_until(lambda: False, Deadline.after(0.02))
