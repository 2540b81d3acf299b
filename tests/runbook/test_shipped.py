"""The runbooks in `runbooks/` are complete, and drill and reader find in them what the seeds promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.detectors.rules import load_rules
from gameday.environment import load_environment
from gameday.project import Project
from gameday.runbook.lint import lint
from gameday.runbook.model import Runbook, Step
from gameday.runbook.parse import load_runbook
from gameday.scenario import load_scenario

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.md"))


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_lint_has_nothing_to_say(path: Path) -> None:
    environment = load_environment(ROOT / "environments" / "hotel-local.yaml")
    scenarios = [load_scenario(file) for file in Project(ROOT).scenario_files()]
    found = lint(
        [load_runbook(path)],
        environment_components=environment.components,
        probes=environment.probes,
        alerts=None,
        scenarios=scenarios,
    )
    assert [str(finding) for finding in found] == []


ALSO = {
    "08-high-error-rate": {"service_down"},
    "09-circuit-breaker-open": {"pms_circuit_breaker_open"},
    "11-full-recovery": {"service_down"},
    "12-node-drained": {"service_down"},
}
"""Alerts that name another runbook first, and that this one answers too."""
ADDED = {"disk_space_critical", "log_volume_high", "whatsapp_delivery_failing"}
"""Alerts that the seeds' ten rules do not have."""


def naming(rules: str) -> dict[str, set[str]]:
    """Alerts by the file name of the runbook that they name."""
    found: dict[str, set[str]] = {}
    for rule in load_rules(ROOT / "examples" / "hotel" / "rules" / f"{rules}.yaml").rules:
        assert rule.info.runbook_url is not None, f"{rule.name} names no runbook"
        found.setdefault(rule.info.runbook_url, set()).add(rule.name)
    return found


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_it_lists_the_alerts_that_name_it_in_both_sets_of_rules(path: Path) -> None:
    listed = set(load_runbook(path).alerts)
    corrected = naming("corrected").get(f"runbooks/{path.name}", set())
    assert corrected | ALSO.get(path.stem, set()) == listed
    assert naming("original").get(f"runbooks/{path.name}", set()) == corrected - ADDED
    assert listed, "a runbook that answers no alert is never found at night"


@pytest.mark.parametrize("rules", ["original", "corrected"])
def test_every_alert_names_a_runbook_that_is_there(rules: str) -> None:
    assert set(naming(rules)) <= {f"runbooks/{path.name}" for path in RUNBOOKS}


LOSS = "Assess the damage"
"""Where the chain of runbook 01 begins that has an RTO of its own: data is lost."""
LOSS_RTO_S = 3600.0


def chain(found: Runbook, heading: str) -> list[Step]:
    """A step and those that follow it by `then`."""
    step = found.step(heading)
    return [] if step is None else [step, *(chain(found, step.then) if step.then else [])]


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_even_the_longest_way_fits_the_rto_and_nobody_must_be_asked(path: Path) -> None:
    found = load_runbook(path)
    apart = chain(found, LOSS) if path.stem == "01-database-down" else []
    assert sum(step.budget_s for step in found.steps if step not in apart) <= found.rto_s
    assert sum(step.budget_s for step in apart) <= LOSS_RTO_S
    assert found.manual_steps == ()  # a CI job has nobody to ask


def test_the_loss_of_the_database_has_the_objective_that_its_text_and_its_scenario_give() -> None:
    path = ROOT / "runbooks" / "01-database-down.md"
    assert [step.describe() for step in chain(load_runbook(path), LOSS)] == [
        "status database", "logs database lines=100", "restore database to=latest", "check database-answers",
        "check bookings",
    ]  # fmt: skip
    assert "RTO of 1 hour" in path.read_text(encoding="utf-8")
    assert load_scenario(ROOT / "scenarios" / "database-loss.yaml").rto_s == LOSS_RTO_S


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_whatever_acts_says_which_kind_of_mitigation_it_is(path: Path) -> None:
    acting = [step for step in load_runbook(path).steps if step.may_change]
    assert [step.heading for step in acting if step.mitigation is None] == []


@pytest.mark.parametrize(
    ("name", "severity", "rto_s", "acts", "fallbacks"),
    [
        pytest.param("01-database-down", "CRITICAL", 900, [
            "start database",
        ], {
            "Start PostgreSQL again": "Free connections",
            "Confirm that bookings are accepted": "Reconnect the network",
            "Free connections": "Restart PostgreSQL",
            "Restart PostgreSQL": "Reconnect before anything is restored",
            "Reconnect before anything is restored": "Assess the damage",
            "Reconnect the network": "Restart the API",
        }, id="01-database-down"),
        pytest.param("02-high-api-latency", "HIGH", 1800, [
            "reconnect database",
        ], {
            "Reconnect the path to the database": "Restart the API",
            "Look whether the processor is free": "Restart the API to end what burns",
            "Look whether confirmations are fast": "Take the PMS out of the path",
        }, id="02-high-api-latency"),
        pytest.param("03-memory-leak", "HIGH", 3600, [
            "rollback api",
        ], {
            "Roll back to the version before the leak": "Restart the API",
            "Confirm that bookings are accepted": "Start the API again",
        }, id="03-memory-leak"),
        pytest.param("04-disk-space-critical", "CRITICAL", 900, [
            "reclaim api",
        ], {
            "Free disposable files": "Restart the API to release deleted files",
            "Look whether the log is quiet": "Turn the log down",
            "Confirm that bookings are accepted": "Restart the API so that it writes again",
        }, id="04-disk-space-critical"),
        pytest.param("05-pms-integration-failure", "HIGH", 1800, [
            "reconnect pms",
        ], {
            "Reconnect the path to the PMS": "Let the breaker try again",
            "Let the breaker try again": "Take bookings without the PMS",
        }, id="05-pms-integration-failure"),
        pytest.param("06-whatsapp-api-outage", "HIGH", 3600, [
            "reconnect whatsapp",
            "request POST /admin/whatsapp/retry of api",
        ], {
            "Send again what was given up": "Let the front desk inform guests",
        }, id="06-whatsapp-api-outage"),
        pytest.param("07-redis-connection-issues", "MEDIUM", 1800, [
            "start cache",
        ], {
            "Start the cache again": "Restart the cache",
            "Confirm that the API uses it": "Reconnect the network",
            "Confirm that the API reports it": "Roll the API back",
            "Confirm that it stays warm": "Send away who flushes it",
            "Reconnect the network": "Restart the API",
        }, id="07-redis-connection-issues"),
        pytest.param("08-high-error-rate", "CRITICAL", 900, [
            "rollback api",
        ], {
            "Roll back to the last good version": "Restart the API",
            "Confirm that the errors have stopped": "Restart the API to end the errors",
            "Restart the API": "Reconnect the path to the database",
            "Restart the API to end the errors": "Take the PMS out of the path",
        }, id="08-high-error-rate"),
        pytest.param("09-circuit-breaker-open", "MEDIUM", 1800, [
            "request POST /admin/pms/circuit-breaker/reset of api",
        ], {
            "Reset the circuit breaker": "Take bookings without the PMS",
        }, id="09-circuit-breaker-open"),
        pytest.param("10-deployment-failure", "CRITICAL", 900, [
            "rollback api",
        ], {
            "Roll back to the last good version": "Start the API again",
            "Start the API again": "Restart the API",
        }, id="10-deployment-failure"),
        pytest.param("11-full-recovery", "CRITICAL", 14400, [
            "start database",
            "start cache",
            "start api",
        ], {
            "Start the database": "Restore the database",
            "Start the cache": "Go on without the cache",
            "Start the API": "Restart the API",
            "Go on without the cache": "See that the database can carry it alone",
            "Restart the API": "Reconnect the path to the database",
        }, id="11-full-recovery"),
        pytest.param("12-node-drained", "CRITICAL", 900, [
            "uncordon api",
        ], {
            "Let pods onto the nodes again": "Start the database",
            "Start the database": "Start the API",
            "Start the API": "Restart the API",
        }, id="12-node-drained"),
    ],
)  # fmt: skip
def test_figures_main_path_and_fallbacks(
    name: str, severity: str, rto_s: float, acts: list[str], fallbacks: dict[str, str]
) -> None:
    found = load_runbook(ROOT / "runbooks" / f"{name}.md")
    assert (found.severity, found.rto_s) == (severity, rto_s)
    assert [step.describe() for step in found.main_path if step.may_change] == acts
    assert {step.heading: step.otherwise for step in found.steps if step.otherwise} == fallbacks


def test_every_runbook_has_its_figures_here() -> None:
    assert len(RUNBOOKS) == 12
