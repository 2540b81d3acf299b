"""A component's own disk: a real file system of that size where one may be mounted, else a folder with a quota."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets import disk
from gameday.targets.base import Disks
from gameday.targets.process import ProcessTarget
from targets.small import WEB, MakeTarget, marked, run_starter, variables

pytestmark = pytest.mark.process
SIZE = 3 * 2**20
STORED: dict[str, Any] = {
    **WEB,
    "env": {"DATA_DIR": "${disk}", "QUOTA": "${disk.quota}"},
    "disk": {"size": "3MiB", "disposable": ["*.log.*", "core.*"]},
}


def can_mount() -> bool:
    """Asked of this machine, not of the code under test."""
    return (
        subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        ).returncode
        == 0
        and os.geteuid() == 0
    )


@pytest.fixture(params=["mounted", "quota"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds where mounting is permitted; else the quota alone, twice."""
    if request.param == "mounted" and can_mount():
        return "mounted"
    monkeypatch.setattr(disk, "_mount", lambda *_: None)  # as where it is not permitted
    return "quota"


def up(make_target: MakeTarget, **more: Any) -> tuple[ProcessTarget, Path]:
    target = make_target(web={**STORED, **more})
    target.up()
    return target, Path(variables(target, "web")["DATA_DIR"])


def mounts(target: ProcessTarget) -> int:
    return Path("/proc/self/mounts").read_text().count(str(target.folder))


def test_the_component_is_told_where_its_disk_is_and_who_keeps_the_limit(
    make_target: MakeTarget, kind: str
) -> None:
    target, data = up(make_target)
    assert isinstance(target, Disks)

    assert data == target.folder / "web" / "disk"
    assert data.stat().st_uid == os.geteuid()
    if kind == "mounted":
        assert mounts(target) == 1
        assert variables(target, "web")["QUOTA"] == "0"
        usage = os.statvfs(data)
        assert usage.f_blocks * usage.f_frsize == SIZE
        assert target.check_disk("web") == f"a file system of {SIZE} bytes at {data}"
    else:
        assert mounts(target) == 0
        assert variables(target, "web")["QUOTA"] == str(SIZE)
        assert target.check_disk("web") == f"a folder with a quota of {SIZE} bytes at {data}"


def test_a_disk_is_filled_to_the_last_byte_and_emptied(make_target: MakeTarget, kind: str) -> None:
    target, data = up(make_target)
    (data / "bookings.db").write_bytes(b"b" * 5000)

    assert target.fill("web", 20).startswith("filled the disk of web with ")

    core = data / "core.gameday"
    assert core.stat().st_blocks * 512 >= core.stat().st_size > SIZE - 20_000, "really allocated"
    if kind == "mounted":
        assert os.statvfs(data).f_bavail == 0
        with pytest.raises(OSError, match="No space left") as refused, (data / "new").open("wb") as file:
            file.write(b"x")
        assert refused.value.errno == errno.ENOSPC
        (data / "new").unlink()
    else:
        assert core.stat().st_size + 5000 == SIZE, "exactly the quota"
    assert "with 0 bytes" in target.fill("web", 20)

    assert target.unfill("web", 5) == "deleted core.gameday on the disk of web"
    assert [path.name for path in data.iterdir()] == ["bookings.db"]
    assert target.unfill("web", 5) == "no core.gameday on the disk of web"


def test_only_what_is_disposable_is_reclaimed_and_no_symlink_leads_out(
    make_target: MakeTarget, kind: str, tmp_path: Path
) -> None:
    target, data = up(make_target)
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "web.log.1").write_text("not ours")
    (data / "logs").mkdir()
    for name in ("web.log", "web.log.1", "logs/web.log.2", "core.123", "core", "bookings.db"):
        (data / name).write_text("12345")
    (data / "link.log.1").symlink_to(outside / "web.log.1")
    (data / "away").symlink_to(outside)
    (data / "core.folder").mkdir()
    target.fill("web", 20)

    said = target.reclaim("web", 5)

    assert said.startswith("deleted 4 files (")
    assert all(name in said for name in ("core.123", "core.gameday", "web.log.1", "logs/web.log.2"))
    left = sorted(str(path.relative_to(data)) for path in data.rglob("*"))
    assert [name for name in left if not name.startswith("away")] == [
        "bookings.db",
        "core",
        "core.folder",
        "link.log.1",
        "logs",
        "web.log",
    ]
    assert (outside / "web.log.1").read_text() == "not ours"
    assert target.reclaim("web", 5) == "nothing disposable on the disk of web (*.log.*, core.*)"


def test_what_is_on_it_survives_restarts_of_the_component(make_target: MakeTarget, kind: str) -> None:
    target, data = up(make_target)
    (data / "bookings.db").write_text("one")
    target.kill("web", "SIGKILL", 5)
    target.start("web", 10)

    assert (data / "bookings.db").read_text() == "one"
    assert mounts(target) == (1 if kind == "mounted" else 0)
    target.down()
    assert mounts(target) == 0
    assert not data.exists()


def test_down_unmounts_what_a_killed_up_left_and_what_no_record_names(
    make_target: MakeTarget, tmp_path: Path, kind: str
) -> None:
    target = make_target(web=STORED)
    run_starter(tmp_path, {"web": STORED}, "up", "die-after-spawn").communicate(timeout=20)
    (target.folder / "state.json").unlink()

    make_target(web=WEB).down()

    assert not marked(target.folder)
    assert mounts(target) == 0
    assert not target.folder.exists()


def test_a_disk_that_is_busy_is_detached_and_down_says_so(
    make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_UNMOUNT_TIMEOUT_S", 0.3)
    target, data = up(make_target)
    said: list[str] = []
    with (data / "held").open("wb"):
        target.down(on_progress=said.append)

    assert any("was busy and was detached" in line for line in said) is can_mount()
    assert mounts(target) == 0
    assert not target.folder.exists()


def test_a_disk_at_a_path_with_blanks(make_target: MakeTarget, tmp_path: Path, kind: str) -> None:
    root = tmp_path / "my project \\ 1"
    (root / "environments").mkdir(parents=True)
    target = make_target(root=root, web=STORED)
    target.up()
    target.fill("web", 20)
    target.down()
    assert not target.folder.exists()
    assert "my\\040project" not in Path("/proc/self/mounts").read_text()


def test_what_has_no_disk_is_refused(make_target: MakeTarget) -> None:
    target = make_target(web=WEB, bare={**STORED, "disk": {"size": "1MiB"}})
    with pytest.raises(UsageError, match=r"web has no disk of its own.*disk: \{size: 64MiB\}"):
        target.check_disk("web")
    with pytest.raises(TargetError, match="gameday env up"):
        target.fill("bare", 5)
    target.up()
    with pytest.raises(UsageError, match="calls nothing disposable"):
        target.reclaim("bare", 5)
    with pytest.raises(OperationTimedOut, match="not full after 0 s"):
        target.fill("bare", 0)
    with pytest.raises(UsageError, match=r"components\.web\.env\.D: \$\{disk\}: web has no disk"):
        make_target(web={**WEB, "env": {"D": "${disk}"}})
