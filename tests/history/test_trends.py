"""Trends, metrics and goals from literal tallies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.coverage import Accuracy
from gameday.metrics import (
    ALL,
    AlertCount,
    Every,
    Facts,
    Failures,
    Metric,
    Report,
    Value,
    add_up,
    reports,
)
from gameday.trends import (
    Standing,
    Sum,
    Tally,
    heat_map,
    month_of,
    months_back,
    months_between,
    series,
)


def tally(month: str = "2026-03", **more: Any) -> Tally:
    settings = {
        "scenario": "database-down",
        "environment": "hotel-local",
        "speed": 1.0,
        "severity": "SEV2",
        "drills": 4,
        "passed": 4,
        "failed": 0,
        "last": datetime.fromisoformat(f"{month}-20").replace(tzinfo=UTC),
        **more,
    }
    return Tally(month, **settings)


def found(*tallies: Tally, every: Every = Every.MONTH, severity: str = ALL, **facts: Any) -> Report:
    return next(
        report for report in reports(add_up(Facts(tallies, **facts)), every) if report.severity == severity
    )


def newest(report: Report, metric: Metric) -> Value:
    return report.rows[metric][-1]


# --- months ---------------------------------------------------------------------------------------------------


def test_every_month_between_two_is_there_over_a_new_year() -> None:
    assert months_between("2025-11", "2026-02") == ("2025-11", "2025-12", "2026-01", "2026-02")
    assert months_between("2026-02", "2026-02") == ("2026-02",)


def test_twelve_months_back_is_the_same_month_after_a_year_less_one() -> None:
    assert months_back(datetime(2026, 3, 31, 23, 59, tzinfo=UTC), 12) == datetime(2025, 4, 1, tzinfo=UTC)
    assert months_back(datetime(2026, 12, 1, tzinfo=UTC), 12) == datetime(2026, 1, 1, tzinfo=UTC)
    assert months_back(datetime(2026, 1, 15, tzinfo=UTC), 1) == datetime(2026, 1, 1, tzinfo=UTC)


@given(st.integers(0, 4_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC)), st.integers(1, 240))
def test_so_many_months_back_are_so_many_months(now: datetime, months: int) -> None:
    assert len(months_between(month_of(months_back(now, months)), month_of(now))) == months


def test_quarters_begin_in_january() -> None:
    assert [Every.QUARTER.of(f"2026-{month:02d}") for month in (1, 3, 4, 12)] == [
        "2026-Q1",
        "2026-Q1",
        "2026-Q2",
        "2026-Q4",
    ]


# --- series and heat map --------------------------------------------------------------------------------------


def test_a_rehearsal_has_a_trend_of_its_own() -> None:
    rows = series([tally(), tally(speed=10.0), tally(environment="hotel-docker")])
    assert {(one.environment, one.speed) for one in rows} == {
        ("hotel-local", 1.0),
        ("hotel-local", 10.0),
        ("hotel-docker", 1.0),
    }


def test_the_trend_with_the_newest_drill_comes_first_and_its_months_in_order() -> None:
    old, new = tally("2026-01"), tally("2026-02", scenario="service-down")
    first, second = series([new, old, tally("2025-12")])
    assert first.scenario == "service-down"
    assert [one.month for one in second.tallies] == ["2025-12", "2026-01"]


def test_two_severities_of_a_month_are_one_point_of_a_trend() -> None:
    (one,) = series([tally(mttd=Sum(2, 10.0, 4.0, 6.0)), tally(severity="SEV1", mttd=Sum(1, 2.0, 2.0, 2.0))])
    (point,) = one.tallies
    assert (point.severity, point.drills, point.mttd) == ("SEV1", 8, Sum(3, 12.0, 2.0, 6.0))


def test_the_heat_map_has_months_without_a_drill() -> None:
    heat = heat_map([tally("2026-01"), tally("2026-03", failed=1, passed=3)])
    (row,) = heat.rows
    assert heat.months == ("2026-01", "2026-02", "2026-03")
    assert [cell.tone for cell in row.cells] == ["pass", "none", "fail"]


def test_a_drill_that_proved_nothing_makes_no_month_green() -> None:
    assert Standing(3, 2, 0).tone == "unknown"
    assert Standing(3, 2, 1).tone == "fail"


seconds = st.one_of(st.none(), st.floats(0, 1e5))
sums = st.builds(
    lambda n, total, least, most, objective, met, missed, never: Sum(
        n, total, least, most, objective, met, missed, never, met + missed
    ),
    st.integers(0, 100),
    st.integers(0, 10_000).map(float),
    seconds,
    seconds,
    seconds,
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 100),
)


@given(sums, sums, sums)
def test_sums_add_up_in_any_order(a: Sum, b: Sum, c: Sum) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Sum() == a


# --- metrics --------------------------------------------------------------------------------------------------


def test_nothing_measured_has_no_value_and_meets_no_goal() -> None:
    for every in Every:
        report = found(tally(passed=0, drills=3), every=every)
        for metric, values in report.rows.items():
            assert (metric, values[-1].value, values[-1].met) == (metric, None, None)


def test_no_drill_gives_no_report_of_a_period() -> None:
    (report,) = reports(add_up(Facts([])))
    assert (report.severity, report.periods, report.rows) == (ALL, (), {})


@pytest.mark.parametrize(("mean_s", "met"), [(299.9, True), (300.0, False), (0.0, True)])
def test_mttd_is_to_be_below_five_minutes(mean_s: float, met: bool) -> None:
    value = newest(found(tally(mttd=Sum(2, 2 * mean_s))), Metric.MTTD)
    assert (value.value, value.met) == (pytest.approx(mean_s), met)


def test_an_alert_that_never_fired_misses_the_goal_however_fast_the_others_were() -> None:
    value = newest(found(tally(mttd=Sum(3, 15.0, never=1, missed=1))), Metric.MTTD)
    assert (value.value, value.met) == (5.0, False)
    assert "1 never detected" in value.basis


@pytest.mark.parametrize(
    ("severity", "mean_s", "met"),
    [
        ("SEV1", 3599.0, True),
        ("SEV1", 3600.0, False),
        ("SEV2", 14_399.0, True),
        ("SEV2", 14_400.0, False),
        ("SEV3", 1e6, None),
        (ALL, 1.0, None),
    ],
)
def test_mttr_has_the_goal_of_its_severity(severity: str, mean_s: float, met: bool | None) -> None:
    of = "SEV1" if severity == ALL else severity
    report = found(tally(severity=of, time_to_recover=Sum(1, mean_s)), severity=severity)
    assert newest(report, Metric.MTTR).met is met


@pytest.mark.parametrize(
    ("before_s", "now_s", "met"), [(100, 90, True), (100, 91, False), (100, 120, False), (0, 5, None)]
)
def test_mttr_is_to_be_a_tenth_less_than_in_the_quarter_before(
    before_s: float, now_s: float, met: bool | None
) -> None:
    earlier = [tally(f"2026-0{n}", time_to_recover=Sum(1, before_s)) for n in (1, 2)]
    report = found(*earlier, tally("2026-05", time_to_recover=Sum(2, 2 * now_s)), every=Every.QUARTER)
    assert report.periods == ("2026-Q1", "2026-Q2")
    assert newest(report, Metric.MTTR_CHANGE).met is met


def test_a_quarter_without_drills_is_no_basis_for_ten_percent_less() -> None:
    first, last = (
        tally("2026-01", time_to_recover=Sum(1, 100.0)),
        tally("2026-07", time_to_recover=Sum(1, 1.0)),
    )
    value = newest(found(first, last, every=Every.QUARTER), Metric.MTTR_CHANGE)
    assert (value.value, value.met) == (None, None)


def test_a_quarters_mean_weighs_drills_and_not_months() -> None:
    report = found(
        tally("2026-01", time_to_recover=Sum(9, 90.0)),
        tally("2026-02", time_to_recover=Sum(1, 110.0)),
        every=Every.QUARTER,
    )
    assert newest(report, Metric.MTTR).value == pytest.approx(20.0)


def test_rehearsals_are_left_out_and_counted() -> None:
    report = found(tally(), tally(speed=10.0, mttd=Sum(4, 4.0), drills=7))
    assert newest(report, Metric.MTTD).value is None
    assert (report.drills, report.rehearsals) == ((4,), (7,))


def test_mtbf_is_the_mean_gap_and_is_to_increase() -> None:
    failures = [Failures("2026-02", "SEV2", 2, 1, 100.0), Failures("2026-03", "SEV2", 3, 3, 600.0)]
    report = found(tally("2026-02"), tally("2026-03"), failures=failures)
    assert [value.value for value in report.rows[Metric.MTBF]] == [100.0, 200.0]
    assert [value.met for value in report.rows[Metric.MTBF]] == [None, True]


def test_a_severitys_mtbf_counts_from_the_fail_before_of_the_same_severity() -> None:
    failures = [Failures("2026-03", "SEV2", 3, 3, 600.0, 2, 1000.0)]
    assert newest(found(tally(), failures=failures), Metric.MTBF).value == 200.0
    assert newest(found(tally(), failures=failures, severity="SEV2"), Metric.MTBF).value == 500.0


@pytest.mark.parametrize(
    ("before", "now", "met"),
    [
        ((10, 2), (10, 1), True),
        ((10, 1), (10, 1), False),
        ((10, 1), (2, 1), False),  # as many, of fewer drills
        ((2, 1), (10, 2), True),  # more, of many more drills
        ((10, 0), (10, 0), True),
    ],
)
def test_incidents_are_to_become_a_smaller_share_of_the_drills(
    before: tuple[int, int], now: tuple[int, int], met: bool
) -> None:
    def month(name: str, drills: int, failed: int) -> Tally:
        return tally(name, drills=drills, failed=failed, passed=drills - failed)

    report = found(month("2026-02", *before), month("2026-03", *now))
    assert newest(report, Metric.INCIDENTS).met is met


def test_a_month_whose_drills_proved_nothing_has_no_incidents_to_be_glad_of() -> None:
    report = found(tally("2026-02", failed=1, passed=3), tally("2026-03", passed=0))
    assert (newest(report, Metric.INCIDENTS).value, newest(report, Metric.INCIDENTS).met) == (None, None)
    assert newest(report, Metric.RECURRING).value is None


def test_adherence_leaves_out_what_was_not_measured_and_says_so() -> None:
    value = newest(found(tally(time_to_recover=Sum(5, 10.0, met=3, missed=1, expected=6))), Metric.RTO)
    assert (value.value, value.basis) == (0.75, "3 of 4 drills, 2 not measured")


def test_restore_tests_are_those_of_the_schedule() -> None:
    rows = [tally(), tally(scenario="database-loss", drills=5, passed=3, failed=1)]
    assert newest(found(*rows), Metric.RESTORES).value is None
    value = newest(found(*rows, restores={"database-loss"}), Metric.RESTORES)
    assert (value.value, value.basis) == (0.75, "3 of 4 drills, 1 not measured")


def test_alert_accuracy_is_to_improve_by_quarter() -> None:
    alerts = [
        AlertCount("2026-03", "SEV2", Accuracy(fired=8, unexpected=2)),
        AlertCount("2026-04", "SEV2", Accuracy(fired=9, unexpected=1, missed=3)),
    ]
    tallies = (tally("2026-03"), tally("2026-04"))
    value = newest(found(*tallies, alerts=alerts, every=Every.QUARTER), Metric.ACCURACY)
    assert (value.value, value.met) == (0.9, True)
    assert value.basis == "9 true, 1 false positives; 3 missed or late"
    assert newest(found(*tallies, alerts=alerts), Metric.ACCURACY).goal == ""


@given(
    st.lists(
        st.builds(
            tally,
            st.sampled_from(months_between("2025-11", "2026-04")),
            severity=st.sampled_from(["SEV1", "SEV2"]),
            drills=st.integers(3, 9),
            passed=st.integers(0, 2),
            failed=st.integers(0, 1),
            mttd=sums,
            time_to_recover=sums,
            speed=st.sampled_from([1.0, 10.0]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_severities_and_quarters_add_up_to_the_whole(tallies: list[Tally]) -> None:
    buckets = add_up(Facts(tallies))
    months, quarters = reports(buckets), reports(buckets, Every.QUARTER)
    for whole, *parts in (months, quarters):
        assert sum(whole.drills) + sum(whole.rehearsals) == sum(one.drills for one in tallies)
        for number in range(len(whole.periods)):
            assert whole.drills[number] == sum(part.drills[number] for part in parts)
    assert [one.severity for one in months] == [one.severity for one in quarters]
    assert all(a < b for a, b in pairwise(months[0].periods))
    for report in (*months, *quarters):
        for values in report.rows.values():
            assert len(values) == len(report.periods)
            assert all(not value.met for value in values if value.value is None)


def test_the_last_drill_of_a_series_is_the_latest_of_its_months() -> None:
    (one,) = series([tally("2026-01"), tally("2026-03")])
    assert one.last - timedelta(days=59) == datetime(2026, 1, 20, tzinfo=UTC)
