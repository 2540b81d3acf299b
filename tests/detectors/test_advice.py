"""Advice on alert rules: each flaw is found, its correction is not remarked on, good rules give nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.detectors.advice import Advice, Survey, advise
from gameday.detectors.advice_file import advise_file
from gameday.detectors.base import RuleInfo
from gameday.detectors.promql import Evaluator, Expression
from gameday.detectors.promql_shapes import conditions, parse_shape
from gameday.detectors.rules import load_rules
from gameday.errors import InvalidFile, UsageError

HOTEL = Path(__file__).parents[2] / "examples" / "hotel" / "rules"
SHARE = "sum(rate(e[{w}])) / sum(rate(a[{w}])) > {n}"


def rule(expr: str, for_s: float = 60.0) -> RuleInfo:
    return RuleInfo("any", for_s, "SEV2", {"runbook_url": "runbooks/01.md"}, expr)


def codes(expr: str, for_s: float = 60.0, **settings: float) -> list[str]:
    return [advice.code for advice in advise(rule(expr, for_s), **settings)]


def one(expr: str, for_s: float = 60.0, **settings: float) -> Advice:
    (advice,) = advise(rule(expr, for_s), **settings)
    return advice


def levels(name: str) -> dict[str, list[str]]:
    found = advise_file(HOTEL / name)
    return {rule.rule: [f"{a.code} {a.level}" for a in rule.advice] for rule in found if rule.advice}


def test_original_rules_get_exactly_what_their_flaws_deserve() -> None:
    assert levels("original.yaml") == {
        "high_error_rate": ["AL001 error", "AL003 error"],
        "database_connection_failures": ["AL003 error"],
        "high_latency_p95": ["AL003 error", "AL006 error"],
        "high_memory_usage": ["AL005 error"],
        "redis_connection_issues": ["AL002 error"],
        "pms_circuit_breaker_open": ["AL004 error"],
        "high_cpu_usage": ["AL003 error", "AL005 error"],
        "slow_response_p50": ["AL003 note", "AL006 error"],
        "low_cache_hit_rate": ["AL003 note", "AL007 note"],
    }


def test_corrected_rules_have_two_notes_and_no_error() -> None:
    """Both are choices. AL003: a cache that refills is no incident, as the rule's comment says, so its window is
    to be long. AL007: no look-ups at all are redis_connection_issues' to report, or service_down's."""
    assert levels("corrected.yaml") == {"low_cache_hit_rate": ["AL003 note", "AL007 note"]}


def test_names_of_rules_do_not_matter() -> None:
    for known in load_rules(HOTEL / "original.yaml").rules:
        renamed = RuleInfo("x", known.for_s, "SEV1", known.info.annotations, known.info.expr)
        assert advise(renamed) == advise(known.info)


BAD = {
    "5xx by all": ('rate(r{status=~"5.."}[1m]) / rate(r[1m]) > 0.05', "AL001"),
    "within an `and`": ('up{job="a"} == 1 and rate(r{code="500"}[1m]) / rate(r[1m]) > 0.05', "AL001"),
    "scaled": ('100 * (rate(r{job="a",s="5"}[1m]) / rate(r{job="a"}[1m])) > 5', "AL001"),
    "sums that keep the label": ('sum by (s) (rate(r{s="5"}[1m])) / sum by (s) (rate(r[1m])) > 0.1', "AL001"),
    "sums without another": (
        'sum without (i) (rate(r{s="5"}[1m])) / sum without (i) (rate(r[1m])) > 0.1',
        "AL001",
    ),
    "exporter's gauge": ("redis_up < 1", "AL002"),
    "equal to 0": ('pg_up{job="db"} == 0', "AL002"),
    "turned round": ("1 > redis_up", "AL002"),
    "summed, still nothing": ("sum(redis_up) < 1", "AL002"),
    "gated": ('redis_up < 1 and on (job) up{job="a"} == 1', "AL002"),
    "rate and for": ("rate(r[5m]) > 1", "AL003"),
    "divided counts": ("sum(increase(e[5m])) / sum(increase(a[5m])) > 0.05", "AL003"),
    "one state": ("breaker_state == 1", "AL004"),
    "any process": ("process_resident_memory_bytes > 2 * 1024 * 1024 * 1024", "AL005"),
    "any process's rate": ("max(rate(process_cpu_seconds_total[1m])) * 100 > 80", "AL005"),
    "any target": ("up == 0", "AL005"),
    "quantile of each": ('histogram_quantile(0.9, rate(d_bucket{job="a"}[1m])) > 1', "AL006"),
    "quantile without le": ("histogram_quantile(0.9, sum by (path) (rate(d_bucket[1m]))) > 1", "AL006"),
    "quantile that lost le": ("histogram_quantile(0.9, sum without (le) (rate(d_bucket[1m]))) > 1", "AL006"),
    "successes by all": ("sum(rate(ok[1m])) / sum(rate(a[1m])) < 0.95", "AL007"),
    "turned inside out": ("1 - sum(rate(ok[1m])) / sum(rate(a[1m])) > 0.05", "AL007"),
}


@pytest.mark.parametrize(("expr", "code"), BAD.values(), ids=BAD)
def test_a_flaw_is_found_and_nothing_else(expr: str, code: str) -> None:
    assert codes(expr) == [code]


GOOD = {
    "share": 'sum(rate(r{s=~"5.."}[1m])) / sum(rate(r[1m])) > 0.05',
    "share of each path": 'sum by (p) (rate(r{s=~"5.."}[1m])) / sum by (p) (rate(r[1m])) > 0.05',
    "matched on purpose": 'rate(r{s="5"}[1m]) / ignoring (s) group_left () sum without (s) (rate(r[1m])) > 0.1',
    "now by an hour ago": 'sum(rate(r{s="5"}[1m])) / sum(rate(r[1m] offset 1h)) > 2',
    "two metrics": "rate(e[1m]) / rate(a[1m]) > 0.05",
    "disk": "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1",
    "file descriptors": "process_open_fds / process_max_fds > 0.8",
    "up": 'up{job="api"} < 1',
    "absent beside": "redis_up < 1 or absent(redis_up)",
    "filled up": "(redis_up or vector(0)) < 1",
    "with up": 'sum by (job, instance) ({__name__=~"up|redis_up",job="a"}) == 1',
    "limit of a gauge": "queue_length > 100",
    "low but not 0 or 1": "free_rooms < 20",
    "counter at rest": "rate(backups_total[5m]) == 0",
    "any at all": "increase(failures_total[1h]) > 0",
    "count in a named time": "increase(restarts_total[1h]) > 3",
    "burn rate": "sum(rate(e[1h])) > 1 and sum(rate(e[5m])) > 1",
    "trend": "predict_linear(node_filesystem_avail_bytes[4h], 14400) < 0",
    "subquery": "max_over_time(rate(r[1m])[1h:]) > 5",
    "bad states together": "breaker_state > 0",
    "not the good one": "breaker_state != 0",
    "a series for each state": 'node_systemd_unit_state{state="failed"} == 1',
    "each state on its own": "sensor_state == 1 or sensor_state == 2",
    "one process": 'process_resident_memory_bytes{job="a"} > 2e9',
    "restarted": "time() - process_start_time_seconds < 600",
    "restarts": "changes(process_start_time_seconds[15m]) > 2",
    "a gate, not an alert on up": "sum by (job) (queue) > 9 and on (job) up == 1",
    "narrowed by a gate": "process_resident_memory_bytes > 2e9 and on (instance) guarded == 1",
    "never reached": "rate(r[5m]) > Inf",
    "a computed quantile": "histogram_quantile(scalar(q), sum by (le) (rate(d_bucket[5m]))) > 1",
    "quantile": "histogram_quantile(0.9, sum by (le) (rate(d_bucket[1m]))) > 1",
    "quantile of each path": "histogram_quantile(0.9, sum by (path, le) (rate(d_bucket[1m]))) > 1",
    "quantile of the rest": "histogram_quantile(0.9, sum without (instance) (rate(d_bucket[1m]))) > 1",
    "quantile of one path": 'histogram_quantile(0.9, rate(d_bucket{path="/pay"}[1m])) > 1',
    "native histogram": "histogram_quantile(0.9, sum(rate(d[1m]))) > 1",
    "guarded ratio": "sum(rate(ok[1m])) / (sum(rate(a[1m])) > 0) < 0.95",
    "ratio with a gate": "sum(rate(ok[1m])) / sum(rate(a[1m])) < 0.95 and sum(rate(a[1m])) > 1",
    "recorded": "job:errors:ratio5m > 0.05",
    "absent": 'absent(up{job="api"})',
    "always": "vector(1)",
    "a number": "1",
}


@pytest.mark.parametrize("expr", GOOD.values(), ids=GOOD)
def test_a_good_rule_gives_nothing(expr: str) -> None:
    assert advise(rule(expr, 60.0)) == ()


names = st.sampled_from(["http_requests_total", "jobs_done", "queue_depth", "node_load1", "app_seconds_sum"])
labels = st.sampled_from(["", '{job="api"}', '{job="api",code=~"5.."}', '{path!="/health"}'])
series = st.builds("{}{}".format, names, labels)
summed = st.builds(
    "sum{}(rate({}[1m]))".format, st.sampled_from(["", " by (job)", " without (code)"]), series
)
good_vectors = st.one_of(
    series, summed, st.builds("max({})".format, series), st.builds("{} * 100".format, summed)
)
good_limits = st.builds("{} {} {}".format, good_vectors, st.sampled_from([">", ">="]), st.integers(2, 10**6))


@given(st.lists(good_limits, min_size=1, max_size=3), st.sampled_from([" and ", " or ", " unless "]))
def test_upper_limits_of_short_rates_and_gauges_give_nothing(parts: list[str], joint: str) -> None:
    assert advise(rule(joint.join(parts), 300.0)) == ()


@given(st.integers(3, 120), st.integers(1, 86_400), st.floats(0.01, 0.99))
def test_a_window_is_remarked_on_only_when_it_is_long_beside_for(
    minutes: int, for_s: int, limit: float
) -> None:
    found = advise(rule(SHARE.format(w=f"{minutes}m", n=limit), float(for_s)))
    window_s = minutes * 60
    expected = ["error"] if window_s >= for_s else ["note"] if window_s >= for_s / 2 else []
    assert [advice.level for advice in found] == expected


def test_without_for_a_long_window_alone_is_the_right_choice() -> None:
    assert codes("rate(r[5m]) > 1", 0.0) == []


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        (
            SHARE.format(w="5m", n=0.05),
            "all events are bad, the condition holds after 15s, the alert fires after 1m15s",
        ),
        (SHARE.format(w="5m", n=0.05), "fires on for up to 4m45s"),
        ("sum(rate(e[5m])) > 1", "At a value of r it takes 5m * 1 / r"),
        (
            "histogram_quantile(0.95, sum by (le) (rate(d_bucket[5m]))) > 3",
            "above 3, the condition holds after 15s",
        ),
        ("sum(rate(e[5m])) * 2 > 10", "At a value of 6.25"),
        (
            "sum(rate(orders[5m])) < 2",
            "falls from 4 (twice the threshold) to 0, the condition holds after 2m30s",
        ),
    ],
)
def test_the_numbers_of_a_long_window(expr: str, said: str) -> None:
    assert said in one(expr).explanation


@pytest.mark.parametrize("factor", [1.25, 5.0])
def test_the_numbers_are_those_of_the_evaluator(factor: float) -> None:
    """A counter is still for a window, rises with `factor` times the threshold, and is still again."""
    expression = Expression.parse("rate(e[5m]) > 1")
    evaluator = Evaluator(longest_window_s=300.0, interval_s=5.0)
    held = []
    for at_s in range(0, 1500, 5):
        rising_s = min(max(0, at_s - 400), 500)
        evaluator.ingest(f"e {factor * rising_s}\n", {"job": "a", "instance": "b"}, at_s * 1000)
        if evaluator.evaluate(expression, at_s * 1000):
            held.append(at_s)
    text = one("rate(e[5m]) > 1").explanation
    said = re.search(rf"At (?:a value of )?{factor:g} .*?holds after (\dm).*?for up to (\dm) after", text)
    assert said is not None
    onset_s, stays_s = (int(part[:-1]) * 60 for part in said.groups())
    assert held[0] - 400 == pytest.approx(onset_s, abs=15)
    assert held[-1] - 900 == pytest.approx(stays_s, abs=15)


def test_an_absence_that_another_rule_reports_is_no_gap() -> None:
    gauge, absence = rule("redis_up < 1"), rule('absent(redis_up{job="api"})')
    assert advise(gauge, among=Survey.of([gauge, absence])) == ()


def test_a_state_that_another_rule_reports_is_no_gap() -> None:
    warning, critical = rule("sensor_state == 1"), rule("sensor_state == 2")
    assert advise(warning, among=Survey.of([warning, critical])) == ()


def test_advice_can_be_followed() -> None:
    """What AL002 proposes is an expression that the embedded detector evaluates and nothing is said about."""
    proposed = re.search(r"sum by .* == 1", one('redis_up{job="a"} < 1').instead)
    assert proposed is not None
    Expression.parse(proposed[0])
    assert advise(rule(proposed[0])) == ()


def test_advice_never_matches_targets_that_have_nothing_but_up() -> None:
    said = one('redis_up{role="primary"} < 1').instead
    assert '{__name__=~"up|redis_up",job="…"}' in said


def test_for_is_compared_with_the_scrapes_as_it_is_in_force() -> None:
    assert codes("queue > 5", 10.0, interval_s=15.0) == ["AL008"]
    assert codes("queue > 5", 15.0, interval_s=15.0) == []
    assert codes("queue > 5", 0.0, interval_s=15.0) == []  # fires at once, and says so
    quick = one("queue > 5", 0.6, interval_s=1.0, speed=100.0)
    assert "`for: 1m` (600ms at speed 100)" in quick.explanation


def test_speed_does_not_change_what_is_said_of_a_window() -> None:
    assert one("rate(r[5m]) > 1", 0.6, speed=100.0) == one("rate(r[5m]) > 1", 60.0)


def test_severity_and_runbook_are_asked_for() -> None:
    assert [a.code for a in advise(RuleInfo("x", 0.0, expr="queue > 5"))] == ["AL009", "AL010"]


def test_nothing_is_said_of_an_expression_that_is_not_known() -> None:
    assert advise(RuleInfo("x", 0.0)) == ()


@pytest.mark.parametrize(
    ("expr", "operator", "threshold"),
    [
        ("x * 100 > 80", ">", 0.8),
        ("x / 1024 / 1024 > 2", ">", 2 * 1024 * 1024),
        ("1 - x > 0.05", "<", 0.95),
        ("-x < -3", ">", 3.0),
        ("5 <= x + 1", ">=", 4.0),
        ("x > y", ">", None),
        ("x > bool 1", ">", None),
        ("x * 0 > 1", ">", 1.0),
    ],
)
def test_constants_move_to_the_threshold(expr: str, operator: str, threshold: float | None) -> None:
    (((condition),),) = conditions(parse_shape(expr))
    assert (condition.operator, condition.threshold) == (operator, threshold)


@pytest.mark.parametrize("expr", ["rate(x[5m", "(" * 3000 + "x" + ")" * 3000])
def test_what_cannot_be_read_is_a_usage_error(expr: str) -> None:
    with pytest.raises(UsageError):
        advise(rule(expr))


def test_a_file_may_hold_what_the_embedded_detector_refuses(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "groups:\n- name: g\n  interval: 30s\n  rules:\n"
        "  - {record: 'a:b', expr: sum(a)}\n"
        "  - {alert: gone, expr: absent(redis_up), labels: {severity: s}, annotations: {runbook_url: r}}\n"
        "  - {alert: down, expr: redis_up < 1, for: 1m}\n"
    )
    gone, down = advise_file(path)
    assert (gone.rule, gone.line, gone.advice) == ("gone", 6, ())
    assert (down.line, [a.code for a in down.advice]) == (7, ["AL009", "AL010"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: []", "expected a list `groups`"),
        ("groups: [1]", "groups[0]"),
        ("groups: []", "no alerting rule"),
        ("groups: [{name: g, rules: [{alert: a, expr: 'x >'}]}]", "the expression of a is not valid PromQL"),
        ("groups: [{name: g, rules: [{alert: a}]}]", "the rule a: expected a PromQL expression"),
        ("groups: [{name: g, rules: [{alert: a, expr: x, for: 5}]}]", "is no Prometheus duration"),
        ("groups: [{name: g, rules: [{alert: a, expr: x, labels: [b]}]}]", "expected mappings"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(InvalidFile, match=re.escape(said)):
        advise_file(path)
