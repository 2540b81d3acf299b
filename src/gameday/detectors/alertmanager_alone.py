"""The detector that has an Alertmanager's API and nothing else: which alerts it has, and whether each is suppressed.

Alertmanager knows what fires and no rules, so rules come from files, and nothing is ever pending. An alert that it has
fires. That it does not have one proves nothing: Prometheus may be gone. So absence counts only beside a heartbeat, an
alert that always fires and that was sent lately.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gameday.clock import Instant
from gameday.detectors.alertmanager import Alertmanager, Standing
from gameday.detectors.base import Alert, Health, OnHealth, OnNotice, OnTransition, RuleInfo
from gameday.detectors.http_access import Answer
from gameday.detectors.spells import Spells
from gameday.errors import DetectorError

# Prometheus gives an alert four times the time to its next sending, and sends at the first evaluation after that time.
_LATE = 0.5
_CLOCK_S = 2.0
"""A Date header counts whole seconds; and one for the way."""


class AlertmanagerDetector:
    """Implements `Detector`. One instance watches once: `start`, then `stop`."""

    def __init__(
        self,
        alertmanager: Callable[..., Alertmanager],
        rules: Sequence[RuleInfo],
        *,
        heartbeat: str | None,
        on_transition: OnTransition = lambda _: None,
        on_health: OnHealth = lambda _: None,
        on_notice: OnNotice = lambda _: None,
    ) -> None:
        """Nothing is contacted yet. `alertmanager` is called with `on_notice`, `on_health` and `on_look`."""
        self._rules, self._heartbeat, self._on_health = tuple(rules), heartbeat, on_health
        self._spells = Spells((rule.name for rule in rules), "observed", on_transition)
        self._doubt = "no look yet"
        self._present: frozenset[str] = frozenset()
        self._last_seen: dict[str, float | None] = {}
        self._expired: dict[str, float] = {}
        self._since: dict[str, Instant] = {}
        self._started, self._told = False, False
        self._alertmanager = alertmanager(
            on_notice=on_notice, on_health=lambda _: self._changed(), on_look=self._look
        )

    async def start(self) -> None:
        """Look for the first time, then at the rate. Raises DetectorError when no answer comes."""
        if self._started:
            raise DetectorError("the Alertmanager detector was already started; make a new one")
        try:
            await self._alertmanager.start()
        except BaseException:
            await self._alertmanager.stop()
            raise
        self._started = True
        self._told = self.health().ok
        self._on_health(self.health())

    async def stop(self) -> None:
        await self._alertmanager.stop()

    def alerts(self) -> tuple[Alert, ...]:
        """What Alertmanager has fires, silenced or not; what it does not have is inactive while that can be told."""
        blind, doubt = not self._alertmanager.health().ok, bool(self._doubt)
        return self._spells.alerts(
            {
                name: blind or name in self._expired or (doubt and name not in self._present)
                for name in self._spells.names
            }
        )

    def health(self) -> Health:
        """Ill while nothing can be told, and while absence proves nothing."""
        health = self._alertmanager.health()
        return replace(health, ok=False, detail=self._doubt) if health.ok and self._doubt else health

    def rules(self) -> tuple[RuleInfo, ...]:
        """Of the files, each with what can be known of the floor here: `for`, and how long Alertmanager waits."""
        return tuple(
            replace(rule, floor={**rule.floor, "group_wait_s": self._alertmanager.group_wait_s(rule)})
            for rule in self._rules
        )

    def describe(self) -> dict[str, object]:
        """For the evidence."""
        return {
            "kind": "alertmanager",
            "url": self._alertmanager.public_url,
            "rules": len(self._rules),
            "heartbeat": self._heartbeat or "none: that an alert is not there proves nothing",
        }

    def _look(self, standings: tuple[Standing, ...], answer: Answer, before: Instant) -> None:
        by_name: dict[str, list[Standing]] = {}
        for standing in standings:
            by_name.setdefault(standing.name, []).append(standing)
        beat = max((x.updated_s or 0.0 for x in by_name.get(self._heartbeat or "", ())), default=0.0)
        self._doubt = self._why_absence_proves_nothing(by_name, beat, answer)
        for name in dict.fromkeys((*self._spells.names, *by_name)):
            there = by_name.get(name, [])
            if there:
                self._expired.pop(name, None)
                self._since[name] = answer.sent
                ends = [standing.ends_s for standing in there]
                self._last_seen[name] = None if None in ends else min(x for x in ends if x is not None)
            elif self._doubt or self._may_have_expired(name, beat, answer):
                continue
            since = before if there else self._since.pop(name, before)
            labels = [standing.labels for standing in there]
            self._spells.tell(name, labels, answer.received, answer.received - min(since, before))
        self._present = frozenset(by_name)
        self._changed()

    def _why_absence_proves_nothing(
        self, by_name: dict[str, list[Standing]], beat: float, answer: Answer
    ) -> str:
        where = f"Alertmanager at {self._alertmanager.public_url}"
        if self._heartbeat is None:
            return f"{where}: no `heartbeat` is named, so that an alert is not there proves nothing"
        there = by_name.get(self._heartbeat)
        if not there:
            return f"{where} does not have the heartbeat {self._heartbeat}: nobody sends it alerts"
        ends = max((standing.ends_s or 0.0 for standing in there), default=0.0)
        if not beat or not ends or answer.date_s is None:
            return f"{where} does not tell when the heartbeat {self._heartbeat} was sent"
        age_s = answer.date_s - beat
        if age_s > (ends - beat) * _LATE + _CLOCK_S:
            return f"{where}: the heartbeat {self._heartbeat} was last sent {age_s:.0f} s ago"
        return ""

    def _may_have_expired(self, name: str, beat: float, answer: Answer) -> bool:
        """Whether an alert that fired is gone because nobody sent it again, which is no resolution.

        One that is gone before its time was resolved. Else a heartbeat that was sent after it went must come first.
        """
        if not self._spells.fires(name):
            return False
        if name in self._expired:
            if beat <= self._expired[name]:
                return True
            del self._expired[name]
            return False
        ends_s, date_s = self._last_seen.get(name), answer.date_s
        if ends_s is not None and date_s is not None and date_s + _CLOCK_S < ends_s:
            return False
        self._expired[name] = beat
        return True

    def _changed(self) -> None:
        """Not before the first look is over: then `start` tells."""
        health = self.health()
        if self._started and health.ok is not self._told:
            self._told = health.ok
            self._on_health(health)
