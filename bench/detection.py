"""The time to detect that a drill measures by Prometheus, against an observer that asks its API every 10 ms.

The observer is a thread with sockets of its own and no line of gameday's; it shares the monotonic clock with the drill.
"""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import httpx

from bench.hotel import instant_ns
from bench.processes import ROOT, BenchError
from bench.result import Result

if TYPE_CHECKING:
    from containers.hotel import HotelInDocker

DRILLS = 3
DRILL_S = 90.0
"""The most that a drill that was interrupted may take to end, and its alerts to pass."""
EVERY_S = 0.01
POLL_S = 0.2
"""Of the detector, as environments/hotel-docker.yaml has it by default."""
ALERT = "database_connection_failures"


def measure(work: Path) -> list[Result]:
    del work  # the hotel makes a folder of its own
    if shutil.which("docker") is None:
        raise BenchError("there is no `docker` command on this machine")
    sys.path.insert(0, str(ROOT / "tests"))
    from containers.hotel import HotelInDocker

    errors_s = []
    with HotelInDocker.with_rules("shortened") as hotel:
        status = json.loads(hotel.gameday("env", "status", hotel.environment, "-o", "json").stdout)
        for _ in range(DRILLS):
            _until_quiet(status["prometheus"]["address"])
            errors_s.append(_one(hotel, status["prometheus"]["address"]))
    return [
        Result(
            "time to detect by Prometheus: error",
            "s",
            tuple(errors_s),
            bar=POLL_S,
            judged="maximum",
            note=f"against an observer every {EVERY_S * 1000:g} ms, {DRILLS} drills",
        )
    ]


def _one(hotel: HotelInDocker, prometheus: str) -> float:
    """A drill until its alert fired; the operator's interrupt then ends it, and its undo brings the database back."""
    known = hotel.folders()
    with Observer(prometheus, ALERT) as observer:
        runner = hotel.start_drill()
        try:
            folder = hotel.wait_for("alert.firing", runner, known)
        finally:
            if runner.poll() is None:
                runner.send_signal(signal.SIGINT)
            said, _ = runner.communicate(timeout=DRILL_S)
    if folder is None or not observer.fired_ns:
        raise BenchError(f"{ALERT} did not fire, or the observer did not see it:\n{said[-500:]}")
    return abs(instant_ns(hotel.events(folder), "alert.firing", ALERT) - observer.fired_ns) / 1e9


def _until_quiet(prometheus: str) -> None:
    """No alert is pending or firing: what the drill before left has passed."""
    deadline = time.monotonic() + DRILL_S
    while True:
        if not httpx.get(f"{prometheus}/api/v1/alerts", timeout=5, trust_env=False).json()["data"]["alerts"]:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"alerts were still active after {DRILL_S:g} s")
        time.sleep(1)


class Observer:
    """Asks Prometheus for its rules all the time, and keeps when an alert was first seen firing."""

    def __init__(self, url: str, alert: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=2)
        self._alert = alert
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="bench-observer", daemon=True)
        self.fired_ns = 0
        """The middle between the last look without it and the first with it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5)
        self._connection.close()

    def _watch(self) -> None:
        before_ns = time.monotonic_ns()
        while not self._ended.is_set() and not self.fired_ns:
            asked_ns = time.monotonic_ns()
            try:
                fires = self._fires()
            except (OSError, http.client.HTTPException):  # an answer that did not come is no look
                self._connection.close()
                continue
            if fires:
                self.fired_ns = (before_ns + time.monotonic_ns()) // 2
            before_ns = asked_ns
            self._ended.wait(EVERY_S)

    def _fires(self) -> bool:
        self._connection.request("GET", "/api/v1/rules?type=alert")
        groups = json.load(self._connection.getresponse())["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return any(rule["name"] == self._alert and rule["state"] == "firing" for rule in rules)
