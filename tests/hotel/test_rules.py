"""The alert rules on literal samples: what the original ones get wrong, and the corrected ones right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import prombed
import promql_parser
import pytest
import yaml

RULES = Path(__file__).parents[2] / "examples" / "hotel" / "rules"
LABELS = {"job": "agente-api", "instance": "a"}

# Name: query and threshold, seconds, severity, runbook, as they were written down.
WRITTEN = {
    "service_down": ('up{job="agente-api"} < 1', 60, "SEV1", "10"),
    "high_error_rate": (
        'rate(http_requests_total{status=~"5.."}[5m]) / rate(http_requests_total[5m]) > 0.05',
        120,
        "SEV1",
        "08",
    ),
    "database_connection_failures": ("rate(database_connection_errors_total[5m]) > 1", 60, "SEV2", "01"),
    "high_latency_p95": (
        "histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])) > 3",
        300,
        "SEV2",
        "02",
    ),
    "high_memory_usage": ("process_resident_memory_bytes / 1024 / 1024 / 1024 > 2", 300, "SEV2", "03"),
    "redis_connection_issues": ("redis_up < 1", 120, "SEV3", "07"),
    "pms_circuit_breaker_open": ("pms_circuit_breaker_state == 1", 180, "SEV3", "05"),
    "high_cpu_usage": ("rate(process_cpu_seconds_total[5m]) * 100 > 80", 300, "SEV3", "02"),
    "slow_response_p50": (
        "histogram_quantile(0.50, rate(http_request_duration_seconds_bucket[5m])) > 1",
        600,
        "SEV4",
        "02",
    ),
    "low_cache_hit_rate": (
        (
            "rate(redis_cache_hits_total[5m]) / (rate(redis_cache_hits_total[5m])"
            " + rate(redis_cache_misses_total[5m])) < 0.7"
        ),
        600,
        "SEV4",
        "07",
    ),
}


# Name: seconds, severity, runbook of the rules that the ten lack.
ADDITIONS = {
    "disk_space_critical": (60, "SEV1", "runbooks/04-disk-space-critical.md"),
    "log_volume_high": (60, "SEV3", "runbooks/04-disk-space-critical.md"),
    "whatsapp_delivery_failing": (120, "SEV2", "runbooks/06-whatsapp-api-outage.md"),
}


def groups_of(name: str) -> dict[str, dict[str, dict[str, Any]]]:
    document = yaml.safe_load((RULES / f"{name}.yaml").read_text())
    return {group["name"]: {rule["alert"]: rule for rule in group["rules"]} for group in document["groups"]}


ORIGINAL, CORRECTED = groups_of("original")["agente-api"], groups_of("corrected")["agente-api"]
ADDED = groups_of("corrected")["agente-api-added"]


class Samples:
    """Feeds a page a second into the embedded evaluator."""

    def __init__(self) -> None:
        self.engine = prombed.Prombed(retention_ms=15 * 60_000)
        self.now_s = 0

    def scrape(self, page: str) -> None:
        self.now_s += 1
        self.engine.ingest(page, timestamp_ms=self.now_s * 1000, labels=LABELS)

    def ask(self, expression: str) -> list[float]:
        result = self.engine.query(expression, self.now_s * 1000)["data"]["result"]
        return [float(series["value"][1]) for series in result]


@pytest.mark.parametrize("rules", [ORIGINAL, CORRECTED], ids=["original", "corrected"])
def test_names_durations_severities_and_runbooks_are_the_written_ones(rules: dict[str, Any]) -> None:
    found = {
        name: (
            int(rule["for"].removesuffix("s")),
            rule["labels"]["severity"],
            rule["annotations"]["runbook_url"],
        )
        for name, rule in rules.items()
    }
    assert list(found) == list(WRITTEN)
    for name, (_, seconds, severity, runbook) in WRITTEN.items():
        assert found[name][:2] == (seconds, severity)
        assert found[name][2].startswith(f"runbooks/{runbook}-")


def test_the_original_expressions_are_exactly_the_written_ones() -> None:
    assert {name: rule["expr"] for name, rule in ORIGINAL.items()} == {
        name: written[0] for name, written in WRITTEN.items()
    }


def test_the_added_rules_stand_apart_from_the_written_ones_and_only_in_the_corrected_file() -> None:
    assert list(groups_of("original")) == ["agente-api"]
    assert list(groups_of("corrected")) == ["agente-api", "agente-api-added"]
    assert {
        name: (
            int(rule["for"].removesuffix("s")),
            rule["labels"]["severity"],
            rule["annotations"]["runbook_url"],
        )
        for name, rule in ADDED.items()
    } == ADDITIONS


@pytest.mark.parametrize(
    "expression", [rule["expr"] for rule in (*ORIGINAL.values(), *CORRECTED.values(), *ADDED.values())]
)
def test_every_expression_is_understood_by_both_parsers(expression: str) -> None:
    prombed.parse_promql(expression)
    promql_parser.parse(expression)


def test_one_percent_of_errors_is_one_in_the_original_and_a_hundredth_in_the_corrected_rule() -> None:
    samples = Samples()
    for second in range(120):
        samples.scrape(
            f'http_requests_total{{path="/a",status="200"}} {second * 99}\n'
            f'http_requests_total{{path="/a",status="500"}} {second}\n'
        )
    original, corrected = (rules["high_error_rate"]["expr"] for rules in (ORIGINAL, CORRECTED))
    assert samples.ask(original.removesuffix(" > 0.05")) == [1.0]
    assert samples.ask(corrected.removesuffix(" > 0.05")) == pytest.approx([0.01])
    assert samples.ask(original)
    assert not samples.ask(corrected)


def test_ten_percent_of_errors_fire_the_corrected_rule() -> None:
    samples = Samples()
    for second in range(120):
        samples.scrape(
            f'http_requests_total{{path="/a",status="200"}} {second * 9}\n'
            f'http_requests_total{{path="/b",status="503"}} {second}\n'
        )
    assert samples.ask(CORRECTED["high_error_rate"]["expr"]) == pytest.approx([0.1])


@pytest.mark.parametrize(
    ("page", "original_fires", "corrected_fires"),
    [
        ("up 1\nredis_up 1\n", False, False),
        ("up 1\nredis_up 0\n", True, True),
        ("up 1\n", False, True),  # the series has vanished
        ("up 0\n", False, False),  # the service is down: another alert's business
    ],
    ids=["healthy", "cache down", "redis_up gone", "service down"],
)
def test_a_redis_up_that_vanishes_is_seen_by_the_corrected_rule_only(
    page: str, original_fires: bool, corrected_fires: bool
) -> None:
    samples = Samples()
    samples.scrape(page)
    assert bool(samples.ask(ORIGINAL["redis_connection_issues"]["expr"])) is original_fires
    assert bool(samples.ask(CORRECTED["redis_connection_issues"]["expr"])) is corrected_fires


def test_a_half_open_breaker_interrupts_the_original_rule_only() -> None:
    seen = []
    for state in (1, 2):
        samples = Samples()
        samples.scrape(f"pms_circuit_breaker_state {state}\n")
        seen.append(
            [bool(samples.ask(rules["pms_circuit_breaker_open"]["expr"])) for rules in (ORIGINAL, CORRECTED)]
        )
    assert seen == [[True, True], [False, True]]


def test_the_short_window_is_quicker_to_fire_and_quicker_to_resolve() -> None:
    """Five minutes of quiet, 100 s of 5 failures a second, then quiet again."""
    samples, total = Samples(), 0
    firing: dict[str, list[int]] = {"original": [], "corrected": []}
    for second in range(800):
        total += 5 if 300 <= second < 400 else 0
        samples.scrape(f"database_connection_errors_total {total}\n")
        if second % 5 == 0:
            for name, rules in (("original", ORIGINAL), ("corrected", CORRECTED)):
                if samples.ask(rules["database_connection_failures"]["expr"]):
                    firing[name].append(second)
    assert 355 <= firing["original"][0] <= 365
    assert 310 <= firing["corrected"][0] <= 315
    assert firing["original"][-1] > 600
    assert firing["corrected"][-1] < 460


def test_a_rare_slow_path_is_not_the_service() -> None:
    samples = Samples()
    for second in range(120):
        samples.scrape(
            "".join(
                f'http_request_duration_seconds_bucket{{path="{path}",le="{bound}"}} {count}\n'
                for path, bound, count in (
                    ("/fast", "0.1", second * 99),
                    ("/fast", "5.0", second * 99),
                    ("/fast", "+Inf", second * 99),
                    ("/slow", "0.1", 0),
                    ("/slow", "5.0", second),
                    ("/slow", "+Inf", second),
                )
            )
        )
    assert samples.ask(ORIGINAL["high_latency_p95"]["expr"])
    assert not samples.ask(CORRECTED["high_latency_p95"]["expr"])


@pytest.mark.parametrize(
    ("page", "fires"),
    [
        ("disk_size_bytes 1000\ndisk_free_bytes 101\n", False),
        ("disk_size_bytes 1000\ndisk_free_bytes 99\n", True),
        ("disk_size_bytes 1000\ndisk_free_bytes 0\n", True),
        ("up 1\n", False),  # no disk in use
    ],
)
def test_a_disk_is_critical_below_ten_percent(page: str, fires: bool) -> None:
    samples = Samples()
    samples.scrape(page)
    assert bool(samples.ask(ADDED["disk_space_critical"]["expr"])) is fires


@pytest.mark.parametrize(("lines_per_s", "fires"), [(5, False), (190, False), (210, True)])
def test_a_log_flood_begins_at_two_hundred_lines_a_second(lines_per_s: int, fires: bool) -> None:
    samples = Samples()
    for second in range(90):
        samples.scrape(f"log_lines_total {second * lines_per_s}\n")
    assert bool(samples.ask(ADDED["log_volume_high"]["expr"])) is fires


@pytest.mark.parametrize(("messages", "fires"), [(100, False), (101, True)])
def test_guests_are_not_told_when_more_than_100_messages_are_unconfirmed(messages: int, fires: bool) -> None:
    samples = Samples()
    samples.scrape(f"whatsapp_unconfirmed_messages {messages}\n")
    assert bool(samples.ask(ADDED["whatsapp_delivery_failing"]["expr"])) is fires
