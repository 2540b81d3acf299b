"""The detector that reads a real Prometheus: its rules API at a fixed rate, its clock, its own evaluations.

Prometheus decides; this follows. An alert's instants are narrowed by what Prometheus says of its evaluations
(`moment`), and its clock is compared with this machine's (`remote_clock`), so that neither the rate of looking nor
two clocks that differ are mistaken for time to detect. Whatever cannot be read is unknown, never inactive.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

from gameday.clock import Instant
from gameday.detectors.base import (
    Alert,
    AlertState,
    Health,
    OnHealth,
    OnTransition,
    RuleInfo,
    Sample,
    Transition,
)
from gameday.detectors.floor import PrometheusConfig, read_prometheus_config
from gameday.detectors.http_access import Answer, HttpAccess
from gameday.detectors.prometheus_query import read_query_answer
from gameday.detectors.prometheus_rules import RuleReading, read_rules_answer
from gameday.detectors.remote_clock import Difference, RemoteClock
from gameday.detectors.remote_state import Followed, follow
from gameday.errors import DetectorError

RULES, QUERY = "/api/v1/rules", "/api/v1/query"
# Without a good answer for this many looks, and at least this long, the detector is blind.
STALL_LOOKS, STALL_MIN_S = 3, 1.0
# A rule that was not evaluated for this many of its intervals, and this long besides, is not known.
_OVERDUE_INTERVALS, _OVERDUE_SLACK_S = 3, 1.0
_ASIDE_S = 2.0  # how often the clocks are compared
_CONFIG_S = 60.0
_FIRST_ANSWER_S = 5.0


class PrometheusDetector:
    """Implements `Detector`. One instance watches once: `start`, then `stop`."""

    def __init__(
        self,
        access: HttpAccess,
        *,
        every_s: float = 0.2,
        on_transition: OnTransition = lambda _: None,
        on_health: OnHealth = lambda _: None,
    ) -> None:
        """Nothing is contacted yet."""
        self._access = access
        self._every_s = every_s
        self._on_transition = on_transition
        self._on_health = on_health
        self._clock = RemoteClock()
        self._config = PrometheusConfig()
        self._born: str | None = None
        self._config_read: Instant | None = None
        self._rules: tuple[RuleReading, ...] = ()
        self._expected: dict[tuple[str, str, int], str] = {}
        self._followed: dict[str, Followed] = {}
        self._problems: dict[str, str] = {}
        self._doubtful = False
        self._started: Instant | None = None
        self._last_good: Instant | None = None
        self._failure = "not started"
        self._health = Health(ok=False, detail="not started")
        self._told: bool | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- the protocol --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Look for the first time; then go on at the rate.

        Raises:
            DetectorError: no answer, or no alerting rule: a drill that began like that could prove nothing.
        """
        if self._started is not None:
            raise DetectorError("the Prometheus detector was already started; make a new one")
        self._started = Instant.now()
        try:
            await self._first_look(self._started)
        except BaseException:
            await self._access.close()
            raise
        start = Instant.now()
        self._tasks = [
            asyncio.create_task(self._run(start), name="gameday-prometheus"),
            asyncio.create_task(self._look_aside(), name="gameday-prometheus-clock"),
            asyncio.create_task(self._watch_stalls(), name="gameday-prometheus-watch"),
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
        await self._access.close()
        if self._started is not None:
            self._failure = "stopped"
            self._health = replace(self._health, ok=False, detail="stopped")
        for result in results:
            if isinstance(result, Exception):
                raise DetectorError(f"the Prometheus detector died: {result!r}") from result

    def alerts(self) -> tuple[Alert, ...]:
        """The latest state of every rule's name and label sets; UNKNOWN where it cannot be told."""
        blind = self._blind()
        alerts: list[Alert] = []
        for name, followed in self._followed.items():
            known = followed.alerts()
            unknown = blind or name in self._problems
            alerts += [_unknown(alert) for alert in known] if unknown else known
        return tuple(alerts)

    def health(self) -> Health:
        """Health as of now: a stall shows here even if the event loop was too busy to tell."""
        stalled_s = self._stalled_for_s()
        return self._health if stalled_s is None else self._stalled(stalled_s)

    def rules(self) -> tuple[RuleInfo, ...]:
        """The alerting rules in Prometheus' order, each with the floor of its time to detect."""
        return tuple(
            replace(rule.info, floor=self._config.floor(rule.info, rule.interval_s)) for rule in self._rules
        )

    async def query(self, expr: str) -> tuple[Sample, ...]:
        """What `expr` is now, by Prometheus' own clock.

        Raises:
            DetectorError: the rules cannot be read either, no whole answer in time, or one that is no vector.
        """
        if self._blind():
            raise DetectorError(self.health().detail)
        answer = await self._access.get(QUERY, {"query": expr})
        try:
            return read_query_answer(answer.value)
        except DetectorError as error:
            raise DetectorError(
                f"{self._access.what} at {self._access.public_url}: GET {QUERY}: {error}"
            ) from None

    def describe(self) -> dict[str, object]:
        """For the evidence. What only Prometheus knows is there after `start`."""
        told: dict[str, object] = {
            "kind": "prometheus",
            "url": self._access.public_url,
            "interval_s": self._every_s,
            "authentication": self._access.manner,
        }
        if self._rules:
            told["rules"] = len(self._rules)
        difference = self.difference()
        if difference is not None:
            ahead_s, give_s = difference.ahead_of(Instant.now())
            told["clock_ahead_s"], told["clock_resolution_s"] = round(ahead_s, 4), round(give_s, 4)
        return told

    def difference(self) -> Difference | None:
        """Between Prometheus' clock and this machine's; None where it is not known."""
        return self._clock.difference(Instant.now())

    # --- looking -------------------------------------------------------------------------------------------

    async def _first_look(self, started: Instant) -> None:
        while True:
            try:
                await self._compare_clocks()
                await self._look()
                await self._read_surroundings()
                break
            except DetectorError as error:
                self._fail(str(error))
                if Instant.now() - started > _FIRST_ANSWER_S:
                    raise
            await asyncio.sleep(min(0.5, self._every_s))
        if not self._rules:
            raise DetectorError(f"Prometheus at {self._access.public_url} has no alerting rule")

    async def _run(self, start: Instant) -> None:
        number = 1
        try:
            while True:
                await asyncio.sleep(max(0.0, start.plus(number * self._every_s) - Instant.now()))
                try:
                    await self._look()
                except DetectorError as error:
                    self._fail(str(error))
                # a slow answer skips looks, it does not delay them
                number = max(number + 1, math.ceil((Instant.now() - start) / self._every_s))
        except Exception as error:
            self._fail(f"the detector died: {error!r}")
            raise

    async def _look(self) -> None:
        answer = await self._access.get(RULES, {"type": "alert"})
        if answer.date_s is not None:
            self._clock.told(answer.date_s, 1.0, answer.sent, answer.received)
        try:
            rules = read_rules_answer(answer.value)
        except DetectorError as error:
            raise DetectorError(
                f"{self._access.what} at {self._access.public_url}: GET {RULES}: {error}"
            ) from None
        if self._doubtful:
            await self._forget_if_restarted()
        self._doubtful = any(rule.problem for rule in rules)
        self._absorb(rules, answer, self._started or answer.sent)

    def _absorb(self, rules: tuple[RuleReading, ...], answer: Answer, since: Instant) -> None:
        """Take in one answer: what is known of each name, and the transitions."""
        difference = self._clock.difference(answer.received)
        problems: dict[str, str] = {}
        by_name: dict[str, list[RuleReading]] = {}
        for rule in rules:
            by_name.setdefault(rule.name, []).append(rule)
            problem = rule.problem or _overdue(rule, answer.received, difference)
            if problem:
                problems[rule.name] = problem
        for rule_key, name in self._expected.items():
            if all(rule.key != rule_key for rule in by_name.get(name, ())):
                problems.setdefault(name, "no longer among the rules of Prometheus")
        if not self._expected:
            self._expected = {rule.key: rule.name for rule in rules}
        self._rules, self._problems = rules, problems
        self._last_good, self._failure = answer.received, ""
        told: list[Transition] = []
        for name, readings in by_name.items():
            followed = self._followed.setdefault(name, Followed.of(name))
            if name not in problems:
                self._followed[name], transitions = follow(
                    followed,
                    readings,
                    since=since,
                    sent=answer.sent,
                    received=answer.received,
                    difference=difference,
                )
                told += transitions
        detail = "; ".join(f"rule {name}: {problem}" for name, problem in problems.items())
        if problems:
            self._tell(Health(False, detail, self._health.last_good))
        else:
            self._tell(Health(True, f"{len(rules)} rules read", answer.received))
        for transition in told:
            self._on_transition(transition)

    # --- what stands beside the rules ----------------------------------------------------------------------

    async def _look_aside(self) -> None:
        while True:
            await asyncio.sleep(_ASIDE_S)
            await self._compare_clocks()
            read = self._config_read
            if read is None or Instant.now() - read > _CONFIG_S:
                await self._read_surroundings()

    async def _compare_clocks(self) -> None:
        """Ask Prometheus for its time to the millisecond; where that is not allowed the Date header must do."""
        try:
            answer = await self._access.get(QUERY, {"query": "time()"})
            server_s = float(answer.value["data"]["result"][0])
            if not math.isfinite(server_s):
                return
        except (DetectorError, LookupError, TypeError, ValueError):
            return
        self._clock.told(server_s, 0.001, answer.sent, answer.received)

    async def _read_surroundings(self) -> None:
        """Configuration and birth of the server; either may be hidden from us, and then is not known."""
        self._config_read = Instant.now()
        try:
            answer = await self._access.get("/api/v1/status/config")
            self._config = read_prometheus_config(answer.value)
        except DetectorError as error:
            self._config = PrometheusConfig(reason=str(error))
        self._born = await self._birth() or self._born

    async def _birth(self) -> str | None:
        try:
            answer = await self._access.get("/api/v1/status/runtimeinfo")
            return str(answer.value["data"]["startTime"])
        except (DetectorError, LookupError, TypeError):
            return None

    async def _forget_if_restarted(self) -> None:
        """A Prometheus that was restarted lost its alerts: that one is no longer there is no resolution."""
        born = await self._birth()
        if born is not None and self._born is not None and born != self._born:
            self._followed = {name: Followed.of(name) for name in self._followed}
        self._born = born or self._born

    # --- health --------------------------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        self._failure, self._doubtful = reason, True
        self._tell(Health(False, reason, self._health.last_good))

    async def _watch_stalls(self) -> None:
        while True:
            await asyncio.sleep(max(self._every_s, 0.1))
            stalled_s = self._stalled_for_s()
            if stalled_s is not None and not self._failure:
                self._tell(self._stalled(stalled_s))

    def _stalled_for_s(self) -> float | None:
        if self._last_good is None or not self._running():
            return None
        gap_s = Instant.now() - self._last_good
        return gap_s if gap_s > max(STALL_MIN_S, STALL_LOOKS * self._every_s) else None

    def _stalled(self, gap_s: float) -> Health:
        detail = self._failure or f"{self._access.what} at {self._access.public_url}: no answer"
        return Health(False, f"{detail} (blind for {gap_s:.1f} s)", self._health.last_good)

    def _blind(self) -> bool:
        return bool(self._failure) or self._stalled_for_s() is not None or not self._running()

    def _running(self) -> bool:
        return bool(self._tasks) and not self._tasks[0].done()

    def _tell(self, health: Health) -> None:
        self._health = health
        if self._told is not health.ok:
            self._told = health.ok
            self._on_health(health)


def _overdue(rule: RuleReading, at: Instant, difference: Difference | None) -> str:
    """A server that answers and no longer evaluates knows nothing of now."""
    if difference is None or rule.evaluated_s is None:
        return ""
    least_s = difference.server_s(at)[0] - rule.evaluated_s
    if least_s <= _OVERDUE_INTERVALS * rule.interval_s + rule.took_s + _OVERDUE_SLACK_S:
        return ""
    return f"not evaluated for {least_s:.1f} s at an interval of {rule.interval_s:g} s"


def _unknown(alert: Alert) -> Alert:
    return replace(alert, state=AlertState.UNKNOWN, value=None)
