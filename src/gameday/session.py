"""One drill while it runs: what is asked of it by phase, and what is watched meanwhile.

A session lives in the process that owns the drill: the runner's own, or the one of a plain `chaos run`. The
activities that Chaos Toolkit calls do what may hang (break something, execute a runbook); the session watches,
waits, writes the timeline, and knows how to put everything back. Every method that is a phase of the drill
leaves its result as events; nothing here judges.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Self

from gameday import __version__
from gameday.clock import Instant
from gameday.detectors.base import AlertState
from gameday.errors import GamedayError, Refused, UsageError
from gameday.evidence import Evidence
from gameday.experiment import compile_experiment
from gameday.journal import Undo, UndoLog
from gameday.lock import DrillLock
from gameday.observation import Observation
from gameday.plan import GIVE_UP_S
from gameday.preflight import check_runbook, check_targets
from gameday.safeguard import Safeguard
from gameday.timeline import Event, Kind, Phase, TimelineWriter
from gameday.watchers import Seen, Watchers

HASTE = 2.5
"""Probes are sampled this many times as often while a change is expected: from the injection to its effect,
and while the runbook works."""


class Session(Observation):
    """Use as `async with`."""

    _lock: DrillLock
    _safeguard: Safeguard
    _passed_preflight = False

    # --- opening and closing -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        experiment = compile_experiment(self.as_written, self.instance)
        evidence = Evidence.named(self.project.reports, self.scenario.scenario)
        self._lock = DrillLock(self.project.state, self.instance)
        self._lock.acquire(evidence.drill, self.scenario.scenario)
        try:
            evidence.create(self.as_written, self.environment, experiment)
        except BaseException:
            self._lock.release()
            raise
        self.evidence = evidence
        self.timeline = TimelineWriter(self.evidence.timeline, self._on_event)
        self.watchers = Watchers(self.evidence.samples, self.scenario.probes)
        self._safeguard = Safeguard(self.timeline, self.project, self.evidence, self._undo_header())
        self._record_start()
        try:
            await self._start_watching()
        except BaseException as error:
            self.abort(f"watching could not begin: {error}")
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.finish()
        finally:
            await self._stop_watching()
            self.watchers.close()
            self.timeline.close()
            self._lock.release()

    def _record_start(self) -> None:
        self.timeline.record(
            Kind.DRILL_STARTED,
            drill=self.evidence.drill,
            scenario=self.scenario.scenario,
            environment=self.environment.environment,
            instance=self.instance,
            target=self.environment.target,
            speed=self.speed,
            detector=self.detector.describe(),
            version=__version__,
        )
        self.timeline.enter(Phase.PREFLIGHT, self.plan.budget_s(Phase.PREFLIGHT))

    def _undo_header(self) -> dict[str, Any]:
        return {
            "instance": self.instance,
            "environment": self.environment.model_dump(mode="json", exclude_unset=True),
        }

    # --- the phases, in order ------------------------------------------------------------------------------

    async def holds(self, probe: str) -> bool:
        """Whether `probe` holds now; before anything was touched, whether it comes to hold steadily."""
        if self.timeline.phase is not Phase.PREFLIGHT:
            return bool(self.watchers.states[probe].ok)
        steady = await self.until(
            lambda: self.watchers.held_for_s([probe]) >= self.plan.steady_for_s,
            _in(self.plan.budget_s(Phase.PREFLIGHT) / 2),
        )
        if not steady:
            answer = self.watchers.answers().get(probe)
            detail = f"{probe} does not hold: {answer.detail if answer else 'no answer yet'}"
            self._checked("steady state", ok=False, detail=detail)
            raise Refused(detail)
        return True

    async def preflight(self) -> None:
        """Everything that must be true before something is touched.

        Raises:
            Refused: something is not; it is in the timeline.
        """
        scenario = self.scenario
        for probe in scenario.steady_state:
            await self.holds(probe)
        self._checked("steady state", ok=True, detail=f"{', '.join(scenario.steady_state)} hold")
        checks: tuple[tuple[str, Callable[[], str]], ...] = (
            ("leftovers", self._check_leftovers),
            ("targets", lambda: check_targets(scenario, self.target.status())),
            (
                "runbook",
                lambda: check_runbook(scenario, self.environment, self.project, self.detector.rules()),
            ),
        )
        for name, check in checks:
            try:
                self._checked(name, ok=True, detail=check())
            except GamedayError as error:
                self._checked(name, ok=False, detail=str(error))
                raise Refused(f"{name}: {error}") from error
        await self._check_quiet()

    async def _check_quiet(self) -> None:
        name = self.scenario.expect.alert
        known = (AlertState.INACTIVE, AlertState.PENDING, AlertState.FIRING)

        def is_known() -> bool:
            alert = self.alert(name)
            return alert is not None and alert.state in known

        if not await self.until(is_known, _in(self.plan.budget_s(Phase.PREFLIGHT) / 2)):
            detail = f"what the detector says of {name} is not known: {self.detector.health().detail}"
            self._checked("alert", ok=False, detail=detail)
            raise Refused(detail)
        alert = self.alert(name)
        if alert is None or alert.state is not AlertState.INACTIVE:
            state = alert.state.value if alert else "unknown"
            detail = f"{name} is {state} already; an alert that is not quiet proves nothing"
            self._checked("alert", ok=False, detail=detail)
            raise Refused(detail)
        self._checked("alert", ok=True, detail=f"{name} is quiet")
        self._passed_preflight = True

    def _check_leftovers(self) -> str:
        for log in UndoLog.find(self.project.state / "undo"):
            if log.header["instance"] == self.instance:
                raise Refused(
                    f"drill {log.header['drill']} has not put everything back; run `gameday recover`"
                )
        return "nothing is left of earlier drills"

    def _checked(self, check: str, *, ok: bool, detail: str) -> None:
        self.timeline.record(Kind.PREFLIGHT_CHECKED, check=check, ok=ok, detail=detail)

    async def arm(self, undo: Mapping[str, Any]) -> None:
        """Record the undo and arm the dead-man switch. Only afterwards may the fault be applied.

        Raises:
            Refused: preflight was not passed; whoever asks has gone on in spite of it.
        """
        self._end_when_aborted()
        if not self._passed_preflight:
            raise Refused("preflight was not passed; nothing may be touched")
        self._enter(Phase.ARM)
        await self._safeguard.arm(Undo.from_json(undo), self.scenario.safety.ttl)

    async def injecting(self, fault: str, at: Mapping[str, Any]) -> None:
        """The fault is about to be applied: from now on its effect is looked for."""
        self._enter(Phase.INJECT)
        self._pace(HASTE)
        targets = self.target.status()[self.scenario.fault.component].targets
        self._injecting = self.timeline.record(
            Kind.FAULT_INJECTING, at=Instant.from_json(dict(at)), fault=fault, targets=list(targets)
        )

    async def injected(self, detail: str, begun: Mapping[str, Any], at: Mapping[str, Any]) -> None:
        """The fault was applied, between `begun` and `at`."""
        self._applied = (Instant.from_json(dict(begun)), Instant.from_json(dict(at)))
        self.timeline.record(Kind.FAULT_INJECTED, at=self._applied[1], detail=detail)

    async def effective(self) -> bool:
        """Wait for the proof that the fault took effect."""
        impact, injecting, applied = self.scenario.impact, self._injecting, self._applied
        if injecting is None or applied is None:
            raise Refused("nothing was injected")
        begun, done = applied

        def failing() -> Seen | None:
            seen = self.watchers.failing(impact.probe)
            return seen if seen is not None and begun <= self._answered(impact.probe) else None

        found = await self.until(lambda: failing() is not None, begun.plus(impact.fails_within).mono_ns)
        seen = failing()
        self._pace(1.0)
        if not found or seen is None:
            self.timeline.record(Kind.FAULT_INEFFECTIVE, probe=impact.probe, waited_s=Instant.now() - begun)
            return False
        at = seen.at
        if at < done:  # asked before or while the fault struck: it struck at the latest when it was applied
            at = min(done, self._answered(impact.probe), key=lambda instant: instant.mono_ns)
        resolution_s = min(seen.resolution_s + (at - seen.at), at - begun)
        answer = self.watchers.answers()[impact.probe]
        self._effective = self.timeline.record(
            Kind.FAULT_EFFECTIVE, at=at, probe=impact.probe, resolution_s=resolution_s, detail=answer.detail
        )
        return True

    def _answered(self, probe: str) -> Instant:
        """When the last answer of `probe` came in."""
        return self.watchers.answers()[probe].ended

    async def detect(self) -> str:
        """Wait for the expected alert. Returns `firing`, `expired` or `unknown`."""
        expect = self.scenario.expect
        effective = self._need_effect()
        since = (self._injecting or effective).at
        self._enter(Phase.DETECT)

        def fired() -> bool:
            events = self.timeline.timeline.all(Kind.ALERT_FIRING)
            return any(event.data["alert"] == expect.alert and since <= event.at for event in events)

        found = await self.until(fired, effective.at.plus(expect.fires_within).mono_ns)
        outcome = "firing" if found else "expired"
        if not found and not self.detector.health().ok:
            outcome = "unknown"
        self.timeline.record(Kind.DETECT_ENDED, outcome=outcome)
        return outcome

    async def responding(self, runbook: str, title: str) -> None:
        self._enter(Phase.RESPOND)
        self._pace(HASTE)
        self.timeline.record(Kind.RUNBOOK_STARTED, runbook=runbook, title=title)

    async def step_started(self, at: Mapping[str, Any], **data: Any) -> None:
        self.timeline.record(Kind.STEP_STARTED, at=Instant.from_json(dict(at)), **data)

    async def step_ended(self, at: Mapping[str, Any], **data: Any) -> None:
        self.timeline.record(Kind.STEP_ENDED, at=Instant.from_json(dict(at)), **data)

    async def wait_for_probe(self, probe: str, within_s: float) -> tuple[bool, str]:
        """Whether a sample asked from now on succeeds within that time, and what the last one said."""
        if probe not in self.watchers.states:
            raise UsageError(
                f"no probe {probe!r} in this drill; sampled here: {', '.join(self.watchers.states)}"
            )
        start = Instant.now()

        def good() -> bool:
            answer = self.watchers.answers().get(probe)
            return answer is not None and answer.ok and start <= answer.started

        met = await self.until(good, start.plus(within_s).mono_ns)
        answer = self.watchers.answers().get(probe)
        return met, answer.detail if answer else "no answer yet"

    async def responded(self, **outcome: Any) -> None:
        self.timeline.record(Kind.RUNBOOK_ENDED, **outcome)

    async def recover(self) -> bool:
        """Wait until the service is back, at most until the RTO is over; not long after a runbook that failed."""
        effective = self._need_effect()
        self._enter(Phase.RECOVER)
        recovered, rto_s = self.scenario.recovered, self.scenario.objectives.rto
        ended = self.timeline.timeline.last(Kind.RUNBOOK_ENDED)
        completed = ended is not None and bool(ended.data["completed"])
        deadline_ns = effective.at.plus(rto_s + recovered.stable_for).mono_ns
        reason = "the runbook was executed and the time is up"
        if not completed:
            deadline_ns = min(deadline_ns, _in(GIVE_UP_S + recovered.stable_for))
            reason = "the runbook failed, and nothing else restores the service"
        found = await self.until(lambda: self._recovered is not None, deadline_ns)
        self._pace(1.0)
        if not found:
            self.timeline.record(Kind.SERVICE_DOWN, waited_s=Instant.now() - effective.at, reason=reason)
        return found

    async def account(self) -> None:
        """Look the canary's records up, and wait until the alert has resolved."""
        effective = self._need_effect()
        self._enter(Phase.ACCOUNT)
        if self._recovered is None:
            return
        if self._canary is not None:
            await self._canary.stop()
            injecting = self._injecting or effective
            self.timeline.record(Kind.CANARY_ACCOUNTED, **asdict(await self._canary.account(injecting.at)))
        outcome = await self._resolved(self._recovered.at.plus(self.scenario.expect.resolves_within).mono_ns)
        self.timeline.record(Kind.RESOLVE_ENDED, outcome=outcome)

    async def _resolved(self, deadline_ns: int) -> str:
        name = self.scenario.expect.alert
        timeline = self.timeline.timeline
        if timeline.first(Kind.ALERT_FIRING, lambda event: event.data["alert"] == name) is None:
            return "not-fired"

        def inactive() -> bool:
            alert = self.alert(name)
            return alert is not None and alert.state is AlertState.INACTIVE

        if await self.until(inactive, deadline_ns):
            return "resolved"
        return "expired" if self.detector.health().ok else "unknown"

    async def undo(self) -> bool:
        """Put everything back, last in first out, and prove it. True when nothing is left."""
        if self.finished or not self._safeguard.armed:
            return True
        self._enter(Phase.UNDO)
        self._pace(1.0)
        return await self._safeguard.revert(self.target)

    async def finish(self) -> None:
        """Whatever happened: undo what is not undone yet, and write the last event."""
        if self.finished:
            return
        await self.undo()
        self.finished = True
        self._enter(Phase.JUDGE)
        self.timeline.record(Kind.DRILL_ENDED)

    def _need_effect(self) -> Event:
        if self._effective is None:
            raise Refused("the fault had no effect; nothing that follows would prove anything")
        return self._effective

    def _enter(self, phase: Phase) -> None:
        self.timeline.enter(phase, self.plan.budget_s(phase))


def _in(seconds: float) -> int:
    return time.monotonic_ns() + round(seconds * 1e9)
