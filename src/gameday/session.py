"""One drill while it runs: what is asked of it by phase, and what is watched meanwhile.

A session lives in the process that owns the drill: the runner's own, or the one of a plain `chaos run`. The
activities that Chaos Toolkit calls do what may hang (break something, execute a runbook); the session watches,
waits, writes the timeline, and knows how to put everything back. Every method that is a phase of the drill
leaves its result as events; nothing here judges.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from random import random
from typing import Any, Self

from gameday import __version__
from gameday.clock import Instant
from gameday.detectors.base import AlertState
from gameday.errors import Aborted, GamedayError, LockHeld, Refused, UsageError
from gameday.evidence import Evidence
from gameday.experiment import compile_experiment
from gameday.lock import DrillLock
from gameday.plan import GIVE_UP_S
from gameday.runbook.parse import load_runbook
from gameday.runbook.verbs import verbs
from gameday.safeguard import Safeguard
from gameday.striking import HASTE, Striking, in_s
from gameday.targets.base import Counting, Preparing
from gameday.targets.safety import DeadMan, Permitting
from gameday.timeline import Event, Kind, Phase, TimelineWriter
from gameday.watchers import Watchers

TURN_S = 2.0
ANSWER_GRACE_S = 1.0
"""Beyond a question's time: whoever answers keeps it, this only ends a wait that does not."""


class Session(Striking):
    """Use as `async with`."""

    _lock: DrillLock

    # --- opening and closing -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if isinstance(self.target, Preparing):
            await asyncio.to_thread(self.target.prepare)
        if isinstance(self.target, Permitting):
            await asyncio.to_thread(self.target.check_permitted, self.scenario.faults, self._steps())
        experiment = compile_experiment(self.as_written, self.instance)
        self.evidence = await self._await_turn(experiment)
        self.timeline = TimelineWriter(self.evidence.timeline, self._on_event)
        self._safeguard.timeline = self.timeline
        self.watchers = Watchers(self.evidence.samples, self.probes)
        self._record_start()
        try:
            await self._start_watching()
        except BaseException as error:
            self.abort(f"watching could not begin: {error}")
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def _await_turn(self, experiment: Mapping[str, Any]) -> Evidence:
        """Take the lock, at once or as soon as others have ended, at most so long as `wait_s` says."""
        deadline_ns = in_s(self.wait_s)
        while True:
            try:
                return await self._take_turn(experiment)
            except LockHeld:
                if Instant.now().mono_ns >= deadline_ns:
                    raise
            await asyncio.sleep(TURN_S * (1 + random()))  # noqa: S311 - so that not all who wait ask at once

    async def _take_turn(self, experiment: Mapping[str, Any]) -> Evidence:
        """Lock and evidence folder, or neither.

        Raises:
            LockHeld: somebody else drills here.
        """
        evidence = Evidence.named(self.project.reports, self.scenario.scenario)
        self._lock = DrillLock(self.project.state, self.instance)
        self._lock.acquire(evidence.drill, self.scenario.scenario)
        self._safeguard = Safeguard(self.project, evidence, self._undo_header())
        try:
            if isinstance(self.target, DeadMan):
                await self._safeguard.take(self.target, self.scenario.scenario)
            evidence.create(self.as_written, self.environment, experiment)
        except BaseException:
            await self._safeguard.close()
            self._lock.release()
            raise
        return evidence

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.finish()
        finally:
            await self._stop_watching()
            self.watchers.close()
            self.timeline.close()
            await self._safeguard.close()
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

    def _steps(self) -> tuple[tuple[str, str], ...]:
        """What the runbook may do; nothing where it cannot be read, which preflight tells."""
        with suppress(GamedayError):
            return verbs(load_runbook(self.project.runbook_file(str(self.scenario.runbook))))
        return ()

    def _undo_header(self) -> dict[str, Any]:
        return {
            "instance": self.instance,
            "environment": self.environment.model_dump(mode="json", exclude_unset=True),
        }

    # --- the phases, in order ------------------------------------------------------------------------------

    async def detect(self) -> str:
        """Wait for the expected alert. Returns `firing`, `expired` or `unknown`."""
        expect = self.scenario.expected
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

    async def wait_for_probe(self, probe: str, within_s: float, steady_s: float = 0.0) -> tuple[bool, str]:
        """Whether a sample asked from now on succeeds within that time, and all others for `steady_s` then; and
        what the last one said."""
        if probe not in self.watchers.states:
            raise UsageError(
                f"no probe {probe!r} in this drill; sampled here: {', '.join(self.watchers.states)}"
            )
        start = Instant.now()

        def good() -> bool:
            answer, since = self.watchers.answers().get(probe), self.watchers.holding([probe])
            if answer is None or not answer.ok or since is None or answer.started < start:
                return False
            return not steady_s or answer.started - max(since.at, start) >= steady_s

        met = await self.until(good, start.plus(within_s + steady_s).mono_ns)
        answer = self.watchers.answers().get(probe)
        return met, answer.detail if answer else "no answer yet"

    async def ask(self, heading: str, question: str, timeout_s: float) -> str | None:
        """What whoever is there answers to a manual step; None when no answer came in time.

        Raises:
            RunbookError: nobody can be asked.
        """
        asking = asyncio.create_task(asyncio.to_thread(self.manual.ask, heading, question, timeout_s))
        asking.add_done_callback(lambda _: self._changed.set())
        try:
            answered = await self.until(asking.done, in_s(timeout_s + ANSWER_GRACE_S))
        finally:
            if not asking.done():
                self.manual.cancel()
                asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asking if answered else None

    async def responded(self, **outcome: Any) -> None:
        self.timeline.record(Kind.RUNBOOK_ENDED, **outcome)

    async def recover(self) -> bool:
        """Wait until the service is back, at most until the RTO is over; not long after a runbook that failed."""
        effective = self._need_effect()
        self._enter(Phase.RECOVER)
        recovered, rto_s = self.scenario.recovery, self.scenario.rto_s or 0.0
        ended = self.timeline.timeline.last(Kind.RUNBOOK_ENDED)
        completed = ended is not None and bool(ended.data["completed"])
        deadline_ns = effective.at.plus(rto_s + recovered.stable_for).mono_ns
        reason = "the runbook was executed and the time is up"
        if not completed:
            deadline_ns = min(deadline_ns, in_s(GIVE_UP_S + recovered.stable_for))
            reason = "the runbook failed, and nothing else restores the service"
        found = await self.until(lambda: self._recovered is not None, deadline_ns)
        self._pace(1.0)
        if not found:
            waited_s = Instant.now() - effective.at
            since = self.watchers.holding(recovered.probes)
            if since is not None and since.at <= effective.at:
                self.timeline.record(Kind.SERVICE_UNHARMED, waited_s=waited_s, probes=list(recovered.probes))
            else:
                self.timeline.record(Kind.SERVICE_DOWN, waited_s=waited_s, reason=reason)
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
        if self.scenario.expected.resolves_after == "recovery":
            await self._wait_until_resolved(self._recovered.at)

    async def _wait_until_resolved(self, since: Instant) -> None:
        expect = self.scenario.expected
        outcome = await self._resolved(expect.alert, since.plus(expect.resolves_within).mono_ns)
        self.timeline.record(Kind.RESOLVE_ENDED, outcome=outcome, after=expect.resolves_after)

    async def _resolved(self, name: str, deadline_ns: int) -> str:
        timeline = self.timeline.timeline
        if timeline.first(Kind.ALERT_FIRING, lambda event: event.data["alert"] == name) is None:
            return "not-fired"

        def inactive() -> bool:
            alert = self.alert(name)
            return alert is not None and alert.state is AlertState.INACTIVE

        if await self.until(inactive, deadline_ns):
            return "resolved"
        return "expired" if self.detector.health().ok else "unknown"

    async def watch(self) -> str:
        """A control: watch for its whole time whether an alert fires. Returns `quiet`, `fired` or `unknown`."""
        since = self._effective.at if self._effective is not None else Instant.now()
        self._enter(Phase.DETECT)
        await self.until(lambda: False, since.plus(self.scenario.watched_s).mono_ns)
        timeline = self.timeline.timeline
        quiet = timeline.last(
            Kind.PREFLIGHT_CHECKED
        )  # from then on nothing may fire, not only from the effect
        begun = quiet.at if quiet is not None else since
        fired = [event.data["alert"] for event in timeline.all(Kind.ALERT_FIRING) if begun <= event.at]
        health = timeline.all(Kind.DETECTOR_HEALTH)
        before = [event for event in health if event.at < since]
        seen = (*before[-1:], *(event for event in health if since <= event.at))
        blind = any(not event.data["ok"] for event in seen)
        outcome = "fired" if fired else "unknown" if blind or not self.detector.health().ok else "quiet"
        alerts = list(dict.fromkeys(fired))
        self.timeline.record(
            Kind.WATCH_ENDED, outcome=outcome, watched_s=Instant.now() - since, alerts=alerts
        )
        return outcome

    async def undo(self) -> bool:
        """Put everything back, last in first out, and prove it. True when nothing is left."""
        if self.finished or not self._safeguard.armed:
            return True
        self._enter(Phase.UNDO)
        self._pace(1.0)
        ok = await self._safeguard.revert(self.target)
        if ok and self._recovered is not None and self.aborted is None:
            with suppress(Aborted):  # everything is back; only what would have been seen is not known
                await self._afterwards()
        return ok

    async def _afterwards(self) -> None:
        """What can only be seen when the cause is gone: a third party is back, and what waited for it drains."""
        undone, wanted = Instant.now(), self.scenario.afterwards
        if wanted is not None:

            def holding() -> bool:
                since = self.watchers.holding(wanted.probes)
                return since is not None and self.watchers.held_for_s(wanted.probes) >= self.plan.steady_for_s

            held = await self.until(holding, undone.plus(wanted.within).mono_ns)
            answers = self.watchers.answers()
            failing = [
                f"{name}: {answers[name].detail if name in answers else 'no answer'}"
                for name in wanted.probes
                if self.watchers.states[name].ok is not True
            ]
            waited_s = Instant.now() - undone
            detail = f"{', '.join(wanted.probes)} hold" if held else "; ".join(failing) or "not steadily"
            probes = list(wanted.probes)
            self.timeline.record(
                Kind.AFTERWARDS_ENDED, ok=held, probes=probes, waited_s=waited_s, detail=detail
            )
        if self.scenario.expected.resolves_after == "undo":
            await self._wait_until_resolved(undone)

    async def ended(self, asked: Mapping[str, int]) -> None:
        """The engine has done all that it had to do; `asked`: the requests of its activities, by kind."""
        self._asked = asked

    async def finish(self) -> None:
        """Whatever happened: undo what is not undone yet, and write the last event."""
        if self.finished:
            return
        await self.undo()
        self.finished = True
        self._enter(Phase.JUDGE)
        if isinstance(self.target, Counting) and self._asked is not None:
            requests = Counter(self.target.asked()) + Counter(self._asked)
            self.timeline.record(Kind.TARGET_ASKED, requests=dict(requests))
        self.timeline.record(Kind.DRILL_ENDED)

    def _need_effect(self) -> Event:
        if self._effective is None:
            raise Refused("the fault had no effect; nothing that follows would prove anything")
        return self._effective
