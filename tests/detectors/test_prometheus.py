"""The Prometheus detector against a scripted server: what cannot be read is unknown, and instants are honest."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detectors.api_server import FakePrometheus, rfc
from detectors.stack import FIRING, INACTIVE, PENDING, UNKNOWN, Recorder, opened, run, summary, until
from gameday.clock import Instant
from gameday.detectors import http_access
from gameday.detectors.advice import advise
from gameday.errors import DetectorError


@contextlib.asynccontextmanager
async def watching(detector: Any) -> Any:
    await detector.start()
    try:
        yield detector
    finally:
        await detector.stop()


def test_rules_are_told_as_prometheus_has_them(tmp_path: Path) -> None:
    async def body() -> None:
        async with FakePrometheus() as server:
            server.rule("down", duration=2, labels={"severity": "SEV1", "team": "a"})
            server.rule("other")
            async with watching(opened(tmp_path, server.url)) as detector:
                first, second = detector.rules()
                assert (first.name, first.for_s, first.severity) == ("down", 2.0, "SEV1")
                assert first.labels == {"severity": "SEV1", "team": "a"}
                assert first.runbook_url == "runbooks/01.md"
                assert first.expr == 'up{job="api"} == 0'
                assert second.name == "other"
                assert advise(first) == ()
                assert summary(detector, "down").state is INACTIVE

    run(body)


def test_the_floor_is_scrape_plus_evaluation_plus_for(tmp_path: Path) -> None:
    async def body() -> None:
        async with FakePrometheus() as server:
            server.interval_s = 10.0
            server.rule("named", duration=25)
            server.rule("unnamed", query="up == 0")
            async with watching(opened(tmp_path, server.url)) as detector:
                named, unnamed = (rule.floor for rule in detector.rules())
                assert named["scrape_s"] == 5.0  # the rule names the job api
                assert named["evaluation_s"] == 10.0
                assert named["for_s"] == 30.0  # `for` ends at an evaluation
                assert named["fires_s"] == 45.0
                assert named["notifies_s"] is None  # no Alertmanager was named
                assert unnamed["fires_s"] == 15.0 + 10.0

    run(body)


def test_an_alert_goes_pending_firing_and_resolves(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.rule("down", duration=0.2)
            async with watching(opened(tmp_path, server.url, recorder)) as detector:
                await asyncio.sleep(0.2)
                began = Instant.now()
                server.fire("down", "pending", instance="a")
                await until(lambda: recorder.states("down") == [PENDING])
                server.calm("down")
                server.fire("down", instance="a")
                await until(lambda: recorder.states("down") == [PENDING, FIRING])
                seen = summary(detector, "down")
                assert seen.state is FIRING
                assert seen.firing_since is not None
                instances = [alert for alert in detector.alerts() if not alert.summary]
                assert [dict(alert.labels) for alert in instances] == [{"instance": "a"}]
                assert instances[0].value == 1.0
                server.calm("down")
                await until(lambda: recorder.states("down") == [PENDING, FIRING, INACTIVE])
                first = recorder.of("down")[0]
                assert 0 <= first.at - began <= 0.25
                assert recorder.of("down")[-1].resolved
                assert summary(detector, "down").resolved_at is not None

    run(body)


def test_a_rule_fires_while_any_instance_does(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.rule("down")
            async with watching(opened(tmp_path, server.url, recorder)) as detector:
                server.fire("down", instance="a")
                server.fire("down", "pending", instance="b")
                await until(lambda: FIRING in recorder.states("down"))
                server.rules["down"]["alerts"] = server.rules["down"]["alerts"][1:]
                await until(lambda: recorder.states("down") == [PENDING, FIRING, INACTIVE, PENDING])
                assert summary(detector, "down").state is PENDING
                ats = [transition.at.mono_ns for transition in recorder.of("down")]
                assert ats[:2] == sorted(ats[:2])

    run(body)


@pytest.mark.parametrize("ahead_s", [0.0, 5.0, -5.0, 3600.0])
def test_another_clock_changes_no_instant(tmp_path: Path, ahead_s: float) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.clock_ahead_s = ahead_s
            server.interval_s = 60.0
            evaluated_s = server.now_s() - 1
            rule = server.rule("down", lastEvaluation=rfc(evaluated_s))
            async with watching(opened(tmp_path, server.url, recorder, every="500ms")) as detector:
                await asyncio.sleep(0.2)  # between two looks
                began = Instant.now()
                rule["lastEvaluation"] = rfc(server.now_s())
                server.fire("down")
                await until(lambda: FIRING in recorder.states("down"))
                firing = recorder.of("down")[-1]
                # one evaluation was made between the two looks: that is when, and not when it was looked at
                assert firing.seen == "evaluated"
                assert abs(firing.at - began) < 0.08
                assert firing.resolution_s < 0.08
                told = detector.describe()
                assert abs(float(str(told["clock_ahead_s"])) - ahead_s) < 0.05

    run(body)


def test_a_firing_that_was_not_seen_pending_is_derived_from_active_at(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.interval_s = 0.1
            server.rule("down", duration=0.25)
            async with watching(opened(tmp_path, server.url, recorder, every="2s")):
                server.hang = False
                active_s = server.now_s() + 0.3
                began = Instant.now()
                server.fire("down", since_s=active_s)
                await until(lambda: FIRING in recorder.states("down"))
                pending, firing = recorder.of("down")
                assert (pending.seen, firing.seen) == ("derived", "derived")
                # at `activeAt` or within an evaluation interval after; firing three intervals later
                assert 0.28 <= pending.at - began <= 0.48
                assert abs((firing.at - pending.at) - 0.3) < 0.05
                assert pending.resolution_s < 0.15

    run(body)


def test_without_a_clock_the_instant_is_what_was_observed(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.headers = {"Date": "nonsense"}
            del server.paths["/api/v1/query"]
            server.rule("down")
            async with watching(opened(tmp_path, server.url, recorder, every="200ms")) as detector:
                server.fire("down")
                await until(lambda: FIRING in recorder.states("down"))
                firing = recorder.of("down")[-1]
                assert firing.seen == "observed"
                assert 0.0 < firing.resolution_s < 0.5
                assert "clock_ahead_s" not in detector.describe()

    run(body)


_FAILURES: dict[str, tuple[Callable[[FakePrometheus], None], str]] = {
    "hanging": (lambda s: setattr(s, "hang", True), "within 0.3 s"),
    "dribbling": (lambda s: setattr(s, "dribble_s", 0.02), "within 0.3 s"),
    "401": (lambda s: setattr(s, "status", 401), "status 401"),
    "500": (lambda s: setattr(s, "status", 500), "status 500"),
    "redirect": (lambda s: setattr(s, "status", 302), "redirect"),
    "truncated": (lambda s: setattr(s, "truncate", True), "no answer"),
    "no JSON": (lambda s: s.paths.update({"/api/v1/rules": b"<html>"}), "not JSON"),
    "deep JSON": (lambda s: s.paths.update({"/api/v1/rules": b"[" * 200_000}), "not JSON"),
    "another document": (lambda s: s.paths.update({"/api/v1/rules": [1]}), "not Prometheus' rules API"),
    "an error": (
        lambda s: s.paths.update({"/api/v1/rules": {"status": "error", "error": "overload"}}),
        "overload",
    ),
    "a text for a number": (lambda s: s.rules["down"].update(duration="1s"), "`duration`"),
    "a number for a list": (lambda s: s.rules["down"].update(alerts=3), "`alerts`"),
    "labels of numbers": (lambda s: s.rules["down"].update(labels={"a": 1}), "`labels`"),
    "a strange time": (lambda s: s.rules["down"].update(lastEvaluation="soon"), "no time"),
    "compressed": (lambda s: s.headers.update({"Content-Encoding": "gzip"}), "compressed"),
}


@pytest.mark.parametrize("failure", _FAILURES)
def test_a_server_that_cannot_tell_makes_firing_alerts_unknown_and_never_inactive(
    tmp_path: Path, failure: str
) -> None:
    break_it, said = _FAILURES[failure]

    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.rule("down")
            server.fire("down")
            async with watching(
                opened(tmp_path, server.url, recorder, access={"timeout": "300ms"})
            ) as detector:
                assert summary(detector, "down").state is FIRING
                kept = {name: dict(rule) for name, rule in server.rules.items()}
                paths = dict(server.paths)
                break_it(server)
                await until(lambda: not detector.health().ok)
                assert {alert.state for alert in detector.alerts()} == {UNKNOWN}
                await until(lambda: said in detector.health().detail)
                assert [health.ok for health in recorder.health] == [True, False]
                # and it comes back by itself
                server.hang, server.dribble_s, server.truncate = False, None, False
                server.status, server.headers, server.rules, server.paths = 200, {}, kept, paths
                await until(lambda: detector.health().ok)
                assert summary(detector, "down").state is FIRING
                assert recorder.states("down") == [PENDING, FIRING]

    run(body)


def test_a_huge_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_access, "MAX_BYTES", 10_000)

    async def body() -> None:
        async with FakePrometheus() as server:
            server.rule("down")
            async with watching(opened(tmp_path, server.url)) as detector:
                server.rules["down"]["annotations"] = {"text": "x" * 20_000}
                await until(lambda: "more than 10000 bytes" in detector.health().detail)

    run(body)


def test_a_server_that_dies_and_comes_back_with_a_memory_has_a_gap_and_no_lie(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.rule("down")
            async with watching(opened(tmp_path, server.url, recorder)) as detector:
                await server.die()
                await until(lambda: not detector.health().ok)
                assert "refused" in detector.health().detail
                await asyncio.sleep(0.3)
                server.fire("down")
                server.rules["down"]["alerts"][0]["activeAt"] = ""
                server.paths.pop("/api/v1/query")
                await server.listen()
                await until(lambda: FIRING in recorder.states("down"))
                assert recorder.of("down")[-1].resolution_s > 0.05

    run(body)


def test_a_restarted_prometheus_that_forgot_its_alerts_resolves_none(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.rule("down")
            server.fire("down")
            async with watching(opened(tmp_path, server.url, recorder)) as detector:
                await server.die()
                await until(lambda: not detector.health().ok)
                server.calm("down")
                server.born = "2026-01-02T00:00:00Z"
                await server.listen()
                await until(lambda: detector.health().ok)
                assert summary(detector, "down").state is INACTIVE
                assert recorder.states("down") == [PENDING, FIRING]

    run(body)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"health": "err", "lastError": "many-to-many matching"}, "many-to-many"),
        ({"health": "unknown"}, "not evaluated yet"),
        ({"lastEvaluation": "0001-01-01T00:00:00Z"}, "not evaluated yet"),
        ({"lastEvaluation": rfc(time.time() - 300)}, "not evaluated for"),
    ],
)
def test_a_rule_that_prometheus_cannot_evaluate_is_unknown_and_the_others_are_not(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.rule("down")
            server.rule("other")
            async with watching(opened(tmp_path, server.url, recorder)) as detector:
                server.rules["down"].update(change)
                await until(lambda: not detector.health().ok)
                assert said in detector.health().detail
                assert "rule down" in detector.health().detail
                assert summary(detector, "down").state is UNKNOWN
                assert summary(detector, "other").state is INACTIVE

    run(body)


def test_a_rule_that_vanishes_is_unknown(tmp_path: Path) -> None:
    async def body() -> None:
        async with FakePrometheus() as server:
            server.rule("down")
            server.rule("other")
            async with watching(opened(tmp_path, server.url)) as detector:
                del server.rules["down"]
                await until(lambda: not detector.health().ok)
                assert "no longer among the rules" in detector.health().detail
                assert summary(detector, "down").state is UNKNOWN

    run(body)


def test_an_alert_that_fires_already_is_seen_at_once_and_not_dated_before_the_watch(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.rule("down")
            server.fire("down", since_s=server.now_s() - 3600)
            began = Instant.now()
            async with watching(opened(tmp_path, server.url, recorder)) as detector:
                assert recorder.states("down") == [PENDING, FIRING]
                assert all(began <= transition.at for transition in recorder.of("down"))
                seen = summary(detector, "down")
                assert seen.pending_since is not None
                assert seen.firing_since is not None
                assert began - seen.pending_since == pytest.approx(3600, abs=1)
                assert began - seen.firing_since == pytest.approx(3600, abs=1)

    run(body)


def test_a_prometheus_that_is_not_there_refuses_to_start(tmp_path: Path) -> None:
    async def body() -> None:
        detector = opened(tmp_path, "http://127.0.0.1:1")
        with pytest.raises(DetectorError, match="refused"):
            await detector.start()
        await detector.stop()

    run(body)


def test_a_prometheus_without_rules_refuses_to_start(tmp_path: Path) -> None:
    async def body() -> None:
        async with FakePrometheus() as server:
            with pytest.raises(DetectorError, match="no alerting rule"):
                await opened(tmp_path, server.url).start()

    run(body)


def test_looks_keep_their_rate_when_answers_are_slow(tmp_path: Path) -> None:
    async def body() -> None:
        async with FakePrometheus() as server:
            server.rule("down")
            async with watching(opened(tmp_path, server.url, every="100ms")) as detector:
                server.delay_s = 0.9
                await asyncio.sleep(1.0)
                server.delay_s = 0.0
                before = len(server.requests)
                await asyncio.sleep(1.0)
                asked = [target for target, _ in server.requests[before:] if "rules" in target]
                assert len(asked) <= 11  # those that were missed are not caught up with
                assert detector.health().ok

    run(body)


def test_two_rules_of_one_name_are_one_alert(tmp_path: Path) -> None:
    async def body() -> None:
        recorder = Recorder()
        async with FakePrometheus() as server:
            server.rule("down", labels={"severity": "SEV1"})
            twin = server.rule("twin", labels={"severity": "SEV2"})
            twin["name"] = "down"
            async with watching(opened(tmp_path, server.url, recorder)) as detector:
                server.fire("twin", severity="SEV2")
                await until(lambda: recorder.states("down") == [PENDING, FIRING])
                assert summary(detector, "down").state is FIRING
                twin["health"] = "err"
                await until(lambda: summary(detector, "down").state is UNKNOWN)

    run(body)


def test_a_stopped_detector_knows_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with FakePrometheus() as server:
            server.rule("down")
            detector = opened(tmp_path, server.url)
            async with watching(detector):
                known = summary(detector, "down")
            assert summary(detector, "down") == replace(known, state=UNKNOWN)
            assert not detector.health().ok
            await detector.stop()

    run(body)
