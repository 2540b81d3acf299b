"""The service's series, under exactly the names that the alert rules use.

The page is scraped every second, so it stays small: no collectors of the interpreter, few labels, a short
list of buckets. Counters exist at zero from the first scrape on: `rate()` cannot see the birth of a series.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)
from starlette.responses import Response

from hotel.exposition import exposition

DURATION_BUCKETS_S = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)

EXPECTED_ANSWERS: dict[tuple[str, str], tuple[int, ...]] = {
    ("POST", "/reservations"): (200, 201, 500, 503),
    ("GET", "/reservations"): (200, 404, 500, 503),
    ("GET", "/reservations/{reservation_id}"): (200, 404, 500, 503),
    ("POST", "/reservations/{reservation_id}/confirm"): (200, 404, 500, 502, 503, 504),
    ("GET", "/availability"): (200, 500, 503),
}

PMS_OUTCOMES = (
    "ok",
    "error",
    "timeout",
    "bad-payload",
    "unauthorized",
    "rate-limited",
    "rejected",
    "short-circuited",
)
WHATSAPP_STATUSES = ("sent", "failed", "given-up")
CHANNELS = ("whatsapp", "desk")


class Metrics:
    """One registry per process; the attributes are the series. `cache_state`: whether `redis_up` is exported."""

    def __init__(self, *, cache_state: bool = True) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._register_http()
        self._register_dependencies(cache_state=cache_state)
        self._register_notifications()
        self.log_lines = Counter("log_lines_total", "Lines written to the log.", registry=self.registry)

    def _register_http(self) -> None:
        registry = self.registry
        self.http_requests = Counter(
            "http_requests_total", "Answered requests.", ["method", "path", "status"], registry=registry
        )
        self.http_duration = Histogram(
            "http_request_duration_seconds",
            "From the arrival of a request to the end of its answer.",
            ["path"],
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        for (method, path), statuses in EXPECTED_ANSWERS.items():
            self.http_duration.labels(path)
            for status in statuses:
                self.http_requests.labels(method, path, str(status))

    def _register_dependencies(self, *, cache_state: bool) -> None:
        registry = self.registry
        self.database_connection_errors = Counter(
            "database_connection_errors_total",
            "Failed attempts to get or use a connection.",
            registry=registry,
        )
        self.redis_up = Gauge(
            "redis_up",
            "1 when the cache answered the latest ping.",
            registry=registry if cache_state else None,
        )
        self.cache_hits = Counter("redis_cache_hits_total", "Found in the cache.", registry=registry)
        self.cache_misses = Counter("redis_cache_misses_total", "Not in the cache.", registry=registry)
        self.cache_errors = Counter(
            "redis_cache_errors_total",
            "Look-ups that went past a cache that did not answer.",
            registry=registry,
        )
        self.breaker_state = Gauge(
            "pms_circuit_breaker_state", "0 closed, 1 open, 2 half-open.", registry=registry
        )
        self.pms_requests = Counter("pms_requests_total", "Calls to the PMS.", ["outcome"], registry=registry)
        self.pms_pending = Gauge(
            "pms_pending_reservations", "Reservations that the PMS has not confirmed.", registry=registry
        )
        for outcome in PMS_OUTCOMES:
            self.pms_requests.labels(outcome)

    def _register_notifications(self) -> None:
        registry = self.registry
        self.whatsapp_messages = Counter(
            "whatsapp_messages_total", "Attempts to deliver a message.", ["status"], registry=registry
        )
        self.whatsapp_pending = Gauge(
            "whatsapp_pending_messages", "Messages that wait for delivery.", registry=registry
        )
        self.whatsapp_unconfirmed = Gauge(
            "whatsapp_unconfirmed_messages",
            "Messages that wait for delivery, or for the receipt that is expected of it.",
            registry=registry,
        )
        self.guest_notifications = Counter(
            "guest_notifications_total",
            "Guests told, or handed to who tells them.",
            ["channel"],
            registry=registry,
        )
        for channel in CHANNELS:
            self.guest_notifications.labels(channel)
        for status in WHATSAPP_STATUSES:
            self.whatsapp_messages.labels(status)

    def observe_pool(self, statistics: Callable[[], dict[str, int]]) -> None:
        """Show the pool's own figures, read when the page is scraped."""
        for name, key, text in (
            ("database_pool_connections", "pool_size", "Connections that the pool has or is opening."),
            ("database_pool_available", "pool_available", "Idle connections."),
            ("database_pool_waiting", "requests_waiting", "Requests that wait for a connection."),
        ):
            gauge = Gauge(name, text, registry=self.registry)
            gauge.set_function(_reader(statistics, key))

    def observe_disk(self, size_bytes: Callable[[], float], free_bytes: Callable[[], float]) -> None:
        """Show the disk's figures, read when the page is scraped."""
        size = Gauge("disk_size_bytes", "What the data folder may hold at most.", registry=self.registry)
        size.set_function(size_bytes)
        free = Gauge("disk_free_bytes", "What can still be written there.", registry=self.registry)
        free.set_function(free_bytes)

    def page(self) -> Response:
        return exposition(self.registry)


def _reader(statistics: Callable[[], dict[str, int]], key: str) -> Callable[[], float]:
    return lambda: float(statistics().get(key, 0))
