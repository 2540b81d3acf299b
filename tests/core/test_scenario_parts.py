"""What becomes of the parts of a scenario: order, speed, plan, experiment; and whatever is written is read again."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from core.good_files import SCENARIO, broken
from core.test_fault_files import CONTROL, IMPACT, scenario, with_during
from gameday.errors import InvalidFile
from gameday.experiment import compile_experiment, render, scenario_document
from gameday.fault_spec import AnyFault
from gameday.fields import parse
from gameday.plan import describe_during, describe_fault, plan
from gameday.scenario import Scenario
from gameday.timeline import Phase

DURING = "{fault: {degrade: pms, mode: errors}, impact: {probe: confirms, fails_within: 7s}}"
WHOLE = broken(
    with_during(DURING), "safety:", "afterwards: {probes: [drained, answers], within: 5m}\nsafety:"
)


def test_faults_and_probes_of_a_scenario_are_in_the_order_in_which_they_matter() -> None:
    found = scenario(WHOLE)
    assert [(fault.verb, fault.component) for fault in found.faults] == [
        ("degrade", "pms"),
        ("kill", "database"),
    ]
    assert found.probes == ("answers", "confirms", "drained")
    assert describe_during(found) == "degrade pms (mode errors)"
    assert describe_fault(found) == "kill database (signal SIGKILL)"


def test_speed_divides_budgets_and_never_the_proof_of_an_effect() -> None:
    fast = scenario(WHOLE).at_speed(10)
    assert fast.during == scenario(WHOLE).during
    assert fast.impact == scenario(WHOLE).impact
    assert fast.fault == scenario(WHOLE).fault
    assert fast.afterwards is not None
    assert (fast.afterwards.within, fast.expected.fires_within, fast.rto_s) == (30.0, 18.0, 90.0)
    control = scenario(CONTROL).at_speed(10)
    assert (control.watched_s, control.safety.ttl, control.recovered) == (36.0, 36.0, None)


# --- plan and experiment ------------------------------------------------------------------------------------


def test_a_plan_tells_what_is_in_force_before_the_fault_and_what_must_hold_after_the_undo() -> None:
    late = broken(WHOLE, "  also:", "  resolves_after: undo\n  also:")
    steps = {entry.phase: entry for entry in plan(scenario(late)).phases}
    assert steps[Phase.INJECT].what == (
        "degrade pms (mode errors); confirms fails; then kill database (signal SIGKILL); "
        "answers fails within 10s"
    )
    assert steps[Phase.INJECT].budget_s == 2 * 20 + 10 + 7
    assert steps[Phase.UNDO].what.endswith(
        "; drained, answers hold within 5m; it_is_down resolves within 10m"
    )
    assert steps[Phase.UNDO].budget_s == 120 + 300 + 600
    assert "resolves" not in steps[Phase.ACCOUNT].what


def test_a_control_is_planned_without_runbook_and_recovery() -> None:
    bare = plan(scenario(CONTROL))
    assert [entry.phase for entry in bare.phases] == [
        Phase.PREFLIGHT, Phase.ARM, Phase.DETECT, Phase.UNDO, Phase.JUDGE,
    ]  # fmt: skip
    assert bare.budget_s(Phase.DETECT) == 360
    struck = scenario(broken(CONTROL, "safety:", f"fault: {{burn: api}}\n{IMPACT}\nsafety:"))
    assert [entry.phase for entry in plan(struck).phases][2] is Phase.INJECT


def functions(text: str) -> list[str]:
    return [entry["provider"]["func"] for entry in compile_experiment(scenario(text))["method"]]


def test_a_control_compiles_to_an_experiment_that_watches() -> None:
    assert functions(CONTROL) == ["preflight", "watch"]
    struck = broken(CONTROL, "safety:", f"fault: {{burn: api}}\n{IMPACT}\nsafety:")
    assert functions(struck) == ["preflight", "inject", "effective", "watch"]
    assert functions(WHOLE) == [
        "preflight", "inject", "effective", "detect", "respond", "recover", "account",
    ]  # fmt: skip


# --- whatever is written is read again ----------------------------------------------------------------------

NAMES = st.sampled_from(["api", "database", "cache", "pms"])
TIMES = st.sampled_from(["100ms", "1s", "1500ms", "2m", "1h30m"])
SIZES = st.one_of(st.integers(1, 10**9), st.sampled_from(["1B", "64kB", "3MiB", "1GiB"]))
PERCENT = st.integers(1, 100)


def mapping(verb: str, needed: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({verb: NAMES, **(needed or {})}, optional=optional)


FAULTS = st.one_of(
    mapping("kill", signal=st.sampled_from(["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"])),
    mapping("pause"),
    mapping("partition", client=NAMES, how=st.sampled_from(["blackhole", "reset", "refuse"])),
    mapping("delay", {"by": TIMES}, client=NAMES, jitter=TIMES | st.just("0s")),
    mapping("throttle", {"bytes_per_s": SIZES}, client=NAMES),
    mapping("lose", {"percent": PERCENT}, client=NAMES),
    mapping("degrade", {"mode": st.sampled_from(["slow", "timeout"])}, percent=PERCENT, by=TIMES),
    mapping("degrade", {"mode": st.sampled_from(["errors", "bad-payload", "unauthorized"])}, percent=PERCENT),
    mapping("degrade", {"mode": st.sampled_from(["no-receipts", "breaker-stuck"])}),
    mapping("leak", {"bytes_per_s": SIZES, "up_to_bytes": SIZES}),
    mapping("burn", threads=st.integers(1, 8)),
    mapping("flood", {"lines_per_s": st.integers(1, 100_000), "lines": st.integers(1, 10**8)}),
    mapping("fill"),
    mapping("exhaust"),
    mapping("flush", {"every": TIMES}),
    mapping("destroy"),
    mapping("deploy", {"version": NAMES}),
)
SEVERAL = FAULTS | st.lists(FAULTS, min_size=1, max_size=10)


VERBS = tuple(kind.verb for kind in get_args(AnyFault))


@given(fault=SEVERAL, during=st.none() | SEVERAL)
def test_whatever_breaks_is_read_as_written_and_written_as_it_can_be_read(fault: Any, during: Any) -> None:
    tree = yaml.safe_load(SCENARIO) | {"fault": fault}
    if during is not None:
        tree["during"] = {"fault": during, "impact": {"probe": "answers", "fails_within": "5s"}}
    wanted = [
        part for value in (fault, during or []) for part in ([value] if isinstance(value, dict) else value)
    ]
    hits = [tuple(part.get(name) for name in (*VERBS, "client")) for part in wanted]
    assume(len(set(hits)) == len(hits))
    found = parse(Scenario, tree)
    written = [fault] if isinstance(fault, dict) else fault
    assert [(part.verb, part.component) for part in found.fault] == [
        next((verb, part[verb]) for verb in part if verb not in OTHER) for part in written
    ]
    assert parse(Scenario, scenario_document(found)) == found
    assert render(compile_experiment(parse(Scenario, scenario_document(found)))) == render(
        compile_experiment(found)
    )
    described = describe_fault(found)
    assert all(f"{part.verb} {part.component}" in described for part in found.fault)


OTHER = {"signal", "client", "how", "by", "jitter", "bytes_per_s", "percent", "mode", "up_to_bytes", "threads",
         "lines_per_s", "lines", "every", "version"}  # fmt: skip


@given(
    fault=FAULTS,
    field=st.sampled_from(sorted(OTHER | {"explode"})),
    value=st.sampled_from([None, [], {}, -1]),
)
def test_a_field_with_nonsense_in_it_is_always_told_and_never_taken(
    fault: Any, field: str, value: Any
) -> None:
    """Nothing is allowed where a field may be absent."""
    if value is None and may_be_absent(fault, field):
        return
    with pytest.raises((InvalidFile, ValueError)):
        parse(Scenario, yaml.safe_load(SCENARIO) | {"fault": {**fault, field: value}})


def may_be_absent(fault: Any, field: str) -> bool:
    found: AnyFault = parse(Scenario, yaml.safe_load(SCENARIO) | {"fault": fault}).fault[0]
    info = type(found).model_fields.get(field)
    return info is not None and info.default is None
