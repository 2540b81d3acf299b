"""`gameday init` for containers that run: what it finds, what it writes, and that a drill of it passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from containers.tavern import BAR
from containers.worlds import World
from detectors.real_stack import NEEDS_SERVERS, PROMETHEUS, ask, free_port
from gameday.errors import TargetError
from gameday.targets.docker.engine import Engine
from process.inn import GAMEDAY, Finished, until
from process.screen import answered
from scaffold.rules import rule, serving

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400), pytest.mark.xdist_group("docker-init")]

RULES = (
    rule("BarDown", 'up{job="bar"} == 0', for_s=1, labels={"severity": "critical", "team": "bar"}),
    rule("CellarEmpty", "barrels < 1"),
)


class Pub:
    """A compose project of two services, made by hand: `bar` asks `cellar`, and only the bar is published."""

    def __init__(self, world: World, root: Path) -> None:
        self.world, self.root = world, root
        self.project = world.prefix
        self._run("cellar", ports={})
        self._run("bar", command=["python3", "-u", "-c", BAR.replace("CELLAR", f"{world.prefix}-cellar-1")])
        found = world.inspect("bar")["HostConfig"]["PortBindings"]["8000/tcp"]
        self.port = int(found[0]["HostPort"])
        until(self._answers, 30, "the bar answers")

    def _run(self, service: str, **more: object) -> None:
        labels = {
            "gameday.test": self.world.prefix,
            "com.docker.compose.project": self.project,
            "com.docker.compose.service": service,
        }
        self.world.run(service, labels=labels, **more)

    def _answers(self) -> bool:
        import urllib.request

        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def init(self, *arguments: str) -> Finished:
        return self.gameday("init", "--project", self.project, *arguments)

    def gameday(self, *arguments: str) -> Finished:
        done = subprocess.run(
            [*GAMEDAY, *arguments],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    @property
    def environ(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("GAMEDAY_")}

    def written(self) -> list[str]:
        return sorted(
            path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()
        )

    def states(self) -> dict[str, str]:
        return {
            service: f"{self.world.inspect(service)['Id']} {self.world.inspect(service)['State']['StartedAt']}"
            for service in ("bar", "cellar")
        }


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    try:
        Engine.connect(timeout_s=60)
    except TargetError as error:
        pytest.skip(f"needs a Docker engine: {error}")
    folder = Path(tempfile.mkdtemp(prefix="gameday-init-world-"))
    made = World(folder)
    try:
        Pub(made, folder)
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)


@pytest.fixture
def pub(world: World, tmp_path: Path) -> Pub:
    """In an empty folder."""
    place = Pub.__new__(Pub)
    place.world, place.root, place.project = world, tmp_path / "here", world.prefix
    place.port = int(world.inspect("bar")["HostConfig"]["PortBindings"]["8000/tcp"][0]["HostPort"])
    place.root.mkdir()
    return place


def test_a_service_gets_its_files_and_a_first_preflight_and_is_not_touched(pub: Pub) -> None:
    before = pub.states()

    with serving(*RULES) as url:
        done = pub.init("--service", "bar", "--prometheus", url)

    assert done.code == 0, done.stdout + done.stderr
    name = pub.project
    assert pub.written() == [
        ".github/workflows/gameday.yaml",
        f"environments/{name}.yaml",
        "runbooks/bar.md",
        "scenarios/bar-down.yaml",
        "scenarios/bar-quiet.yaml",
    ]
    assert "BarDown watches bar: it asks for job=bar" in done.stdout
    for check in ("targets", "fault", "steady state", "alert"):
        assert f"  {check:<12}  ok: " in done.stdout
    assert "BarDown is quiet" in done.stdout
    assert pub.states() == before
    environment = (pub.root / "environments" / f"{name}.yaml").read_text(encoding="utf-8")
    assert "bar: {docker: {service: bar}, port: 8000}" in environment
    assert "cellar: {docker: {service: cellar}}" in environment
    assert "drills: refused" in environment
    scenario = (pub.root / "scenarios" / "bar-down.yaml").read_text(encoding="utf-8")
    assert "severity: SEV1" in scenario
    assert "owner: bar" in scenario
    told = pub.gameday("validate", "environments", "scenarios", "runbooks")
    assert told.code == 2
    assert "still to be decided: `allowed`, once those who answer" in told.stderr
    refused = pub.gameday("run", "bar-down", "-e", name, "--yes")
    assert refused.code == 2
    assert "does not allow drills" in refused.stderr
    again = pub.init("--service", "bar", "--ci", "none")
    assert again.code == 2
    assert f"environments/{name}.yaml, scenarios/bar-down.yaml" in again.stderr
    assert "--force" in again.stderr


def test_what_a_drill_would_be_refused_for_is_told_at_once(pub: Pub) -> None:
    """The cellar publishes no port, so the bar is asked; and the alert fires already."""
    with serving(rule("CellarDown", 'up{job="cellar"} == 0', state="firing")) as url:
        done = pub.init("--service", "cellar", "--prometheus", url, "--ci", "none")

    assert done.code == 3, done.stdout + done.stderr
    assert (
        "alert         NOT YET: CellarDown is firing: an alert that is not quiet proves nothing"
        in done.stdout
    )
    assert "steady state  ok: bar-answers: status 200" in done.stdout
    assert "cellar cannot be asked itself; ask bar something that needs it" in done.stdout


def test_without_a_prometheus_the_alert_is_left_to_people(pub: Pub) -> None:
    done = pub.init("--service", "bar", "--ci", "gitlab")

    assert done.code == 3
    assert "no Prometheus in compose project" in done.stdout
    told = pub.gameday("validate", "scenarios", "environments")
    assert "the URL of the Prometheus that watches it" in told.stderr
    assert "the alert that must fire" in told.stderr
    assert "ci/gameday.gitlab-ci.yaml" in pub.written()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "which service is to be drilled? say --service: bar, cellar"),
        (("--service", "attic"), "--service attic: not in compose project"),
        (
            ("--service", "bar", "--prometheus", "URL", "--alert", "Nothing"),
            "rules there: BarDown, CellarEmpty",
        ),
        (("--service", "bar", "--context", "c"), "--context: not for target docker"),
        (("--service", "bar", "--prometheus", "nowhere"), "--prometheus is not a URL; expected one such as"),
    ],
)
def test_what_cannot_be_chosen_is_an_error_that_says_what_there_is(
    pub: Pub, arguments: tuple[str, ...], words: str
) -> None:
    with serving(*RULES) as url:
        done = pub.init(*(url if word == "URL" else word for word in arguments))

    assert done.code == 2
    assert words in done.stderr
    assert pub.written() == []


def test_a_project_that_is_not_there_and_a_prometheus_that_does_not_answer(pub: Pub) -> None:
    other = pub.gameday("init", "--project", "no-such-project")
    away = pub.init("--service", "bar", "--prometheus", "http://127.0.0.1:1")

    assert other.code == 2
    assert pub.project in other.stderr, "it says which there are"
    assert away.code == 3
    assert "Prometheus at http://127.0.0.1:1" in away.stderr
    assert pub.written() == []


def test_on_a_terminal_a_menu_asks(pub: Pub) -> None:
    command = [
        *GAMEDAY,
        "init",
        "--container",
        f"{pub.project}-cellar-1",
        "--container",
        f"{pub.project}-bar-1",
    ]
    environ = {**pub.environ, "TERM": "xterm", "COLUMNS": "200"}
    with serving(*RULES) as url:
        code, screen = answered(
            [*command, "--prometheus", url, "--environment", "pub"],
            pub.root,
            environ,
            when="or q to leave",
            answer="2",
            silent_s=60,
        )

    assert code == 0, screen
    assert "Which service is to be drilled?" in screen
    text = (pub.root / "environments" / "pub.yaml").read_text(encoding="utf-8")
    assert f"bar: {{docker: {{container: {pub.project}-bar-1}}, port: 8000}}" in text
    assert "compose:" not in text


@NEEDS_SERVERS
@pytest.mark.timeout(600)
def test_once_people_have_decided_the_drill_passes(pub: Pub, tmp_path: Path) -> None:
    with watched(pub.port, tmp_path / "prometheus") as url:
        done = pub.init("--service", "bar", "--prometheus", url, "--ci", "none")
        assert done.code == 0, done.stdout + done.stderr
        environment = pub.root / "environments" / f"{pub.project}.yaml"
        environment.write_text(environment.read_text().replace("drills: refused", "drills: allowed"))

        control = pub.root / "scenarios" / "bar-quiet.yaml"
        control.write_text(control.read_text().replace("no_alert_for: 1m", "no_alert_for: 2s"))
        quiet = pub.gameday("run", "bar-quiet", "-e", pub.project, "--yes")
        drilled = pub.gameday("run", "bar-down", "-e", pub.project, "--yes")

    assert quiet.code == 0, quiet.stdout + quiet.stderr
    assert drilled.code == 0, drilled.stdout + drilled.stderr
    assert "Start it again" in drilled.stdout


@contextmanager
def watched(port: int, folder: Path) -> Iterator[str]:
    """A real Prometheus that scrapes the bar; its URL."""
    own = free_port()
    folder.mkdir()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 500ms, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
        f'scrape_configs: [{{job_name: bar, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]\n'
    )
    (folder / "rules.yml").write_text(
        "groups:\n- name: pub\n  rules:\n"
        "  - {alert: BarDown, expr: 'up{job=\"bar\"} == 0', for: 1s, labels: {severity: critical}}\n"
    )
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [
            *(str(PROMETHEUS), "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
            f"--web.listen-address=127.0.0.1:{own}",
        ],
        cwd=folder,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{own}"
    try:
        until(lambda: _evaluated(url), 30, "the rule was evaluated")
        yield url
    finally:
        server.kill()
        server.wait(10)
        log.close()


def _evaluated(url: str) -> bool:
    try:
        groups = ask(f"{url}/api/v1/rules")["data"]["groups"]
    except OSError:
        time.sleep(0.2)
        return False
    return bool(groups) and all(rule["health"] == "ok" for group in groups for rule in group["rules"])
