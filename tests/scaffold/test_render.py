"""The files that `gameday init` writes: valid whatever the service is called, and honest about what is not known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.commands.files import validate
from gameday.environment import load_environment
from gameday.project import Project
from gameday.runbook.lint import lint
from gameday.runbook.parse import load_runbook
from gameday.scaffold.alerts import watching
from gameday.scaffold.asking import Question
from gameday.scaffold.place import Part, Place, name_of
from gameday.scaffold.render import CI_FILES, Choice, Detector, flow, render
from gameday.scaffold.write import write_files
from gameday.scenario import load_scenario
from gameday.todo import MARK, todos
from scaffold.rules import read, rule

API = Part("api", {"service": "api"}, "shop-api:1", 2, 2, port=8000, host="127.0.0.1", published=8200)
PROMETHEUS = Part(
    "prometheus", {"service": "prometheus"}, "prom/prometheus", 1, 1, port=9090, host="127.0.0.1", published=9
)
SHOP = Place("docker", "shop", "compose project shop", (API, PROMETHEUS), {"compose": {"project": "shop"}})
RULES = read(rule("ApiDown", 'up{job="api"} == 0', for_s=15, labels={"severity": "critical", "team": "shop"}))
FULL = Choice(
    place=SHOP,
    environment="shop",
    part=API,
    question=Question("api", "/orders", "GET /orders answers 200"),
    detector=Detector("prometheus", "http://127.0.0.1:9"),
    alert=watching(RULES, "api")[0],
    scrape_s=5.0,
    alerts=["ApiDown"],
    ci="github",
)
KUBERNETES = replace(
    FULL,
    place=replace(
        SHOP,
        target="kubernetes",
        header={"kubernetes": {"context": "kind-kind", "namespace": "shop", "node_host": "172.18.0.2"}},
        parts=(replace(API, selector={"workload": "deployment/api"}, service="api-http"),),
    ),
    detector=Detector(None, "https://prometheus.example:9090"),
    ci="gitlab",
)
UNKNOWN = replace(
    FULL,
    place=replace(SHOP, parts=(replace(API, published=None, host=None, unreachable="it is not published"),)),
    part=replace(API, published=None, host=None),
    question=Question("api", None, "it is not published", answered=False),
    detector=Detector(None, "http://127.0.0.1:9090", known=False),
    alert=None,
    scrape_s=None,
    alerts=["Other"],
    ci="none",
)


def said(root: Path) -> tuple[int, list[str]]:
    lines: list[str] = []
    folders = [root / name for name in ("environments", "scenarios", "runbooks")]
    code = validate(folders, lambda _: None, lines.append)
    return code, lines


@pytest.mark.parametrize(
    "choice", [FULL, KUBERNETES, UNKNOWN], ids=["docker", "kubernetes", "little is known"]
)
def test_only_what_is_marked_is_wrong_with_the_files(tmp_path: Path, choice: Choice) -> None:
    written = write_files(tmp_path, render(choice), force=False)

    code, lines = said(tmp_path)

    assert code == 2
    assert lines
    assert all("still to be decided: " in line for line in lines), lines
    for path in written:
        text = path.read_text(encoding="utf-8")
        bare = "\n".join(line for line in text.splitlines() if MARK not in line)
        path.write_text(bare + "\n", encoding="utf-8")
    assert said(tmp_path) == (0, [])


def test_the_files_fit_together_and_lint_finds_no_error(tmp_path: Path) -> None:
    write_files(tmp_path, render(FULL), force=False)
    project = Project(tmp_path)
    environment = load_environment(project.environment_file("shop"))
    scenarios = [load_scenario(path) for path in project.scenario_files()]
    runbook = load_runbook(project.runbook_file("api"))

    found = lint(
        [runbook],
        environment_components=environment.components,
        probes=environment.probes,
        alerts=None,
        scenarios=scenarios,
    )

    assert [str(one) for one in found if one.severity == "error"] == []
    control, drill = scenarios[1], scenarios[0]
    assert drill.alert == "ApiDown"
    assert (drill.severity, drill.owner) == ("SEV1", "shop")
    assert drill.safety.max_targets == 2, "both replicas are killed"
    assert drill.runbook == runbook.name
    assert runbook.alerts == ("ApiDown",)
    assert control.control
    assert not control.fault
    assert environment.drills == "refused", "nobody has agreed yet"


def test_what_is_not_known_says_what_would_be_right(tmp_path: Path) -> None:
    write_files(tmp_path, render(UNKNOWN), force=False)

    text = "\n".join(said(tmp_path)[1])

    for words in (
        "the team that answers",
        "rules there: Other",
        "it is not published",
        "the URL of the Prometheus",
    ):
        assert words in text
    assert "ask what users ask" in text
    assert not list(tmp_path.rglob("*gitlab*"))


@pytest.mark.parametrize("choice", [FULL, KUBERNETES], ids=["github", "gitlab"])
def test_the_ci_job_is_yaml_and_drills_both_scenarios(choice: Choice) -> None:
    text = render(choice)[CI_FILES[choice.ci]]
    document = yaml.safe_load(text)
    job = document["jobs"]["drills"] if choice.ci == "github" else document["gameday-drills"]
    variables = job.get("env") or job["variables"]
    assert variables["GAMEDAY_SCENARIOS"] == "api-quiet api-down"
    assert variables["GAMEDAY_ENVIRONMENT"] == "shop"
    wanted = "docker" if choice.place.target == "docker" else "docker,kubernetes"
    assert variables["GAMEDAY_PACKAGE"] == f"gameday-runner[{wanted}]"


def test_nothing_is_written_over_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    from gameday.errors import UsageError

    mine = tmp_path / "runbooks" / "api.md"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")

    with pytest.raises(
        UsageError, match=r"runbooks/api\.md is there already, and nothing was written; --force"
    ):
        write_files(tmp_path, render(FULL), force=False)

    assert mine.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "environments").exists()
    write_files(tmp_path, render(FULL), force=True)
    assert mine.read_text(encoding="utf-8") != "mine"


HOSTILE = [
    "a: b",
    "- x",
    "{y}",
    "# no",
    "'",
    '"',
    "true",
    "null",
    "1.0",
    "é\u2028ü",
    "${env:HOME}",
    "<!--",
    "```",
    "x\ny: z",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_service_breaks_no_file(tmp_path: Path, text: str) -> None:
    part = replace(API, name=name_of(text), selector={"service": text})
    place = replace(SHOP, what=f"compose project {text}", parts=(part, PROMETHEUS))
    rules = read(
        rule("Down", f"up{{job={json.dumps(part.name)}}} == 0", labels={"team": text, "severity": text})
    )
    choice = replace(
        FULL,
        place=place,
        part=part,
        question=replace(FULL.question, component=part.name, said=text),
        alert=watching(rules, part.name)[0],
    )

    write_files(tmp_path, render(choice), force=False)

    lines = said(tmp_path)[1]
    assert all("still to be decided" in line for line in lines), lines
    environment = load_environment(tmp_path / "environments" / "shop.yaml")
    assert environment.components[part.name].docker.service == text  # type: ignore[union-attr]


@given(st.text(min_size=1, max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_comes_back_from_yaml_as_it_was(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert yaml.safe_load(f"x: {flow(text)}") == {"x": text}
    assert yaml.safe_load(f"x: {flow({text: [text] and text})}") == {"x": {text: text}}


def test_marked_lines_are_found_in_yaml_and_markdown(tmp_path: Path) -> None:
    text = f"a: 1\n# {MARK}: the team\n<!-- {MARK}: the words -->\n"
    found = [(problem.line, problem.message) for problem in todos(text, tmp_path)]
    assert found == [(2, "still to be decided: the team"), (3, "still to be decided: the words")]
