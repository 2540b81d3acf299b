"""Stop conditions in real drills: the engine is ended at once, everything is put back, the exit code is 4."""

from __future__ import annotations

import html
from typing import Any

import pytest

from process.inn import ENVIRONMENT, REPOSITORY, RULES, RUNBOOK, SCENARIO, Finished, Inn

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("inn")]

# 100000 errors a second never come, so nobody answers and the database stays down for 20 seconds
DEAF = RULES.replace("> 1", "> 100000")
PROBE = "{probe: database-answers, fails_for: 1s, grace: 10s}"
ERRORS = "{promql: 'sum(rate(database_connection_errors_total[2s])) > 1', holds_for: 500ms, every: 250ms, grace: 10s}"
FROZEN = SCENARIO.replace("kill: database", "pause: api").replace("fires_within: 20s", "fires_within: 6s")


def with_stops(scenario: str, *conditions: str) -> str:
    return scenario.replace("ttl: 40s", f"ttl: 40s, stop_when: [{', '.join(conditions)}]")


def drill(inn: Inn, *conditions: str, rules: str = DEAF, scenario: str = SCENARIO) -> Finished:
    inn.write("rules.yaml", rules)
    inn.write("scenarios/database-down.yaml", with_stops(scenario, *conditions))
    return inn.drill()


def event(inn: Inn, kind: str) -> dict[str, Any]:
    (found,) = [one for one in inn.events() if one["event"] == kind]
    return found


def first(inn: Inn, kind: str) -> dict[str, Any]:
    return next(one for one in inn.events() if one["event"] == kind)


def stopped(inn: Inn, done: Finished) -> dict[str, Any]:
    """What ended the drill, which put everything back at once."""
    assert done.code == 4, done.stdout + done.stderr
    verdict = inn.verdict()
    assert (verdict["verdict"], verdict["aborted"], verdict["left_behind"]) == ("INCONCLUSIVE", True, False)
    assert inn.checks()["undone"] == "met"
    told = event(inn, "stop.condition")
    assert told["data"]["condition"] in verdict["reasons"][0]
    begun = first(inn, "undo.started")
    assert (begun["at"]["mono_ns"] - told["at"]["mono_ns"]) / 1e9 < 2.0
    report = (inn.latest() / "report.md").read_text(encoding="utf-8")
    assert "A stop condition ended it." in report
    for name in ("report.html", "junit.xml"):
        text = html.unescape((inn.latest() / name).read_text(encoding="utf-8"))
        for said in (told["data"]["condition"], told["data"]["detail"], " UTC ("):
            assert said in text, name
    return dict(told["data"])


def test_a_probe_that_fails_for_too_long_ends_the_drill(inn: Inn) -> None:
    done = drill(inn, PROBE)

    told = stopped(inn, done)
    assert (told["of"], told["outcome"]) == ("scenario", "holds")
    assert 1.0 <= told["for_s"] < 3.0
    assert (
        "ABORTED: stop condition of the scenario: probe database-answers fails for 1s; it does" in done.stdout
    )


def test_an_expression_that_holds_for_too_long_ends_the_drill(inn: Inn) -> None:
    inn.write(
        "environments/inn.yaml",
        ENVIRONMENT.replace("HOTEL", str(REPOSITORY / "examples" / "hotel")) + f"stop_when: [{ERRORS}]\n",
    )
    inn.write("rules.yaml", DEAF)

    told = stopped(inn, inn.drill())

    assert (told["of"], told["outcome"]) == ("environment", "holds")
    assert 0.5 <= told["for_s"] < 2.0
    assert float(told["detail"]) > 1


def test_a_step_of_the_runbook_that_hangs_is_ended_too(inn: Inn) -> None:
    hangs = "run: {component: api, command: [sleep, '15']}\n"
    inn.write("runbooks/database.md", RUNBOOK.replace("do: {start: database}\n", hangs))

    told = stopped(inn, drill(inn, PROBE.replace("1s", "5s"), rules=RULES))

    assert told["for_s"] < 8.0
    assert event(inn, "stop.condition")["phase"] == "respond"
    assert first(inn, "step.started")
    assert not [one for one in inn.events() if one["event"] == "step.ended"]


def test_a_page_of_metrics_that_hangs_ends_the_drill_after_the_grace_and_not_before(inn: Inn) -> None:
    condition = (
        "{promql: 'sum(rate(http_requests_total[2s])) > 100000', every: 250ms, grace: 2s, absent_is: unread}"
    )

    told = stopped(inn, drill(inn, condition, scenario=FROZEN))

    assert told["outcome"] == "unread"
    assert told["detail"] == "there is no series http_requests_total{}[2s]"
    assert 2.0 <= told["for_s"] < 3.5


def test_a_grace_that_is_longer_than_the_outage_lets_the_drill_go_on(inn: Inn) -> None:
    condition = (
        "{promql: 'sum(rate(http_requests_total[2s])) > 100000', every: 250ms, grace: 30s, absent_is: unread}"
    )

    done = drill(inn, condition, scenario=FROZEN)

    assert done.code == 1, done.stdout
    assert inn.checks()["detected"] == "missed"
    assert not [one for one in inn.events() if one["event"] == "stop.condition"]


def test_a_condition_that_holds_already_refuses_the_drill_and_nothing_is_touched(inn: Inn) -> None:
    done = drill(inn, "{promql: 'sum(rate(http_requests_total[2s])) > 0', holds_for: 1m}", rules=RULES)

    assert done.code == 3, done.stdout
    reason = inn.verdict()["reasons"][0]
    assert reason.startswith("Preflight: refused, nothing was touched: stop conditions: `sum(rate(")
    assert "it holds already: " in reason
    touched = {"undo.recorded", "deadman.armed", "fault.injecting", "drill.aborted"}
    assert not touched & {one["event"] for one in inn.events()}


def test_a_drill_within_its_limits_passes(inn: Inn) -> None:
    done = drill(
        inn,
        "{probe: database-answers, fails_for: 30s}",
        "{promql: 'sum(rate(database_connection_errors_total[2s])) > 100000'}",
        rules=RULES,
    )

    assert done.code == 0, done.stdout
    checked = [one["data"] for one in inn.events() if one["event"] == "preflight.checked"]
    assert [data["check"] for data in checked if "can be read" in data["detail"]] == ["stop conditions"]


def test_a_plain_chaos_run_is_ended_too(inn: Inn) -> None:
    drill(inn, PROBE)
    experiment = inn.latest() / "experiment.json"

    inn.chaos_run(experiment)

    assert inn.latest() != experiment.parent
    verdict = inn.verdict()
    assert (verdict["verdict"], verdict["aborted"], verdict["exit_code"]) == ("INCONCLUSIVE", True, 4)
    assert inn.checks()["undone"] == "met"
    assert event(inn, "stop.condition")["data"]["outcome"] == "holds"


def test_the_plan_names_the_conditions_at_the_speed_of_the_drill(inn: Inn) -> None:
    inn.write("scenarios/database-down.yaml", with_stops(SCENARIO, PROBE))

    done = inn.drill("--dry-run", "--speed", "2")

    assert done.code == 0, done.stderr
    said = "stop when:   probe database-answers fails for 500ms (scenario), or it cannot be read for 10s"
    assert said in done.stdout.splitlines()


def test_an_expression_that_is_none_is_an_error_of_its_line(inn: Inn) -> None:
    done = drill(inn, "{promql: 'sum('}")

    assert done.code == 2
    line = SCENARIO.splitlines().index("safety: {ttl: 40s}") + 1
    assert f"database-down.yaml:{line}: safety.stop_when[0].promql: is not valid PromQL" in done.stderr
