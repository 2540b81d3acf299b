"""Faults, controls and what surrounds a fault, as scenarios write them: right, and wrong with the exact message."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.good_files import NAME, SCENARIO, broken, complaints
from core.test_bad_scenario import DURATION, FAULT, ONE_FAULT
from gameday.experiment import scenario_document
from gameday.fault_spec import DelayFault, KillFault, LeakFault, PauseFault
from gameday.fields import parse, parse_size
from gameday.plan import describe_fault
from gameday.scenario import Scenario, load_scenario

CONTROL = """\
scenario: demo
title: Nothing happens
owner: platform
tier: 1
severity: SEV4
hypothesis: No alert fires while nothing is wrong.
steady_state: [answers]
expect: {no_alert_for: 6m}
safety: {ttl: 6m}
"""
SIZE = "is not a size; expected bytes, or a number with a unit such as 64MiB"
TOO_SHORT = (
    "9: safety.ttl: is shorter than expect.no_alert_for: the dead-man switch would end the fault before the control "
    "is over"
)
MODES = "'errors', 'timeout', 'slow', 'bad-payload', 'unauthorized', 'rate-limited', 'no-receipts' or 'breaker-stuck'"
IMPACT = "impact: {probe: answers, fails_within: 10s}"


def scenario(text: str) -> Scenario:
    return parse(Scenario, yaml.safe_load(text))


def with_fault(text: str) -> str:
    return broken(SCENARIO, FAULT, f"fault: {text}")


def with_during(text: str) -> str:
    return broken(SCENARIO, FAULT, f"during: {text}\n{FAULT}")


# --- each fault ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "messages"),
    [
        (
            "{pause: database, client: api}",
            ["9: fault.client: unknown field; did you mean 'percent'? known here: count, percent, pause"],
        ),
        (
            "{partition: database, how: smoke}",
            ["9: fault.how: 'smoke' is not allowed; expected 'blackhole', 'reset' or 'refuse'"],
        ),
        ("{partition: database, client: My API}", [f"9: fault.client: 'My API' {NAME}"]),
        ("{delay: database}", ["9: fault.by: is required and absent"]),
        ("{delay: database, by: 0s}", ["9: fault.by: '0s' is not longer than zero"]),
        ("{delay: database, by: 1s, jitter: 5}", [f"9: fault.jitter: 5 {DURATION}"]),
        ("{throttle: database}", ["9: fault.bytes_per_s: is required and absent"]),
        ("{throttle: database, bytes_per_s: 0}", ["9: fault.bytes_per_s: expected at least 1, found 0"]),
        ("{throttle: database, bytes_per_s: -5}", ["9: fault.bytes_per_s: expected at least 1, found -5"]),
        (
            "{throttle: database, bytes_per_s: 2000GB}",
            ["9: fault.bytes_per_s: expected at most 1000000000000, found '2000GB'"],
        ),
        ("{throttle: database, bytes_per_s: 1.5MB}", [f"9: fault.bytes_per_s: '1.5MB' {SIZE}"]),
        ("{throttle: database, bytes_per_s: true}", [f"9: fault.bytes_per_s: true {SIZE}"]),
        ("{lose: database}", ["9: fault.percent: is required and absent"]),
        ("{lose: database, percent: 0}", ["9: fault.percent: expected at least 1, found 0"]),
        ("{lose: database, percent: 101}", ["9: fault.percent: expected at most 100, found 101"]),
        ("{lose: database, percent: 30%}", ["9: fault.percent: expected a whole number, found '30%'"]),
        ("{degrade: pms}", ["9: fault.mode: is required and absent"]),
        (
            "{degrade: pms, mode: broken, by: 1s}",
            [f"9: fault.mode: 'broken' is not allowed; expected {MODES}"],
        ),
        (
            "{degrade: pms, mode: errors, by: 1s}",
            ["9: fault.by: is for modes slow and timeout, not for errors"],
        ),
        (
            "{degrade: pms, mode: no-receipts, percent: 50}",
            ["9: fault.percent: is for modes that act on requests, not for no-receipts"],
        ),
        (
            "{degrade: pms, md: errors}",
            [
                "9: fault.mode: is required and absent",
                "9: fault.md: unknown field; did you mean 'mode'? known here: degrade, mode, percent, by",
            ],
        ),
        ("{leak: api, bytes_per_s: 1MiB}", ["9: fault.up_to_bytes: is required and absent"]),
        (
            "{leak: api, bytes_per_s: 1MiB, up_to_bytes: 5GiB}",
            ["9: fault.up_to_bytes: expected at most 4294967296, found '5GiB'"],
        ),
        ("{burn: api, threads: 9}", ["9: fault.threads: expected at most 8, found 9"]),
        ("{flood: api, lines: 10}", ["9: fault.lines_per_s: is required and absent"]),
        (
            "{flood: api, lines_per_s: 100001, lines: 10}",
            ["9: fault.lines_per_s: expected at most 100000, found 100001"],
        ),
        ("{fill: api, percent: 5}", ["9: fault.percent: unknown field; known here: fill"]),
        ("{exhaust: database, keep: 1}", ["9: fault.keep: unknown field; known here: exhaust"]),
        ("{flush: cache}", ["9: fault.every: is required and absent"]),
        ("{destroy: database, backup: true}", ["9: fault.backup: unknown field; known here: destroy"]),
        ("{deploy: api}", ["9: fault.version: is required and absent"]),
        ("{deploy: api, version: v1.2}", [f"9: fault.version: 'v1.2' {NAME}"]),
        ("{by: 1s}", [f"9: fault: {ONE_FAULT} found by"]),
        ("", [f"9: fault: {ONE_FAULT} found nothing"]),
        ("[]", ["9: fault: is required and absent"]),
        (
            "[{kill: database}, {pause: api, x: 1}]",
            ["9: fault[1].x: unknown field; known here: count, percent, pause"],
        ),
        ("[{kill: database}, 5]", [f"9: fault[1]: {ONE_FAULT} found 5"]),
        ("[[{kill: database}]]", [f"9: fault[0]: {ONE_FAULT} found a list"]),
        ("[{kill: database}, {delay: api, by: 1}]", [f"9: fault[1].by: 1 {DURATION}"]),
        (f"[{', '.join(['{kill: a}'] * 11)}]", ["9: fault: expected at most 10 entries, found 11"]),
    ],
)
def test_a_wrong_fault_is_told_with_line_field_and_what_would_be_right(
    tmp_path: Path, fault: str, messages: list[str]
) -> None:
    assert complaints(load_scenario, tmp_path / "demo.yaml", with_fault(fault)) == messages


def test_a_list_of_faults_names_the_line_of_each(tmp_path: Path) -> None:
    text = with_fault("\n- {kill: database}\n- {lose: api, percent: 0}\n- {explode: api}")
    assert complaints(load_scenario, tmp_path / "demo.yaml", text) == [
        "11: fault[1].percent: expected at least 1, found 0",
        f"12: fault[2]: {ONE_FAULT} found explode",
    ]


def test_the_same_fault_twice_is_refused_also_when_one_is_in_force_before(tmp_path: Path) -> None:
    text = with_fault("[{kill: database}, {kill: database, signal: SIGTERM}]")
    assert complaints(load_scenario, tmp_path / "demo.yaml", text) == [
        "9: fault: kill database is there twice"
    ]
    links = with_fault("[{partition: database, client: api}, {partition: database, client: load}]")
    assert len(scenario(links).fault) == 2


def test_one_fault_and_a_list_are_a_tuple_and_written_as_they_were() -> None:
    one, several = scenario(SCENARIO), scenario(with_fault("[{kill: database}, {pause: api}]"))
    assert one.fault == (KillFault(kill="database", signal="SIGKILL"),)
    assert several.fault == (KillFault(kill="database"), PauseFault(pause="api"))
    assert scenario_document(one)["fault"] == {"kill": "database", "signal": "SIGKILL"}
    assert scenario_document(several)["fault"] == [{"kill": "database"}, {"pause": "api"}]
    assert describe_fault(several) == "kill database; pause api"


def test_durations_and_sizes_of_faults_are_seconds_and_bytes() -> None:
    delay, leak = scenario(
        with_fault("[{delay: db, by: 1m, jitter: 50ms}, {leak: api, bytes_per_s: 2kB, up_to_bytes: 64MiB}]")
    ).fault
    assert isinstance(delay, DelayFault)
    assert isinstance(leak, LeakFault)
    assert (delay.by, delay.jitter, delay.client) == (60.0, 0.05, None)
    assert (leak.bytes_per_s, leak.up_to_bytes) == (2000, 67_108_864)


@pytest.mark.parametrize(
    ("text", "size"),
    [(0, 0), (65_536, 65_536), ("7B", 7), ("3kB", 3000), ("2MB", 2_000_000), ("1GB", 10**9), ("1KiB", 1024),
     ("64MiB", 67_108_864), ("2GiB", 2_147_483_648)],
)  # fmt: skip
def test_a_size_is_bytes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "64", "64 MiB", "MiB", "1.5MB", "-1B", "1TB", "1mb", 1.5, None, True, [1], "٣B"]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size; expected bytes, or a number with a unit such as 64"):
        parse_size(text)


# --- controls -----------------------------------------------------------------------------------------------


def test_a_control_needs_no_fault_and_no_runbook() -> None:
    found = scenario(CONTROL)
    assert (found.control, found.watched_s) == (True, 360.0)
    assert (found.fault, found.faults, found.impact, found.alert, found.runbook) == ((), (), None, None, None)
    assert (found.rto_s, found.rpo_s, found.known_alerts, found.probes) == (None, None, (), ("answers",))
    with pytest.raises(TypeError, match="demo is a control: it expects no alert"):
        _ = found.expected
    for part in ("recovery", "proof"):
        with pytest.raises(TypeError, match="demo has no "):
            getattr(found, part)


def test_a_drill_is_no_control() -> None:
    found = scenario(SCENARIO)
    assert (found.control, found.watched_s, found.alert, found.rto_s) == (False, 0.0, "it_is_down", 900.0)
    assert found.known_alerts == ("it_is_down", "errors")


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ("no_alert_for: 6m", "no_alert_for: 0s", ["8: expect.no_alert_for: '0s' is not longer than zero"]),
        (
            "no_alert_for: 6m",
            "no_alert_for: 6m, alert: it_is_down",
            ["8: expect: expected exactly one of alert, no_alert_for; found alert and no_alert_for"],
        ),
        (
            "no_alert_for: 6m",
            "no_alert_for: 6m, also: [x]",
            ["8: expect.also: unknown field; known here: no_alert_for"],
        ),
        (
            "no_alert_for: 6m",
            "no_alerts_for: 6m",
            ["8: expect: expected exactly one of alert, no_alert_for; found no_alerts_for"],
        ),
        (
            "{no_alert_for: 6m}",
            "quiet",
            ["8: expect: expected exactly one of alert, no_alert_for; found 'quiet'"],
        ),
        ("expect: {no_alert_for: 6m}\n", "", ["1: expect: is required and absent"]),
        (
            "ttl: 6m",
            "ttl: 5m59s",
            [TOO_SHORT],
        ),
        (
            "safety:",
            "fault: {kill: database}\nsafety:",
            ["1: impact: is required and absent: fault and impact belong together"],
        ),
        (
            "safety:",
            f"{IMPACT}\nsafety:",
            ["1: fault: is required and absent: fault and impact belong together"],
        ),
    ],
)
def test_a_wrong_control_is_told(tmp_path: Path, old: str, new: str, messages: list[str]) -> None:
    assert complaints(load_scenario, tmp_path / "demo.yaml", broken(CONTROL, old, new)) == messages


def test_what_has_no_place_in_a_control_is_told_field_by_field(tmp_path: Path) -> None:
    more = (
        "respond: {runbook: x}\nrecovered: {probes: [answers], stable_for: 1s}\nobjectives: {rto: 1s}\n"
        "afterwards: {probes: [answers], within: 1s}\n"
        f"during: {{fault: {{kill: a}}, {IMPACT}}}\nsafety:"
    )
    names = ("respond", "recovered", "objectives", "afterwards", "during")
    assert complaints(load_scenario, tmp_path / "demo.yaml", broken(CONTROL, "safety:", more)) == [
        f"{9 + n}: {name}: has no place in a control, which expects no alert" for n, name in enumerate(names)
    ]


def test_a_drill_is_told_all_that_it_lacks_at_once(tmp_path: Path) -> None:
    text = "\n".join(
        line
        for line in SCENARIO.splitlines()
        if not line.startswith(("fault", "impact", "respond", "recovered", "objectives"))
    )
    assert complaints(load_scenario, tmp_path / "demo.yaml", text) == [
        f"1: {name}: is required and absent"
        for name in ("fault", "impact", "respond", "recovered", "objectives")
    ]


# --- during and afterwards ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("during", "message"),
    [
        ("{fault: {pause: api}}", "9: during.impact: is required and absent"),
        (
            "{fault: [], impact: {probe: a, fails_within: 1s}}",
            "9: during.fault: must have at least one entry",
        ),
        ("{impact: {probe: a, fails_within: 1s}}", "9: during.fault: is required and absent"),
        (
            "{fault: {explode: api}, impact: {probe: a, fails_within: 1s}}",
            f"9: during.fault: {ONE_FAULT} found explode",
        ),
        (
            "{fault: [{pause: api}, {delay: api}], impact: {probe: a, fails_within: 1s}}",
            "9: during.fault[1].by: is required and absent",
        ),
        (
            "{fault: {pause: api}, impact: {probe: a, fails_within: 1}}",
            f"9: during.impact.fails_within: 1 {DURATION}",
        ),
        ("5", "9: during: expected a mapping of fields, found 5"),
    ],
)
def test_a_wrong_during_is_told(tmp_path: Path, during: str, message: str) -> None:
    assert complaints(load_scenario, tmp_path / "demo.yaml", with_during(during)) == [message]


@pytest.mark.parametrize(
    ("afterwards", "message"),
    [
        ("{probes: [], within: 5m}", "19: afterwards.probes: must have at least one entry"),
        ("{probes: [a]}", "19: afterwards.within: is required and absent"),
        ("{probes: [a], within: 5}", f"19: afterwards.within: 5 {DURATION}"),
        (
            "{probes: [a], within: 5m, stable_for: 1s}",
            "19: afterwards.stable_for: unknown field; known here: probes, within",
        ),
    ],
)
def test_a_wrong_afterwards_is_told(tmp_path: Path, afterwards: str, message: str) -> None:
    text = broken(SCENARIO, "safety:", f"afterwards: {afterwards}\nsafety:")
    assert complaints(load_scenario, tmp_path / "demo.yaml", text) == [message]


def test_resolves_after_is_recovery_or_undo(tmp_path: Path) -> None:
    text = broken(SCENARIO, "  also:", "  resolves_after: never\n  also:")
    assert complaints(load_scenario, tmp_path / "demo.yaml", text) == [
        "15: expect.resolves_after: 'never' is not allowed; expected 'recovery' or 'undo'"
    ]
