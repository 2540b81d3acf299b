"""Orders to a proxy by a command."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gameday.proxy.control import main
from proxy.world import World, exchange, silent

pytestmark = pytest.mark.process
TOXIC = {"name": "hole", "effect": {"kind": "blackhole"}, "ttl_s": 30.0}


def order(capsys: pytest.CaptureFixture[str], socket: Path, *words: str) -> tuple[int, Any, str]:
    """Exit code, answer, what was said on standard error."""
    code = main(["--socket", str(socket), *words])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


def test_a_toxic_is_put_shown_and_removed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    connection = world.open()
    code, answer, _ = order(capsys, world.control, "put", "db", json.dumps(TOXIC))
    assert (code, answer["connections"]) == (0, 1)
    connection.sendall(b"hello")
    assert silent(connection)
    _, status, _ = order(capsys, world.control, "status")
    assert [one["toxic"]["name"] for one in status["links"][0]["toxics"]] == ["hole"]
    assert order(capsys, world.control, "remove", "db", "hole") == (0, True, "")
    assert order(capsys, world.control, "remove", "db", "hole") == (0, False, "")
    assert exchange(connection, b"") == b""
    assert connection.recv(5) == b"hello"


def test_everything_or_one_link_is_reset(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("reset",), ("reset", "db")):
        order(capsys, world.control, "put", "db", json.dumps(TOXIC))
        assert order(capsys, world.control, *words) == (0, ["db/hole"], "")
    assert order(capsys, world.control, "reset") == (0, [], "")


def test_a_toxic_is_read_from_standard_input(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(TOXIC)))
    assert order(capsys, world.control, "put", "db", "-")[0] == 0
    assert world.client.remove("db", "hole")


def test_it_runs_as_a_module(world: World) -> None:
    command = [sys.executable, "-m", "gameday.proxy.control", "--socket", str(world.control), "status"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    assert json.loads(done.stdout)["pid"] == world.process.pid
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("toxic", "message"),
    [
        ("{", "toxic: "),
        (json.dumps({**TOXIC, "ttl_s": 0}), "ttl_s"),
        (json.dumps({key: value for key, value in TOXIC.items() if key != "ttl_s"}), "ttl_s"),
    ],
)
def test_a_toxic_that_is_none_is_refused_in_one_line(
    world: World, capsys: pytest.CaptureFixture[str], toxic: str, message: str
) -> None:
    code, answer, said = order(capsys, world.control, "put", "db", toxic)
    assert (code, answer) == (2, None)
    assert message in said
    assert said.count("\n") == 1
    assert world.client.reset() == ()


def test_what_the_proxy_refuses_and_a_proxy_that_is_not_there(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, said = order(capsys, world.control, "put", "other", json.dumps(TOXIC))
    assert (code, "other" in said) == (3, True)
    code, _, said = order(capsys, tmp_path / "nobody.sock", "status")
    assert (code, "does not answer" in said) == (3, True)
