"""Rules files: what is read, and what each broken file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.detectors.rules import load_rules, parse_prometheus_duration_s
from gameday.errors import InvalidFile, UsageError

GOOD = """\
groups:
  - name: hotel
    rules:
      - alert: redis_connection_issues
        expr: redis_up < 1
        for: 2m
        keep_firing_for: 30s
        labels: {severity: SEV3}
        annotations:
          summary: "Redis unavailable on {{ $labels.instance }}"
          runbook_url: runbooks/07-redis-connection-issues.md
      - alert: always
        expr: 1
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return path


def test_reads_a_standard_file(tmp_path: Path) -> None:
    rules = load_rules(write(tmp_path, GOOD))
    redis, always = rules.rules
    assert (redis.name, redis.group, redis.for_s, redis.keep_firing_for_s) == (
        "redis_connection_issues",
        "hotel",
        120.0,
        30.0,
    )
    assert redis.info.severity == "SEV3"
    assert redis.info.runbook_url == "runbooks/07-redis-connection-issues.md"
    assert (always.for_s, always.info.severity, always.info.runbook_url) == (0.0, None, None)


def test_speed_divides_for_and_windows_and_nothing_else(tmp_path: Path) -> None:
    text = GOOD.replace("redis_up < 1", "rate(x[5m]) > 5")
    (rule, _) = load_rules(write(tmp_path, text), speed=10).rules
    assert (rule.for_s, rule.keep_firing_for_s, rule.expression.window_s) == (12.0, 3.0, 30.0)
    assert rule.expression.tree.right.value == 5


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_is_not_above_zero_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(UsageError, match="not above zero"):
        load_rules(write(tmp_path, GOOD), speed=speed)


BAD = {
    "expression without an end": (
        GOOD.replace("redis_up < 1", "rate(redis_up[5m"),
        5,
        "groups[0].rules[0].expr",
        "redis_connection_issues is not valid PromQL",
    ),
    "function that is missing": (
        GOOD.replace("redis_up < 1", "absent(redis_up)"),
        5,
        "groups[0].rules[0].expr",
        (
            "rule redis_connection_issues uses `absent()`, which the embedded detector cannot evaluate; "
            "use detector kind prometheus"
        ),
    ),
    "range vector": (
        GOOD.replace("redis_up < 1", "redis_up[5m]"),
        5,
        "groups[0].rules[0].expr",
        "range vector",
    ),
    "expression absent": (
        GOOD.replace("        expr: redis_up < 1\n", ""),
        4,
        "groups[0].rules[0].expr",
        "expected a PromQL expression",
    ),
    "for without a unit": (
        GOOD.replace("2m", "120"),
        6,
        "groups[0].rules[0].for",
        "120 is no Prometheus duration",
    ),
    "for with a fraction": (
        GOOD.replace("2m", "1.5m"),
        6,
        "groups[0].rules[0].for",
        "no Prometheus duration",
    ),
    "units out of order": (GOOD.replace("2m", "1s2m"), 6, "groups[0].rules[0].for", "such as 30s or 1h30m"),
    "unknown field": (
        GOOD.replace("for:", "four:"),
        6,
        "groups[0].rules[0].four",
        "known here: alert, expr, for",
    ),
    "recording rule": (
        GOOD.replace("alert: always", "record: always"),
        12,
        "groups[0].rules[1].record",
        "evaluates no recording rules",
    ),
    "group interval": (
        GOOD.replace("name: hotel", "name: hotel\n    interval: 30s"),
        3,
        "groups[0].interval",
        "evaluates every rule after every scrape",
    ),
    "template in a label": (
        GOOD.replace("severity: SEV3", 'severity: "{{ $value }}"'),
        8,
        "groups[0].rules[0].labels.severity",
        "expands no templates in labels",
    ),
    "label that is no text": (
        GOOD.replace("SEV3", "3"),
        8,
        "groups[0].rules[0].labels.severity",
        "expected text, found 3",
    ),
    "label name with a hyphen": (
        GOOD.replace("severity:", "seve-rity:"),
        8,
        "groups[0].rules[0].labels.seve-rity",
        "letters, digits and underscores",
    ),
    "name used twice": (
        GOOD.replace("alert: always", "alert: redis_connection_issues"),
        12,
        "groups[0].rules[1].alert",
        "stands on line 4",
    ),
    "no groups": ("rules: []\n", 1, "rules", "unknown field; known here: groups"),
    "group without rules": ("groups:\n  - name: a\n", 2, "groups[0].rules", "is required and absent"),
    "no rule at all": ("groups: []\n", 1, "groups", "has no alerting rule"),
    "list on top": ("- a\n", 1, "", "expected a mapping of fields"),
    "rule that is text": ("groups: [{name: a, rules: [b]}]\n", 1, "groups[0].rules[0]", "expected a mapping"),
    "group twice": (
        "groups:\n  - {name: a, rules: [{alert: x, expr: up}]}\n  - {name: a, rules: []}\n",
        3,
        "groups[1].name",
        "stands twice",
    ),
    "broken YAML": ("groups: [\n", 1, "", "not valid YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_file_is_told_where_and_what(tmp_path: Path, name: str) -> None:
    text, line, field, message = BAD[name]
    path = write(tmp_path, text)
    with pytest.raises(InvalidFile) as caught:
        load_rules(path)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line, problem.field) == (path, line, field)
    assert message in problem.message


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("2m", "soon").replace("redis_up < 1", "redis_up <").replace("expr: 1", "expr: a or b")
    with pytest.raises(InvalidFile) as caught:
        load_rules(write(tmp_path, text))
    fields = {problem.field for problem in caught.value.problems}
    assert fields == {"groups[0].rules[0].for", "groups[0].rules[0].expr", "groups[0].rules[1].expr"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (0, 0),
        ("0s", 0),
        ("90s", 90),
        ("1h30m", 5400),
        ("1d", 86400),
        ("250ms", 0.25),
        ("1y2w", 32745600),
    ],
)
def test_prometheus_durations(text: object, seconds: float) -> None:
    assert parse_prometheus_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "1", 60, 1.5, "-1s", "1m1h", "1 m", "1m ", None, True, False, "ms"])
def test_no_prometheus_durations(text: object) -> None:
    with pytest.raises(ValueError, match="no Prometheus duration"):
        parse_prometheus_duration_s(text)
