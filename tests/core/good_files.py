"""One good scenario and one good environment, which tests break in one place each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import InvalidFile

NAME = "is not a name; expected lower-case letters, digits and hyphens, such as database-down"

SCENARIO = """\
scenario: demo
title: The database dies
owner: platform
tier: 1
severity: SEV2
hypothesis: The alert fires and the runbook brings it back.
tags: [database]
steady_state: [answers]
fault: {kill: database, signal: SIGKILL}
impact: {probe: answers, fails_within: 10s}
expect:
  alert: it_is_down
  fires_within: 3m
  resolves_within: 10m
  also: [errors]
respond: {runbook: 01-demo}
recovered: {probes: [answers], stable_for: 10s}
objectives: {rto: 15m, rpo: 15m}
safety: {ttl: 20m, max_targets: 1}
"""

ENVIRONMENT = """\
environment: demo
target: process
drills: allowed
components:
  database:
    tier: 1
    postgresql: {database: hotel, user: hotel}
  cache:
    valkey: {append_only: true}
  api:
    command: [python, -m, api]
    after: [database]
    port: 8080
    ready: {http: /health, within: 5s}
probes:
  answers: {sql: select 1, component: database, every: 100ms}
  books:
    http: POST /bookings
    component: api
    expect: {status: 201}
  pings: {tcp: PING, component: cache, expect: PONG}
detector:
  kind: embedded
  rules: rules.yaml
  every: 1s
  scrape:
    - {job: api, component: api, path: /metrics}
canary:
  write: {http: POST /bookings, component: api, body: {reference: "${key}"}}
  find: {component: database, sql: select reference from bookings}
"""

FAKE_ENVIRONMENT = """\
environment: fake
target: fake
drills: allowed
components:
  database: {fake: {}}
  api: {fake: {}, after: [database]}
probes:
  answers: {state: up, component: database, every: 10ms}
  api-answers: {state: up, component: api, every: 10ms}
detector: {kind: fake, alert: it_is_down, watches: database}
"""


def broken(text: str, old: str, new: str) -> str:
    """`text` with its one occurrence of `old` replaced."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


def complaints(load: Callable[[Path], Any], path: Path, content: str | bytes) -> list[str]:
    """What `load` says of the content, without the path."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidFile) as caught:
        load(path)
    assert all(problem.file == path for problem in caught.value.problems)
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def case(old: str, new: str, *messages: str, id: str) -> Any:  # noqa: A002 - as in pytest.param
    return pytest.param(old, new, messages, id=id)
