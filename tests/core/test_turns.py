"""Waiting for others to end their drills, instead of being refused."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from core.worlds import fake_environment, fake_scenario, fake_target
from gameday import session as sessions
from gameday.errors import LockHeld
from gameday.lock import DrillLock
from gameday.project import Project
from gameday.session import Session


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "TURN_S", 0.05)


def session(root: Path, wait_s: float) -> Session:
    fake_target(root)
    return Session(Project(root), fake_environment(), "fake", fake_scenario(), wait_s=wait_s)


async def waited_s(root: Path, wait_s: float, free_after_s: float) -> float:
    """Seconds until a session has the lock that another gives up after so long."""
    other = DrillLock(root / ".gameday", "fake")
    other.acquire("d1", "first")
    asyncio.get_running_loop().call_later(free_after_s, other.release)
    begun = time.monotonic()
    try:
        async with session(root, wait_s):
            return time.monotonic() - begun
    finally:
        other.release()


def test_a_drill_begins_when_the_one_before_has_ended(tmp_path: Path) -> None:
    assert 0.4 <= asyncio.run(waited_s(tmp_path, 20.0, 0.4)) < 10
    assert len(list((tmp_path / "reports").glob("*/timeline.jsonl"))) == 1


def test_it_is_refused_when_that_takes_too_long(tmp_path: Path) -> None:
    with pytest.raises(LockHeld, match="scenario first, drill d1"):
        asyncio.run(waited_s(tmp_path, 0.3, 5.0))
    assert not (tmp_path / "reports").exists()


def test_without_waiting_it_is_refused_at_once(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(LockHeld):
        asyncio.run(waited_s(tmp_path, 0.0, 5.0))
    assert time.monotonic() - begun < 3
