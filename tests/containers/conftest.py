"""What tests with a real Docker engine share. Without one they are skipped, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.tavern import Tavern
from containers.worlds import World, world
from gameday.errors import TargetError
from gameday.targets.docker.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    """A Docker engine that answers."""
    try:
        return Engine.connect(timeout_s=60)
    except TargetError as error:
        pytest.skip(f"needs a Docker engine: {error}")


@pytest.fixture
def small(engine: Engine, tmp_path: Path) -> Iterator[World]:
    """An empty world on the engine: a test runs the containers that it wants in it."""
    with world(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def standing(engine: Engine) -> Iterator[Tavern]:
    """One tavern that is up, for all tests of a module."""
    del engine
    with Tavern.standing() as tavern:
        yield tavern


@pytest.fixture
def tavern(standing: Tavern) -> Tavern:
    """With all its files as they should be."""
    standing.write_all()
    return standing
