"""The PromQL adapter: speed, refusals, staleness, and equality with prombed on its own store."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from prombed import InMemoryStorage, PromQLEngine, Sample
from prombed.promql.parser import parse_promql

from gameday.detectors.exposition import BadExpositionError, ExpositionReader
from gameday.detectors.promql import Evaluator, Expression, UnsupportedError
from gameday.detectors.rules import load_rules
from gameday.errors import DetectorError, UsageError

TARGET = {"job": "agente-api", "instance": "a:1"}
RULES_FOLDER = Path(__file__).parents[2] / "examples" / "hotel" / "rules"

# The ten rules of the seeds, as written there.
ORIGINAL = {
    "service_down": 'up{job="agente-api"} < 1',
    "high_error_rate": 'rate(http_requests_total{status=~"5.."}[5m]) / rate(http_requests_total[5m]) > 0.05',
    "database_connection_failures": "rate(database_connection_errors_total[5m]) > 1",
    "high_latency_p95": "histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])) > 3",
    "high_memory_usage": "process_resident_memory_bytes / 1024 / 1024 / 1024 > 2",
    "redis_connection_issues": "redis_up < 1",
    "pms_circuit_breaker_open": "pms_circuit_breaker_state == 1",
    "high_cpu_usage": "rate(process_cpu_seconds_total[5m]) * 100 > 80",
    "slow_response_p50": "histogram_quantile(0.50, rate(http_request_duration_seconds_bucket[5m])) > 1",
    "low_cache_hit_rate": (
        "rate(redis_cache_hits_total[5m]) / (rate(redis_cache_hits_total[5m]) "
        "+ rate(redis_cache_misses_total[5m])) < 0.7"
    ),
}


def evaluator() -> Evaluator:
    return Evaluator(longest_window_s=300, interval_s=1)


def ask(source: Evaluator, text: str, at_s: float) -> list[float]:
    return [value for _, value in source.evaluate(Expression.parse(text), round(at_s * 1000))]


def feed(source: Evaluator, seconds: int, page: str) -> None:
    """A scrape each second; `{n}` in the page is the second."""
    for second in range(seconds + 1):
        source.ingest(page.replace("{n}", str(second)), TARGET, second * 1000)


# --- speed ----------------------------------------------------------------------------------------


def test_speed_divides_every_window_and_no_string() -> None:
    text = (
        "histogram_quantile(0.9, sum by (le) (rate(x{path=\"[5m]\", a='b[1h]'}[5m]))) "
        "/ increase(y[1h30m]) > rate(z[90s])"
    )
    expression = Expression.parse(text, speed=10)
    shown = repr(expression.tree)
    assert "value='[5m]'" in shown
    assert "value='b[1h]'" in shown
    assert [shown.count(f"range_ms={n}") for n in (30000, 540000, 9000)] == [1, 1, 1]
    assert (expression.window_s, expression.shortest_window_s) == (540.0, 9.0)


def test_a_rate_keeps_its_unit_at_speed() -> None:
    source = evaluator()
    for second in range(60):
        source.ingest(f"x {second * 7}\n", TARGET, second * 1000)
    ((_, value),) = source.evaluate(Expression.parse("rate(x[5m])", speed=10), 59_000)
    assert value == pytest.approx(7, rel=1e-9)


def test_a_window_that_becomes_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="shorter than 1 ms"):
        Expression.parse("rate(x[1s])", speed=10_000)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("absent(up)", "`absent()`"),
        ("a and b", "`and`"),
        ("a or vector(1)", "`or`"),
        ("a unless b", "`unless`"),
        ("a / on(b) c", "`on`"),
        ("a / ignoring(b) c", "`ignoring`"),
        ("a == bool 1", "`bool`"),
        ("a offset 5m", "`offset`"),
        ("rate(a[5m] offset 1m)", "`offset`"),
        ("a @ 1", "`@`"),
        ("max_over_time(a[5m])", "`max_over_time()`"),
        ("sum(max_over_time(rate(a[5m])[10m:1m]))", "`max_over_time()`"),
        ("rate(a[10m:1m])", "a subquery"),
        ("topk(3, a)", "`topk()`"),
        ("a ^ 2", "`^`"),
        ("a > time()", "`time()`"),
        ('a{b=~"(?i)c"}', "the label matcher"),
        ('a{b="c" or d="e"}', "`or` between label matchers"),
    ],
)
def test_what_the_evaluator_lacks_is_refused_by_name(text: str, what: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        Expression.parse(text)
    assert caught.value.what.startswith(what)


@pytest.mark.parametrize(
    "text", ["rate(x)", "rate(x[5m]", "foo(x)", "x >", "sum(x[5m])", "", "(x[5m])", "x{"]
)
def test_what_is_no_promql_for_an_alert_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Expression.parse(text)
    assert not isinstance(caught.value, UnsupportedError)


# --- staleness ------------------------------------------------------------------------------------


def test_a_series_that_vanishes_from_the_page_is_gone_at_once() -> None:
    source = evaluator()
    source.ingest("redis_up 0\nother 1\n", TARGET, 1000)
    assert ask(source, "redis_up < 1", 1) == [0]
    source.ingest("other 1\n", TARGET, 2000)
    assert ask(source, "redis_up < 1", 2) == []
    assert ask(source, "other", 2) == [1]
    source.ingest("redis_up 0\nother 1\n", TARGET, 3000)
    assert ask(source, "redis_up < 1", 3) == [0]


def test_a_failed_scrape_makes_up_zero_and_the_targets_series_stale() -> None:
    source, other = evaluator(), {"job": "cache", "instance": "b:1"}
    source.ingest("redis_up 1\n", TARGET, 1000)
    source.ingest("redis_up 1\n", other, 1000)
    source.ingest_failed(TARGET, 2000, duration_s=0.9)
    assert ask(source, 'up{job="agente-api"}', 2) == [0]
    assert ask(source, 'up{job="cache"}', 2) == [1]
    assert ask(source, "redis_up", 2) == [1], "only the other target's"
    assert ask(source, 'scrape_duration_seconds{job="agente-api"}', 2) == [0.9]
    assert sorted(ask(source, "scrape_samples_scraped", 2)) == [0, 1]


def test_a_range_still_sees_the_samples_before_the_series_vanished() -> None:
    source = evaluator()
    feed(source, 10, "x {n}\n")
    source.ingest_failed(TARGET, 11_000)
    assert ask(source, "rate(x[20s])", 11) == [pytest.approx(0.55, rel=0.1)]


def test_a_broken_page_takes_in_nothing() -> None:
    source = evaluator()
    with pytest.raises(BadExpositionError, match="line 2"):
        source.ingest("x 1\nnot a metric line at all {\n", TARGET, 1000)
    assert source.sample_count == 0


# --- the page -------------------------------------------------------------------------------------


def read(page: str) -> dict[str, float]:
    reader = ExpositionReader(TARGET)
    first = {sample.key: sample.value for sample in reader.read(page)}
    again = {sample.key: sample.value for sample in reader.read(page)}
    assert repr(again) == repr(first), "a remembered page reads the same"
    return {key.split("__name__")[1].split(":")[1].split("8:")[0]: value for key, value in first.items()}


def test_values_of_all_kinds_read_the_same_when_remembered() -> None:
    page = 'a 1\nb{x="} 7"} 2.5e3\nc +Inf\nd -Inf\ne NaN\nf{y="#"} 1 1700000000000\ng\t3\nh 4   \n# note\n\n'
    values = list(read(page).values())
    assert values[:4] == [1, 2500, math.inf, -math.inf]
    assert math.isnan(values[4])
    assert values[5:] == [1, 3, 4]


def test_an_exemplar_is_not_taken_for_a_label() -> None:
    reader = ExpositionReader(TARGET)
    for _ in range(2):
        (sample,) = reader.read('x_bucket{le="1"} 7 # {trace="t"} 0.5\n')
        assert sample.value == 7
        assert "trace" not in sample.labels


@pytest.mark.parametrize("number", ["1_000", "infinity", "nan", "0x1F", "", "one"])
def test_what_only_python_calls_a_number_breaks_the_page(number: str) -> None:
    reader = ExpositionReader(TARGET)
    reader.read("x 1\n")
    with pytest.raises(BadExpositionError):
        reader.read(f"x {number}\n")


def test_a_clashing_label_is_exported() -> None:
    (sample,) = ExpositionReader(TARGET).read('x{job="mine",empty=""} 1\n')
    assert sample.labels == {"__name__": "x", "exported_job": "mine", **TARGET}


def test_of_a_series_that_stands_twice_the_first_counts() -> None:
    assert [s.value for s in ExpositionReader(TARGET).read("x 1\nx 2\n")] == [1]


# --- bounds ---------------------------------------------------------------------------------------


def test_memory_is_bounded_by_the_longest_window() -> None:
    source = Evaluator(longest_window_s=30, interval_s=1)
    for second in range(1000):
        source.ingest(f'x {second}\nchurn{{n="{second}"}} 1\n', TARGET, second * 1000)
    assert source.series_count < 100
    assert source.sample_count < 400
    assert ask(source, "rate(x[30s])", 999) == [pytest.approx(1)]


def test_too_many_series_are_an_error_of_the_detector() -> None:
    page = "".join(f'x{{n="{number}"}} 1\n' for number in range(20_001))
    with pytest.raises(DetectorError, match="more than 20000 series"):
        evaluator().ingest(page, TARGET, 1000)


def test_a_match_that_is_ambiguous_is_an_error_that_names_the_expression() -> None:
    source = evaluator()
    source.ingest('x{a="1"} 1\ny{a="1"} 1\n', TARGET, 1000)
    source.ingest('x{a="1"} 1\n', {**TARGET, "zone": "b"}, 1000)
    with pytest.raises(DetectorError, match=r"`x / \{.*cannot be evaluated: many-to-"):
        source.evaluate(Expression.parse('x / {__name__=~"x|y"}'), 1000)


# --- the ten rules --------------------------------------------------------------------------------


def test_the_original_error_rate_is_one_for_any_error() -> None:
    """Its series are divided by themselves: 1 % of errors looks like 100 %."""
    source = evaluator()
    page = 'http_requests_total{status="200"} {n}99\nhttp_requests_total{status="500"} {n}\n'
    feed(source, 60, page)
    assert ask(source, ORIGINAL["high_error_rate"], 60) == [pytest.approx(1)]
    corrected = (
        'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.05'
    )
    assert ask(source, corrected, 60) == []
    assert ask(source, corrected.replace("> 0.05", "> 0"), 60) == [pytest.approx(0.01, abs=0.001)]


def test_the_original_redis_rule_is_blind_to_a_dead_exporter() -> None:
    source = evaluator()
    source.ingest("redis_up 1\n", TARGET, 1000)
    source.ingest_failed(TARGET, 2000)
    assert ask(source, ORIGINAL["redis_connection_issues"], 2) == []
    assert ask(source, ORIGINAL["service_down"], 2) == [0]


def latencies(within_1s: str) -> str:
    """A histogram page: all requests within 5 s, and so many of them within 1 s."""
    counts = {"1": within_1s, "5": "{n}", "+Inf": "{n}"}
    return "".join(f'http_request_duration_seconds_bucket{{le="{le}"}} {n}\n' for le, n in counts.items())


@pytest.mark.parametrize(
    ("rule", "quiet", "loud"),
    [
        (
            "database_connection_failures",
            "database_connection_errors_total 5\n",
            "database_connection_errors_total {n}0\n",
        ),
        ("high_memory_usage", "process_resident_memory_bytes 1e9\n", "process_resident_memory_bytes 3e9\n"),
        ("redis_connection_issues", "redis_up 1\n", "redis_up 0\n"),
        ("pms_circuit_breaker_open", "pms_circuit_breaker_state 0\n", "pms_circuit_breaker_state 1\n"),
        ("high_cpu_usage", "process_cpu_seconds_total 3\n", "process_cpu_seconds_total {n}\n"),
        (
            "low_cache_hit_rate",
            "redis_cache_hits_total {n}0\nredis_cache_misses_total {n}\n",
            "redis_cache_hits_total {n}\nredis_cache_misses_total {n}\n",
        ),
        (
            "high_latency_p95",
            latencies("{n}"),
            latencies("0"),
        ),
        (
            "slow_response_p50",
            latencies("{n}"),
            latencies("0"),
        ),
    ],
)
def test_the_original_rules_tell_quiet_from_loud(rule: str, quiet: str, loud: str) -> None:
    for page, expected in ((quiet, 0), (loud, 1)):
        source = evaluator()
        feed(source, 310, page)
        assert len(ask(source, ORIGINAL[rule], 310)) == expected


def test_every_rules_file_of_the_example_can_be_read() -> None:
    files = {path for path in RULES_FOLDER.glob("*.yaml") if path.stem != "kustomization"}
    assert len(files) == 3
    for path in files:
        for speed in (1.0, 10.0):
            assert load_rules(path, speed=speed).rules


# --- equality with prombed on its own store -------------------------------------------------------


def test_results_equal_prombeds_own_on_random_samples() -> None:
    """Resets, gaps, series that vanish and return, and NaN included."""
    chance = random.Random(7)
    source, store = evaluator(), InMemoryStorage(retention_ms=400_000)
    reference = PromQLEngine(store)
    questions = [
        *ORIGINAL.values(),
        "increase(database_connection_errors_total[1m])",
        "sum by (status) (rate(http_requests_total[1m]))",
        "avg without (status) (http_requests_total)",
        "-redis_up",
        'count({__name__=~"http.+"})',
        "rate(process_cpu_seconds_total[10s])",
    ]
    for second in range(400):
        at_ms = second * 1000 + chance.randint(-9, 9)
        rows: dict[str, float] = {}
        for name in (
            'http_requests_total{status="200"}',
            'http_requests_total{status="503"}',
            'http_request_duration_seconds_bucket{le="1"}',
            'http_request_duration_seconds_bucket{le="+Inf"}',
            "database_connection_errors_total",
            "process_resident_memory_bytes",
            "redis_up",
            "pms_circuit_breaker_state",
            "process_cpu_seconds_total",
            "redis_cache_hits_total",
            "redis_cache_misses_total",
        ):
            if chance.random() > 0.03:
                rows[name] = (
                    math.nan if chance.random() < 0.01 else float(chance.choice((second, second * 3, 1)))
                )
        if chance.random() > 0.05:
            source.ingest(
                "".join(f"{name} {value}\n".replace("nan", "NaN") for name, value in rows.items()),
                TARGET,
                at_ms,
            )
        else:
            rows = {}
            source.ingest_failed(TARGET, at_ms)
        mirror(store, rows, at_ms)
        if second % 7 == 0:
            for question in questions:
                ours = source.evaluate(Expression.parse(question), at_ms)
                theirs = reference.query(question, at_ms)["data"]["result"]
                assert canonical(ours) == canonical(
                    [(entry["metric"], float(entry["value"][1])) for entry in theirs]
                ), question


def mirror(store: InMemoryStorage, rows: dict[str, float], at_ms: int) -> None:
    """The same scrape in prombed's own store, staleness markers included."""
    present = set()
    for text, value in {**rows, "up": float(bool(rows))}.items():
        selector = parse_promql(text)
        labels = {matcher.name: matcher.value for matcher in selector.matchers} | TARGET
        present.add(tuple(sorted(labels.items())))
        store.append(labels, Sample(at_ms, value))
    for series in list(store._series.values()):
        if tuple(sorted(series.labels.items())) not in present and not series.samples[-1].stale:
            store.append(series.labels, Sample(at_ms, math.nan, stale=True))


def canonical(result: list[tuple[dict[str, str], float]]) -> list[tuple[list[tuple[str, str]], str]]:
    return sorted((sorted(labels.items()), repr(value + 0.0)) for labels, value in result)
