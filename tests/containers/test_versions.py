"""Other versions of a container on a real engine: rolled out, rolled back to the very same container, whoever dies."""

from __future__ import annotations

import time
import urllib.request
from typing import Any

import pytest

from containers.seen import comparable
from containers.worlds import World
from gameday.errors import TargetError, UsageError
from gameday.journal import Undo
from gameday.targets.base import Deployable, Running
from gameday.targets.docker.containers import ASIDE
from gameday.targets.docker.target import DockerTarget
from gameday.undo import revert
from targets.killed import killed_at

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]
VERSIONS: dict[str, Any] = {
    "dark": {"env": {"SAYS": "dark"}},
    "broken": {"command": ["sh", "-c", "echo no such column >&2; exit 3"]},
    "foreign": {"image": "debian:bookworm-slim"},
    "unbuilt": {"image": "gameday-test/never-built:1"},
}


def released(small: World, number: int = 1, **more: Any) -> None:
    small.run("api", number, **more)
    small.components["api"] = {**small.components["api"], "versions": VERSIONS}


def again(small: World) -> DockerTarget:
    """Another runner, which has the first one's state and nothing else of it."""
    return DockerTarget(small.environment(), "world", small.project)


def says(target: DockerTarget) -> str:
    with urllib.request.urlopen(target.address("api").url, timeout=5) as answer:
        return str(answer.read().decode())


def names(small: World) -> dict[str, str]:
    """Every container of the world with its state, by the end of its name."""
    found = small.client.containers.list(
        all=True, filters={"label": f"gameday.test={small.prefix}"}, ignore_removed=True
    )
    return {one.name.removeprefix(f"{small.prefix}-"): one.status for one in found}


def everything(small: World) -> dict[str, Any]:
    network = small.client.networks.get(small.network.id).attrs["Containers"]
    attached = {one["Name"]: one["IPv4Address"] for one in network.values()}
    return {"api": comparable(small.inspect("api")), "attached": attached, "names": names(small)}


def test_a_version_is_rolled_out_kept_over_a_restart_and_rolled_back_exactly(small: World) -> None:
    endpoints = {small.network.name: small.client.api.create_endpoint_config(aliases=["the-api"])}
    released(small, networking_config=endpoints, restart_policy={"Name": "always"}, volumes=["/kept"])
    small.run("client")
    target = small.target()
    assert isinstance(target, Deployable)
    target.execute("api", ["sh", "-c", "echo of before > /kept/file"], 5)
    before = everything(small)
    assert (target.version("api"), says(target)) == ("", "api")

    assert "deployed version dark of api: container" in target.deploy("api", "dark", 30)
    target.start("api", 30)
    assert (target.version("api"), says(target)) == ("dark", "dark")
    assert target.status()["api"].detail == "version dark"
    during = small.inspect("api")
    assert during["Id"] != before["api"]["Id"]
    assert "the-api" in during["NetworkSettings"]["Networks"][small.network.name]["Aliases"]
    assert during["HostConfig"]["PortBindings"] == before["api"]["HostConfig"]["PortBindings"]
    assert during["HostConfig"]["RestartPolicy"] == before["api"]["HostConfig"]["RestartPolicy"]
    assert target.execute("api", ["cat", "/kept/file"], 5).output == "of before\n"
    assert names(small) == {"api-1": "running", f"api-1{ASIDE}": "exited", "client-1": "running"}
    target.remember(10)  # the next drill begins: what it remembers is still the environment's own
    target.kill("api", "SIGKILL", 10)
    again(small).start("api", 30)
    assert says(target) == "dark", "a start starts what was deployed"
    target.execute("api", ["sh", "-c", "echo of dark > /kept/file"], 5)

    said = again(small).rollback("api", 30)

    assert "from version dark to the environment's own version" in said
    assert (target.version("api"), says(target)) == ("", "api")
    assert everything(small) == before
    assert target.execute("api", ["cat", "/kept/file"], 5).output == "of dark\n", (
        "a volume is not rolled back"
    )
    with pytest.raises(TargetError, match="roll back api: nothing was deployed since the environment's own"):
        target.rollback("api", 10)
    assert everything(small) == before


@pytest.mark.parametrize(("version", "code"), [("broken", 3), ("foreign", 127)])
def test_a_version_that_does_not_run_is_down_and_the_undo_takes_it_back(
    small: World, version: str, code: int
) -> None:
    released(small)
    target = small.target()
    before = everything(small)
    undo = Undo("deploy", "api", {"version": target.version("api")})
    target.check_version("api", version)

    target.deploy("api", version, 30)
    until = time.monotonic() + 10
    while small.inspect("api")["State"]["Running"]:
        assert time.monotonic() < until

    assert small.inspect("api")["State"]["ExitCode"] == code
    assert target.status()["api"].running is Running.DOWN
    with pytest.raises(OSError, match=r"refused|reset|closed"):
        says(target)
    revert(undo, again(small))
    assert everything(small) == before
    revert(undo, target)
    assert everything(small) == before
    assert says(target) == "api"


def test_versions_that_are_none_or_have_no_image_are_refused_before_anything_is_touched(small: World) -> None:
    released(small)
    small.run("client")
    target = small.target()
    before = everything(small)
    for version in ("dark", "foreign", ""):
        target.check_version("api", version)
    for call in (target.check_version, lambda name, version: target.deploy(name, version, 10)):
        with pytest.raises(
            UsageError, match=r"unbuilt of api: the engine has no image gameday-test/never-built:1, and"
        ):
            call("api", "unbuilt")
        with pytest.raises(
            UsageError, match=r"no version 'blue' of api; versions there: dark, broken, foreign, unbuilt"
        ):
            call("api", "blue")
        with pytest.raises(UsageError, match=r"no version 'dark' of client; versions there: none"):
            call("client", "dark")
    assert everything(small) == before
    assert target.version("api") == ""


def test_a_rollback_goes_to_the_version_before_the_last_and_an_undo_to_the_first(small: World) -> None:
    released(small)
    target = small.target()
    before = everything(small)
    target.deploy("api", "dark", 30)
    target.deploy("api", "broken", 30)

    target.rollback("api", 30)
    assert (target.version("api"), says(target)) == ("dark", "dark")
    revert(Undo("deploy", "api", {"version": ""}), target)
    assert everything(small) == before


def test_every_container_of_a_component_gets_the_version(small: World) -> None:
    released(small)
    released(small, 2)
    target = small.target()
    target.deploy("api", "dark", 30)
    target.start("api", 30)
    for number in (1, 2):
        assert "SAYS=dark" in small.inspect("api", number)["Config"]["Env"]
    target.rollback("api", 30)
    assert names(small) == {"api-1": "running", "api-2": "running"}
    for number in (1, 2):
        assert "SAYS=api" in small.inspect("api", number)["Config"]["Env"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "step", ["_settle_version", "_put_version_aside", "_set_restart_policy", "_stop_version_aside"]
)
def test_an_interrupted_deployment_can_be_taken_back_or_repeated(
    small: World, step: str, after: bool
) -> None:
    released(small, restart_policy={"Name": "always"})
    target = small.target()
    before = everything(small)
    killed_at(DockerTarget, step, lambda: again(small).deploy("api", "dark", 30), after=after)

    revert(Undo("deploy", "api", {"version": ""}), again(small))
    assert everything(small) == before
    killed_at(DockerTarget, step, lambda: again(small).deploy("api", "dark", 30), after=after)
    again(small).deploy("api", "dark", 30)
    target.start("api", 30)
    assert (target.version("api"), says(target)) == ("dark", "dark")
    again(small).rollback("api", 30)
    assert everything(small) == before


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["_discard_version", "_bring_version_back", "_set_restart_policy"])
def test_an_interrupted_rollback_is_completed_by_whoever_starts_or_undoes(
    small: World, step: str, after: bool
) -> None:
    released(small, restart_policy={"Name": "always"})
    target = small.target()
    before = everything(small)
    target.deploy("api", "dark", 30)
    killed_at(DockerTarget, step, lambda: again(small).rollback("api", 30), after=after)

    revert(Undo("deploy", "api", {"version": ""}), again(small))

    assert (target.version("api"), says(target)) == ("", "api")
    assert everything(small) == before


def test_what_somebody_removed_meanwhile_is_made_again(small: World) -> None:
    released(small)
    target = small.target()
    target.deploy("api", "dark", 30)
    small.client.api.remove_container(f"{small.prefix}-api-1", force=True)
    small.client.api.remove_container(f"{small.prefix}-api-1{ASIDE}", force=True)
    assert target.status()["api"].running is Running.DOWN

    target.rollback("api", 30)

    assert says(target) == "api"
    assert names(small) == {"api-1": "running"}
