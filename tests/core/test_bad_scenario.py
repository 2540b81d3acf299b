"""Broken scenarios, each with the exact message that a person gets: file, line, field, what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.good_files import NAME, SCENARIO, broken, case, complaints
from gameday.scenario import load_scenario

DURATION = "is not a duration; expected a number with a unit such as 100ms, 30s, 15m or 1h30m"
TOP = (
    "scenario, title, owner, tier, severity, hypothesis, tags, steady_state, during, fault, impact, expect, respond, "
    "recovered, afterwards, objectives, safety"
)
ONE_FAULT = (
    "expected exactly one of kill, stop, remove, pause, disconnect, limit, drain, partition, delay, throttle, lose, "
    "degrade, leak, burn, flood, fill, exhaust, flush, destroy, deploy;"
)
TITLE = "title: The database dies"
FAULT = "fault: {kill: database, signal: SIGKILL}"


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        case("severity: SEV2\n", "", "1: severity: is required and absent", id="missing-field"),
        case(
            ", stable_for: 10s", "", "17: recovered.stable_for: is required and absent", id="missing-inside"
        ),
        case(
            "owner: platform",
            "ownr: platform",
            "1: owner: is required and absent",
            f"3: ownr: unknown field; did you mean 'owner'? known here: {TOP}",
            id="misspelt-at-the-top",
        ),
        case(
            "  also:",
            "  alos:",
            "15: expect.alos: unknown field; did you mean 'also'? "
            "known here: alert, fires_within, resolves_within, resolves_after, also",
            id="misspelt-inside",
        ),
        case(
            "signal: SIGKILL",
            "signl: SIGKILL",
            "9: fault.signl: unknown field; did you mean 'signal'? known here: count, percent, kill, signal",
            id="misspelt-in-a-fault",
        ),
        case(
            "owner: platform",
            "owner: platform\nzzz: 1",
            f"4: zzz: unknown field; known here: {TOP}",
            id="unknown-field",
        ),
        case(TITLE, "title: 5", "2: title: expected text, found 5", id="number-for-text"),
        case(TITLE, "title:", "2: title: expected text, found nothing", id="nothing-for-text"),
        case(TITLE, "title: [a]", "2: title: expected text, found a list", id="list-for-text"),
        case(TITLE, "title: {a: b}", "2: title: expected text, found a mapping", id="mapping-for-text"),
        case("owner: platform", "owner: no", "3: owner: expected text, found false", id="norway"),
        case(TITLE, "title: ''", "2: title: must not be empty", id="empty-text"),
        case(
            TITLE,
            f"title: {'x' * 2001}",
            "2: title: expected at most 2000 characters, found 2001",
            id="endless-text",
        ),
        case("tier: 1", "tier: one", "4: tier: expected a whole number, found 'one'", id="text-for-a-number"),
        case("tier: 1", "tier: 1.5", "4: tier: expected a whole number, found 1.5", id="fraction"),
        case("tier: 1", "tier: true", "4: tier: expected a whole number, found true", id="true-for-a-number"),
        case("tier: 1", "tier: 0", "4: tier: expected at least 1, found 0", id="tier-too-low"),
        case("tier: 1", "tier: 5", "4: tier: expected at most 4, found 5", id="tier-too-high"),
        case(
            "severity: SEV2",
            "severity: HIGH",
            "5: severity: 'HIGH' is not allowed; expected 'SEV1', 'SEV2', 'SEV3' or 'SEV4'",
            id="unknown-severity",
        ),
        case(
            "fails_within: 10s", "fails_within: 10", f"10: impact.fails_within: 10 {DURATION}", id="no-unit"
        ),
        case(
            "fails_within: 10s",
            "fails_within: 10.5",
            f"10: impact.fails_within: 10.5 {DURATION}",
            id="fraction-without-unit",
        ),
        case(
            "fails_within: 10s",
            "fails_within: .nan",
            f"10: impact.fails_within: nan {DURATION}",
            id="not-a-number",
        ),
        case(
            "fails_within: 10s",
            "fails_within: .inf",
            f"10: impact.fails_within: inf {DURATION}",
            id="for-ever",
        ),
        case(
            "fails_within: 10s",
            "fails_within: -10s",
            f"10: impact.fails_within: '-10s' {DURATION}",
            id="negative-duration",
        ),
        case(
            "fails_within: 10s",
            "fails_within: 1:30",
            f"10: impact.fails_within: '1:30' {DURATION}",
            id="minutes-and-seconds",
        ),
        case(
            "fails_within: 10s",
            "fails_within: 10 s",
            f"10: impact.fails_within: '10 s' {DURATION}",
            id="space-in-a-duration",
        ),
        case(
            "fails_within: 10s",
            "fails_within: \u0661\u0660s",
            f"10: impact.fails_within: '\u0661\u0660s' {DURATION}",
            id="arabic-digits",
        ),
        case(
            "fails_within: 10s",
            "fails_within: 0s",
            "10: impact.fails_within: '0s' is not longer than zero",
            id="zero-duration",
        ),
        case(
            "fails_within: 10s",
            "fails_within: 53w",
            "10: impact.fails_within: '53w' is longer than a year",
            id="endless-duration",
        ),
        case(
            "ttl: 20m",
            "ttl: 14m59s",
            "19: safety.ttl: is shorter than objectives.rto: the dead-man switch would end the fault before the "
            "runbook's time is up",
            id="switch-before-the-runbook-is-over",
        ),
        case(
            FAULT,
            "fault: {explode: database}",
            f"9: fault: {ONE_FAULT} found explode",
            id="unknown-fault",
        ),
        case(
            FAULT,
            "fault: {kill: a, pause: b}",
            f"9: fault: {ONE_FAULT} found kill and pause",
            id="two-faults",
        ),
        case(FAULT, "fault: {}", f"9: fault: {ONE_FAULT} found nothing", id="no-fault"),
        case(
            FAULT,
            "fault: kill",
            f"9: fault: {ONE_FAULT} found 'kill'",
            id="text-for-a-fault",
        ),
        case(
            FAULT,
            "fault: [kill]",
            f"9: fault[0]: {ONE_FAULT} found 'kill'",
            id="text-in-a-list-of-faults",
        ),
        case(
            FAULT,
            "fault: {pause: database, signal: SIGKILL}",
            "9: fault.signal: unknown field; known here: count, percent, pause",
            id="field-of-another-fault",
        ),
        case(
            "signal: SIGKILL",
            "signal: SIGSTOP",
            "9: fault.signal: 'SIGSTOP' is not allowed; expected 'SIGKILL', 'SIGTERM', 'SIGINT' or 'SIGQUIT'",
            id="signal-that-kills-nothing",
        ),
        case(
            "kill: database",
            "kill: Data Base",
            f"9: fault.kill: 'Data Base' {NAME}",
            id="component-with-a-space",
        ),
        case(
            "runbook: 01-demo", "runbook: ../x", f"16: respond.runbook: '../x' {NAME}", id="runbook-outside"
        ),
        case(
            "alert: it_is_down",
            "alert: it is down",
            "12: expect.alert: 'it is down' is not the name of an alert; expected letters, digits, '_', '.' and '-', "
            "such as api_down",
            id="alert-with-spaces",
        ),
        case(
            "steady_state: [answers]",
            "steady_state: []",
            "8: steady_state: must have at least one entry",
            id="empty-list",
        ),
        case(
            "steady_state: [answers]",
            "steady_state: answers",
            "8: steady_state: expected a list, found 'answers'",
            id="text-for-a-list",
        ),
        case(
            "steady_state: [answers]",
            "steady_state:\n- answers\n- 5",
            "10: steady_state[1]: expected text, found 5",
            id="number-in-a-list",
        ),
        case(
            "stable_for: 10s",
            "stable_for: 10s, by: [undo]",
            "17: recovered.by[0]: 'undo' is not allowed; expected 'runbook' or 'self'",
            id="recovery-by-undo",
        ),
        case(
            "objectives: {rto: 15m, rpo: 15m}",
            "objectives: 15m",
            "18: objectives: expected a mapping of fields, found '15m'",
            id="text-for-fields",
        ),
        case(
            "max_targets: 1",
            "max_targets: 0",
            "19: safety.max_targets: expected at least 1, found 0",
            id="no-target",
        ),
        case(
            "scenario: demo",
            "scenario: other",
            "1: scenario: is 'other' in a file named demo.yaml; expected 'demo'",
            id="name-of-another-file",
        ),
        case("scenario: demo", "scenario: Demo", f"1: scenario: 'Demo' {NAME}", id="name-in-capitals"),
        case(
            "objectives: {rto: 15m, rpo: 15m}",
            "objectives: {rto: 15, rpo: zero, x: 1}",
            f"18: objectives.rto: 15 {DURATION}",
            f"18: objectives.rpo: 'zero' {DURATION}",
            "18: objectives.x: unknown field; known here: rto, rpo",
            id="three-at-once",
        ),
    ],
)
def test_a_broken_scenario_is_refused_with_line_field_and_what_would_be_right(
    tmp_path: Path, old: str, new: str, messages: tuple[str, ...]
) -> None:
    assert complaints(load_scenario, tmp_path / "demo.yaml", broken(SCENARIO, old, new)) == list(messages)
