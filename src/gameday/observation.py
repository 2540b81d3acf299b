"""What a drill watches while it runs: probes, canary and detector, and waiting for what they see.

The base of a session. It decides nothing and touches nothing; whatever comes in becomes an event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict

from gameday.canary import CanaryWriter
from gameday.clock import Instant
from gameday.detectors import given_by, open_detector
from gameday.detectors.advice import Survey, advise
from gameday.detectors.base import Alert, AlertState, Health, Notice, NoticeKind, Transition
from gameday.environment import Environment
from gameday.errors import Aborted, DetectorError, GamedayError, UsageError
from gameday.evidence import Evidence
from gameday.plan import plan
from gameday.probes import Answer, Sampler
from gameday.project import Project
from gameday.runbook.parse import load_runbook
from gameday.scenario import Scenario
from gameday.stop_spec import ProbeStop, QueryStop
from gameday.stopping import Met, StopWatch, limits
from gameday.targets import open_target
from gameday.targets.safety import DeadMan
from gameday.timeline import Event, Kind, Phase, TimelineWriter
from gameday.watchers import Watchers

TICK_S = 0.25

_ALERT_KINDS = {
    (AlertState.INACTIVE, AlertState.PENDING): Kind.ALERT_PENDING,
    (AlertState.PENDING, AlertState.FIRING): Kind.ALERT_FIRING,
    # from a detector that is told of firing alerts only
    (AlertState.INACTIVE, AlertState.FIRING): Kind.ALERT_FIRING,
    (AlertState.PENDING, AlertState.INACTIVE): Kind.ALERT_LAPSED,
    (AlertState.FIRING, AlertState.INACTIVE): Kind.ALERT_RESOLVED,
}
_NOTICE_KINDS = {
    NoticeKind.NOTIFIED: Kind.ALERT_NOTIFIED,
    NoticeKind.END_NOTIFIED: Kind.ALERT_END_NOTIFIED,
    NoticeKind.SUPPRESSED: Kind.ALERT_SUPPRESSED,
    NoticeKind.RELEASED: Kind.ALERT_RELEASED,
}


class Observation:
    """One drill's eyes. `on_event` sees each event after it is on disk."""

    def __init__(
        self,
        project: Project,
        environment: Environment,
        instance: str,
        scenario: Scenario,
        *,
        speed: float = 1.0,
        disarmed: bool = False,
        on_event: Callable[[Event], None] | None = None,
        wait_s: float = 0.0,
    ) -> None:
        if environment.drills != "allowed":
            raise UsageError(
                f"environment {environment.environment} does not allow drills; its file must say `drills: allowed`"
            )
        self.project = project
        self.environment = environment
        self.instance = instance
        self.scenario = scenario.at_speed(speed)
        self.plan = plan(self.scenario)
        self.speed = speed
        self.disarmed = disarmed
        self.limits = limits(self.scenario, environment, speed)
        self.target = open_target(environment, instance, project)
        if isinstance(self.target, DeadMan):
            self.target.check_switch()
        self.probes = self._sampled()
        self.evidence: Evidence
        self.timeline: TimelineWriter
        self.watchers: Watchers
        self.aborted: str | None = None
        self.finished = False
        self.on_abort: Callable[[], None] = lambda: None
        """Called when the drill is to end, by whoever owns what else must end then."""
        self.as_written = scenario
        self.wait_s = wait_s
        self._on_event = on_event
        self._samplers: list[Sampler] = []
        self._canary: CanaryWriter | None = None
        self._changed = asyncio.Event()
        self._asked: Mapping[str, int] | None = None
        """Requests of the engine's activities; None while it is at work, and of one that was killed."""
        self._injecting: Event | None = None
        self._applied: tuple[Instant, Instant] | None = None
        self._effective: Event | None = None
        self._recovered: Event | None = None
        self.detector = open_detector(
            environment.detector,
            self.target.address,
            project.root,
            speed=speed,
            on_transition=self._on_transition,
            on_health=self._on_health,
            on_notice=self._on_notice,
            queries=[limit.spec.promql for limit in self.limits if isinstance(limit.spec, QueryStop)],
            **given_by(self.target),
        )

    def _sampled(self) -> tuple[str, ...]:
        """Probes of the scenario, of stop conditions and of the runbook's checks. A runbook that cannot be read is
        refused later."""
        names = list(self.scenario.probes)
        names += [limit.spec.probe for limit in self.limits if isinstance(limit.spec, ProbeStop)]
        if self.scenario.runbook is not None:
            with suppress(GamedayError):
                runbook = load_runbook(self.project.runbook_file(self.scenario.runbook))
                names += [step.check.probe for step in runbook.steps if step.check is not None]
        return tuple(dict.fromkeys(name for name in names if name in self.environment.probes))

    async def _start_watching(self) -> None:
        self._stops = StopWatch(
            self.limits, self.watchers.states, self.detector, self._stop_condition_met, self.abort
        )
        addresses = {name: self.target.address(name) for name in self.environment.components}
        prefix = f"gameday-{self.evidence.drill.rsplit('-', 1)[-1]}-"
        for name in self.probes:
            probe = self.environment.probes[name]
            on_answer = self._answer_sink(name)
            self._samplers.append(Sampler(name, probe, addresses[probe.component], prefix, on_answer))
        if self.environment.canary is not None:
            self._canary = CanaryWriter(self.environment.canary, addresses, prefix)
            self._canary.start()
        for sampler in self._samplers:
            sampler.start()
        await self.detector.start()
        self._stops.start()

    async def _stop_watching(self) -> None:
        await self._stops.stop()
        if self._canary is not None:
            await self._canary.stop()
        for sampler in self._samplers:
            await sampler.stop()
        try:
            await self.detector.stop()
        except DetectorError as error:
            if not self.finished:
                self.timeline.record(Kind.DETECTOR_HEALTH, ok=False, detail=str(error))

    # --- what comes in from the watchers -------------------------------------------------------------------

    def _answer_sink(self, name: str) -> Callable[[Answer], None]:
        def sink(answer: Answer) -> None:
            self.watchers.add(name, answer)
            self._look_for_recovery()
            self._changed.set()

        return sink

    def _on_transition(self, transition: Transition) -> None:
        if self.finished or not transition.summary:
            return  # a rule fires when any of its instances does; the rule is what a drill expects
        kind = _ALERT_KINDS.get((transition.state_from, transition.state_to))
        if kind is not None:
            known = self.scenario.known_alerts
            if kind is Kind.ALERT_FIRING:
                self._tell_rule(transition.alert)
            self.timeline.record(
                kind,
                at=transition.at,
                alert=transition.alert,
                expected=transition.alert in known,
                resolution_s=transition.resolution_s,
                **({"seen": transition.seen} if transition.seen else {}),
            )
        self._changed.set()

    def _on_notice(self, notice: Notice) -> None:
        if self.finished:
            return
        told = {"detail": notice.detail, "from_the_start": notice.from_the_start} if notice.detail else {}
        self.timeline.record(
            _NOTICE_KINDS[notice.kind],
            at=notice.at,
            alert=notice.alert,
            expected=notice.alert in self.scenario.known_alerts,
            resolution_s=notice.resolution_s,
            **told,
        )
        self._changed.set()

    def _tell_rule(self, alert: str) -> None:
        """Put a rule into the timeline, with what it cannot see or sees wrongly: the verdict explains by it."""
        timeline = self.timeline.timeline
        if timeline.first(Kind.ALERT_RULE, lambda event: event.data["alert"] == alert) is not None:
            return
        rules = self.detector.rules()
        rule = next((rule for rule in rules if rule.name == alert), None)
        if rule is None:
            return
        with suppress(UsageError):  # an expression that is none: the detector says so itself
            known = advise(rule, among=Survey.of(rules), speed=self.speed)
            advice = [asdict(part) for part in known if part.level == "error"]
            self.timeline.record(
                Kind.ALERT_RULE,
                alert=alert,
                expr=rule.expr,
                for_s=rule.for_s,
                floor=dict(rule.floor),
                advice=advice,
            )

    def _on_health(self, health: Health) -> None:
        if not self.finished:
            self.timeline.record(Kind.DETECTOR_HEALTH, ok=health.ok, detail=health.detail)
        self._changed.set()

    def _stop_condition_met(self, met: Met) -> None:
        """End the drill, even where it cannot be written down why."""
        now = Instant.now()
        try:
            self.timeline.record(
                Kind.STOP_CONDITION,
                at=now,
                of=met.limit.of,
                condition=met.limit.describe(),
                outcome=met.outcome,
                for_s=now - met.since,
                detail=met.detail,
            )
        finally:
            self.abort(met.reason(now))

    def _look_for_recovery(self) -> None:
        """The service is back at the start of the first window, after the effect, in which all probes hold."""
        recovered = self.scenario.recovered
        if recovered is None or self._effective is None or self._recovered is not None or self.finished:
            return
        if self.timeline.phase in (Phase.UNDO, Phase.JUDGE):
            return  # the undo never counts as recovery
        probes = recovered.probes
        since = self.watchers.holding(probes)
        if since is None or since.at <= self._effective.at:
            return
        if self.watchers.held_for_s(probes) >= recovered.stable_for:
            self._recovered = self.timeline.record(
                Kind.SERVICE_RECOVERED,
                at=since.at,
                resolution_s=since.resolution_s,
                probes=list(probes),
                stable_for_s=recovered.stable_for,
            )

    # --- waiting -------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], deadline_ns: int) -> bool:
        """Wait until `condition`, looked at whenever something changed, or until the deadline."""
        while True:
            self._end_when_aborted()
            if condition():
                return True
            left_s = (deadline_ns - time.monotonic_ns()) / 1e9
            if left_s <= 0:
                return False
            self._changed.clear()
            try:
                async with asyncio.timeout(min(left_s, TICK_S)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _end_when_aborted(self) -> None:
        if self.aborted is not None:
            raise Aborted(self.aborted)

    def abort(self, reason: str) -> None:
        """End the drill at the next opportunity; whoever waits is woken. The first reason stands."""
        if self.aborted is None:
            self.aborted = reason
            try:
                self.timeline.record(Kind.DRILL_ABORTED, reason=reason)
            finally:
                self._changed.set()
                self.on_abort()

    def _pace(self, pace: float) -> None:
        for sampler in self._samplers:
            sampler.pace = pace

    def alert(self, name: str) -> Alert | None:
        """The summary of one alert rule, None when the detector has no such rule."""
        return next((alert for alert in self.detector.alerts() if alert.name == name and alert.summary), None)
