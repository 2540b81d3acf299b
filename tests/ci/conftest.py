"""gameday as others get it: the wheel, built in a clean copy of the project, in virtual environments of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.jobs import REPOSITORY

NOT_OF_A_CHECKOUT = shutil.ignore_patterns(
    *(
        ".git",
        ".venv",
        ".gameday",
        "__pycache__",
        "*.pyc",
        "*.egg-info",
        ".*_cache",
        ".hypothesis",
        "dist",
        "build",
    )
)
"""As .gitignore has it: git itself may be absent, or refuse another user's folder."""


def copy_project(to: Path) -> Path:
    """What a checkout would have: no state, no reports."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        if Path(folder) == REPOSITORY / "reports":
            return set(names) - {"README.md"}
        return NOT_OF_A_CHECKOUT(folder, names)

    return Path(shutil.copytree(REPOSITORY, to, ignore=ignored, dirs_exist_ok=True))


def make_venv(folder: Path) -> Path:
    """Its folder of programs."""
    venv.create(folder, with_pip=True)
    return folder / "bin"


def environ(programs: Path, **more: str) -> dict[str, str]:
    """Of a machine on which only this environment's gameday is."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("GAMEDAY_", "VIRTUAL_"))
    }
    kept.pop("PYTHONPATH", None)
    path = f"{programs}:{os.environ['PATH']}"
    return {
        **kept,
        "PATH": path,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **more,
    }


@pytest.fixture(scope="session")
def outside() -> Iterator[Path]:
    """A folder that any user may enter: PostgreSQL runs as another one where the tests run as root."""
    root = Path(tempfile.mkdtemp(prefix="gameday-ci-")).resolve()
    root.chmod(0o755)
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def distributions(outside: Path) -> Path:
    """The folder with wheel and sdist, made from a clean copy as `make dist` makes them."""
    copy = copy_project(outside / "source")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build"], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "dist"


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    (found,) = distributions.glob("*.whl")
    return found
