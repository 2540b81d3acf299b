"""What undos and runbooks ask of a target that can do it, of one that cannot, and of one where it is done already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.abilities import AbleTarget, able_environment
from core.worlds import fake_environment, fake_target
from gameday.errors import GamedayError, TargetError, UsageError
from gameday.journal import Undo, UndoLog
from gameday.operations import TargetOperations
from gameday.runbook.actions import VERBS
from gameday.safeguard import operator_resets
from gameday.targets.base import Running
from gameday.undo import revert, revert_all


@pytest.fixture
def target(tmp_path: Path) -> AbleTarget:
    return AbleTarget.at(tmp_path)


# --- undos --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("undo", "call"),
    [
        (
            Undo("heal", "database", {"client": "api", "name": "gameday-delay"}),
            ("heal", "database", "api", "gameday-delay"),
        ),
        (Undo("heal", "database", {"client": None, "name": None}), ("heal", "database", None, None)),
        (Undo("request", "api", {"http": "DELETE /mode"}), ("request", "api", "DELETE /mode", None)),
        (Undo("uncordon", "api", {"nodes": ["one"]}), ("uncordon", "api", ["one"])),
        (Undo("unfill", "api"), ("unfill", "api")),
        (Undo("detach", "database", {"kind": "exhaust"}), ("detach", "database", "exhaust")),
    ],
)
def test_an_undo_asks_its_target_for_the_exact_reverse(
    target: AbleTarget, undo: Undo, call: tuple[Any, ...]
) -> None:
    revert(undo, target)
    assert target.does.calls == [call]


@pytest.mark.parametrize(
    "undo",
    [
        Undo("heal", "database", {"client": None, "name": None}),
        Undo("request", "api", {"http": "DELETE /mode"}),
        Undo("uncordon", "api", {"nodes": ["one"]}),
        Undo("unfill", "api"),
        Undo("detach", "database", {"kind": "exhaust"}),
        Undo("deploy", "api", {"version": ""}),
    ],
)
def test_an_undo_that_this_target_cannot_do_is_told_and_stays_pending(tmp_path: Path, undo: Undo) -> None:
    log = UndoLog.create(tmp_path / "undo", "d1", {"instance": "fake"})
    log.record(undo, 1.0)
    (result,) = revert_all(log, fake_target(tmp_path), "runner")
    assert (result.ok, result.detail) == (
        False,
        f"{undo.operation} {undo.component}: target fake cannot do that",
    )
    assert [entry.undo for entry in log.pending()] == [undo]


def test_healing_one_impairment_leaves_the_others_of_the_same_path(target: AbleTarget) -> None:
    from gameday.fault_spec import DelayFault, LoseFault

    target.impair(DelayFault(delay="database", by="1s"), "gameday-delay", 9, 9)  # type: ignore[arg-type]
    target.impair(LoseFault(lose="database", percent=5), "gameday-lose", 9, 9)
    revert(Undo("heal", "database", {"client": None, "name": "gameday-delay"}), target)
    assert [name for _, _, name in target.does.impaired] == ["gameday-lose"]


def test_destroyed_data_is_restored_unless_a_runbook_did_it_already(target: AbleTarget) -> None:
    undo = Undo("restore", "database")
    target.destroy("database", 1)
    assert revert(undo, target) == "database: down -> up"
    assert revert(undo, target) == "was restored already"


def test_a_version_is_put_back_once_and_what_does_not_run_is_started(target: AbleTarget) -> None:
    undo = Undo("deploy", "api", {"version": ""})
    target.deploy("api", "broken", 1)
    assert revert(undo, target) == "deploy api ; api: down -> up"
    assert revert(undo, target) == "api: up -> up", "started again, which waits until what runs is ready"
    target.stop("api", 1)
    revert(undo, target)
    assert target.status()["api"].running is Running.UP
    assert [call for call in target.does.calls if call[0] == "deploy"] == [
        ("deploy", "api", "broken"),
        ("deploy", "api", ""),
    ]


def test_an_undo_of_which_an_argument_is_missing_is_a_failure_and_the_rest_still_run(
    tmp_path: Path, target: AbleTarget
) -> None:
    log = UndoLog.create(tmp_path / "undo", "d1", {"instance": "demo"})
    log.record(Undo("unfill", "api"), 1.0)
    log.record(Undo("detach", "database"), 1.0)
    assert [(result.ok, result.detail) for result in revert_all(log, target, "runner")] == [
        (False, "KeyError: 'kind'"),
        (True, "unfill api"),
    ]


# --- what operators switched --------------------------------------------------------------------------------


def test_every_component_that_names_a_reset_is_reset() -> None:
    assert operator_resets(able_environment()) == (
        Undo("request", "cache", {"http": "POST /calm"}),
        Undo("request", "api", {"http": "DELETE /admin/overrides"}),
    )
    assert operator_resets(fake_environment()) == ()


def test_what_operators_switched_is_taken_back_after_every_fault(tmp_path: Path, target: AbleTarget) -> None:
    log = UndoLog.create(tmp_path / "undo", "d1", {"instance": "demo"})
    for undo in (*operator_resets(able_environment()), Undo("unfill", "api"), Undo("start", "database")):
        log.record(undo, 1.0)
    assert all(result.ok for result in revert_all(log, target, "runner"))
    assert target.does.calls == [
        ("unfill", "api"),
        ("request", "api", "DELETE /admin/overrides", None),
        ("request", "cache", "POST /calm", None),
    ]


# --- verbs of runbooks --------------------------------------------------------------------------------------


def operations(target: Any) -> TargetOperations:
    return TargetOperations(
        target, lambda probe, within_s, steady_s: (True, f"{probe} {within_s} {steady_s}")
    )


ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "kill": {"signal": "SIGKILL"},
    "restore": {"to": "latest"},
    "logs": {"lines": 50},
    "disconnect": {"keep": ("agente-api",)},
    "request": {"http": "PUT /admin/pms/mode", "body": {"mode": "queue"}},
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_runbooks_can_be_carried_out(target: AbleTarget, verb: str) -> None:
    target.deploy("api", "broken", 1)
    component = "database" if verb in ("disconnect", "reconnect") else "api"
    operations(target).perform(verb, component, ARGUMENTS.get(verb, {}), 5.0)


@pytest.mark.parametrize(
    ("verb", "component", "call"),
    [
        ("reconnect", "database", ("heal", "database", None, None)),
        ("uncordon", "api", ("uncordon", "api", None)),
        ("disconnect", "database", ("disconnect", "database", ("agente-api",))),
        ("reclaim", "api", ("reclaim", "api")),
        ("request", "api", ("request", "api", "PUT /admin/pms/mode", {"mode": "queue"})),
    ],
)
def test_a_verb_asks_the_target_for_just_that(
    target: AbleTarget, verb: str, component: str, call: tuple[Any, ...]
) -> None:
    operations(target).perform(verb, component, ARGUMENTS.get(verb, {}), 5.0)
    assert target.does.calls == [call]


def test_what_was_asked_of_a_component_is_answered_in_its_words(target: AbleTarget) -> None:
    target.does.answer = '200 OK: {"mode":"queue"}'
    assert operations(target).perform("request", "api", ARGUMENTS["request"], 5.0) == target.does.answer


def test_a_rollback_of_what_was_not_deployed_fails_and_of_what_was_brings_it_back(target: AbleTarget) -> None:
    with pytest.raises(TargetError, match="rollback api: nothing was deployed"):
        operations(target).perform("rollback", "api", {}, 5.0)
    target.deploy("api", "broken", 1)
    assert operations(target).perform("rollback", "api", {}, 5.0) == "rollback api"
    assert (target.version("api"), target.status()["api"].running) == ("", Running.UP)


@pytest.mark.parametrize("verb", ["rollback", "reconnect", "disconnect", "reclaim", "request"])
def test_a_verb_that_this_target_cannot_do_is_told(tmp_path: Path, verb: str) -> None:
    with pytest.raises(UsageError) as caught:
        operations(fake_target(tmp_path)).perform(verb, "api", ARGUMENTS.get(verb, {}), 5.0)
    assert str(caught.value) == f"{verb}: target fake cannot do that"


def test_a_verb_of_another_version_is_told(target: AbleTarget) -> None:
    with pytest.raises(GamedayError, match="failover database: this version cannot do that"):
        operations(target).perform("failover", "database", {}, 5.0)


def test_restarting_stops_and_starts_and_a_status_tells_what_is_there(target: AbleTarget) -> None:
    perform = operations(target).perform
    assert perform("restart", "api", {}, 5.0) == "api: up -> down; api: down -> up"
    target.pause("database", 1)
    assert perform("status", "database", {}, 5.0).startswith("database is paused at file:")
    assert perform("status", "database", {}, 5.0).endswith(": fake database")


def test_a_check_asks_for_its_probe_with_both_times(target: AbleTarget) -> None:
    assert operations(target).wait_for_probe("answers", 30.0, 2.5) == (True, "answers 30.0 2.5")
