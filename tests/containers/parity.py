"""The embedded detector and a real Prometheus beside each other, on the same scrapes.

Prometheus scrapes a relay, which asks the source for a page and keeps it; the embedded detector then gets that very
page, a third of an interval later. So what they may differ in is their evaluation, and nothing else.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker

from detectors.stack import Recorder, opened
from gameday.detectors.base import AlertState, Transition
from gameday.detectors.embedded import EmbeddedDetector
from gameday.detectors.rules import load_rules, parse_prometheus_duration_s
from gameday.detectors.scrape import ScrapeTarget
from gameday.targets.ports import find_free_ports

JOB = "agente-api"
LOOK_S = 0.05
MISSED = 2
_LAG_SHARE = 0.35
_CONFIG = """
global: {{scrape_interval: {ms}ms, scrape_timeout: {timeout}ms, evaluation_interval: {ms}ms}}
rule_files: [/etc/prometheus/rules.yaml]
scrape_configs: [{{job_name: {job}, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


def shortened(rules: str, factor: float) -> str:
    """The rules file with every `for` and every window divided, to the millisecond."""

    def divided(found: re.Match[str]) -> str:
        return f"{found[1]}{round(parse_prometheus_duration_s(found[2]) * 1000 / factor)}ms{found[3]}"

    kept = re.sub(r"(?m)^\s*#.*\n", "", rules)
    return re.sub(r"(\[)(\w+)(\])", divided, re.sub(r"(?m)^(\s+for: )(\w+)()$", divided, kept))


class Relay:
    """Serves Prometheus at `/metrics` and the embedded detector at `/again`; keeps who got which page."""

    def __init__(self, source: Callable[[], str | None]) -> None:
        self.asked: dict[str, list[int]] = {"/metrics": [], "/again": []}
        self.scraped = threading.Event()
        self.given_up = 0
        """Scrapes whose client did not wait for the answer: one of the two has it as a failure, the other not."""
        self._source = source
        self._page: str | None = None
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                page = relay.answer(self.path)
                body = (page or "down\n").encode()
                self.send_response(503 if page is None else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                relay.given_up += 1

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str) -> str | None:
        asked = self.asked[path]
        if path == "/metrics":
            self._page = self._source()
            asked.append(len(asked))
            self.scraped.set()
        else:
            asked.append(len(self.asked["/metrics"]) - 1)
        return self._page

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def prometheus(folder: Path, rules: str, relay: Relay, interval_s: float) -> Iterator[str]:
    """A Prometheus in a container that shares this machine's network; gives its address."""
    ms = round(interval_s * 1000)
    (folder / "rules.yaml").write_text(rules)
    (folder / "prometheus.yml").write_text(
        _CONFIG.format(ms=ms, timeout=round(ms * 0.9), job=JOB, port=relay.port)
    )
    (port,) = find_free_ports(1)
    client = docker.from_env(timeout=60)
    container = client.containers.run(
        "prom/prometheus:latest",
        [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        name=f"gdtest-parity-{uuid.uuid4().hex[:8]}",
        labels={"gameday.test": "parity"},
        network_mode="host",
        detach=True,
        volumes={
            str(folder / name): {"bind": f"/etc/prometheus/{name}", "mode": "ro"}
            for name in ("rules.yaml", "prometheus.yml")
        },
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        container.remove(force=True, v=True)
        client.close()


@dataclass
class Both:
    """What each told between the same two moments, and which pages each got."""

    embedded: Recorder = field(default_factory=Recorder)
    prometheus: Recorder = field(default_factory=Recorder)
    pages: tuple[list[int], list[int]] = ([], [])
    given_up: int = 0

    def saw_the_same(self) -> bool:
        """On a busy machine a tick may be skipped, and moves nothing by more than one."""
        scraped, again = map(set, self.pages)
        return not self.given_up and len(scraped ^ again) <= MISSED


async def watch_both(
    folder: Path,
    rules: Path,
    url: str,
    relay: Relay,
    *,
    interval_s: float,
    speed: float,
    body: Callable[[], Awaitable[object]],
) -> Both:
    """Run both detectors while `body` runs. The rules file is divided by `speed` for the embedded one."""
    both = Both()
    real = opened(folder, url, both.prometheus, every=f"{LOOK_S * 1000:g}ms")
    embedded = EmbeddedDetector(
        load_rules(rules, speed=speed),
        [ScrapeTarget(JOB, f"127.0.0.1:{relay.port}", f"http://127.0.0.1:{relay.port}/again")],
        interval_s=interval_s,
        on_transition=both.embedded.transitions.append,
        on_health=both.embedded.health.append,
    )
    await _until_rules_are_known(real.start, url)
    relay.scraped.clear()
    while not relay.scraped.is_set():  # noqa: ASYNC110 (set by a thread)
        await asyncio.sleep(0.005)
    await asyncio.sleep(_LAG_SHARE * interval_s)
    await embedded.start()
    began = len(relay.asked["/metrics"]) - 1
    try:
        await body()
        both.given_up = relay.given_up
        both.pages = relay.asked["/metrics"][began:], list(relay.asked["/again"])
    finally:
        await embedded.stop()
        await real.stop()
    return both


async def _until_rules_are_known(start: Callable[[], Awaitable[None]], url: str) -> None:
    import httpx

    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"{url}/-/ready")).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, "Prometheus was not ready within 30 s"
            await asyncio.sleep(0.1)
    await start()


# --- comparison ---------------------------------------------------------------------------------------------

Moment = tuple[str, AlertState, float]


def moments(recorder: Recorder) -> list[Moment]:
    """What became of each rule, in order of the instants: alert, state, monotonic seconds."""
    found = [
        (transition.alert, transition.state_to, transition.at.mono_ns / 1e9)
        for transition in recorder.transitions
        if transition.summary
    ]
    return sorted(found, key=lambda moment: moment[2])


def by_label_set(recorder: Recorder) -> dict[tuple[str, frozenset[tuple[str, str]]], list[Transition]]:
    found: dict[tuple[str, frozenset[tuple[str, str]]], list[Transition]] = {}
    for transition in recorder.transitions:
        if not transition.summary:
            labels = frozenset((k, v) for k, v in transition.labels.items() if k != "alertname")
            found.setdefault((transition.alert, labels), []).append(transition)
    return found


def differences(both: Both, within_s: float) -> list[str]:
    """Everything in which the two do not agree, in words; none is parity."""
    ours, theirs = by_label_set(both.embedded), by_label_set(both.prometheus)
    found = [
        f"{name} {sorted(labels)}: only one of them tells of it" for name, labels in ours.keys() ^ theirs
    ]
    for key in ours.keys() & theirs:
        what = f"{key[0]} {sorted(key[1])}"
        states = [[one.state_to.value for one in told[key]] for told in (ours, theirs)]
        if states[0] != states[1]:
            found.append(f"{what}: embedded {states[0]}, Prometheus {states[1]}")
            continue
        for mine, other in zip(ours[key], theirs[key], strict=True):
            apart_s = mine.at - other.at
            if abs(apart_s) > within_s:
                found.append(f"{what}: {mine.state_to.value} {apart_s:+.2f} s from Prometheus' instant")
    if found:  # who says other things says them in another order
        return found
    return _other_order(moments(both.embedded), moments(both.prometheus), within_s)


def _other_order(ours: list[Moment], theirs: list[Moment], within_s: float) -> list[str]:
    """What Prometheus tells clearly one after the other comes in that order here too."""
    places: dict[tuple[str, AlertState, int], float] = {}
    counted: dict[tuple[str, AlertState], int] = {}
    for name, state, at_s in ours:
        number = counted[name, state] = counted.get((name, state), -1) + 1
        places[name, state, number] = at_s
    counted.clear()
    told = []
    for name, state, at_s in theirs:
        number = counted[name, state] = counted.get((name, state), -1) + 1
        told.append(((name, state, number), at_s))
    return [
        f"{a[0]} {a[1].value} comes after {b[0]} {b[1].value}"
        for index, (a, a_s) in enumerate(told)
        for b, b_s in told[index + 1 :]
        if b_s - a_s > within_s and a in places and b in places and places[a] >= places[b]
    ]
