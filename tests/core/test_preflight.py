"""Checks before a drill that need no waiting, on literal states."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from core.abilities import AbleTarget
from core.worlds import fake_environment, fake_project, fake_scenario
from gameday.detectors.base import RuleInfo
from gameday.errors import ComponentNotFound, InvalidFile, Refused, UsageError
from gameday.fault_spec import AnyFault
from gameday.faults import check_kind
from gameday.preflight import check_names, check_possible, check_runbook, check_targets
from gameday.runbook.manual import NoManual
from gameday.targets import target_class
from gameday.targets.base import ComponentStatus, Running

RULE = RuleInfo("it_is_down", 60.0)
SIMPLE = {"kill", "stop", "pause", "degrade", "leak", "burn", "flood"}
"""What any target can do, or what a component does to itself."""


def status(**targets: tuple[Running, int]) -> dict[str, ComponentStatus]:
    """Components with what they are doing and how many targets a fault on them would hit."""
    return {
        name: ComponentStatus(name, running, tuple(f"pid {n + 1}" for n in range(count)), "somewhere")
        for name, (running, count) in targets.items()
    }


def test_a_fault_hits_what_it_names_when_everything_runs() -> None:
    found = status(database=(Running.UP, 1), api=(Running.UP, 3))
    assert check_targets(fake_scenario(), found) == "kill database (signal SIGKILL) hits pid 1"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(
            status(database=(Running.UP, 3)),
            "kill database (signal SIGKILL) would hit 3 targets (pid 1, pid 2, pid 3); safety.max_targets is 1",
            id="too-many",
        ),
        pytest.param(
            status(database=(Running.UP, 0)), "kill database (signal SIGKILL) matches no target", id="none"
        ),
        pytest.param(
            status(database=(Running.UP, 1), api=(Running.DOWN, 0), pms=(Running.PAUSED, 1)),
            "not everything runs before the drill: api is down, pms is paused",
            id="others-are-down",
        ),
    ],
)
def test_a_fault_that_hits_too_much_or_nothing_is_refused(
    found: dict[str, ComponentStatus], message: str
) -> None:
    with pytest.raises(Refused) as caught:
        check_targets(fake_scenario(), found)
    assert str(caught.value) == message


def test_as_many_targets_as_allowed_are_not_too_many() -> None:
    scenario = fake_scenario(("max_targets: 1", "max_targets: 3"))
    assert check_targets(scenario, status(database=(Running.UP, 3))).endswith("hits pid 1, pid 2, pid 3")


@pytest.mark.parametrize(("percent", "hit"), [(1, 1), (34, 2), (50, 2), (100, 3)])
def test_a_share_of_the_targets_is_rounded_up_and_counts_against_the_limit(percent: int, hit: int) -> None:
    scenario = fake_scenario(
        ("{kill: database, signal: SIGKILL}", f"{{kill: database, percent: {percent}}}"),
        ("max_targets: 1", "max_targets: 2"),
    )
    found = status(database=(Running.UP, 3))
    if hit > 2:
        with pytest.raises(Refused, match="would hit 3 targets"):
            check_targets(scenario, found)
    else:
        assert check_targets(scenario, found).endswith(
            "hits " + ", ".join(f"pid {n + 1}" for n in range(hit))
        )


def test_what_goes_with_a_drained_node_counts_against_the_limit(tmp_path: Path) -> None:
    target = AbleTarget.at(tmp_path)
    scenario = fake_scenario(("{kill: database, signal: SIGKILL}", "{drain: database}"))
    with pytest.raises(Refused, match=r"would hit 2 targets \(database, its neighbour\)"):
        check_targets(scenario, status(database=(Running.UP, 1)), target)


def test_a_scenario_for_another_target_is_told_before_anything_is_contacted() -> None:
    drain = fake_scenario(("{kill: database, signal: SIGKILL}", "{drain: database}"))
    check_possible(fake_scenario(), fake_environment())
    with pytest.raises(UsageError) as caught:
        check_possible(drain, fake_environment())
    assert str(caught.value) == (
        "scenario demo is for another target than environment fake: drain database: target fake cannot do that"
    )


@pytest.mark.parametrize(
    ("target", "impossible"),
    [
        ("process", {"remove", "disconnect", "limit", "drain"}),
        ("docker", {"drain"}),
        ("kubernetes", {"remove", "pause"}),
        ("fake", {one.verb for one in get_args(AnyFault)} - SIMPLE),
    ],
)
def test_what_each_target_can_do_at_all(target: str, impossible: set[str]) -> None:
    found = set()
    for kind in get_args(AnyFault):
        try:
            check_kind(kind.model_construct(**{kind.verb: "api"}), target_class(target))
        except UsageError:
            found.add(kind.verb)
    assert found == impossible


def test_a_component_that_the_target_does_not_know_is_an_error() -> None:
    with pytest.raises(ComponentNotFound, match="no component 'database'; components here: api"):
        check_targets(fake_scenario(), status(api=(Running.UP, 1)))


def test_names_that_the_environment_does_not_have_are_told_with_those_that_it_has() -> None:
    check_names(fake_scenario(), fake_environment())
    with pytest.raises(UsageError) as caught:
        check_names(fake_scenario(("kill: database", "kill: mail")), fake_environment())
    assert str(caught.value) == (
        "scenario demo: no component 'mail' in environment fake; components there: database, api, cache"
    )
    unknown = fake_scenario(("steady_state: [answers]", "steady_state: [mails, answers, posts]"))
    with pytest.raises(UsageError) as caught:
        check_names(unknown, fake_environment())
    assert str(caught.value) == (
        "scenario demo: no probe 'mails', 'posts' in environment fake; probes there: answers, api-answers"
    )


def runbook_check(tmp_path: Path, *rules: RuleInfo, old: str = "", new: str = "") -> str:
    project = fake_project(tmp_path)
    path = project.runbook_file("01-demo")
    path.write_text(path.read_text().replace(old, new) if old else path.read_text())
    return check_runbook(fake_scenario(), fake_environment(), project, rules, NoManual())


def test_a_runbook_that_fits_is_told_with_its_steps(tmp_path: Path) -> None:
    found = runbook_check(tmp_path, RULE)
    assert found == "01-demo has 1 steps that can be executed here; it lists it_is_down"
    named = RuleInfo(
        "it_is_down", 60.0, annotations={"runbook_url": "https://example.org/runbooks/01-demo.md"}
    )
    assert runbook_check(tmp_path, named).endswith("; it_is_down names it")


@pytest.mark.parametrize(
    ("rules", "old", "new", "message"),
    [
        pytest.param((), "", "", "the detector has no rule 'it_is_down'; rules there: ", id="no-rule"),
        pytest.param(
            (RuleInfo("it_is_down", 1.0, annotations={"runbook_url": "runbooks/02-other.md"}),),
            "alerts: [it_is_down]",
            "alerts: [other]",
            "it_is_down names the runbook runbooks/02-other.md, the scenario wants 01-demo, whose front matter does "
            "not list it_is_down",
            id="another-runbook",
        ),
        pytest.param(
            (RULE,),
            "alerts: [it_is_down]",
            "alerts: [other]",
            "it_is_down names no runbook, the scenario wants 01-demo, whose front matter does not list it_is_down",
            id="no-runbook-and-not-listed",
        ),
        pytest.param(
            (RULE,),
            "start: database",
            "start: mail",
            "01-demo.md:25: step 'Start it again': no component 'mail' here",
            id="step-of-no-component",
        ),
        pytest.param(
            (RULE,),
            "probe: answers",
            "probe: mails",
            "01-demo.md:25: step 'Start it again': no probe 'mails' in environment fake; probes there: answers, "
            "api-answers",
            id="check-of-no-probe",
        ),
    ],
)
def test_a_runbook_that_cannot_be_executed_here_is_refused(
    tmp_path: Path, rules: tuple[RuleInfo, ...], old: str, new: str, message: str
) -> None:
    with pytest.raises(Refused) as caught:
        runbook_check(tmp_path, *rules, old=old, new=new)
    assert str(caught.value).removeprefix(f"{tmp_path}/runbooks/") == message


def test_a_runbook_with_problems_is_an_invalid_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"01-demo\.md:3: severity: 'LOUD' is not allowed"):
        runbook_check(tmp_path, RULE, old="severity: CRITICAL", new="severity: LOUD")
