"""The first half of a drill: what must be true before, and the fault with the proof of its effect.

Nothing here breaks anything: the engine's activities do, in between these calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from gameday.clock import Instant
from gameday.detectors.base import AlertState
from gameday.errors import GamedayError, Refused
from gameday.journal import Undo, UndoLog
from gameday.observation import Observation
from gameday.preflight import check_fault, check_runbook, check_targets, hit_by
from gameday.runbook.manual import Manual, NoManual
from gameday.safeguard import Safeguard
from gameday.targets.ability import able
from gameday.targets.base import Remembering
from gameday.targets.safety import DeadMan
from gameday.timeline import Kind, Phase
from gameday.watchers import Seen

HASTE = 2.5
"""Probes are sampled this many times as often while a change is expected: from the injection to its effect,
and while the runbook works."""

_LOOKS = 2
_LATE_S = 2.0
_SEES = ("scrape_s", "evaluation_s")
"""Of a rule's floor: what passes at most until a rule without `for` is pending."""


class Striking(Observation):
    """Preflight, arm, inject."""

    manual: Manual = NoManual()
    """Who answers the questions of the runbook."""
    _safeguard: Safeguard
    _passed_preflight = False

    async def holds(self, probe: str) -> bool:
        """Whether `probe` holds now; before anything was touched, whether it comes to hold steadily."""
        if self.timeline.phase is not Phase.PREFLIGHT:
            return bool(self.watchers.states[probe].ok)
        steady = await self.until(
            lambda: self.watchers.held_for_s([probe]) >= self.plan.steady_for_s,
            in_s(self.plan.budget_s(Phase.PREFLIGHT) / 2),
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
            *((("recipes", self._remember),) if isinstance(self.target, Remembering) else ()),
            ("targets", lambda: check_targets(scenario, self.target.status(), self.target)),
            ("fault", lambda: check_fault(scenario, self.target)),
            ("runbook", self._check_runbook),
        )
        for name, check in checks:
            try:
                self._checked(name, ok=True, detail=check())
            except GamedayError as error:
                self._checked(name, ok=False, detail=str(error))
                raise Refused(f"{name}: {error}") from error
        await self._check_switch()
        await self._check_stop_conditions()
        await self._check_quiet()

    def _check_runbook(self) -> str:
        if self.scenario.control:
            return "a control needs none"
        rules = self.detector.rules()
        return check_runbook(self.scenario, self.environment, self.project, rules, self.manual)

    async def _check_switch(self) -> None:
        """Where the target brings a dead-man switch of its own, it is there."""
        if not isinstance(self.target, DeadMan):
            return
        try:
            detail = await asyncio.to_thread(self._safeguard.confirm)
        except GamedayError as error:
            self._refuse("dead-man switch", str(error))
        self._checked("dead-man switch", ok=True, detail=detail)

    async def _check_stop_conditions(self) -> None:
        """Each can be read, and none holds, not even for less than its time; from then on they are looked at."""
        if not self.limits:
            return
        await self.until(lambda: self._stops.settled, in_s(self.plan.budget_s(Phase.PREFLIGHT) / 2))
        objections = self._stops.objections()
        if objections:
            self._refuse("stop conditions", "; ".join(objections))
        self._checked(
            "stop conditions", ok=True, detail=f"can be read, and none holds: {self._stops.describe()}"
        )
        self._stops.arm()

    async def _check_quiet(self) -> None:
        """The expected alert, or in a control every alert, is known to be quiet."""
        expected = self.scenario.alert
        names = (expected,) if expected is not None else tuple(rule.name for rule in self.detector.rules())
        unknown = [name for name in names if not await self._is_known(name)]
        if unknown:
            health = self.detector.health().detail
            self._refuse("alert", f"what the detector says of {', '.join(unknown)} is not known: {health}")
        for name in names:
            self._tell_rule(name)
        self._refuse_unless_quiet(names)
        quiet = f"{expected} is quiet" if expected else f"all {len(names)} alerts are quiet"
        self._checked("alert", ok=True, detail=quiet)
        self._passed_preflight = True

    async def _is_known(self, name: str) -> bool:
        known = (AlertState.INACTIVE, AlertState.PENDING, AlertState.FIRING)

        def is_known() -> bool:
            alert = self.alert(name)
            return alert is not None and alert.state in known

        return await self.until(is_known, in_s(self.plan.budget_s(Phase.PREFLIGHT) / 2))

    def _refuse_unless_quiet(self, names: Iterable[str]) -> None:
        for name in names:
            alert = self.alert(name)
            if alert is None or alert.state is not AlertState.INACTIVE:
                state = alert.state.value if alert else "unknown"
                self._refuse("alert", f"{name} is {state} already; an alert that is not quiet proves nothing")

    def _refuse(self, check: str, detail: str) -> NoReturn:
        self._checked(check, ok=False, detail=detail)
        raise Refused(detail)

    def _check_leftovers(self) -> str:
        for log in UndoLog.find(self.project.state / "undo"):
            if log.header["instance"] == self.instance:
                raise Refused(
                    f"drill {log.header['drill']} has not put everything back; run `gameday recover`"
                )
        return "nothing is left of earlier drills"

    def _remember(self) -> str:
        """What could be removed for good is known, so that it can be made again."""
        remembering = able(self.target, Remembering, "remember")
        return remembering.remember(self.plan.budget_s(Phase.PREFLIGHT) / 2)

    def _checked(self, check: str, *, ok: bool, detail: str) -> None:
        self.timeline.record(Kind.PREFLIGHT_CHECKED, check=check, ok=ok, detail=detail)

    def unguarded(self) -> str | None:
        """Why the drill must not go on without its dead-man switch; None while that is there, or not needed."""
        lost = self._safeguard.lost()
        return None if lost is None else f"the dead-man switch is lost: {lost}"

    async def arm(self, undos: Sequence[Mapping[str, Any]]) -> None:
        """Record undos and arm the dead-man switch. Only afterwards may their faults be applied.

        Raises:
            Refused: preflight was not passed; whoever asks has gone on in spite of it.
        """
        self._end_when_aborted()
        if not self._passed_preflight:
            raise Refused("preflight was not passed; nothing may be touched")
        if self.timeline.phase is Phase.PREFLIGHT:
            self._enter(Phase.ARM)
        for undo in undos:
            await self._safeguard.arm(Undo.from_json(undo), self.scenario.safety.ttl)

    async def during_injecting(self, fault: str) -> None:
        """What must be in force before the fault under test is about to be applied."""
        self._enter(Phase.INJECT)
        self._pace(HASTE)
        self.timeline.record(Kind.DURING_INJECTING, fault=fault)

    async def during_injected(self, detail: str) -> None:
        self.timeline.record(Kind.DURING_INJECTED, detail=detail)

    async def during_effective(self) -> bool:
        """Wait for the proof that it is in force. The expected alert must be quiet still.

        Raises:
            Refused: it is not; what fires before the fault does not tell of it.
        """
        during, injected = self.scenario.during, self.timeline.timeline.last(Kind.DURING_INJECTED)
        if during is None or injected is None:
            raise Refused("nothing was injected")
        probe, begun = during.impact.probe, injected.at

        def failing() -> bool:
            return self.watchers.failing(probe) is not None and begun <= self._answered(probe)

        found = await self.until(failing, begun.plus(during.impact.fails_within).mono_ns)
        waited_s = Instant.now() - begun
        if not found:
            self.timeline.record(Kind.DURING_INEFFECTIVE, probe=probe, waited_s=waited_s)
            return False
        detail = self.watchers.answers()[probe].detail
        self.timeline.record(Kind.DURING_EFFECTIVE, probe=probe, detail=detail, waited_s=waited_s)
        expected = self.scenario.known_alerts[:1]
        await self._looked_at(expected)
        self._refuse_unless_quiet(expected)
        return True

    async def _looked_at(self, names: Sequence[str]) -> None:
        """Wait until the detector has seen what is in force now, as far as it says when it looks.

        Its first evaluation may be of what was scraped before. Where another machine evaluates, we look more often
        than that scrapes and evaluates, so that these intervals of its own are waited for.
        """
        interval_s = self.detector.describe().get("interval_s")
        if not isinstance(interval_s, float | int):
            return
        floors = [rule.floor for rule in self.detector.rules() if rule.name in names]
        theirs_s = max((sum(floor.get(part) or 0.0 for part in _SEES) for floor in floors), default=0.0)
        now, looks = Instant.now(), set[int]()

        def seen() -> bool:
            last = self.detector.health().last_good
            if last is not None and not last <= now:
                looks.add(last.mono_ns)
            return len(looks) >= _LOOKS and Instant.now() - now >= theirs_s

        await self.until(seen, in_s(theirs_s + _LOOKS * interval_s + _LATE_S))

    async def injecting(self, fault: str, at: Mapping[str, Any]) -> None:
        """The fault is about to be applied: from now on its effect is looked for."""
        if self.timeline.phase is not Phase.INJECT:
            self._enter(Phase.INJECT)
        self._pace(HASTE)
        status = self.target.status()
        targets = [hit for fault in self.scenario.fault for hit in hit_by(fault, status, self.target)]
        self._injecting = self.timeline.record(
            Kind.FAULT_INJECTING, at=Instant.from_json(dict(at)), fault=fault, targets=targets
        )

    async def injected(self, detail: str, begun: Mapping[str, Any], at: Mapping[str, Any]) -> None:
        """The fault was applied, between `begun` and `at`."""
        self._applied = (Instant.from_json(dict(begun)), Instant.from_json(dict(at)))
        self.timeline.record(Kind.FAULT_INJECTED, at=self._applied[1], detail=detail)

    async def not_injected(self, detail: str) -> None:
        """A fault could not be applied; what it may have done is undone."""
        self.timeline.record(Kind.FAULT_FAILED, detail=detail)

    async def effective(self) -> bool:
        """Wait for the proof that the fault took effect."""
        impact, injecting, applied = self.scenario.proof, self._injecting, self._applied
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

    def _enter(self, phase: Phase) -> None:
        if phase in (Phase.UNDO, Phase.JUDGE):
            self._stops.disarm()
        self.timeline.enter(phase, self.plan.budget_s(phase))


def in_s(seconds: float) -> int:
    """The monotonic instant, in nanoseconds, so many seconds from now."""
    return time.monotonic_ns() + round(seconds * 1e9)
