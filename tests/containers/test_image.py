"""The image of gameday's helper containers: what is in it, when it is built, and what is said when it cannot be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from gameday.errors import TargetError
from gameday.targets.docker import image
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.image import helper_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).parents[2]
FILES = """
import json
from gameday.targets.docker import image
files = {name: data.decode() if name == "requirements.txt" else data.hex() for name, data in image._files()}
print(json.dumps(files | {"from": image.__file__}))
"""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> Iterator[str]:
    """A repository and a small Dockerfile of the test's own."""
    name = f"gdimage-{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(image, "REPOSITORY", name)
    monkeypatch.setattr(image, "_known", set())
    write(monkeypatch, quick(name))
    yield name
    client = docker.from_env()
    for one in client.images.list(filters={"reference": f"{name}*"}):
        client.images.remove(one.id, force=True)
    client.close()


def quick(own: str, more: str = "") -> str:
    """A Dockerfile without a layer in common with other tests: the images of each go at its end, layers and all."""
    return f"FROM debian:bookworm-slim\nENV OF={own}\nCOPY requirements.txt /\n{more}"


def write(monkeypatch: pytest.MonkeyPatch, dockerfile: str) -> None:
    monkeypatch.setattr(image, "_dockerfile", dockerfile.encode)
    image._hash.cache_clear()
    monkeypatch.setattr(image, "_known", set())


@pytest.fixture(autouse=True)
def _hash_anew() -> Iterator[None]:
    yield
    image._hash.cache_clear()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["python", "-m", "gameday", "--help"], "Usage"),
        (
            ["python", "-c", "import docker, gameday.deadman, gameday.targets.docker.target; print('all')"],
            "all",
        ),
        (["iptables", "--version"], "iptables v"),
        (["tc", "-V"], "tc utility"),
    ],
)
def test_the_image_has_what_helpers_run(engine: Engine, argv: list[str], expected: str) -> None:
    tag = helper_image(engine)
    done = subprocess.run(
        ["docker", "run", "--rm", "--name", f"gdimage-{uuid.uuid4().hex[:8]}", tag, *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_it_is_built_once_and_again_when_what_goes_in_changed(
    engine: Engine, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    tag = helper_image(engine, said.append)
    assert tag.startswith(f"{own}:")
    assert len(said) == 1
    monkeypatch.setattr(image, "_known", set())
    assert helper_image(engine, said.append) == tag
    assert len(said) == 1
    write(monkeypatch, quick(own, "ENV OTHER=1\n"))
    assert helper_image(engine, said.append) != tag
    assert len(said) == 2


def test_two_at_once_build_it_once(engine: Engine, own: str) -> None:
    said: list[str] = []
    tags: list[str] = []
    threads = [
        threading.Thread(target=lambda: tags.append(helper_image(engine, said.append))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(tags) == 3
    assert len(set(tags)) == 1
    assert len(said) == 1


def test_a_build_that_fails_shows_its_last_lines(
    engine: Engine, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(monkeypatch, quick(own, f"RUN echo no such package {own} && exit 9\n"))
    with pytest.raises(TargetError, match=rf"(?s)build of image {own}.*code: 9.*no such package {own}"):
        helper_image(engine)


def test_a_base_image_that_is_not_there_is_named_with_a_way_out(
    engine: Engine, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(monkeypatch, f"FROM localhost:1/{own}:1\n")
    with pytest.raises(TargetError) as caught:
        helper_image(engine)
    assert f"is built on localhost:1/{own}:1, which the Docker engine neither has nor can pull" in str(
        caught.value
    )
    assert f"`docker pull localhost:1/{own}:1`" in str(caught.value)


def test_an_installed_wheel_builds_the_same_image(tmp_path: Path) -> None:
    """Without this checkout: what is built is what the wheel holds."""
    built = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*built, str(REPOSITORY)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    into = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(into), str(wheel)],
        check=True,
        timeout=120,
    )
    done = subprocess.run(
        [sys.executable, "-c", FILES],
        env={"PYTHONPATH": str(into), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, str] = json.loads(done.stdout)
    # what a checkout needs is what its installation was told, perhaps before pyproject.toml was changed
    requirements = found.pop("requirements.txt")
    assert {"docker", "filelock", "packaging", "pydantic"} <= set(
        re.findall(r"(?m)^([\w-]+)==", requirements)
    )
    assert set(found) - {"from"} == {name for name, _ in image._files()} - {"requirements.txt"}
    assert bytes.fromhex(found["Dockerfile"]) == image._dockerfile()
    assert Path(found["from"]).is_relative_to(into)


def test_images_of_earlier_versions_go_but_for_the_newest_and_what_is_in_use(
    own: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(version: int) -> str:
        write(monkeypatch, quick(own, f"ENV VERSION={version}\n"))
        return helper_image(engine)

    client = docker.from_env()
    first = build(0)
    used = client.containers.create(first, ["true"], name=f"{own}-user")
    try:
        tags = [build(version) for version in range(1, image._KEPT + 2)]
        there = {tag for one in client.images.list(own) for tag in one.tags}
        assert {first, tags[-1], f"{own}:latest"} <= there
        # images are as old as a second tells
        assert len(there - {f"{own}:latest"}) == image._KEPT + 1
    finally:
        used.remove(force=True)
        client.close()
