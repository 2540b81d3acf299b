"""One inn for all drills of a test session: bringing it up takes longer than a drill."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.inn import Inn


@pytest.fixture(scope="session")
def _inn() -> Iterator[Inn]:
    root = Path(tempfile.mkdtemp(prefix="gameday-inn-")).resolve()
    root.chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
    inn = Inn(root)
    up = inn.gameday("env", "up", "inn")
    assert up.code == 0, up.stderr
    yield inn
    down = inn.gameday("env", "down", "inn")
    assert down.code == 0, down.stderr
    assert not inn.drill_processes()
    shutil.rmtree(root)


@pytest.fixture
def inn(_inn: Inn) -> Iterator[Inn]:
    """The inn with all its files in order and everything running."""
    _inn.write_all()
    yield _inn
    assert _inn.left_behind() == []
