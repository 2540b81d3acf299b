"""The bench's own arithmetic, and what it takes for true: a wrong yardstick would praise anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.accuracy import Log, effect_ns, recovery_ns, rule_ns
from bench.arithmetic import alternate, ratios, spread
from bench.processes import BenchError, timed
from bench.report import row, write
from bench.result import Result, bars_missed

ROOT = Path(__file__).resolve().parents[2]
MS = 1_000_000


def test_spread_is_the_median_and_the_quartiles() -> None:
    found = spread([4.0, 1.0, 3.0, 2.0, 100.0])
    assert (found.median, found.low, found.high) == (3.0, 2.0, 4.0)
    assert (found.minimum, found.maximum) == (1.0, 100.0)


def test_one_sample_has_no_spread() -> None:
    assert spread([7.0]).low == spread([7.0]).high == 7.0


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_ratios_are_taken_pair_by_pair() -> None:
    # the machine was three times slower during the second pair; both felt it
    assert ratios([1.0, 3.0], [2.0, 6.0]) == [0.5, 0.5]


@pytest.mark.parametrize(("values", "yardsticks"), [([1.0], [1.0, 2.0]), ([1.0], [0.0])])
def test_ratios_of_what_are_no_pairs_are_refused(values: list[float], yardsticks: list[float]) -> None:
    with pytest.raises(ValueError, match="yardstick"):
        ratios(values, yardsticks)


def test_alternate_swaps_who_goes_first_and_throws_the_warm_up_away() -> None:
    order: list[str] = []

    def note(name: str) -> int:
        order.append(name)
        return len(order)

    own, other = alternate(lambda: note("own"), lambda: note("other"), 2, warm_up=1)
    assert order == ["own", "other", "other", "own", "own", "other"]
    assert (own, other) == ([4, 5], [3, 6])


def test_a_bar_is_met_by_the_ratio_the_value_or_the_worst() -> None:
    pair = {"samples": (2.0, 2.2, 9.0), "yardstick_samples": (1.0, 1.1, 1.0)}
    assert Result("a", "s", **pair, bar=2.0, judged="ratio").met is True
    assert Result("b", "s", **pair, bar=2.1).met is False
    assert Result("c", "s", **pair, bar=8.0, judged="maximum").met is False
    assert Result("d", "s", **pair).met is None
    assert bars_missed([Result("b", "s", **pair, bar=2.1), Result("d", "s", **pair)]) == ["b"]


def test_the_file_is_for_machines(tmp_path: Path) -> None:
    result = Result("engine", "s", (3.0, 4.0), "chaos run", (2.0, 2.0), bar=2.0, judged="ratio")
    write(tmp_path / "bench.json", [result], {"load_average": [0.1, 0.2, 0.3]}, {"drill": "no database"})
    document = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    (found,) = document["results"]
    assert (found["value"], found["yardstick_value"], found["ratio"], found["met"]) == (3.5, 2.0, 1.75, True)
    assert document["not_measured"] == {"drill": "no database"}
    assert row(result)[-2:] == ("2 times", "met")


# --- what the observer's log says ---------------------------------------------------------------------------


def test_the_effect_is_the_first_failed_booking_but_never_before_the_cause() -> None:
    under_way = Log([("ended", 100 * MS, 100 * MS, 1), ("bookings", 90 * MS, 110 * MS, False)])
    assert effect_ns(under_way) == 100 * MS
    after = Log([("ended", 100 * MS, 100 * MS, 1), ("bookings", 104 * MS, 110 * MS, False)])
    assert effect_ns(after) == 104 * MS


def test_recovery_is_the_start_of_a_window_in_which_both_hold() -> None:
    rows = [("ended", 0, 0, 1)]
    for kind, back_ms in (("bookings", 300), ("database", 200)):
        for start_ms in range(0, 2000, 20):
            ok = start_ms >= back_ms and not (kind == "bookings" and start_ms == 400)
            rows.append((kind, start_ms * MS, (start_ms + 5) * MS, ok))
    assert recovery_ns(Log(rows)) == 425 * MS  # the failure at 400 ms began the window anew


def test_the_rule_is_true_when_enough_errors_are_within_its_window() -> None:
    rows = [("errors", t * MS, (t + 2) * MS, 0.0 if t < 1000 else 50.0) for t in range(0, 3000, 100)]
    earliest, latest = rule_ns(Log(rows))
    assert (earliest, latest) == (1900 * MS, 2502 * MS)


def test_a_log_without_an_outage_is_an_error() -> None:
    with pytest.raises(BenchError, match="no booking fail"):
        effect_ns(Log([("ended", 0, 0, 1), ("bookings", 1, 2, True)]))


# --- processes ----------------------------------------------------------------------------------------------


def test_timed_tells_what_a_process_used() -> None:
    found = timed([sys.executable, "-c", "print('done')"])
    assert found.output == "done\n"
    assert found.wall_s > 0
    assert found.rss_mb > 1


def test_timed_ends_what_takes_too_long() -> None:
    with pytest.raises(BenchError, match="exit code -9"):
        timed([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.3)


def test_the_bench_names_its_measurements() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == [
        *("help", "engine", "validate", "drill", "accuracy", "observer_cost"),
        *("containers", "cluster", "detection", "proxy", "history"),
    ]
