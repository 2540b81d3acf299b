"""Tests on a real cluster: skipped, with the reason, where none answers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.lodge import LOAD_IMAGE, Lodge, load
from cluster.quarters import CONTEXT, Quarters, quarters_in
from gameday.errors import TargetError
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.image import helper_image


@pytest.fixture(scope="session")
def real_cluster() -> str:
    """The context of a cluster that answers."""
    try:
        done = subprocess.run(
            ["kubectl", "--context", CONTEXT, "get", "--raw", "/readyz", "--request-timeout=5s"],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"needs kubectl and a cluster: {error}")
    if done.returncode != 0:
        pytest.skip(f"needs a cluster at context {CONTEXT} (KUBECONFIG, CONTEXT): {done.stderr.strip()}")
    return CONTEXT


@pytest.fixture
def place(real_cluster: str, tmp_path: Path) -> Iterator[Quarters]:
    """An empty namespace: a test runs the workloads that it wants in it."""
    with quarters_in(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def standing(real_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarters]:
    """One namespace that allows drills, for all tests of a module."""
    with quarters_in(tmp_path_factory.mktemp("quarters")) as made:
        yield made


@pytest.fixture(scope="session")
def runner_image(real_cluster: str) -> str:
    """The image of gameday as it is now, which the cluster has."""
    if LOAD_IMAGE not in os.environ:
        pytest.skip(
            f"needs {LOAD_IMAGE}, the command by which the cluster gets an image of this machine's engine"
        )
    try:
        image = helper_image(Engine.connect(timeout_s=60))
    except TargetError as error:
        pytest.skip(f"needs a Docker engine: {error}")
    load(image)
    return image


@pytest.fixture(scope="module")
def standing_lodge(runner_image: str) -> Iterator[Lodge]:
    with Lodge.open_in(runner_image) as made:
        yield made


@pytest.fixture
def lodge(standing_lodge: Lodge) -> Lodge:
    """With all its files as they should be."""
    standing_lodge.write_all()
    return standing_lodge
