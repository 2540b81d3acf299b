"""Other versions: rolled out, kept over restarts, rolled back, also after whoever did it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import TargetError, UsageError
from gameday.targets.base import Deployable, Running
from gameday.targets.process import ProcessTarget
from targets.small import CACHE, WEB, MakeTarget, marked, run_starter, variables

pytestmark = pytest.mark.process
RELEASED: dict[str, Any] = {
    **WEB,
    "env": {"METRICS": "on", "KEPT": "yes"},
    "versions": {
        "broken": {"command": ["sh", "-c", "echo no such column >&2; exit 3"]},
        "dark": {"env": {"METRICS": "off"}},
    },
}


def metrics(target: ProcessTarget) -> str:
    found = variables(target, "web")
    assert found["KEPT"] == "yes"
    return found["METRICS"]


def test_a_version_is_rolled_out_kept_over_a_restart_and_rolled_back(make_target: MakeTarget) -> None:
    target = make_target(web=RELEASED)
    target.up()
    assert isinstance(target, Deployable)
    assert (target.version("web"), metrics(target)) == ("", "on")

    assert "deployed version dark of web" in target.deploy("web", "dark", 10)
    target.start("web", 10)
    assert (target.version("web"), metrics(target)) == ("dark", "off")
    assert target.status()["web"].detail == "version dark"
    target.kill("web", "SIGKILL", 5)
    target.start("web", 10)
    assert metrics(target) == "off", "a start starts what was deployed"

    said = target.rollback("web", 10)
    assert "from version dark to the environment's own version" in said
    assert (target.version("web"), metrics(target)) == ("", "on")
    assert len(marked(target.folder)) == 1
    with pytest.raises(TargetError, match="roll back web: nothing was deployed"):
        target.rollback("web", 10)


def test_a_version_that_ends_at_once_is_down_and_can_be_rolled_back(make_target: MakeTarget) -> None:
    target = make_target(web=RELEASED)
    target.up()

    target.deploy("web", "broken", 10)

    with pytest.raises(TargetError, match=r"(?s)exit code 3.*no such column"):
        target.start("web", 10)
    assert target.status()["web"].running == Running.DOWN
    target.rollback("web", 10)
    assert metrics(target) == "on"


def test_a_rollback_goes_to_the_version_before_the_last(make_target: MakeTarget) -> None:
    target = make_target(web=RELEASED)
    target.up()
    target.deploy("web", "dark", 10)
    target.deploy("web", "broken", 10)

    target.rollback("web", 10)

    assert (target.version("web"), metrics(target)) == ("dark", "off")


def test_versions_that_are_none_are_refused(make_target: MakeTarget) -> None:
    target = make_target(web=RELEASED, cache=CACHE)
    target.check_version("web", "dark")
    target.check_version("web", "")
    with pytest.raises(UsageError, match=r"no version 'blue' of web; versions there: broken, dark"):
        target.check_version("web", "blue")
    with pytest.raises(UsageError, match=r"no version 'dark' of cache; versions there: none"):
        target.deploy("cache", "dark", 10)
    with pytest.raises(UsageError, match=r"components\.web\.versions\.new\.env\.A: unknown reference"):
        make_target(web={**WEB, "versions": {"new": {"env": {"A": "${nobody.url}"}}}})


@pytest.mark.parametrize("point", ["component:Component.stop", "component:Component._launch"])
def test_an_interrupted_deployment_can_be_repeated_and_rolled_back(
    make_target: MakeTarget, tmp_path: Path, point: str
) -> None:
    target = make_target(web=RELEASED)
    target.up()
    action = f"deploy:{json.dumps(['web', 'dark', 10])}"
    for _ in range(2):
        run_starter(tmp_path, {"web": RELEASED}, action, "die-at", point).communicate(timeout=20)
        assert target.version("web") == "dark"

    target.deploy("web", "dark", 10)
    target.start("web", 10)
    assert metrics(target) == "off"
    run_starter(
        tmp_path, {"web": RELEASED}, 'rollback:["web", 10]', "die-at", "component:Component.stop"
    ).communicate(timeout=20)
    target.rollback("web", 10)
    assert (target.version("web"), metrics(target)) == ("", "on")


def test_a_state_of_an_earlier_gameday_still_loads(make_target: MakeTarget) -> None:
    target = make_target(web=RELEASED)
    target.up()
    path = target.folder / "state.json"
    state = json.loads(path.read_text())
    for record in state["components"].values():
        for later in ("links", "version", "previous", "destroyed"):
            del record[later]
    path.write_text(json.dumps(state))

    assert target.version("web") == ""
    assert target.status()["web"].running == Running.UP
    target.deploy("web", "dark", 10)
    assert target.version("web") == "dark"
