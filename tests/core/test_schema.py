"""JSON Schema, for editors: it accepts what the loader accepts and refuses what a person would want to see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from core.good_files import ENVIRONMENT, FAKE_ENVIRONMENT, SCENARIO, broken
from core.test_fault_files import CONTROL
from gameday.cli import app
from gameday.commands.files import schema

ROOT = Path(__file__).parents[2]
KILL = "fault: {kill: database, signal: SIGKILL}"
VALIDATORS = {kind: jsonschema.Draft202012Validator(schema(kind)) for kind in ("scenario", "environment")}


def errors(kind: str, text: str) -> list[str]:
    return [error.message for error in VALIDATORS[kind].iter_errors(yaml.safe_load(text))]


@pytest.mark.parametrize("kind", VALIDATORS)
def test_the_schema_itself_is_valid_and_is_what_the_command_prints(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    result = CliRunner().invoke(app, ["schema", kind])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == schema(kind)


@pytest.mark.parametrize("kind", VALIDATORS)
def test_shipped_files_are_valid(kind: str) -> None:
    files = sorted((ROOT / f"{kind}s").glob("*.yaml"))
    assert files
    for file in files:
        assert errors(kind, file.read_text()) == []


def test_the_good_files_of_these_tests_are_valid() -> None:
    assert errors("scenario", SCENARIO) == []
    assert errors("scenario", CONTROL) == []
    for fault in ("[{kill: a}, {pause: b}]", "{throttle: a, bytes_per_s: 64MiB}", "{burn: a}"):
        assert errors("scenario", broken(SCENARIO, KILL, f"fault: {fault}")) == []
    assert errors("environment", ENVIRONMENT) == []
    assert errors("environment", FAKE_ENVIRONMENT) == []


@pytest.mark.parametrize(
    ("kind", "good", "old", "new"),
    [
        pytest.param("scenario", SCENARIO, "owner: platform", "ownr: platform", id="misspelt"),
        pytest.param("scenario", SCENARIO, "severity: SEV2\n", "", id="missing"),
        pytest.param("scenario", SCENARIO, "fails_within: 10s", "fails_within: 10", id="no-unit"),
        pytest.param("scenario", SCENARIO, "fails_within: 10s", "fails_within: soon", id="no-duration"),
        pytest.param("scenario", SCENARIO, "tier: 1", "tier: 5", id="out-of-range"),
        pytest.param("scenario", SCENARIO, "fault: {kill", "fault: {explode", id="unknown-fault"),
        pytest.param("scenario", SCENARIO, "steady_state: [answers]", "steady_state: []", id="empty-list"),
        pytest.param("scenario", SCENARIO, KILL, "fault: [{kill: a}, {explode: b}]", id="unknown-in-a-list"),
        pytest.param("scenario", SCENARIO, KILL, "fault: {lose: a, percent: 101}", id="percent"),
        pytest.param("scenario", SCENARIO, KILL, "fault: {throttle: a, bytes_per_s: fast}", id="no-size"),
        pytest.param("scenario", SCENARIO, KILL, "fault: {delay: a}", id="part-of-a-fault-missing"),
        pytest.param("environment", ENVIRONMENT, "target: process", "target: mesos", id="unknown-target"),
        pytest.param("environment", ENVIRONMENT, "port: 8080", "port: 65536", id="port"),
        pytest.param("environment", ENVIRONMENT, "valkey:", "redis:", id="unknown-component"),
        pytest.param("environment", ENVIRONMENT, "sql: select 1", "sql: ''", id="empty-query"),
        pytest.param("environment", ENVIRONMENT, "POST /bookings\n", "FETCH /bookings\n", id="method"),
        pytest.param("environment", ENVIRONMENT, "kind: embedded", "kind: nagios", id="detector"),
        pytest.param("environment", ENVIRONMENT, "  cache:\n", "  Cache:\n", id="name-in-capitals"),
    ],
)
def test_the_schema_refuses(kind: str, good: str, old: str, new: str) -> None:
    assert errors(kind, broken(good, old, new))


def test_editors_can_show_what_a_field_is_for() -> None:
    fields: dict[str, Any] = schema("scenario")["properties"]
    assert fields["hypothesis"]["description"] == "One sentence that the drill can prove wrong."
    ttl = schema("scenario")["$defs"]["Safety"]["properties"]["ttl"]
    assert ttl["examples"] == ["100ms", "30s", "15m", "1h30m"]
