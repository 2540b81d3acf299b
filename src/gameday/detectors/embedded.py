"""The embedded detector: scrapes at a fixed rate, evaluates a Prometheus rules file, keeps alert states.

It needs no Prometheus, so a drill runs on a laptop, and it sees an alert within one scrape interval. Its
ticks are fixed points of the monotonic clock: a slow target never delays them, and a missed one is skipped,
not caught up with. Each tick scrapes all targets at once; rules are evaluated when all have answered, or
after a short grace without the slow ones and again as each of those comes in.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gameday.clock import Instant
from gameday.detectors.base import Alert, AlertState, Health, OnHealth, OnTransition, RuleInfo, Sample
from gameday.detectors.promql import Evaluator, Expression
from gameday.detectors.rules import Rule, RuleSet
from gameday.detectors.scrape import Page, Scraper, ScrapeTarget
from gameday.detectors.state import LabelKey, RuleState, label_key, step
from gameday.errors import DetectorError, UsageError

# Beyond this many intervals without an evaluation the detector is blind.
STALL_INTERVALS = 3
# How long the first evaluation of a tick waits for slow targets: a share of the interval, and a limit.
_GRACE_SHARE, _GRACE_MAX_S = 0.1, 0.1
# Prometheus' default scrape_timeout; a shorter interval makes it shorter.
_TIMEOUT_SHARE, _TIMEOUT_MAX_S = 0.9, 10.0


class EmbeddedDetector:
    """Implements `Detector`. One instance watches once: `start`, then `stop`."""

    def __init__(
        self,
        rules: RuleSet,
        targets: Sequence[ScrapeTarget],
        *,
        interval_s: float = 1.0,
        queries: Sequence[str] = (),
        on_transition: OnTransition = lambda _: None,
        on_health: OnHealth = lambda _: None,
    ) -> None:
        """Nothing is contacted yet. `queries` are what `query` will be asked: their windows must be kept.

        Raises:
            UsageError: no target, two targets with the same labels, or a window too short for the interval.
            UnsupportedError: a query that the evaluator lacks something for.
        """
        self._queries = {text: Expression.parse(text, speed=rules.speed) for text in queries}
        _check(rules, self._queries, targets, interval_s)
        self._rule_set = rules
        self._targets = tuple(targets)
        self._interval_s = interval_s
        self._on_transition = on_transition
        self._on_health = on_health
        expressions = (*(rule.expression for rule in rules.rules), *self._queries.values())
        window_s = max(expression.window_s for expression in expressions)
        self._evaluator = Evaluator(longest_window_s=window_s, interval_s=interval_s)
        self._states = {rule.name: RuleState() for rule in rules.rules}
        self._failed: dict[str, str] = {}
        self._ticks_evaluated = 0
        self._started: Instant | None = None
        self._last_evaluated: Instant | None = None
        self._evaluated_at_ms = 0
        self._health = Health(ok=False, detail="not started", last_good=None)
        self._told: bool | None = None
        self._down: dict[str, str] = {}
        # made here and not in `start`: its imports take a tenth of a second, which would block the loop
        self._scraper = Scraper(min(_TIMEOUT_MAX_S, _TIMEOUT_SHARE * interval_s))
        self._tasks: list[asyncio.Task[None]] = []

    # --- the protocol --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to scrape. The first evaluation follows within one interval."""
        if self._started is not None:
            raise DetectorError("the embedded detector was already started; make a new one")
        self._started = Instant.now()
        self._health = Health(ok=False, detail="no evaluation yet")
        self._tasks = [
            asyncio.create_task(self._run(self._scraper, self._started), name="gameday-detector"),
            asyncio.create_task(self._watch_stalls(), name="gameday-detector-watch"),
        ]

    async def stop(self) -> None:
        """Stop and release the connections.

        Raises:
            DetectorError: the detector had died of an unexpected error, which is its cause.
        """
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        if self._started is not None:
            await self._scraper.close()
            self._health = replace(self._health, ok=False, detail="stopped")
        for result in results:
            if isinstance(result, Exception):
                raise DetectorError(f"the embedded detector died: {result!r}") from result

    def alerts(self) -> tuple[Alert, ...]:
        """The latest state of every rule and label set; UNKNOWN where the detector cannot tell."""
        blind = self._blind()
        alerts: list[Alert] = []
        for rule in self._rule_set.rules:
            unknown = blind or rule.name in self._failed or self._too_early(rule.expression)
            known = self._states[rule.name].alerts(rule.name)
            alerts += [_unknown(alert) for alert in known] if unknown else known
        return tuple(alerts)

    def health(self) -> Health:
        """Health as of now: a stall shows here even if the event loop was too busy to tell."""
        stalled_s = self._stalled_for_s()
        return self._health if stalled_s is None else self._stalled(stalled_s)

    def rules(self) -> tuple[RuleInfo, ...]:
        """The rules in the file's order."""
        return tuple(rule.info for rule in self._rule_set.rules)

    def describe(self) -> dict[str, object]:
        """For the evidence."""
        return {
            "kind": "embedded",
            "interval_s": self._interval_s,
            "rules_file": str(self._rule_set.path),
            "rules": len(self._rule_set.rules),
            "speed": self._rule_set.speed,
            "targets": [
                {"job": target.job, "instance": target.instance, "url": target.public_url}
                for target in self._targets
            ],
        }

    def down(self) -> dict[str, str]:
        """Targets (`job/instance`) whose last scrape failed, with the reason. Information, not ill health."""
        return dict(self._down)

    async def query(self, expr: str) -> tuple[Sample, ...]:
        """What `expr` is on the samples of the last evaluation, its windows divided by the speed as the rules' are.

        Raises:
            DetectorError: blind, too early for its window, or it cannot be evaluated on these samples.
        """
        if self._blind():
            raise DetectorError(f"the embedded detector is blind: {self.health().detail}")
        if expr not in self._queries:
            self._queries[expr] = Expression.parse(expr, speed=self._rule_set.speed)
        expression = self._queries[expr]
        if self._too_early(expression):
            raise DetectorError("not known yet: a window needs two scrapes")
        found = self._evaluator.evaluate(expression, self._evaluated_at_ms)
        return tuple(Sample(labels, value) for labels, value in found)

    # --- the loop ------------------------------------------------------------------------------------------

    async def _run(self, scraper: Scraper, start: Instant) -> None:
        number = 0
        try:
            while True:
                await asyncio.sleep(max(0.0, start.plus(number * self._interval_s) - Instant.now()))
                self._tell_stall()
                # a loop that was blocked goes on with the present tick: missed ones are skipped
                number = max(number, math.floor((Instant.now() - start) / self._interval_s))
                await self._tick(scraper, start.plus(number * self._interval_s))
                number += 1
        except Exception as error:
            self._tell(Health(False, f"the detector died: {error!r}", self._health.last_good))
            raise

    async def _tick(self, scraper: Scraper, tick: Instant) -> None:
        """Scrape all targets; evaluate without waiting for slow ones longer than the grace."""
        waiting = {asyncio.create_task(scraper.fetch(target)) for target in self._targets}
        # The first tick waits for all: before a target has answered or failed, its silence is no answer.
        grace_s = min(_GRACE_MAX_S, _GRACE_SHARE * self._interval_s) if self._ticks_evaluated else None
        try:
            done, waiting = await asyncio.wait(waiting, timeout=grace_s)
            if done:
                self._absorb([task.result() for task in done], tick)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                self._absorb([task.result() for task in done], tick)
        finally:
            for task in waiting:
                task.cancel()
        self._ticks_evaluated += 1

    def _absorb(self, pages: list[Page], tick: Instant) -> None:
        """Take in the pages and evaluate all rules at the tick's time."""
        at_ms = round(tick.utc.timestamp() * 1000)
        try:
            for page in pages:
                self._ingest(page, at_ms)
        except DetectorError as error:
            self._tell(Health(False, str(error), self._health.last_good))
            return
        self._evaluate(tick, at_ms)

    def _ingest(self, page: Page, at_ms: int) -> None:
        from gameday.detectors.exposition import BadExpositionError

        labels, failure = page.target.series_labels, page.failure
        if page.text is not None:
            try:
                self._evaluator.ingest(page.text, labels, at_ms, duration_s=page.duration_s)
            except BadExpositionError as error:
                failure = str(error)
        name = f"{page.target.job}/{page.target.instance}"
        if failure:
            self._evaluator.ingest_failed(labels, at_ms, duration_s=page.duration_s)
            self._down[name] = failure
        else:
            self._down.pop(name, None)

    def _evaluate(self, tick: Instant, at_ms: int) -> None:
        for rule in self._rule_set.rules:
            try:
                self._evaluate_rule(rule, tick, at_ms)
                self._failed.pop(rule.name, None)
            except DetectorError as error:
                self._failed[rule.name] = str(error)
        now = Instant.now()
        self._last_evaluated, self._evaluated_at_ms = now, at_ms
        if self._failed:
            detail = "; ".join(f"rule {name}: {error}" for name, error in self._failed.items())
            self._tell(Health(False, detail, self._health.last_good))
        else:
            self._tell(Health(True, f"{len(self._rule_set.rules)} rules evaluated", now))

    def _evaluate_rule(self, rule: Rule, tick: Instant, at_ms: int) -> None:
        began = Instant.now()
        active = _active(rule, self._evaluator.evaluate(rule.expression, at_ms))
        now = Instant.now()
        state, transitions = step(
            rule.name,
            self._states[rule.name],
            active,
            now=now,
            tick=tick,
            for_s=rule.for_s,
            keep_firing_for_s=rule.keep_firing_for_s,
            resolution_s=now - began,
        )
        self._states[rule.name] = state
        for transition in transitions:
            self._on_transition(transition)

    # --- health --------------------------------------------------------------------------------------------

    async def _watch_stalls(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self._tell_stall()

    def _tell_stall(self) -> None:
        stalled_s = self._stalled_for_s()
        if stalled_s is not None:
            self._tell(self._stalled(stalled_s))

    def _stalled_for_s(self) -> float | None:
        """Seconds since the last evaluation, if that is too long ago; None otherwise."""
        since = self._last_evaluated or self._started
        if since is None or not self._running():
            return None
        gap_s = Instant.now() - since
        return gap_s if gap_s > STALL_INTERVALS * self._interval_s else None

    def _stalled(self, gap_s: float) -> Health:
        detail = f"no evaluation for {gap_s:.1f} s at an interval of {self._interval_s:g} s"
        return Health(False, detail, self._health.last_good)

    def _running(self) -> bool:
        return bool(self._tasks) and not self._tasks[0].done()

    def _blind(self) -> bool:
        return self._last_evaluated is None or self._stalled_for_s() is not None or not self._running()

    def _too_early(self, expression: Expression) -> bool:
        """A rate needs two scrapes: after one, its silence is no answer."""
        return expression.window_s > 0 and self._ticks_evaluated < 2

    def _tell(self, health: Health) -> None:
        self._health = health
        if self._told is not health.ok:
            self._told = health.ok
            self._on_health(health)


def _unknown(alert: Alert) -> Alert:
    return replace(alert, state=AlertState.UNKNOWN, value=None)


def _active(rule: Rule, series: list[tuple[dict[str, str], float]]) -> dict[LabelKey, float]:
    """Alerts of one evaluation by label set: the series' labels without the metric name, then the rule's own.

    Raises:
        DetectorError: two series become one alert, which Prometheus refuses too (rules/alerting.go).
    """
    active: dict[LabelKey, float] = {}
    for labels, value in series:
        merged = {name: text for name, text in labels.items() if name != "__name__"} | dict(rule.labels)
        key = label_key({name: text for name, text in merged.items() if text})
        if key in active:
            raise DetectorError(f"two series of its result have the same labels {dict(key)} as alerts")
        active[key] = value
    return active


def _check(
    rules: RuleSet, queries: Mapping[str, Expression], targets: Sequence[ScrapeTarget], interval_s: float
) -> None:
    if not targets:
        raise UsageError("the embedded detector needs at least one scrape target")
    if interval_s <= 0:
        raise UsageError(f"a scrape interval of {interval_s:g} s is not above zero")
    identities = [(target.job, target.instance) for target in targets]
    if len(set(identities)) < len(identities):
        raise UsageError("two scrape targets have the same job and instance; their series would be mixed up")
    named = {f"rule {rule.name}": rule.expression for rule in rules.rules}
    named |= {f"`{text}`": expression for text, expression in queries.items()}
    for name, expression in named.items():
        window_s = expression.shortest_window_s
        if 0 < window_s < 2 * interval_s:
            raise UsageError(
                f"{name}: its window of {window_s:g} s (at speed {rules.speed:g}) holds fewer than "
                f"two scrapes at an interval of {interval_s:g} s, so its rate could never be known; lower "
                "the speed or the interval"
            )
