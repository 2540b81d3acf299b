"""The detector that has notifications and nothing else: an alert fires when somebody was told, and ends the same way.

It asks nobody. So rules come from files, nothing is ever pending, and that nothing was told is unknown until a
heartbeat proves that notifications come: an alert that always fires and is told again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gameday.clock import Instant
from gameday.detectors.base import Alert, Health, OnHealth, OnNotice, OnTransition, RuleInfo
from gameday.detectors.prometheus_rules import parse_time_s
from gameday.detectors.spells import Spells
from gameday.detectors.state import LabelKey, label_key
from gameday.detectors.webhook import Told, WebhookReceiver
from gameday.errors import DetectorError

if TYPE_CHECKING:
    from gameday.detector_settings import Heartbeat

_CHECK_S = 0.1


class WebhookDetector:
    """Implements `Detector`. One instance watches once: `start`, then `stop`."""

    def __init__(
        self,
        receiver: Callable[..., WebhookReceiver],
        rules: Sequence[RuleInfo],
        *,
        heartbeat: Heartbeat | None,
        on_transition: OnTransition = lambda _: None,
        on_health: OnHealth = lambda _: None,
        on_notice: OnNotice = lambda _: None,
    ) -> None:
        """Does not listen yet. `receiver` is called with `on_notice`, `on_health` and `on_told`."""
        self._rules, self._heartbeat, self._on_health = tuple(rules), heartbeat, on_health
        self._spells = Spells((rule.name for rule in rules), "notified", on_transition)
        self._firing: dict[str, dict[LabelKey, Mapping[str, str]]] = {}
        self._beat: Instant | None = None
        self._began: Instant | None = None
        self._told = False
        self._watching: asyncio.Task[None] | None = None
        self._receiver = receiver(
            on_notice=on_notice, on_health=lambda _: self._changed(), on_told=self._take
        )

    async def start(self) -> None:
        """Listen. Raises DetectorError where that is not possible."""
        if self._began is not None:
            raise DetectorError("the webhook detector was already started; make a new one")
        await self._receiver.start()
        self._began = Instant.now()
        self._told = self.health().ok
        self._on_health(self.health())
        self._watching = asyncio.create_task(self._watch(), name="gameday-heartbeat")

    async def stop(self) -> None:
        task, self._watching = self._watching, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._receiver.stop()

    def alerts(self) -> tuple[Alert, ...]:
        """What was told fires; what was not is inactive while the heartbeat comes.

        Without it nothing is known, not even of what fires: that it ended would not be told either.
        """
        blind = not self._receiver.health().ok
        unheard = bool(self._doubt())
        lost = unheard and self._heartbeat is not None
        return self._spells.alerts(
            {name: blind or lost or (unheard and not self._spells.fires(name)) for name in self._spells.names}
        )

    def health(self) -> Health:
        """Ill while what was sent is no notification, and while silence proves nothing."""
        health, doubt = self._receiver.health(), self._doubt()
        return Health(False, doubt, self._beat) if health.ok and doubt else health

    def rules(self) -> tuple[RuleInfo, ...]:
        """Of the files, each with what these say of its floor."""
        return self._rules

    def describe(self) -> dict[str, object]:
        """For the evidence."""
        beat = self._heartbeat
        return {
            "kind": "webhook",
            "webhook": self._receiver.public_url,
            "rules": len(self._rules),
            "heartbeat": f"{beat.alert} within {beat.within:g} s"
            if beat is not None
            else "none: that nothing is told proves nothing",
        }

    def _doubt(self) -> str:
        """Why it proves nothing that nothing is told; empty where it does."""
        beat = self._heartbeat
        if beat is None:
            return "webhook: no `heartbeat` is named, so that nothing is told proves nothing"
        if self._beat is None:
            return f"webhook: the heartbeat {beat.alert} has not been told yet"
        age_s = Instant.now() - self._beat
        if age_s > beat.within:
            last = f"webhook: the heartbeat {beat.alert} was last told {age_s:.1f} s ago"
            return f"{last}, expected within {beat.within:g} s"
        return ""

    def _take(self, alerts: tuple[Told, ...], received: Instant, took_s: float) -> None:
        for told in alerts:
            firing = self._firing.setdefault(told.alert, {})
            if told.status == "firing":
                firing[label_key(told.labels)] = told.labels
            else:
                firing.pop(label_key(told.labels), None)
        for name in dict.fromkeys(told.alert for told in alerts):
            at, resolution_s = received, took_s
            if not self._spells.fires(name) and self._older(name, alerts):
                # told again of what began before this watch: it fired all the time
                at, resolution_s = self._began or received, 0.0
            self._spells.tell(name, self._firing[name].values(), at, resolution_s)
        beat = self._heartbeat
        if beat is not None and any((told.alert, told.status) == (beat.alert, "firing") for told in alerts):
            self._beat = received
        self._changed()

    def _older(self, name: str, alerts: tuple[Told, ...]) -> bool:
        starts = [
            parse_time_s(told.starts_at) for told in alerts if told.alert == name and told.status == "firing"
        ]
        began = self._began
        return began is not None and any(x is not None and x < began.utc.timestamp() for x in starts)

    async def _watch(self) -> None:
        """A heartbeat that does not come tells nothing by itself."""
        while True:
            await asyncio.sleep(_CHECK_S)
            self._changed()

    def _changed(self) -> None:
        health = self.health()
        if self._began is not None and health.ok is not self._told:
            self._told = health.ok
            self._on_health(health)
