"""A compose project on a real engine, by Compose's plugin and by the SDK: the same containers, and nothing left."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from containers.images import give_up
from containers.likeness import service_likeness
from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.docker import compose
from gameday.targets.docker.compose import Composer, PluginComposer, Project, has_plugin, open_composer
from gameday.targets.docker.compose_file import Service, load_compose
from gameday.targets.docker.compose_sdk import SdkComposer
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.image import helper_image
from gameday.targets.ports import find_free_ports
from gameday.targets.waiting import Deadline

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

WAYS: dict[str, Callable[[Project, Engine], Composer]] = {"plugin": PluginComposer, "sdk": SdkComposer}
EXAMPLES = Path(__file__).parents[2] / "examples"
ONE_PROJECT = "com.docker.compose.project"
STAYS = "sh -c 'trap exit TERM; while :; do sleep 0.1; done'"
FILE = f"""
x-service: &service
  restart: unless-stopped
  security_opt: ["no-new-privileges:true"]
services:
  web:
    <<: *service
    build: {{context: ctx, args: {{SAYS: "${{SAYS:-hello}}"}}}}
    command: {STAYS}
    environment: {{A: "x", B: 1, C: 1.50, D: true, EMPTY: "", ABSENT: , F: on, G: "$$h ${{SAYS:-hello}}"}}
    healthcheck: {{test: [CMD, test, -e, /data], interval: 300ms, timeout: 2s, retries: 3, start_period: 5s}}
    volumes: ["data:/data", "./ctx:/x:ro"]
    ports: ["127.0.0.1:${{ONE}}:80", "127.0.0.1:${{TWO}}:81/udp"]
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 100
    user: "1000"
    read_only: true
    tmpfs: ["/tmp:size=1m", /run]
    cap_drop: [ALL]
    cap_add: [NET_ADMIN]
    extra_hosts: ["foo:1.2.3.4", "host.docker.internal:host-gateway"]
    init: true
    stop_grace_period: 2s
    stop_signal: SIGTERM
    working_dir: /x
    labels: {{mine: "1"}}
    networks: {{default: {{aliases: [shop]}}, back: }}
  behind:
    image: debian:bookworm-slim
    entrypoint: {STAYS}
    hostname: inside
    healthcheck: {{disable: true}}
    depends_on: {{web: {{condition: service_healthy}}, once: {{condition: service_completed_successfully}}}}
    networks: [back]
  once: {{image: debian:bookworm-slim, pull_policy: never, command: ["true"]}}
  later:
    image: ${{PROJECT}}-later
    build: ctx
    profiles: [versions]
  never: {{build: nowhere, profiles: [debug]}}
networks: {{back: {{internal: true}}}}
volumes: {{data: , unused: }}
"""
DOCKERFILE = """FROM debian:bookworm-slim
LABEL of=PROJECT
ARG SAYS
ENV SAID=$SAYS
COPY content /content
RUN mkdir /data && chown 1000 /data
CMD ["sleep", "1000"]
"""


class Small:
    """One project of a test, whichever way brings it up."""

    shares_layers = False

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine = engine
        self.folder = folder
        self.name = f"gdcompose-{uuid.uuid4().hex[:8]}"
        self.client = docker.from_env(timeout=60)
        one, two = find_free_ports(2, set())
        self.variables = {"ONE": str(one), "TWO": str(two), "PROJECT": self.name}
        (folder / "ctx").mkdir()
        self.write_dockerfile()
        (folder / "ctx" / "content").write_text("first")
        self.write(FILE)

    def write(self, text: str) -> None:
        (self.folder / "compose.yaml").write_text(text)

    def write_dockerfile(self, more: str = "") -> None:
        """Without a layer in common with other projects: the images of each go at its end, layers and all."""
        (self.folder / "ctx" / "Dockerfile").write_text(DOCKERFILE.replace("PROJECT", self.name) + more)

    def by(self, way: str, file: Path | None = None, **more: str) -> Composer:
        project = Project(file or self.folder / "compose.yaml", self.name, {**self.variables, **more})
        return WAYS[way](project, self.engine)

    def container(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.api.inspect_container(f"{self.name}-{service}-1")
        return found

    def left(self) -> list[str]:
        ours = {"label": f"{ONE_PROJECT}={self.name}"}
        api = self.client.api
        return [
            *(one["Names"][0] for one in api.containers(all=True, filters=ours)),
            *(one["Name"] for one in api.networks(filters=ours)),
            *(one["Name"] for one in api.volumes(filters={"name": self.name})["Volumes"] or []),
        ]

    def left_named(self) -> list[str]:
        """Without volumes that images ask for, whose names are made by chance."""
        return sorted(name for name in self.left() if self.name in name)

    def close(self) -> None:
        if self.left():
            SdkComposer(Project(self.folder / "c", self.name, {}), self.engine).down(quiet, 60)
        for image in self.client.images.list(filters={"reference": f"{self.name}*"}):
            for tag in image.tags:
                if not tag.startswith(self.name):
                    continue
                if self.shares_layers:
                    give_up(self.name, tag)
                else:
                    self.client.images.remove(tag, force=True)
        self.client.close()


def quiet(_: str) -> None:
    """Nobody listens."""


@pytest.fixture
def small(engine: Engine, tmp_path: Path) -> Iterator[Small]:
    if not has_plugin():
        pytest.skip("needs Compose's plugin to compare with")
    made = Small(tmp_path, engine)
    yield made
    made.close()


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


OTHER = {"plugin": "sdk", "sdk": "plugin"}


def test_both_ways_make_the_same(small: Small) -> None:
    seen: dict[str, Any] = {}
    for way in WAYS:
        composer = small.by(way)
        assert composer.services() == ("behind", "once", "web")
        composer.up(quiet, 60)
        seen[way] = {name: service_likeness(small.container(name)) for name in composer.services()}
        seen[way]["there"] = sorted(small.left())
        assert small.container("web")["State"]["Health"]["Status"] == "healthy"
        assert small.container("once")["State"]["ExitCode"] == 0
        back = small.client.api.inspect_network(f"{small.name}_back")
        seen[way]["back"] = (back["Internal"], back["Driver"], back["Labels"]["com.docker.compose.network"])
        composer.down(quiet, 60)
        assert small.left() == []
        assert small.client.images.get(f"{small.name}-later").attrs["Config"]["Cmd"] == ["sleep", "1000"]
        small.client.images.remove(f"{small.name}-later")
    for part, expected in seen["plugin"].items():
        assert seen["sdk"][part] == expected, part
    assert seen["plugin"]["web"]["HostConfig.CapAdd"] == ["CAP_NET_ADMIN"]
    web = seen["sdk"]["web"]
    assert web["Networks"][f"{small.name}_default"] == sorted([f"{small.name}-web-1", "web", "shop"])
    assert {"ABSENT", "C=1.5", "EMPTY=", "F=on", "G=$h hello", "SAID=hello"} <= set(web["Config.Env"])
    assert seen["sdk"]["there"] == sorted(
        [f"/{small.name}-{service}-1" for service in ("web", "behind", "once")]
        + [f"{small.name}_{name}" for name in ("default", "back", "data")]
    )


@pytest.mark.parametrize("example", ["shop", "hotel"])
def test_both_ways_make_the_same_of_an_example(example: str, small: Small) -> None:
    small.shares_layers = True
    shutil.copytree(EXAMPLES / example, small.folder / example)
    file = small.folder / example / "compose.yaml"
    text = (
        file.read_text().replace("shop-web:", f"{small.name}-web:").replace("shop-api:", f"{small.name}-api:")
    )
    names = sorted(set(re.findall(r"\$\{([A-Z_]+_PORT)", text)))
    ports = find_free_ports(len(names), set())
    secrets = {"DATABASE_PASSWORD": "x1", "ADMIN_TOKEN": "y1", "HOTEL_IMAGE": small.name}
    small.variables = {
        **{name: str(port) for name, port in zip(names, ports, strict=True)},
        **secrets,
        "GAMEDAY_IMAGE": helper_image(small.engine),
    }
    file.write_text(text)
    seen: dict[str, Any] = {}
    for way in WAYS:
        composer = small.by(way, file=file)
        composer.up(quiet, 120)
        seen[way] = {name: service_likeness(small.container(name)) for name in composer.services()}
        seen[way]["there"] = small.left_named()
        composer.down(quiet, 60)
        assert small.left() == []
    assert set(seen["sdk"]) == set(seen["plugin"])
    for part, expected in seen["plugin"].items():
        assert seen["sdk"][part] == expected, part


def test_every_field_that_the_sdks_way_knows_is_compared(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(FILE)
    used = {
        name
        for one in load_compose(tmp_path / "compose.yaml", {}).services.values()
        for name in one.model_fields_set
    }
    assert set(Service.model_fields) == used


KILLED = """
import os, signal, sys
from pathlib import Path
from gameday.targets.docker.compose import PluginComposer, Project
from gameday.targets.docker.compose_sdk import SdkComposer
from gameday.targets.docker.engine import Engine
import docker
way, file, name, at, *variables = sys.argv[1:]
def dies(when, operation):
    def call(*arguments, **options):
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = operation(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return call
when, _, method = at.partition(" ")
if method:
    setattr(docker.APIClient, method, dies(when, getattr(docker.APIClient, method)))
ways = {"plugin": PluginComposer, "sdk": SdkComposer}
project = Project(Path(file), name, dict(one.split("=", 1) for one in variables))
ways[way](project, Engine.connect()).up(lambda _: None, 60)
print("came up")
"""


def begin(small: Small, way: str, at: str = "") -> subprocess.Popen[str]:
    variables = [f"{name}={text}" for name, text in small.variables.items()]
    argv = [sys.executable, "-c", KILLED, way, str(small.folder / "compose.yaml"), small.name, at, *variables]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "at",
    [
        "after build",
        "after create_network",
        "after create_volume",
        "after create_container_from_config",
        "before connect_container_to_network",
        "after connect_container_to_network",
        "after start",
    ],
)
def test_what_was_killed_in_the_middle_is_completed_by_the_next(small: Small, at: str) -> None:
    process = begin(small, "sdk", at)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (-signal.SIGKILL, "")
    small.by("sdk").up(quiet, 60)
    web = small.container("web")
    aliases = {
        name: {"web", f"{small.name}-web-1"} <= set(attached["Aliases"])
        for name, attached in web["NetworkSettings"]["Networks"].items()
    }
    assert aliases == {f"{small.name}_default": True, f"{small.name}_back": True}
    assert small.container("behind")["State"]["Running"]
    small.by("sdk").down(quiet, 60)
    assert small.left() == []


@pytest.mark.parametrize("things", [1, 4, 5])
def test_a_plugin_whose_runner_was_killed_does_not_stop_the_next(small: Small, things: int) -> None:
    process = begin(small, "plugin")
    while len(small.left()) < things and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    out, _ = process.communicate(timeout=60)
    assert out == ""
    small.by("plugin").up(quiet, 60)
    assert small.container("web")["State"]["Health"]["Status"] == "healthy"
    small.by("plugin").down(quiet, 60)
    assert small.left() == []


def test_down_leaves_what_is_of_others(small: Small, way: str) -> None:
    small.by(way).up(quiet, 60)
    used = {small.container(service)["Image"] for service in ("web", "behind")}
    other = f"{small.name}-other"
    volume = small.client.volumes.create(f"{small.name}-mine")
    made = small.client.containers.create("debian:bookworm-slim", "true", name=other)
    try:
        small.by(way).down(quiet, 60)
        made.reload()
        volume.reload()
        assert used <= {one.id for one in small.client.images.list()}
    finally:
        made.remove()
        volume.remove()


def test_what_is_unchanged_is_left_alone_and_what_changed_is_made_anew(small: Small, way: str) -> None:
    small.by(way).up(quiet, 60)
    before = {name: small.container(name) for name in ("web", "behind")}
    small.by(way).up(quiet, 60)
    for name, container in before.items():
        after = small.container(name)
        assert (after["Id"], after["State"]["StartedAt"]) == (
            container["Id"],
            container["State"]["StartedAt"],
        )

    small.write(FILE.replace("hostname: inside", "hostname: elsewhere"))
    small.by(way).up(quiet, 60)
    assert small.container("web")["Id"] == before["web"]["Id"]
    assert small.container("behind")["Id"] != before["behind"]["Id"]
    assert small.container("behind")["Config"]["Hostname"] == "elsewhere"


def test_an_image_is_built_again_when_what_goes_into_it_changed(small: Small, way: str) -> None:
    def content() -> str:
        argv = ["docker", "exec", f"{small.name}-web-1", "sh", "-c", "cat /content; echo $SAID"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    small.by(way).up(quiet, 60)
    image = small.container("web")["Image"]
    assert content() == "firsthello\n"
    small.by(way).build(quiet)
    assert small.client.images.get(f"{small.name}-web").id == image
    (small.folder / "ctx" / "content").write_text("second")
    small.by(way).up(quiet, 60)
    assert content() == "secondhello\n"
    small.by(way, SAYS="bye").up(quiet, 60)
    assert content() == "secondbye\n"


def test_what_is_stopped_or_paused_is_started_again(small: Small) -> None:
    small.by("sdk").up(quiet, 60)
    before = {name: small.container(name)["Id"] for name in ("web", "behind")}
    small.client.api.pause(before["web"])
    small.client.api.kill(before["behind"])
    small.by("sdk").up(quiet, 60)
    assert {name: small.container(name)["Id"] for name in before} == before
    assert small.container("web")["State"]["Status"] == "running"
    assert small.container("behind")["State"]["Status"] == "running"


@pytest.mark.parametrize("service", ["web", "once"])
def test_one_way_takes_down_what_the_other_brought_up(small: Small, way: str, service: str) -> None:
    small.by(way).up(quiet, 60)
    argv = ["docker", "compose", "-p", small.name, "ps", "--all", "--services"]
    assert service in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    small.by(OTHER[way]).down(quiet, 60)
    assert small.left() == []
    small.by(OTHER[way]).down(quiet, 60)  # again: nothing there is no error


def test_one_way_goes_on_with_what_the_other_began(small: Small, way: str) -> None:
    small.by(way).up(quiet, 60)
    small.by(OTHER[way]).up(quiet, 60)
    assert small.container("web")["State"]["Health"]["Status"] == "healthy"


REFUSED = """environment: small
target: docker
description: One service
compose: {file: compose.yaml, project: %s}
components: {web: {docker: {service: web}, tier: 1, port: 80}}
probes: {home: {http: GET /, component: web, every: 1s}}
detector: {kind: prometheus, component: web}
"""


def test_a_field_that_the_sdks_way_does_not_know_is_refused_before_anything_is_made(small: Small) -> None:
    (small.folder / "environments").mkdir()
    (small.folder / "environments" / "small.yaml").write_text(REFUSED % small.name)
    small.write("services:\n  web:\n    image: debian:bookworm-slim\n    ulimits: {nofile: 10}\n")
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "env", "up", "small"],
        cwd=small.folder,
        env={"PATH": str(small.folder), "HOME": str(small.folder)},  # no `docker` there
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "compose.yaml:4" in done.stderr
    assert "services.web.ulimits: unknown field" in done.stderr
    assert small.left() == []


# --- failures ----------------------------------------------------------------------------------------------

UNWELL = """
services:
  sick:
    image: debian:bookworm-slim
    command: sh -c 'echo I was started; sleep 100'
    stop_grace_period: 0s
    healthcheck: {test: "echo no data; exit 3", interval: 200ms, timeout: 2s, retries: 2}
  after: {image: debian:bookworm-slim, command: ["true"], depends_on: {sick: {condition: service_healthy}}}
"""


def failure(small: Small, way: str, text: str, timeout_s: float = 60) -> str:
    small.write(text)
    with pytest.raises(TargetError) as caught:
        small.by(way).up(quiet, timeout_s)
    assert len(str(caught.value)) < 20_000
    return str(caught.value)


def test_a_health_check_that_fails_says_what_it_said_and_the_last_lines(small: Small, way: str) -> None:
    message = failure(small, way, UNWELL)
    assert (
        "service sick is running and unhealthy; its health check ended with exit code 3: no data" in message
    )
    assert "I was started" in message


def test_a_one_shot_that_fails_is_named_with_its_last_lines(small: Small, way: str) -> None:
    text = """
services:
  once: {image: debian:bookworm-slim, command: "sh -c 'echo disk is full; exit 7'"}
  after:
    image: debian:bookworm-slim
    command: ["true"]
    depends_on: {once: {condition: service_completed_successfully}}
"""
    message = failure(small, way, text)
    assert "service once is exited with exit code 7" in message
    assert "disk is full" in message


def test_a_service_that_ends_though_nobody_waits_for_that_is_a_failure(small: Small, way: str) -> None:
    text = "services:\n  web: {image: debian:bookworm-slim, command: \"sh -c 'echo bye; exit 4'\"}\n"
    message = failure(small, way, text)
    assert "service web is exited with exit code 4" in message
    assert "bye" in message


def test_one_that_is_never_ready_runs_into_the_time_out(small: Small, way: str) -> None:
    small.write(UNWELL.replace("retries: 2", "retries: 1000"))
    begun = time.monotonic()
    with pytest.raises(OperationTimedOut) as caught:
        small.by(way).up(quiet, 3)
    assert 2 < time.monotonic() - begun < 20
    assert "service sick is running and starting" in str(caught.value)
    assert "I was started" in str(caught.value)


def test_a_build_that_fails_shows_its_last_lines(small: Small, way: str) -> None:
    small.write_dockerfile("RUN echo no such package && exit 9\n")
    with pytest.raises(
        TargetError, match=r"(?s)no such package.*returned a non-zero code: 9|9.*no such package"
    ):
        small.by(way).build(quiet)


def test_an_image_that_one_service_builds_is_there_for_others_that_may_not_pull_it(
    small: Small, way: str
) -> None:
    one = f"image: {small.name}-one, command: {STAYS}"
    file = f"services:\n  a: {{{one}, pull_policy: never}}\n  z: {{{one}, build: ctx}}\n"
    small.write(file)
    small.by(way).up(quiet, 60)
    assert small.container("a")["Image"] == small.container("z")["Image"]
    small.write(f"{file}  absent: {{image: {small.name}-absent, pull_policy: never}}\n")
    with pytest.raises(TargetError, match=f"(?i)no (such )?image:? {small.name}-absent"):
        small.by(way).up(quiet, 60)


def test_a_name_that_another_has_is_not_taken(small: Small) -> None:
    foreign = small.client.networks.create(f"{small.name}_back")
    try:
        with pytest.raises(TargetError, match=f"{small.name}_back is there and is not of compose project"):
            small.by("sdk").up(quiet, 60)
        small.by("sdk").down(quiet, 60)
        foreign.reload()  # it is still there
    finally:
        foreign.remove()


# --- the plugin's command -----------------------------------------------------------------------------------


def test_the_plugin_is_used_where_it_answers(
    small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = Project(tmp_path / "compose.yaml", small.name, {})
    assert isinstance(open_composer(project, small.engine), PluginComposer)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(open_composer(project, small.engine), SdkComposer)


def test_a_command_is_killed_at_its_deadline_with_what_it_started(tmp_path: Path) -> None:
    mark = f"gd-{uuid.uuid4().hex}"
    code = (
        "import subprocess, sys, time; print('begun', flush=True); "
        f"subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'])"
    )
    begun = time.monotonic()
    with pytest.raises(OperationTimedOut, match=r"(?s)did not end within 1 s.*begun"):
        compose.run_command([sys.executable, "-c", code], {}, Deadline.after(1), quiet)
    assert time.monotonic() - begun < 10
    assert subprocess.run(["pgrep", "-f", mark], capture_output=True, check=False).stdout == b""


def test_the_output_of_a_command_is_bounded_and_told_line_by_line(tmp_path: Path) -> None:
    told: list[str] = []
    code = "import sys\nfor n in range(5000): print(n, 'x' * 3000, flush=True)\nsys.exit('the end')"
    with pytest.raises(TargetError) as caught:
        compose.run_command([sys.executable, "-c", code], {}, Deadline.after(30), told.append)
    assert len(told) == 5001
    assert "failed with exit code 1" in str(caught.value)
    assert str(caught.value).endswith("the end")
    assert len(str(caught.value)) < 20_000


def test_a_command_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be run"):
        compose.run_command(["/no/such"], {}, Deadline.after(1), quiet)
