"""One inn for all drills of a test session: bringing it up takes longer than a drill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from process.inn import Inn


@pytest.fixture(scope="session")
def _inn() -> Iterator[Inn]:
    with Inn.standing() as inn:
        yield inn


@pytest.fixture
def inn(_inn: Inn) -> Iterator[Inn]:
    """The inn with all its files in order and everything running."""
    _inn.write_all()
    yield _inn
    assert _inn.left_behind() == []
