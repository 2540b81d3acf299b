"""No booking without its audit line: a full disk stops bookings, and the disk's figures say so before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from hotel.disk import Disk
from hotel.logs import EventLog
from hotel.settings import DiskSettings

if TYPE_CHECKING:
    from conftest import Hotel, Module

pytestmark = pytest.mark.process

BOOKING = {"guest": "Ana", "room_type": "double", "arrival": "2030-05-01", "nights": 2}
QUOTA = 100_000
Eventually = Callable[[Callable[[], Any], float, str], float]


@contextmanager
def ready_client(api: Module, eventually: Eventually) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, trust_env=False, timeout=10) as client:
        eventually(lambda: client.get("/health/ready").status_code == 200, 5, "ready")
        yield client


def is_stored(client: httpx.Client, reference: str) -> bool:
    return client.get("/reservations", params={"reference": reference}).status_code == 200


def test_a_used_up_quota_stops_bookings_until_there_is_room(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually, tmp_path: Path
) -> None:
    api = another_api(DATA_DIR=str(tmp_path / "data"), DISK_QUOTA_BYTES=str(QUOTA))
    with ready_client(api, eventually) as client:
        assert client.post("/reservations", json={**BOOKING, "reference": "first"}).status_code == 201
        assert api.metric("disk_size_bytes") == QUOTA
        line = json.loads((tmp_path / "data" / "audit.log").read_text())
        assert (line["event"], line["reference"]) == ("booking", "first")
        assert api.metric("disk_free_bytes") > QUOTA * 0.95
        (tmp_path / "data" / "core.1").write_bytes(bytes(QUOTA))
        eventually(lambda: api.metric("disk_free_bytes") == 0, 1.0, "the disk is seen full")
        answer = client.post("/reservations", json={**BOOKING, "reference": "second"})
        assert (answer.status_code, answer.json()["title"]) == (503, "Disk unavailable")
        assert not is_stored(client, "second")
        again = client.post("/reservations", json={**BOOKING, "reference": "first"})
        assert again.status_code == 200  # nothing to audit
        assert client.get("/health/ready").status_code == 200
        (tmp_path / "data" / "core.1").unlink()
        retried = {**BOOKING, "reference": "second"}
        eventually(lambda: client.post("/reservations", json=retried).status_code == 201, 1.0, "room again")
        assert len((tmp_path / "data" / "audit.log").read_text().splitlines()) == 2


def test_a_file_system_that_is_full_stops_bookings_too(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually, tmp_path: Path
) -> None:
    (tmp_path / "audit.log").symlink_to("/dev/full")  # each write ends in ENOSPC
    api = another_api(DATA_DIR=str(tmp_path))
    with ready_client(api, eventually) as client:
        answer = client.post("/reservations", json={**BOOKING, "reference": "nowhere"})
        assert answer.status_code == 503
        assert "No space left on device" in answer.json()["detail"]
        assert not is_stored(client, "nowhere")
        assert api.metric("disk_size_bytes") > api.metric("disk_free_bytes") > 0
        (tmp_path / "audit.log").unlink()
        assert client.post("/reservations", json=BOOKING).status_code == 201


def test_a_folder_that_is_gone_is_an_outage_of_bookings_not_of_the_metrics(
    healthy: Hotel, another_api: Callable[..., Module], eventually: Eventually, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    api = another_api(DATA_DIR=str(folder), DISK_QUOTA_BYTES=str(QUOTA))
    with ready_client(api, eventually) as client:
        folder.rmdir()
        assert client.post("/reservations", json=BOOKING).status_code == 503
        eventually(lambda: "disk_free_bytes NaN" in client.get("/metrics").text, 1.0, "free space unknown")


def test_without_a_disk_there_are_no_figures_of_one(healthy: Hotel) -> None:
    assert "disk_" not in httpx.get(f"{healthy.api.url}/metrics", trust_env=False).text


def disk(folder: Path, now: list[float], **changes: Any) -> Disk:
    settings = {"folder": folder, "quota_bytes": 0, "file_bytes": 1024, "kept_files": 3, **changes}
    return Disk(DiskSettings(**settings), EventLog("test"), clock=lambda: now[0])


def test_the_audit_log_rotates_and_is_bounded(tmp_path: Path) -> None:
    kept = disk(tmp_path, [0.0])
    for number in range(200):
        kept.append(f"{number:099}\n".encode())
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["audit.log", "audit.log.1", "audit.log.2", "audit.log.3"]
    assert all(path.stat().st_size <= 1100 for path in tmp_path.iterdir())
    newest = (tmp_path / "audit.log").read_text() or (tmp_path / "audit.log.1").read_text()
    assert newest.splitlines()[-1] == f"{199:099}"


def test_rotated_files_that_an_operator_deleted_are_not_missed(tmp_path: Path) -> None:
    kept = disk(tmp_path, [0.0])
    for number in range(60):
        kept.append(f"{number:099}\n".encode())
        for rotated in tmp_path.glob("audit.log.*"):
            rotated.unlink()
    assert (tmp_path / "audit.log").exists()


def test_what_others_write_is_seen_within_half_a_second_and_what_we_write_at_once(tmp_path: Path) -> None:
    now = [0.0]
    kept = disk(tmp_path, now, quota_bytes=1000, file_bytes=10_000)
    kept.append(b"x" * 400)
    assert kept.free_bytes() == 600
    (tmp_path / "other").write_bytes(bytes(300))
    assert kept.free_bytes() == 600
    now[0] = 0.5
    assert kept.free_bytes() == 300
    kept.append(b"x" * 300)
    with pytest.raises(OSError, match="the quota is used up"):
        kept.append(b"x")
