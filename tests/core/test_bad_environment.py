"""Broken environments, each with the exact message that a person gets: file, line, field, what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.good_files import ENVIRONMENT, FAKE_ENVIRONMENT, NAME, broken, case, complaints
from gameday.environment import load_environment, load_instance
from gameday.errors import UsageError
from gameday.project import Project

PATH = "is not a path; expected one that begins with '/', such as /health"
REQUEST = "is not a request; expected GET, POST, PUT, PATCH, DELETE or HEAD and a path, such as GET /health"
PORT = "is not a port; expected a number from 1 to 65535, or auto"
ANSWERS = "sql: select 1, component: database, every: 100ms"
KINDS = "postgresql, valkey, command, docker, kubernetes, fake"
HERE = "components here: database, cache, api"


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        case(
            "target: process",
            "target: mesos",
            "2: target: 'mesos' is not allowed; expected 'process', 'docker', 'kubernetes' or 'fake'",
            id="unknown-target",
        ),
        case(
            "drills: allowed",
            "drills: yes",
            "3: drills: true is not allowed; expected 'allowed' or 'refused'",
            id="yes-for-allowed",
        ),
        case(
            "postgresql: {database: hotel, user: hotel}",
            "mysql: {}",
            f"5: components.database: expected exactly one of {KINDS}; found mysql",
            id="unknown-component",
        ),
        case(
            "valkey: {append_only: true}",
            "valkey: {}\n    command: [x]",
            f"8: components.cache: expected exactly one of {KINDS}; found valkey and command",
            id="two-in-one-component",
        ),
        case(
            "    valkey: {append_only: true}\n",
            "",
            f"8: components.cache: expected exactly one of {KINDS}; found nothing",
            id="component-of-nothing",
        ),
        case(
            "valkey: {append_only: true}",
            "fake: {}",
            "8: components.cache: is of fake; target process has components of postgresql, valkey, command",
            id="component-of-another-target",
        ),
        case(
            f"{{{ANSWERS}}}",
            "{state: up, component: database}",
            "16: probes.answers: is of state; target process has probes of http, sql, tcp, metric",
            id="probe-of-another-target",
        ),
        case(
            "sql: select 1",
            "sqll: select 1",
            "16: probes.answers: expected exactly one of http, sql, tcp, metric, state; found sqll",
            id="unknown-probe",
        ),
        case(
            "sql: select 1",
            "sql: select 1, tcp: x",
            "16: probes.answers: expected exactly one of http, sql, tcp, metric, state; found sql and tcp",
            id="two-in-one-probe",
        ),
        case(
            "component: database, every",
            "component: databse, every",
            f"16: probes.answers.component: no component 'databse'; {HERE}",
            id="probe-of-no-component",
        ),
        case(
            "component: database, every",
            "component: cache, every",
            "16: probes.answers.component: 'cache' is a valkey; sql asks a component of postgresql",
            id="sql-to-a-cache",
        ),
        case(
            "every: 100ms",
            "evry: 100ms",
            "16: probes.answers.evry: unknown field; did you mean 'every'? known here: component, every, timeout, sql, "
            "new_connection",
            id="misspelt-in-a-probe",
        ),
        case(
            "every: 100ms",
            "every: 0ms",
            "16: probes.answers.every: '0ms' is not longer than zero",
            id="probe-without-a-pause",
        ),
        case(
            "http: POST /bookings\n",
            "http: FETCH /bookings\n",
            f"18: probes.books.http: 'FETCH /bookings' {REQUEST}",
            id="unknown-method",
        ),
        case(
            "http: POST /bookings\n",
            "http: get /bookings\n",
            f"18: probes.books.http: 'get /bookings' {REQUEST}",
            id="method-in-small-letters",
        ),
        case(
            "http: POST /bookings\n",
            "http: POST bookings\n",
            f"18: probes.books.http: 'POST bookings' {REQUEST}",
            id="request-without-a-slash",
        ),
        case(
            "status: 201",
            "status: 99",
            "20: probes.books.expect.status: expected at least 100, found 99",
            id="status-out-of-range",
        ),
        case(
            "expect: {status: 201}",
            "body: {id: '${kye}'}",
            "20: probes.books.body: ${kye} is not known here; expected ${key} and ${today}",
            id="unknown-reference",
        ),
        case(
            "after: [database]",
            "after: [databse]",
            f"12: components.api.after: no component 'databse'; {HERE}",
            id="after-no-component",
        ),
        case(
            "    tier: 1\n",
            "    after: [api]\n",
            "12: components.api.after: goes in a circle: database -> api -> database",
            id="circle",
        ),
        case(
            "after: [database]",
            "after: [api]",
            "12: components.api.after: goes in a circle: api -> api",
            id="after-itself",
        ),
        case("port: 8080", "port: 0", f"13: components.api.port: 0 {PORT}", id="port-zero"),
        case("port: 8080", "port: 65536", f"13: components.api.port: 65536 {PORT}", id="port-out-of-range"),
        case("port: 8080", "port: true", f"13: components.api.port: true {PORT}", id="port-true"),
        case(
            "http: /health",
            "http: health",
            f"14: components.api.ready.http: 'health' {PATH}",
            id="path-without-a-slash",
        ),
        case(
            "command: [python, -m, api]",
            "command: []",
            "11: components.api.command: must have at least one entry",
            id="empty-command",
        ),
        case(
            "command: [python, -m, api]",
            "command: python",
            "11: components.api.command: expected a list, found 'python'",
            id="command-in-one-text",
        ),
        case(
            "command: [python, -m, api]",
            "command: [nc, 80]",
            "11: components.api.command[1]: expected text, found 80",
            id="number-in-a-command",
        ),
        case(
            "port: 8080",
            "env: {PORT: 80}",
            "13: components.api.env.PORT: expected text, found 80",
            id="number-in-the-variables",
        ),
        case(
            "user: hotel}",
            "user: hotel, settings: {x: [1]}}",
            "7: components.database.postgresql.settings.x: expected text, a whole number, or true or false, "
            "found a list",
            id="list-as-a-setting",
        ),
        case("  cache:\n", "  Cache:\n", f"8: components.Cache: 'Cache' {NAME}", id="component-in-capitals"),
        case(
            "kind: embedded",
            "kind: nagios",
            "23: detector.kind: 'nagios' is not allowed; expected 'embedded' or 'prometheus' or 'alertmanager' "
            "or 'webhook' or 'fake'",
            id="unknown-detector",
        ),
        case("  kind: embedded\n", "", "22: detector.kind: is required and absent", id="detector-of-no-kind"),
        case(
            "every: 1s",
            "every: 10ms",
            "25: detector.every: expected at least 100ms, found 10ms",
            id="detector-too-fast",
        ),
        case(
            "every: 1s",
            "every: 10m",
            "25: detector.every: expected at most 5m, found 10m",
            id="detector-too-slow",
        ),
        case(
            "\n    - {job: api, component: api, path: /metrics}",
            " []",
            "26: detector.scrape: must have at least one entry",
            id="nothing-to-scrape",
        ),
        case(
            "path: /metrics",
            "path: metrics",
            f"27: detector.scrape[0].path: 'metrics' {PATH}",
            id="metrics-without-a-slash",
        ),
        case(
            "component: api, path",
            "component: apx, path",
            f"27: detector.scrape[0].component: no component 'apx'; {HERE}",
            id="scrape-of-no-component",
        ),
        case(
            'body: {reference: "${key}"}',
            "body: {reference: x}",
            "29: canary.write.body: must carry ${key}, which tells the records apart",
            id="canary-without-a-key",
        ),
        case(
            "write: {http: POST /bookings, component: api",
            "write: {http: POST /bookings, component: apx",
            f"29: canary.write.component: no component 'apx'; {HERE}",
            id="canary-of-no-component",
        ),
        case(
            "find: {component: database",
            "find: {component: cache",
            "30: canary.find.component: 'cache' is a valkey; sql asks a component of postgresql",
            id="records-looked-up-in-a-cache",
        ),
        case(
            "sql: select reference from bookings",
            "sql: 'select ${key}'",
            "30: canary.find.sql: ${key} is not known here; expected ${prefix}",
            id="unknown-reference-in-sql",
        ),
        case(
            "environment: demo",
            "environment: other",
            "1: environment: is 'other' in a file named demo.yaml; expected 'demo'",
            id="name-of-another-file",
        ),
    ],
)
def test_a_broken_environment_is_refused_with_line_field_and_what_would_be_right(
    tmp_path: Path, old: str, new: str, messages: tuple[str, ...]
) -> None:
    assert complaints(load_environment, tmp_path / "demo.yaml", broken(ENVIRONMENT, old, new)) == list(
        messages
    )


def test_every_part_that_does_not_fit_is_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = broken(ENVIRONMENT, "component: database, every", "component: nowhere, every")
    text = broken(text, "component: api, path", "component: elsewhere, path")
    text = broken(text, "target: process", "target: fake")
    lines = [int(line.split(":")[0]) for line in complaints(load_environment, tmp_path / "demo.yaml", text)]
    assert lines == [5, 8, 10, 16, 16, 17, 21, 23, 27]


def test_a_fake_environment_takes_no_questions_to_real_services(tmp_path: Path) -> None:
    text = broken(FAKE_ENVIRONMENT, "state: up, component: api", "tcp: '', component: api")
    assert complaints(load_environment, tmp_path / "fake.yaml", text) == [
        "9: probes.api-answers: is of tcp; target fake has probes of state"
    ]


@pytest.mark.parametrize(
    "reference", ["fake@", "fake@Blue", "fake@a b", "fake@../x", "fake@a@b", "fake@-a", f"fake@{'x' * 64}"]
)
def test_a_bad_name_of_an_instance_is_refused(tmp_path: Path, reference: str) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "fake.yaml").write_text(FAKE_ENVIRONMENT)
    assert load_instance(Project(tmp_path), "fake@blue-2")[1] == "fake@blue-2"
    with pytest.raises(UsageError) as caught:
        load_instance(Project(tmp_path), reference)
    assert str(caught.value) == (
        f"{reference!r}: what follows @ must be lower-case letters, digits and hyphens"
    )


def test_an_environment_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "fake.yaml").write_text(FAKE_ENVIRONMENT)
    with pytest.raises(UsageError, match=r"nope\.yaml does not exist; environments here: fake$"):
        Project(tmp_path).environment_file("nope")
