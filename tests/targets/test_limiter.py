"""What the limiter makes of a machine's control groups, with folders in place of the kernel's."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gameday.agents import limiter

ID = "0123456789abcdef" * 4
V2 = {"memory.max": "max", "memory.swap.max": "max", "cpu.max": "max 100000", "pids.max": "max"}
V1 = {
    "memory": {
        "memory.limit_in_bytes": "9223372036854771712",
        "memory.memsw.limit_in_bytes": "9223372036854771712",
    },
    "cpu": {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "50000"},
    "pids": {"pids.max": "99"},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(limiter, "ROOT", tmp_path)
    return tmp_path


def put(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")
    return folder


def version_2(root: Path) -> Path:
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    return put(root / "system.slice" / f"docker-{ID}.scope", V2)


def run(*arguments: str) -> int:
    return limiter.main([*arguments, "--within", "0.2"])


def test_version_2_is_limited_and_put_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = version_2(root)
    assert run("read", json.dumps({ID: ["memory", "cpus", "pids"]})) == 0
    before = json.loads(capsys.readouterr().out)
    assert before == {ID: V2}
    assert run("put", json.dumps({ID: {"memory": 64 * 2**20, "cpus": 0.25, "pids": 9}})) == 0
    found = {name: (folder / name).read_text().strip() for name in V2}
    wanted = {"memory.max": "67108864", "memory.swap.max": "0", "cpu.max": "25000 100000", "pids.max": "9"}
    assert found == wanted
    assert run("write", json.dumps(before)) == 0
    assert {name: (folder / name).read_text().strip() for name in V2} == V2


def test_version_1_is_limited_in_each_hierarchy(root: Path) -> None:
    folders = {name: put(root / name / "docker" / ID, files) for name, files in V1.items()}
    assert run("put", json.dumps({ID: {"memory": 64 * 2**20, "cpus": 0.5, "pids": 9}})) == 0
    assert (folders["memory"] / "memory.limit_in_bytes").read_text() == "67108864"
    assert (folders["memory"] / "memory.memsw.limit_in_bytes").read_text() == "67108864"
    assert (folders["cpu"] / "cpu.cfs_quota_us").read_text() == "25000"
    assert (folders["pids"] / "pids.max").read_text() == "9"


@pytest.mark.parametrize("limits", [{"pids": 100}, {"cpus": 2}, {"memory": 2**31}], ids=str)
def test_a_limit_that_would_give_more_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], limits: dict[str, float]
) -> None:
    folder = version_2(root)
    (folder / "pids.max").write_text("99\n")
    (folder / "cpu.max").write_text("150000 100000\n")
    (folder / "memory.max").write_text(f"{2**30}\n")
    before = {name: (folder / name).read_text() for name in V2}
    assert run("put", json.dumps({ID: limits})) == 1
    assert "has less already" in capsys.readouterr().out
    assert {name: (folder / name).read_text() for name in V2} == before


def test_a_limit_that_the_machine_does_not_have_is_told(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (version_2(root) / "pids.max").unlink()
    assert run("read", json.dumps({ID: ["pids"]})) == 1
    assert capsys.readouterr().out.startswith("pids.max of container 0123456789ab cannot be changed")


def test_a_container_that_is_gone_needs_nothing_put_back(root: Path) -> None:
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    assert run("write", json.dumps({ID: V2})) == 0


def test_a_container_that_is_started_anew_is_limited_again(root: Path) -> None:
    folder = version_2(root)
    (folder / "pids.max").write_text("99\n")
    begun = time.monotonic()
    limiter.main(["keep", json.dumps({ID: {"pids": 9}}), "--within", "0.3"])
    assert (folder / "pids.max").read_text() == "9"
    assert time.monotonic() - begun < 2
