"""Choosing the alert that watches a component."""

from __future__ import annotations

import pytest

from gameday.scaffold.alerts import outstanding, owner, severity, times, watching
from scaffold.rules import read, rule

SHOP = read(
    rule(
        "carts_failing",
        'sum(rate(shop_requests_total{job="shop-api",what="cart",outcome="failed"}[20s])) > 0.2',
    ),
    rule("api_replica_down", 'up{job="shop-api"} < 1', for_s=15),
    rule("DiskFull", "node_filesystem_avail_bytes < 1e9"),
    rule("RedisDown", "redis_up == 0", for_s=30),
)


@pytest.mark.parametrize(
    ("component", "image", "chosen"),
    [
        pytest.param("api", "shop-api", "api_replica_down", id="by its name and the job it asks for"),
        pytest.param("carts", "python", "carts_failing", id="by its name alone"),
        pytest.param("sessions", "redis", "RedisDown", id="by the image"),
        pytest.param("web", "nginx", None, id="none watches it"),
        pytest.param("service", "app", None, id="a name that says nothing"),
    ],
)
def test_the_alert_for_which_most_speaks_is_chosen(component: str, image: str, chosen: str | None) -> None:
    best = outstanding(watching(SHOP, component, image))
    assert (best.name if best else None) == chosen


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ('http_errors{service="orders"} > 1', "service=orders"),
        ('http_errors{app="orders-v2"} > 1', "app=orders-v2"),
        ('http_errors{deployment=~"orders|billing"} > 1', "deployment=~orders|billing"),
        ("sum(rate(orders_failed_total[5m])) > 1", "orders_failed_total"),
        ('absent(up{job="orders"})', "job=orders"),
    ],
)
def test_an_expression_says_whom_it_watches(expression: str, why: str) -> None:
    (found,) = watching(read(rule("Trouble", expression)), "orders")
    assert why in found.why


@pytest.mark.parametrize(
    "expression",
    [
        'http_errors{service=~".*"} > 1',
        'http_errors{service!="orders"} > 1',
        'http_errors{path="/orders"} > 1',
        'up{job="node"} == 0',
        "this is no PromQL (",
        'http_errors{service=~"("} > 1',
    ],
)
def test_what_only_looks_like_it_does_not_count(expression: str) -> None:
    assert watching(read(rule("Trouble", expression)), "orders") == ()


def test_two_for_which_as_much_speaks_are_a_choice_for_people() -> None:
    found = watching(read(rule("a", 'x{job="orders"} > 1'), rule("b", 'y{job="orders"} > 1')), "orders")
    assert [one.name for one in found] == ["a", "b"]
    assert outstanding(found) is None


def test_an_alert_that_fires_already_is_told_apart() -> None:
    (found,) = watching(read(rule("OrdersDown", "up == 0", state="firing")), "orders")
    assert found.active


def test_the_times_are_those_of_the_rule_and_some_more() -> None:
    (read_rule,) = read(rule("slow", 'rate(x{job="orders"}[5m]) > 1', for_s=15), interval_s=10)

    known, unknown = times(read_rule, 5.0), times(read_rule, None)

    # 5 s to be scraped, 10 s to be evaluated, two evaluations of 10 s pending, five minutes in the window
    assert known.fires_within_s == 540  # 1.5 times 335 s and 10 s, up to whole half minutes
    assert known.fires_within_s >= 5 + 10 + 20 + 300
    assert unknown.fires_within_s > known.fires_within_s
    assert "not known" in unknown.because
    assert "window of 300 s" in known.because


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("critical", "SEV1"),
        ("SEV-2", "SEV2"),
        ("warning", "SEV3"),
        ("P3", "SEV4"),
        ("purple", None),
        (None, None),
    ],
)
def test_a_severity_is_what_the_label_says_or_nothing(label: str | None, expected: str | None) -> None:
    assert severity({} if label is None else {"severity": label}) == expected


def test_the_owner_is_whom_the_rule_names() -> None:
    assert owner({"team": "payments"}) == "payments"
    assert owner({}) is None


def test_a_name_that_no_scenario_can_have_is_not_chosen() -> None:
    assert watching(read(rule("orders are down", 'up{job="orders"} == 0')), "orders") == ()
