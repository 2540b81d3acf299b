"""A bad day of the hotel as metric pages: every rule of both rules files comes true, one of them not for long enough.

Times are seconds of the rules as written, and a day can be told faster; rates are per second that passes. Values move
in ramps, so that another threshold, window or `for` moves the instant at which an alert changes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

END_S = 1430.0
DOWN = (1200.0, 1320.0)
"""Between these the page answers 503."""
FIRE_IN_ORIGINAL = frozenset(
    {
        "service_down",
        "high_error_rate",
        "database_connection_failures",
        "high_latency_p95",
        "high_memory_usage",
        "redis_connection_issues",
        "pms_circuit_breaker_open",
        "high_cpu_usage",
        "slow_response_p50",
        "low_cache_hit_rate",
    }
)
FIRE_IN_CORRECTED = FIRE_IN_ORIGINAL | {"disk_space_critical", "log_volume_high", "whatsapp_delivery_failing"}
IN_VAIN = "high_memory_usage"
"""Is pending for 140 s at first, of the 300 s that it needs, and fires later."""

Curve = Sequence[tuple[float, float]]
GB = 1024.0**3
GAUGES: dict[str, Curve] = {
    "process_resident_memory_bytes": [
        *((60, GB), (60, 2.5 * GB), (200, 2.5 * GB), (200, GB)),
        *((400, GB), (800, 3 * GB), (1250, 3 * GB), (1250, GB)),
    ],
    "redis_up": [(210, 1), (210, 0), (400, 0), (400, 1)],
    # half-open for a moment: that restarts the `for` of the original rule, not that of the corrected one
    "pms_circuit_breaker_state": [
        *((270, 0), (270, 1), (360, 1), (360, 2), (400, 2), (400, 1), (680, 1), (680, 0)),
    ],
    "disk_free_bytes": [(600, 50), (750, 5), (900, 5), (900, 50)],
    "disk_size_bytes": [(0, 100)],
    "whatsapp_unconfirmed_messages": [(700, 0), (860, 200), (1060, 200), (1060, 0)],
}
RATES: dict[str, Curve] = {
    "database_connection_errors_total": [
        *((300, 0), (400, 5), (500, 5), (500, 0)),
        *((1100, 0), (1100, 10), (1210, 10), (1210, 0)),
    ],
    "process_cpu_seconds_total": [(350, 0.05), (550, 1.6), (1010, 1.6), (1010, 0.05)],
    "redis_cache_hits_total": [(230, 9), (230, 2), (1100, 2), (1100, 9)],
    "redis_cache_misses_total": [(230, 1), (230, 8), (1100, 8), (1100, 1)],
    "log_lines_total": [(450, 1), (560, 600), (650, 600), (650, 1)],
    'http_requests_total{path="/bookings",status="201"}': [(0, 5)],
    'http_requests_total{path="/availability",status="200"}': [(0, 20)],
    'http_requests_total{path="/bookings",status="503"}': [(150, 0), (350, 5), (600, 5), (600, 0)],
    'http_requests_total{path="/availability",status="500"}': [(500, 0), (510, 0.5), (530, 0)],
}
# observations a second by upper bound in seconds: slow ones take 3 to 10 s
SLOW: dict[str, Curve] = {
    "/bookings": [(220, 0), (300, 4.5), (1050, 4.5), (1050, 0)],
    "/availability": [(240, 0), (340, 40), (1030, 40), (1030, 0)],
}
QUICK = {"/bookings": 0.5, "/availability": 20.0}
BOUNDS = ("0.1", "0.5", "1", "3", "10", "+Inf")


def at(curve: Curve, time_s: float) -> float:
    """The value there; straight lines between the points, and before the first and after the last as they are."""
    index = bisect_right([point[0] for point in curve], time_s)
    if index in (0, len(curve)):
        return curve[min(index, len(curve) - 1)][1]
    (before_s, low), (after_s, high) = curve[index - 1], curve[index]
    return low + (high - low) * (time_s - before_s) / (after_s - before_s)


class BadDay:
    """Gives one page after the other; counters grow by what happened since the page before."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._counters: dict[str, float] = {}

    def page(self, time_s: float, clock_s: float) -> str | None:
        """What it shows at a time of the day, and `clock_s` seconds of real time; None: the service is down."""
        lasted_s = 0.0 if self._last_s is None else clock_s - self._last_s
        self._last_s = clock_s
        for name, rate in self._rates(time_s):
            grown = self._counters.get(name, 0.0) + rate * lasted_s
            if grown > 0 or "status" not in name:  # a status that never happened has no series
                self._counters[name] = grown
        if DOWN[0] <= time_s < DOWN[1]:
            return None
        values = {name: at(curve, time_s) for name, curve in GAUGES.items()} | self._counters
        return "".join(f"{name} {value!r}\n" for name, value in values.items())

    def _rates(self, time_s: float) -> Iterator[tuple[str, float]]:
        for name, curve in RATES.items():
            yield name, at(curve, time_s)
        for path, curve in SLOW.items():
            slow, quick = at(curve, time_s), QUICK[path]
            for bound in BOUNDS:
                rate = quick + (slow if bound in ("10", "+Inf") else 0.0)
                yield f'http_request_duration_seconds_bucket{{path="{path}",le="{bound}"}}', rate
