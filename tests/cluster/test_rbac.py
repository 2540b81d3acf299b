"""What `gameday rbac` prints is enough for a drill, and each verb of it is needed: one less fails before anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from cluster.lodge import Lodge
from cluster.quarters import config_of, write_config
from gameday.environment import load_instance
from gameday.fault_spec import Fault
from gameday.project import Project
from gameday.rbac import GUARDED, Need, manifests, runner_needs
from process.inn import Finished, until

OPERATE = """
import json, os, sys
from pathlib import Path
from pydantic import TypeAdapter
from gameday import faults
from gameday.environment import load_instance
from gameday.fault_spec import Fault
from gameday.operations import TargetOperations
from gameday.project import Project
from gameday.targets import open_target
from gameday.undo import revert
project = Project.find()
environment, instance = load_instance(project, "lodge")
target = open_target(environment, instance, project)
wanted = json.loads(sys.argv[1])
if "fault" in wanted:
    fault = faults.build(TypeAdapter(Fault).validate_python(wanted["fault"]), target, 60.0)
    undo = fault.prepare()
    try:
        print(fault.apply())
    finally:
        print(revert(undo, target))
for verb, component, arguments in wanted.get("steps", []):
    operations = TargetOperations(target, lambda *_: (True, ""))
    if verb == "run":
        assert operations.run(component, ["true"], 20).exit_code == 0
    else:
        print(operations.perform(verb, component, arguments, 40))
"""
OPERATIONS: tuple[dict[str, Any], ...] = (
    {"fault": {"kill": "cellar", "signal": "SIGTERM"}},
    {"fault": {"stop": "cellar"}},
    {"fault": {"deploy": "cellar", "version": "other"}},
    {"fault": {"partition": "cellar", "client": "bar"}},
    {"fault": {"disconnect": "cellar"}},
    {"fault": {"flood": "cellar", "lines_per_s": 10, "lines": 100}},
    {"fault": {"limit": "cellar", "memory": "64MiB"}},
    {"steps": [["restart", "cellar", {}], ["logs", "cellar", {"lines": 5}], ["status", "bar", {}]]},
    {"steps": [["run", "cellar", {}], ["reconnect", "cellar", {}]]},
)

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(240), pytest.mark.xdist_group("lodge")]
ACCOUNT = "gameday"


@pytest.fixture
def config(lodge: Lodge, tmp_path: Path) -> Path:
    """A kubeconfig of the service account that a runner has."""
    return config_of(ACCOUNT, lodge.quarters.namespace, tmp_path)


def use(lodge: Lodge, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        type(lodge), "environ", {**lodge.environ, "CONTEXT": "runner", "KUBECONFIG": str(config)}
    )


def drill_as(lodge: Lodge, config: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    use(lodge, config, monkeypatch)
    return lodge.drill()


def roles(lodge: Lodge) -> dict[str, Any]:
    printed = yaml.safe_load_all(lodge.gameday("rbac", "-e", "lodge", "-s", "cellar-down").stdout)
    return {one["metadata"]["name"]: one for one in printed if one["kind"] == "Role"}


def test_a_drill_passes_under_exactly_what_is_printed(
    lodge: Lodge, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = drill_as(lodge, config, monkeypatch)
    assert done.code == 0, done.stdout + done.stderr
    assert lodge.verdict()["requests"]["DELETE pods"] == 1, "the engine's requests are counted too"
    monkeypatch.undo()
    assert lodge.left_behind() == []


@pytest.mark.parametrize(("account", "resource", "verb"), [
    ("gameday", "deployments", "patch"),
    ("gameday", "pods", "delete"),
    ("gameday", "leases", "create"),
    ("gameday-deadman", "deployments", "patch"),
])  # fmt: skip
def test_one_verb_less_is_told_before_anything_is_touched(
    lodge: Lodge, config: Path, monkeypatch: pytest.MonkeyPatch, account: str, resource: str, verb: str
) -> None:
    role = roles(lodge)[account]
    lesser = json.loads(json.dumps(role))
    for rule in lesser["rules"]:
        if resource in rule["resources"] and verb in rule["verbs"]:
            rest = [one for one in rule["resources"] if one != resource]
            lesser["rules"] += [{**rule, "resources": rest}] if rest else []
            rule["resources"] = [resource]
            rule["verbs"].remove(verb)
            break
    lodge.quarters.do("apply", "-f", "-", stdin=json.dumps(lesser))
    before = lodge.quarters.everything()
    try:
        done = drill_as(lodge, config, monkeypatch)
    finally:
        monkeypatch.undo()
        lodge.quarters.do("apply", "-f", "-", stdin=json.dumps(role))
    assert done.code == 3, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert f"may not {verb} {resource}" in said
    assert "gameday rbac" in said
    assert lodge.quarters.everything() == before
    assert lodge.left_behind() == []


def test_a_token_that_is_no_longer_valid_is_told_before_anything_is_touched(
    lodge: Lodge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lodge.quarters.everything()
    done = drill_as(lodge, write_config("expired", tmp_path, "runner"), monkeypatch)
    monkeypatch.undo()
    assert done.code == 3, done.stdout + done.stderr
    assert "Unauthorized" in done.stdout + done.stderr
    assert not lodge.objects_of_gameday()
    assert lodge.quarters.everything() == before


def test_a_runner_whose_token_is_revoked_meanwhile_says_so_and_the_job_reverts(
    lodge: Lodge, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(lodge, config, monkeypatch)
    runner, folder = lodge.struck()
    monkeypatch.undo()
    allowed = lodge.gameday("rbac", "-e", "lodge", "-s", "cellar-down").stdout
    lodge.quarters.do("delete", "serviceaccount", ACCOUNT)
    try:
        output, _ = runner.communicate(timeout=120)
        assert runner.returncode == 5, output
        assert "Unauthorized" in output
        until(lodge.is_whole, 120, "the job has reverted, and nothing of it is there")
    finally:
        lodge.quarters.do("apply", "-f", "-", stdin=allowed)
    lodge.write_all()
    done = lodge.drill()
    assert done.code == 0, done.stdout + done.stderr
    assert f"{folder.name}: its dead-man switch had put it back" in done.stderr
    assert lodge.left_behind() == []


@pytest.mark.parametrize(
    "wanted", OPERATIONS, ids=lambda one: "-".join(map(str, one.get("fault", one.get("steps"))))[:40]
)
def test_each_operation_asks_for_no_more_than_is_printed(
    lodge: Lodge, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    """Of what is printed the guard of a drill is left out, so that nothing is allowed by chance."""
    environment = load_instance(Project(lodge.root), "lodge")[0]
    fault = [TypeAdapter(Fault).validate_python(wanted["fault"])] if "fault" in wanted else []
    steps = [(verb, component) for verb, component, _ in wanted.get("steps", [])]
    needs = runner_needs(environment, fault, steps) - GUARDED | {Need("", "services", "get")}
    documents = manifests(lodge.quarters.namespace, {"operator": frozenset(needs)})
    lodge.quarters.do("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
    try:
        config = config_of("operator", lodge.quarters.namespace, tmp_path)
        lodge.settle()
        done = subprocess.run(
            [sys.executable, "-c", OPERATE, json.dumps(wanted)],
            env={**lodge.environ, "KUBECONFIG": str(config), "CONTEXT": "runner"},
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        lodge.quarters.do("delete", "-f", "-", stdin=yaml.safe_dump_all(documents))
