"""The embedded detector against real HTTP servers: a fixed rate, honest health, transitions in time."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from detectors.metrics_server import MetricsServer
from gameday.clock import Instant
from gameday.detectors.base import Alert, AlertState, Detector, Health, Transition
from gameday.detectors.embedded import EmbeddedDetector
from gameday.detectors.rules import RuleSet, load_rules
from gameday.detectors.scrape import ScrapeTarget
from gameday.detectors.watch import watch
from gameday.errors import DetectorError, UsageError

# Long enough that a busy machine does not miss three ticks, which would be ill health.
INTERVAL_S = 0.2
INACTIVE, PENDING, FIRING, UNKNOWN = (
    AlertState.INACTIVE,
    AlertState.PENDING,
    AlertState.FIRING,
    AlertState.UNKNOWN,
)


class Recorder:
    """What a detector told, in order."""

    def __init__(self) -> None:
        self.transitions: list[Transition] = []
        self.health: list[Health] = []

    def states(self, name: str) -> list[AlertState]:
        return [t.state_to for t in self.transitions if t.summary and t.alert == name]


def rule_set(tmp_path: Path, speed: float = 1.0, **rules: str) -> RuleSet:
    """Rules by name, as `expression` or `expression for duration`."""
    lines = ["groups: [{name: test, rules: ["]
    for name, text in rules.items():
        expression, _, for_ = text.partition(" for ")
        lines.append(
            f"{{alert: {name}, expr: '{expression}', for: {for_ or '0s'}, labels: {{severity: SEV2}}}},"
        )
    path = tmp_path / "rules.yaml"
    path.write_text("\n".join([*lines, "]}]"]))
    return load_rules(path, speed=speed)


def make(
    rules: RuleSet, *servers: MetricsServer, interval_s: float = INTERVAL_S
) -> tuple[EmbeddedDetector, Recorder]:
    recorder = Recorder()
    targets = [
        ScrapeTarget(f"job{number}", f"127.0.0.1:{server.port}", server.url)
        for number, server in enumerate(servers)
    ]
    detector = EmbeddedDetector(
        rules,
        targets,
        interval_s=interval_s,
        on_transition=recorder.transitions.append,
        on_health=recorder.health.append,
    )
    return detector, recorder


def run(detector: EmbeddedDetector, body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await detector.start()
        try:
            async with asyncio.timeout(15):
                await body()
        finally:
            await detector.stop()

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - polling is what these tests are about
        await asyncio.sleep(0.005)


def summary(detector: Detector, name: str) -> Alert:
    return next(alert for alert in detector.alerts() if alert.name == name and alert.summary)


def test_an_alert_goes_pending_fires_and_resolves(tmp_path: Path, metrics: MetricsServer) -> None:
    metrics.page = "redis_up 1\n"
    detector, recorder = make(rule_set(tmp_path, redis="redis_up < 1 for 600ms"), metrics)
    broken = Instant.now()

    async def body() -> None:
        nonlocal broken
        await until(lambda: summary(detector, "redis").state is INACTIVE)
        metrics.page, broken = "redis_up 0\n", Instant.now()
        await until(lambda: summary(detector, "redis").state is FIRING)
        metrics.page = "redis_up 1\n"
        await until(lambda: summary(detector, "redis").resolved_at is not None)

    run(detector, body)
    assert recorder.states("redis") == [PENDING, FIRING, INACTIVE]
    pending, firing, resolved = (t for t in recorder.transitions if not t.summary)
    assert resolved.resolved
    assert dict(pending.labels) == {
        "job": "job0",
        "instance": f"127.0.0.1:{metrics.port}",
        "severity": "SEV2",
    }
    assert 0 < pending.at - broken < 3 * INTERVAL_S
    assert 0.6 - 0.1 < firing.at - pending.at < 0.6 + 2 * INTERVAL_S
    assert all(0 < t.resolution_s < INTERVAL_S for t in recorder.transitions)


def test_everything_is_unknown_until_it_is_known(tmp_path: Path, metrics: MetricsServer) -> None:
    metrics.page = "x 1\n"
    detector, _ = make(rule_set(tmp_path, level="x < 1", slope="rate(x[5m]) > 1"), metrics, interval_s=0.4)
    assert {alert.state for alert in detector.alerts()} == {UNKNOWN}
    assert not detector.health().ok

    async def body() -> None:
        await until(lambda: detector.health().ok)
        assert summary(detector, "level").state is INACTIVE
        assert summary(detector, "slope").state is UNKNOWN, "one scrape says nothing about a rate"
        await until(lambda: summary(detector, "slope").state is INACTIVE)

    run(detector, body)
    assert {alert.state for alert in detector.alerts()} == {UNKNOWN}, "stopped"


def test_a_first_answer_that_is_slow_is_waited_for(
    tmp_path: Path, metrics: MetricsServer, other_metrics: MetricsServer
) -> None:
    metrics.page, metrics.delay_s, other_metrics.page = "redis_up 0\n", 0.2, "other 1\n"
    detector, _ = make(rule_set(tmp_path, redis="redis_up < 1"), metrics, other_metrics, interval_s=0.5)

    async def body() -> None:
        await until(lambda: detector.health().ok)
        assert summary(detector, "redis").state is FIRING, "never inactive on the way"

    run(detector, body)


def test_a_dead_target_is_information_and_not_ill_health(tmp_path: Path, metrics: MetricsServer) -> None:
    metrics.page = "redis_up 0\n"
    detector, recorder = make(rule_set(tmp_path, down="up < 1", redis="redis_up < 1"), metrics)

    async def body() -> None:
        await until(lambda: summary(detector, "redis").state is FIRING)
        metrics.die()
        await until(lambda: summary(detector, "down").state is FIRING)
        assert summary(detector, "redis").state is INACTIVE, "its series vanished with the target"
        assert list(detector.down()) == [f"job0/127.0.0.1:{metrics.port}"]
        metrics.start()
        await until(lambda: summary(detector, "down").state is INACTIVE)
        assert detector.down() == {}

    run(detector, body)
    assert [health.ok for health in recorder.health] == [True]


@pytest.mark.parametrize("fault", ["status", "page"])
def test_a_target_that_answers_nonsense_is_down(tmp_path: Path, metrics: MetricsServer, fault: str) -> None:
    metrics.page = "x 1\n"
    detector, _ = make(rule_set(tmp_path, down="up < 1"), metrics)

    async def body() -> None:
        await until(lambda: summary(detector, "down").state is INACTIVE)
        if fault == "status":
            metrics.status = 500
        else:
            metrics.page = "<html>busy</html>\n"
        await until(lambda: summary(detector, "down").state is FIRING)

    run(detector, body)


def test_a_target_that_hangs_delays_neither_the_ticks_nor_the_others(
    tmp_path: Path, metrics: MetricsServer, other_metrics: MetricsServer
) -> None:
    metrics.page, other_metrics.page = "redis_up 1\n", "other 1\n"
    rules = rule_set(tmp_path, redis="redis_up < 1", hung='up{job="job1"} < 1')
    detector, recorder = make(rules, metrics, other_metrics, interval_s=0.5)
    broken = Instant.now()
    requests: list[int] = []

    async def body() -> None:
        nonlocal broken
        await until(lambda: detector.health().ok)
        other_metrics.hang.set()
        await until(lambda: summary(detector, "hung").state is FIRING)
        hung = metrics.requests
        await until(lambda: metrics.requests == hung + 1)
        began = time.monotonic()
        await until(lambda: metrics.requests == hung + 5)
        requests.append(round((time.monotonic() - began) / 0.5))
        # Just after a tick: the next one shows it, and before the slow target's time-out in that tick.
        metrics.page, broken = "redis_up 0\n", Instant.now()
        await until(lambda: summary(detector, "redis").state is FIRING)

    run(detector, body)
    assert requests == [4], "one scrape for each interval, although each tick has a scrape that times out"
    fired = next(t.at for t in recorder.transitions if t.alert == "redis" and t.state_to is FIRING)
    assert fired - broken < 0.5 + 0.2, "not the 0.45 s time-out later"
    assert all(health.ok for health in recorder.health)


def test_ticks_do_not_drift(tmp_path: Path, metrics: MetricsServer) -> None:
    """Each scrape takes time; forty of them still start within a few milliseconds of the grid."""
    metrics.page = "x 1\n"
    detector, _ = make(rule_set(tmp_path, low="x < 1"), metrics, interval_s=0.05)
    ticks: list[float] = []
    original = detector._tick

    async def noting(scraper: object, tick: Instant) -> None:
        ticks.append(tick.mono_ns / 1e9)
        await original(scraper, tick)  # type: ignore[arg-type]

    detector._tick = noting  # type: ignore[method-assign]

    async def body() -> None:
        await until(lambda: len(ticks) >= 40)
        assert detector._started is not None
        assert detector._started.mono_ns / 1e9 == ticks[0]

    run(detector, body)
    steps = [(later - earlier) / 0.05 for earlier, later in itertools.pairwise(ticks)]
    assert all(abs(step - round(step)) < 1e-6 for step in steps), "always on the grid"
    assert sum(round(step) == 1 for step in steps) > len(steps) / 2, "seldom one missed"
    assert metrics.connections < metrics.requests / 3, "connections persist, but for a time-out"


@pytest.mark.parametrize("first_awake", ["watchdog", "tick"])
def test_a_blocked_loop_makes_it_unhealthy_and_unknown_then_well_again(
    tmp_path: Path, metrics: MetricsServer, first_awake: str
) -> None:
    metrics.page = "x 0\n"
    detector, recorder = make(rule_set(tmp_path, low="x < 1"), metrics)

    async def body() -> None:
        await until(lambda: summary(detector, "low").state is FIRING)
        if first_awake == "tick":
            detector._tasks[1].cancel()
        time.sleep(5 * INTERVAL_S)  # noqa: ASYNC251 - blocking the loop is the point
        assert not detector.health().ok, "asked at once, before anything could run"
        assert {alert.state for alert in detector.alerts()} == {UNKNOWN}
        before = metrics.requests
        await until(lambda: len(recorder.health) == 3)
        assert summary(detector, "low").state is FIRING
        await asyncio.sleep(0.5 * INTERVAL_S)
        assert metrics.requests - before <= 2, "missed ticks are skipped, not caught up with"

    run(detector, body)
    assert [health.ok for health in recorder.health] == [True, False, True]
    assert "no evaluation for" in recorder.health[1].detail
    assert recorder.health[1].last_good is not None
    assert recorder.states("low") == [PENDING, FIRING], "a stall resolves nothing"


def test_a_rule_that_cannot_be_evaluated_is_unknown_and_named(tmp_path: Path, metrics: MetricsServer) -> None:
    metrics.page = 'x{a="1"} 0\n'
    detector, recorder = make(rule_set(tmp_path, twins='{__name__=~"x|y"} < 1', fine="x < 1"), metrics)

    async def body() -> None:
        await until(lambda: summary(detector, "twins").state is FIRING)
        metrics.page = 'x{a="1"} 0\ny{a="1"} 0\n'
        await until(lambda: not detector.health().ok)
        assert {a.state for a in detector.alerts() if a.name == "twins"} == {UNKNOWN}
        assert summary(detector, "fine").state is FIRING, "the other rule is evaluated as before"
        metrics.page = 'x{a="1"} 0\n'
        await until(lambda: detector.health().ok)
        assert summary(detector, "twins").state is FIRING

    run(detector, body)
    assert [health.ok for health in recorder.health] == [True, False, True]
    assert "rule twins" in recorder.health[1].detail
    assert recorder.states("twins") == [PENDING, FIRING]


def test_an_error_in_a_callback_ends_the_detector_loudly(tmp_path: Path, metrics: MetricsServer) -> None:
    metrics.page = "x 0\n"
    health: list[Health] = []

    def broken(_: Transition) -> None:
        raise ValueError("no room")

    detector = EmbeddedDetector(
        rule_set(tmp_path, low="x < 1"),
        [ScrapeTarget("a", "b", metrics.url)],
        interval_s=INTERVAL_S,
        on_transition=broken,
        on_health=health.append,
    )

    async def body() -> None:
        await until(lambda: bool(health))
        await asyncio.sleep(0)
        assert not detector.health().ok
        assert {alert.state for alert in detector.alerts()} == {UNKNOWN}

    with pytest.raises(DetectorError, match="no room"):
        run(detector, body)
    assert [(told.ok, "died" in told.detail) for told in health] == [(False, True)]


def test_an_idle_connection_that_the_target_closed_is_no_outage(
    tmp_path: Path, metrics: MetricsServer
) -> None:
    metrics.page = "x 1\n"
    detector, recorder = make(rule_set(tmp_path, down="up < 1"), metrics)

    async def body() -> None:
        await until(lambda: detector.health().ok)
        metrics.drop_reused.set()
        connections = metrics.connections
        await until(lambda: metrics.connections >= connections + 3)

    run(detector, body)
    assert recorder.states("down") == []


@pytest.mark.parametrize(
    ("targets", "interval_s", "speed", "message"),
    [
        ([], 1.0, 1.0, "at least one scrape target"),
        (["a"], 0.0, 1.0, "not above zero"),
        (["a", "a"], 1.0, 1.0, "same job and instance"),
        (["a"], 1.0, 200.0, "fewer than two scrapes"),
    ],
)
def test_what_cannot_work_is_refused_before_it_starts(
    tmp_path: Path, targets: list[str], interval_s: float, speed: float, message: str
) -> None:
    scrape = [ScrapeTarget(name, "i", "http://127.0.0.1:1/metrics") for name in targets]
    with pytest.raises(UsageError, match=message):
        EmbeddedDetector(rule_set(tmp_path, speed, slope="rate(x[5m]) > 1"), scrape, interval_s=interval_s)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1:80/metrics", "http:///metrics", ""])
def test_a_target_needs_an_http_url(url: str) -> None:
    with pytest.raises(UsageError, match="http://"):
        ScrapeTarget("a", "b", url)


def test_describe_tells_everything_but_secrets(tmp_path: Path) -> None:
    target = ScrapeTarget("a", "b", "http://user:hunter2@127.0.0.1:9/metrics?token=hunter3")
    described = EmbeddedDetector(rule_set(tmp_path, 10.0, down="up < 1 for 60s"), [target]).describe()
    assert "hunter" not in str(described)
    assert described["kind"] == "embedded"
    assert (described["speed"], described["interval_s"]) == (10.0, 1.0)
    assert described["targets"] == [{"job": "a", "instance": "b", "url": "http://127.0.0.1:9/metrics"}]


def test_stop_is_harmless_before_start_and_twice_and_start_works_once(
    tmp_path: Path, metrics: MetricsServer
) -> None:
    metrics.page = "x 1\n"
    detector, _ = make(rule_set(tmp_path, down="up < 1"), metrics)

    async def main() -> None:
        await detector.stop()
        await detector.start()
        with pytest.raises(DetectorError, match="already started"):
            await detector.start()
        async with asyncio.timeout(10):
            await until(lambda: detector.health().ok)
        await detector.stop()
        await detector.stop()

    asyncio.run(main())


# --- watch ------------------------------------------------------------------------------------------


def test_watch_once_shows_every_rule_when_all_is_known(tmp_path: Path, metrics: MetricsServer) -> None:
    metrics.page = "x 0\ny 1\n"
    rules = rule_set(tmp_path, low="x < 1 for 1m", slope="rate(y[5m]) > 1", gone="y < 1")
    detector, _ = make(rules, metrics)
    lines: list[str] = []
    alerts = asyncio.run(watch(detector, once=True, out=lines.append, poll_s=0.02))
    assert {alert.name: alert.state for alert in alerts if alert.summary} == {
        "low": PENDING,
        "slope": INACTIVE,
        "gone": INACTIVE,
    }
    assert any(line.startswith("low  pending since ") and "fires after 60 s" in line for line in lines)
    assert "slope  inactive" in lines
    assert lines[-1] == "detector healthy: 3 rules evaluated"


def test_watch_shows_changes_until_it_is_cancelled(tmp_path: Path, metrics: MetricsServer) -> None:
    metrics.page = "x 1\n"
    detector, _ = make(rule_set(tmp_path, low="x < 1"), metrics)
    lines: list[str] = []

    async def main() -> None:
        task = asyncio.create_task(watch(detector, once=False, out=lines.append, poll_s=0.01))
        await until(lambda: "low  inactive" in lines)
        metrics.page = "x 0\n"
        await until(lambda: any(line.startswith("low  firing since") for line in lines))
        metrics.page = "x 1\n"
        await until(lambda: any(line.startswith("low  inactive, resolved at") for line in lines))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(main(), 10))


def test_watch_once_gives_up_with_unknown_and_not_with_inactive(
    tmp_path: Path, metrics: MetricsServer
) -> None:
    metrics.page = 'x{a="1"} 0\ny{a="1"} 0\n'
    detector, _ = make(rule_set(tmp_path, twins='{__name__=~"x|y"} < 1'), metrics)
    lines: list[str] = []
    alerts = asyncio.run(watch(detector, once=True, out=lines.append, poll_s=0.02, timeout_s=0.5))
    assert {alert.state for alert in alerts} == {UNKNOWN}
    assert lines[0] == "twins  unknown"
    assert lines[1].startswith("detector UNHEALTHY: rule twins")
