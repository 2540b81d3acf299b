"""The image of drills inside a cluster, as `make image` builds it: run by nobody, and by no means to write into."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday import __version__
from gameday.targets.docker.engine import Engine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SAID = (
    "import os, alembic, kubernetes, cronsim, psycopg; "
    "print(os.getuid(), os.getgid(), os.access('/opt/gameday', os.W_OK))"
)


def docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        cwd=ROOT,
        env=os.environ | {"DOCKER_BUILDKIT": "0"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def image(engine: Engine) -> Iterator[str]:
    name = f"gdrunner-{uuid.uuid4().hex[:8]}:test"
    command = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "image", f"IMAGE={name}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.replace("\\\n", " ")
    try:
        docker(*command.split()[1:])
        yield name
    finally:
        subprocess.run(["docker", "rmi", name], capture_output=True, check=False)


def test_it_is_nobody_and_needs_to_write_nowhere_but_where_it_is_told(image: str) -> None:
    run = ("run", "--rm", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp")  # noqa: S108 - in the container
    assert docker(*run, image, "--version").strip() == f"gameday {__version__}"
    assert docker(*run, "--entrypoint", "python3", image, "-c", SAID).split() == ["65532", "65532", "False"]
