"""What `make dist` makes: the wheel has all that gameday needs at run time, and works where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from ci.conftest import environ, make_venv
from ci.jobs import REPOSITORY

PACKAGE = REPOSITORY / "src" / "gameday"
SCAFFOLD = """
from pathlib import Path
import sys
from gameday.scaffold.asking import Question
from gameday.scaffold.place import Part, Place
from gameday.scaffold.render import Choice, Detector, render
from gameday.scaffold.write import write_files
api = Part("api", {"service": "api"}, "api:1", 1, 1, port=8000, host="127.0.0.1", published=8200)
place = Place("docker", "shop", "compose project shop", (api,), {"compose": {"project": "shop"}})
choice = Choice(place=place, environment="shop", part=api, question=Question("api", "/", "GET / answers 200"),
    detector=Detector(None, "http://127.0.0.1:9090"), alert=None, scrape_s=None, alerts=[], ci="github")
write_files(Path(sys.argv[1]), render(choice), force=False)
"""


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("gameday/")}
    there = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == there
    for needed in (
        "scaffold/templates/environment.yaml.j2",
        "reporting/templates/report.html.j2",
        "py.typed",
    ):
        assert f"gameday/{needed}" in inside
    assert any(name.startswith("gameday/history/migrations/versions/") for name in inside)
    assert "gameday/targets/docker/image/Dockerfile" in inside


def test_the_sdist_has_what_builds_it_and_nothing_of_a_drill(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "src/gameday/cli.py", "ci/gitlab-ci.yaml"} <= names
    names.discard("reports/README.md")
    assert not [name for name in names if "reports/" in name or ".gameday" in name or ".venv" in name]


@pytest.mark.catalogue
@pytest.mark.timeout(900)
def test_the_wheel_works_in_a_clean_virtual_environment(wheel: Path, outside: Path) -> None:
    programs = make_venv(outside / "clean")
    env = environ(programs)
    project = outside / "scaffolded"
    project.mkdir()

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            words, cwd=project, env=env, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("pip", "install", "--quiet", str(wheel))
    bare = run("gameday", "init", "--target", "docker", "--project", "shop", code=2)
    assert "pip install 'gameday-runner[docker]'" in bare
    run("pip", "install", "--quiet", f"{wheel}[docker,embedded,hotel,kubernetes]")
    version = wheel.name.split("-")[1]
    assert run("gameday", "--version").strip() == f"gameday {version}"
    assert "init" in run("gameday", "--help")
    run(str(programs / "python"), "-c", SCAFFOLD, str(project))
    told = run("gameday", "validate", "environments", "scenarios", "runbooks", code=2)
    assert "still to be decided" in told
    assert "Traceback" not in told
    run("gameday", "schema", "scenario")
    assert "no drill" in run("gameday", "gate", code=3), "the history's migrations are there"
    imported = (
        "import gameday.targets.docker.target, gameday.targets.kubernetes.target, gameday.targets.postgresql"
    )
    run(str(programs / "python"), "-c", imported)


def test_make_dist_says_what_it_would_do() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "dist"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "-m hatchling build" in done.stdout
    assert sys.version_info >= (3, 11)
