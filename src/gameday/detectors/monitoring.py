"""A team's monitoring stack as one detector: Prometheus, and its Alertmanager and notifications where named.

Each says what it alone knows: Prometheus which alerts are pending and fire, Alertmanager what is silenced or
inhibited, the webhook receiver when somebody was told. The stack can tell only while all of them can.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from gameday.clock import Instant
from gameday.detectors.alertmanager import Alertmanager
from gameday.detectors.base import Alert, Health, Notice, OnHealth, OnNotice, OnTransition, RuleInfo, Sample
from gameday.detectors.http_access import HttpAccess
from gameday.detectors.prometheus import PrometheusDetector
from gameday.detectors.remote_clock import seconds
from gameday.detectors.webhook import WebhookReceiver


class MonitoringStack:
    """Implements `Detector`. One instance watches once: `start`, then `stop`."""

    def __init__(
        self,
        prometheus: HttpAccess,
        *,
        every_s: float = 0.2,
        alertmanager: Callable[..., Alertmanager] | None = None,
        webhook: Callable[..., WebhookReceiver] | None = None,
        on_transition: OnTransition = lambda _: None,
        on_health: OnHealth = lambda _: None,
        on_notice: OnNotice = lambda _: None,
    ) -> None:
        """Nothing is contacted yet. `alertmanager` and `webhook` are called with `on_notice` and `on_health`."""
        self._on_health, self._on_notice = on_health, on_notice
        self._began: Instant | None = None
        self._told: bool | None = None
        self._started = False
        self._prometheus = PrometheusDetector(
            prometheus, every_s=every_s, on_transition=on_transition, on_health=self._changed
        )
        self._alertmanager = alertmanager and alertmanager(on_notice=on_notice, on_health=self._changed)
        self._webhook = webhook and webhook(on_notice=self._notified, on_health=self._changed)

    async def start(self) -> None:
        """Who is told listens first, so that nothing is missed. Raises DetectorError as the parts do."""
        self._began = Instant.now()
        async with AsyncExitStack() as undone:
            if self._webhook is not None:
                await self._webhook.start()
                undone.push_async_callback(self._webhook.stop)
            if self._alertmanager is not None:
                undone.push_async_callback(self._alertmanager.stop)
                await self._alertmanager.start()
            await self._prometheus.start()
            undone.pop_all()
        self._started = True
        self._changed(self.health())

    async def stop(self) -> None:
        """Stop every part, whatever the others do."""
        self._started = False
        async with AsyncExitStack() as parts:
            for part in (self._webhook, self._alertmanager, self._prometheus):
                if part is not None:
                    parts.push_async_callback(part.stop)

    def alerts(self) -> tuple[Alert, ...]:
        """As Prometheus says. A silenced alert fires all the same; that nobody is told is a notice."""
        return self._prometheus.alerts()

    def health(self) -> Health:
        """Ill as soon as one part is."""
        healths = [part.health() for part in (self._prometheus, self._alertmanager, self._webhook) if part]
        ill = [health.detail for health in healths if not health.ok]
        detail = "; ".join(ill or [health.detail for health in healths])
        return Health(not ill, detail, healths[0].last_good)

    def rules(self) -> tuple[RuleInfo, ...]:
        """Prometheus' rules, each with the floor of its time to detect and, where known, to be notified."""
        return tuple(map(self._with_wait, self._prometheus.rules()))

    async def query(self, expr: str) -> tuple[Sample, ...]:
        """Asked of Prometheus: whether somebody is told does not matter here. Raises DetectorError."""
        return await self._prometheus.query(expr)

    def describe(self) -> dict[str, object]:
        """For the evidence."""
        told = self._prometheus.describe()
        if self._alertmanager is not None:
            told["alertmanager"] = self._alertmanager.public_url
        if self._webhook is not None:
            told["webhook"] = self._webhook.public_url
        return told

    def _with_wait(self, rule: RuleInfo) -> RuleInfo:
        wait_s = self._alertmanager.group_wait_s(rule) if self._alertmanager is not None else None
        fires_s = rule.floor["fires_s"]
        notifies_s = None if fires_s is None or wait_s is None else fires_s + wait_s
        return replace(rule, floor={**rule.floor, "group_wait_s": wait_s, "notifies_s": notifies_s})

    def _notified(self, notice: Notice) -> None:
        """Alertmanager tells late of what it could not tell in time: of a spell before this watch, for example."""
        difference = self._prometheus.difference()
        if notice.began_s is not None and difference is not None and self._began is not None:
            began = difference.span(notice.began_s, notice.began_s)
            if began.high_s < seconds(self._began):
                return
        self._on_notice(notice)

    def _changed(self, _: Health) -> None:
        """Told by a part: what the whole says changed, or not. Not before all parts have begun."""
        health = self.health()
        if self._started and health.ok is not self._told:
            self._told = health.ok
            self._on_health(health)
