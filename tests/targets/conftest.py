"""Targets that are taken down after each test, with the promise that no process is left behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gameday.project import Project
from gameday.targets.process import ProcessTarget
from targets.small import MakeTarget, make_environment, marked


@pytest.fixture
def make_target(tmp_path: Path) -> Iterator[MakeTarget]:
    """`make_target(name=component, ..., instance=..., links=[(client, server)])`.

    Every instance is taken down afterwards.
    """
    made: list[ProcessTarget] = []
    (tmp_path / "environments").mkdir()

    def make(
        instance: str = "small",
        root: Path = tmp_path,
        links: Sequence[tuple[str, str]] = (),
        **components: Any,
    ) -> ProcessTarget:
        target = ProcessTarget(make_environment(components, links), instance, Project(root))
        made.append(target)
        return target

    yield make
    for target in made:
        target.down()
        assert not marked(target.folder)
        assert not target.folder.exists()
        assert f"{target.folder}/" not in Path("/proc/self/mounts").read_text()


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that every user can reach, unlike `tmp_path`. Ask for it before `make_target`, which needs it longer."""
    path = Path(tempfile.mkdtemp(prefix="gameday-open-")).resolve()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
