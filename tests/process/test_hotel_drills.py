"""Every shipped scenario against the hotel as shipped, three times: as it is, with a runbook that does nothing, and
disarmed, with everything but the fault itself. One scenario of each kind is; the others are `long`.

Generated from `scenarios/`: a new file takes part in all three, once `SHIPPED` says what its drill must show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from gameday.scenario import load_scenario
from process.hotel import SHIPPED, Hotel, Told
from process.inn import REPOSITORY, kill, until
from process.machine import machine_taken

pytestmark = [pytest.mark.process, pytest.mark.catalogue, pytest.mark.timeout(700)]

SPEED = "10"
IN_VAIN = "20"
"""Where a drill waits for what cannot come, it waits half as long."""


PUT_BACK_WITHIN_S = 60


CONTROLS = ("control-below-threshold", "control-quiet")
"""No runbook answers these, and nothing is to be restored."""


OF_EACH_KIND = (
    "cpu-saturation",
    "database-loss",
    "database-pool-exhausted",
    "deployment-failure",
    "disk-space-critical",
    "low-cache-hit-rate",
    "network-loss",
    "network-partition-api-database",
    "pms-timeout",
    "complete-outage",
)
IN_SHORT = ("database-loss", "deployment-failure", "network-partition-api-database", "pms-timeout")
"""Of what a process, a release, the network and a third party are: in vain, disarmed, and without a runner. The rest of
each kind is long."""


def shared(names: Sequence[str], short: Sequence[str] | None = None) -> list[Any]:
    """Two hotels side by side, each with its half of the scenarios. Those that are not `short` are long."""
    quick = [name for name in names if short is None or name in short]
    rest = [name for name in names if name not in quick]
    params = []
    for some, marks in ((quick, ()), (rest, (pytest.mark.long,))):
        for number, name in enumerate(some):
            group = pytest.mark.xdist_group(("hotel-a", "hotel-b")[number % 2])
            params.append(pytest.param(name, marks=(group, *marks)))
    return params


OF_THE_SAME_KIND = {
    *(
        "complete-outage",
        "high-latency",
        "log-flood-database-down",
        "network-loss",
        "network-partition-api-cache",
    ),
    *("pms-bad-payload", "pms-rate-limited", "pms-timeout", "pms-unauthorized", "slow-responses"),
    *("whatsapp-token-expired", "whatsapp-webhook-failure", "network-partition-api-pms"),
    *("log-flood", "redis-exporter-gone", "whatsapp-outage"),
}
"""As it is, each of these does what another one does too, or is drilled with the original rules as well."""
DRILLS = shared(sorted(SHIPPED), sorted(SHIPPED.keys() - OF_THE_SAME_KIND))
IN_VAIN_DRILLS = shared(sorted(SHIPPED), IN_SHORT)
DISARMED = shared([*sorted(SHIPPED), "control-below-threshold"], (*IN_SHORT, "control-below-threshold"))


@pytest.fixture(scope="module")
def _hotel() -> Iterator[Hotel]:
    with Hotel.standing() as hotel:
        yield hotel


@pytest.fixture
def hotel(_hotel: Hotel, request: pytest.FixtureRequest) -> Iterator[Hotel]:
    """The hotel with all its files as shipped and everything running."""
    _hotel.write_all()
    scenario = getattr(request.node, "callspec", None) and request.node.callspec.params.get("scenario")
    with machine_taken(alone=_needs_the_machine(scenario)):  # see `safety.alone`
        _hotel.become_calm(60)
        yield _hotel
        assert _hotel.left_behind() == []


def _needs_the_machine(scenario: str | None) -> bool:
    return scenario is not None and load_scenario(REPOSITORY / "scenarios" / f"{scenario}.yaml").safety.alone


def test_every_shipped_scenario_is_drilled_here() -> None:
    assert {*SHIPPED, *CONTROLS} == {path.stem for path in (REPOSITORY / "scenarios").glob("*.yaml")}


@pytest.mark.parametrize("scenario", DRILLS)
def test_a_shipped_drill_passes_and_its_runbook_restored_the_service(
    hotel: Hotel, scenario: str, record_property: Told
) -> None:
    done = hotel.drilled(scenario, 0, record_property, "--speed", SPEED)

    hotel.assert_passed(done, SHIPPED[scenario].step)
    for probe in SHIPPED[scenario].unharmed:
        # on a busy machine some answer comes late; a probe that the fault harms answers none
        assert hotel.share_answered(probe) > 0.5, probe


@pytest.mark.parametrize("scenario", IN_VAIN_DRILLS)
def test_a_shipped_drill_fails_when_its_runbook_does_nothing(
    hotel: Hotel, scenario: str, record_property: Told
) -> None:
    hotel.let_the_runbook_do_nothing(scenario)

    done = hotel.drilled(scenario, 1, record_property, "--speed", IN_VAIN)

    assert done.code == 1, done.stdout + done.stderr
    checks = hotel.checks()
    assert checks["effective"] == checks["detected"] == "met"
    assert "missed" in (checks["runbook"], checks["recovered"])
    assert hotel.verdict()["restored_by"] == "undo"


@pytest.mark.parametrize("scenario", DISARMED)
def test_a_shipped_drill_proves_nothing_when_its_fault_is_disarmed(
    hotel: Hotel, scenario: str, record_property: Told
) -> None:
    hotel.look_only_briefly(scenario)

    done = hotel.drilled(scenario, 3, record_property, "--speed", IN_VAIN, "--disarmed")

    assert done.code == 3, done.stdout + done.stderr
    assert hotel.verdict()["verdict"] == "INCONCLUSIVE"
    assert hotel.checks()["effective"] == "unknown"
    assert hotel.checks()["undone"] == "met"
    assert hotel.happened("undo.recorded"), "a drill that never came to its fault would be another test"
    assert not hotel.happened("runbook.started")


# --- whose runner is gone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", shared(OF_EACH_KIND, (*IN_SHORT, "disk-space-critical", "network-loss")))
def test_the_dead_man_switch_puts_back_every_kind_of_fault(hotel: Hotel, scenario: str) -> None:
    known = hotel.folders()
    runner = hotel.start_drill(scenario)
    struck = hotel.wait_for("fault.effective", runner, known)
    assert struck is not None, runner.communicate(timeout=10)

    kill(runner)

    until((struck / "verdict.json").exists, PUT_BACK_WITHIN_S, "put back and judged by the dead-man switch")
    assert hotel.verdict()["exit_code"] == 4
    assert hotel.checks()["undone"] == "met"
    until(hotel.takes_bookings, 30, "bookings are taken as before")
    assert runner.stdout is not None
    runner.stdout.close()


# --- what the rules of the original file cannot see, and what they see wrongly -----------------------------------

ORIGINAL = ("--rules", "examples/hotel/rules/original.yaml")


@pytest.mark.parametrize("scenario", shared(CONTROLS))
def test_a_control_passes_with_the_corrected_rules(hotel: Hotel, scenario: str) -> None:
    done = hotel.drill("--speed", SPEED, scenario=scenario)

    assert done.code == 0, done.stdout + done.stderr
    assert set(hotel.checks().values()) == {"met"}


@pytest.mark.xdist_group("hotel-a")
def test_the_original_error_rate_rule_fires_at_one_percent_and_the_report_says_why(hotel: Hotel) -> None:
    done = hotel.drill("--speed", SPEED, *ORIGINAL, scenario="control-below-threshold")

    assert done.code == 1, done.stdout + done.stderr
    assert hotel.checks()["quiet"] == "missed"
    assert "high_error_rate fired" in hotel.reasons()
    assert "divided by itself" in hotel.reasons()
    assert "divided by itself" in (hotel.latest() / "report.md").read_text(encoding="utf-8")


@pytest.mark.xdist_group("hotel-b")
def test_the_original_cache_rule_misses_a_metric_that_is_gone_and_the_report_says_why(hotel: Hotel) -> None:
    done = hotel.drill("--speed", SPEED, *ORIGINAL, scenario="redis-exporter-gone")

    assert done.code == 1, done.stdout + done.stderr
    assert hotel.checks()["effective"] == "met"
    assert hotel.checks()["detected"] == "missed"
    assert "redis_up" in hotel.reasons()
    assert "series" in hotel.reasons()


@pytest.mark.xdist_group("hotel-a")
@pytest.mark.parametrize("scenario", ["disk-space-critical", "log-flood", "whatsapp-outage"])
def test_the_original_rules_have_none_for_what_was_added(hotel: Hotel, scenario: str) -> None:
    done = hotel.drill("--speed", SPEED, *ORIGINAL, scenario=scenario)

    assert done.code == 3, done.stdout + done.stderr
    assert f"the detector has no rule '{hotel.expected_alert(scenario)}'" in hotel.reasons()
    assert not hotel.happened("undo.recorded"), "what no rule can see is refused before anything is touched"
