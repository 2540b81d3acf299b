"""The adapter over the Docker engine: one that is away, is deaf, comes back, or refuses."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from containers.worlds import World
from gameday.errors import TargetError
from gameday.targets.docker.engine import Engine, EngineAway, NotThere
from gameday.targets.docker.target import DockerTarget
from gameday.targets.waiting import Deadline

pytestmark = pytest.mark.docker


def state(small: World, component: str, number: int = 1) -> str:
    return str(small.inspect(component, number)["State"]["Status"])


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An engine that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.getsockname()[1]}")
        yield


def test_an_engine_that_is_away_is_told_within_the_time_out(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run("api")
    small.target()
    target = DockerTarget(small.environment(), "world", small.project)
    for host in ("tcp://127.0.0.1:1", f"unix://{small.project.root}/no.sock"):
        monkeypatch.setenv("DOCKER_HOST", host)
        calls: tuple[Callable[[], object], ...] = (
            lambda: target.start("api", 1),
            lambda: target.kill("api", "SIGKILL", 1),
            lambda: target.execute("api", ["true"], 1),
            lambda: target.logs("api", 1, 1),
            lambda: target.remember(1),
        )
        for call in calls:
            begun = time.monotonic()
            with pytest.raises(EngineAway, match=r"no Docker engine answers .*; waited 1 s"):
                call()
            assert time.monotonic() - begun < 3
        with pytest.raises(EngineAway, match="no Docker engine answers"):
            target.status()


def test_an_engine_that_is_deaf_is_told_within_the_time_out(small: World, deaf: None) -> None:
    small.run("api")
    target = DockerTarget(small.environment(), "world", small.project)
    begun = time.monotonic()
    with pytest.raises(TargetError, match="Docker engine"):
        target.start("api", 2)
    assert time.monotonic() - begun < 5


def test_an_engine_that_comes_back_is_waited_for(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small.run("api")
    socket_path = small.target()._engine.socket
    path = small.project.root / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    away = DockerTarget(small.environment(), "world", small.project)
    with pytest.raises(EngineAway):
        away.kill("api", "SIGKILL", 0.3)
    path.symlink_to(str(socket_path))
    away.kill("api", "SIGKILL", 5)
    assert state(small, "api") == "exited"


def test_credentials_of_an_engine_are_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://someone:hunter2@127.0.0.1:1")
    with pytest.raises(EngineAway) as caught:
        Engine.connect(timeout_s=1)
    assert "hunter2" not in str(caught.value)


def test_what_the_engine_refuses_is_told_in_its_words(engine: Engine) -> None:
    with pytest.raises(NotThere, match=r"inspect gameday-nobody: No such container: gameday-nobody"):
        engine.inspect("gameday-nobody")
    with pytest.raises(TargetError, match="create container"), engine.translated("create container"):
        engine.api.create_container("no-such-image-of-gameday:1", ["true"])


def test_an_engine_that_answers_is_waited_for_no_longer(engine: Engine) -> None:
    begun = time.monotonic()
    engine.await_engine(Deadline.after(30))
    assert time.monotonic() - begun < 1
