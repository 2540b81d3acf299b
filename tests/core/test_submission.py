"""What is handed to a cluster: the files that drills need, under a name that is their content."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.test_parts import DRILL, ENVIRONMENT
from gameday.commands.inside import _asked
from gameday.commands.submission import SETUP_S, Wish, cluster_of, prepare
from gameday.errors import UsageError
from gameday.plan import plan
from gameday.project import Project
from gameday.scenario import load_scenario
from gameday.targets.kubernetes.drill_job import FILES_LIMIT, SUBMISSION, Submission, config_map, job
from history.shop import RUNBOOK, gameday

WISH = Wish(("down", "other"), "shop", parallel=5)
MANUAL = RUNBOOK.replace(
    "```yaml step\ndo: {start: database}\nbudget: 2s\ncheck: {probe: answers, within: 1s}\n```",
    "```yaml step\nask: Is it up?\nbudget: 2s\n```",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    runbook = RUNBOOK.replace("database_down", "down")
    files = {
        "environments/shop.yaml": ENVIRONMENT,
        "scenarios/down.yaml": DRILL,
        "scenarios/other.yaml": DRILL.replace("scenario: down", "scenario: other"),
        "runbooks/down.md": runbook,
        "rules.yaml": "groups: []\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Project(tmp_path)


def test_the_files_are_those_that_the_drills_need_at_their_own_paths(project: Project) -> None:
    (project.root / "scenarios" / "unasked.yaml").write_text("nothing")
    submission, spec = prepare(project, WISH)
    assert set(submission.files) == {
        "environments/shop.yaml",
        "scenarios/down.yaml",
        "scenarios/other.yaml",
        "runbooks/down.md",
        "rules.yaml",
    }
    assert submission.scenarios == ("down", "other")
    cluster = cluster_of(spec, "shop")
    assert (cluster.context, cluster.namespace) == ("here", "shop")
    made = job(submission, "name")["spec"]
    assert (made["completions"], made["parallelism"]) == (2, 2)
    volume = next(one for one in made["template"]["spec"]["volumes"] if one["name"] == "project")
    paths = {one["path"]: one["key"] for one in volume["configMap"]["items"]}
    assert paths == {path: path.replace("/", "__") for path in (*submission.files, SUBMISSION)}


def test_the_same_files_have_the_same_name_and_others_another(project: Project) -> None:
    first, same = prepare(project, WISH)[0], prepare(project, WISH)[0]
    assert first.config_map == same.config_map
    (project.root / "rules.yaml").write_text("groups: [] # changed\n")
    assert prepare(project, WISH)[0].config_map != first.config_map


def test_a_context_that_is_named_outright_is_another_inside(project: Project) -> None:
    inside = yaml.safe_load(prepare(project, WISH)[0].files["environments/shop.yaml"])
    assert inside["kubernetes"] == {"context": "in-cluster", "namespace": "shop"}


def test_a_context_that_is_told_stays_as_it_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ENVIRONMENT.replace("context: here", 'context: "${env:CONTEXT}"')
    (project.root / "environments/shop.yaml").write_text(text)
    monkeypatch.delenv("CONTEXT", raising=False)
    submission, spec = prepare(project, WISH)
    assert submission.files["environments/shop.yaml"] == text
    with pytest.raises(UsageError, match="CONTEXT is not set"):
        cluster_of(spec, "shop")
    monkeypatch.setenv("CONTEXT", "there")
    assert cluster_of(spec, "shop").context == "there"


def test_another_image_is_that_of_the_dead_man_switches_too(project: Project) -> None:
    submission, _ = prepare(project, Wish(("down",), "shop", image="mine:1"))
    inside = yaml.safe_load(submission.files["environments/shop.yaml"])
    assert submission.image == inside["kubernetes"]["runner_image"] == "mine:1"


def test_the_deadline_is_time_for_all_of_them_one_after_the_other(project: Project) -> None:
    submission, _ = prepare(project, WISH)
    each_s = plan(load_scenario(project.root / "scenarios/down.yaml")).deadline_s + SETUP_S
    assert submission.deadline_s == pytest.approx(2 * each_s, abs=1)


def test_all_problems_are_told_at_once(project: Project) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(project, Wish(("down", "nothing", "down"), "shop"))
    assert "nothing.yaml does not exist" in str(caught.value)
    assert "scenario down is named twice" in str(caught.value)


def test_a_question_that_nobody_answers_is_told_now(project: Project, tmp_path: Path) -> None:
    (project.root / "runbooks/down.md").write_text(MANUAL.replace("database_down", "down"))
    with pytest.raises(UsageError, match=r"nobody is there to answer step 'Start it'"):
        prepare(project, WISH)
    answers = tmp_path / "answers"
    answers.write_text("Start it: yes\n")
    submission, _ = prepare(project, Wish(("down",), "shop", answers=answers))
    assert submission.files["answers.yaml"] == "Start it: yes\n"


@pytest.mark.parametrize("rules", ["../rules.yaml", "/etc/rules.yaml"])
def test_rules_outside_of_the_project_are_refused(project: Project, rules: str) -> None:
    text = ENVIRONMENT.replace("rules: rules.yaml", f"rules: {rules}")
    (project.root / "environments/shop.yaml").write_text(text)
    with pytest.raises(UsageError, match="lies outside of the project"):
        prepare(project, WISH)


def test_only_environments_in_kubernetes_have_a_cluster(project: Project) -> None:
    text = ENVIRONMENT.replace("drills: allowed", "drills: refused")
    (project.root / "environments/shop.yaml").write_text(text)
    with pytest.raises(UsageError, match="does not allow drills"):
        prepare(project, WISH)


def test_a_config_map_holds_so_much_and_no_more() -> None:
    def of(size: int) -> Submission:
        return Submission("shop", "image", ("down",), 1, 60, {"rules.yaml": "é" * (size // 2)})

    spare = FILES_LIMIT - len("rules.yaml") - len(SUBMISSION) - len(of(0).content[SUBMISSION])
    assert config_map(of(spare - spare % 2))["immutable"] is True
    with pytest.raises(UsageError, match=r"a ConfigMap holds 1,048,576: .*rules\.yaml"):
        config_map(of(spare - spare % 2 + 2))


def test_what_pods_do_is_refused_elsewhere(project: Project) -> None:
    done = gameday(project.root, "inside")
    assert done.returncode == 2
    assert "for pods that `gameday submit` makes" in done.stderr


@pytest.mark.parametrize(("safety", "part"), [("{ttl: 10s}", True), ("{ttl: 10s, alone: true}", False)])
def test_a_pod_carries_out_the_scenario_of_its_index_beside_others_unless_it_wants_to_be_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, safety: str, part: bool
) -> None:
    path = project.root / "scenarios/other.yaml"
    path.write_text(path.read_text().replace("{ttl: 10s}", safety))
    submission, _ = prepare(project, WISH)
    (project.root / SUBMISSION).write_text(submission.content[SUBMISSION])
    monkeypatch.setenv("GAMEDAY_PROJECT", str(project.root))
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    scenario, options = _asked(project)
    assert (scenario, options.environment, options.part, options.wait_s) == (
        "other", "shop", part, submission.deadline_s,
    )  # fmt: skip
