"""The watch over stop conditions while a drill runs: it reads them, and says when the drill must end.

It fails closed. What a condition says counts only as long as it can be read: a reading that does not come, for
whatever reason, is never taken for one that says nothing is wrong. So reading and looking are apart: whoever looks
never waits for an answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gameday.clock import Instant
from gameday.detectors.base import Queries, Sample
from gameday.detectors.presence import presence
from gameday.environment import Environment
from gameday.errors import DetectorError
from gameday.fields import format_duration
from gameday.probes import first_line
from gameday.scenario import Scenario
from gameday.stop_spec import AnyStop, ProbeStop, QueryStop
from gameday.text import one_line
from gameday.watchers import ProbeState

LOOK_S = 0.1
QUERY_S = 5.0
"""Time for one reading by PromQL, whatever the detector's own time-out is."""
_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Limit:
    """A stop condition at the drill's speed, and whose it is."""

    of: Literal["scenario", "environment"]
    spec: AnyStop

    def describe(self) -> str:
        return self.spec.describe()


def limits(scenario: Scenario, environment: Environment, speed: float) -> tuple[Limit, ...]:
    """All stop conditions of a drill. `scenario` is at its speed already."""
    return (
        *(Limit("scenario", spec) for spec in scenario.safety.stop_when),
        *(Limit("environment", spec.at_speed(speed)) for spec in environment.stop_when),
    )


@dataclass(frozen=True, slots=True)
class Met:
    """Why a drill must end: since `since` a condition holds, or was not read any more."""

    limit: Limit
    outcome: Literal["holds", "unread"]
    since: Instant
    detail: str

    def reason(self, now: Instant) -> str:
        """One sentence: which condition, what was seen, since when."""
        for_s, when = now - self.since, f"{self.since.utc:%H:%M:%S} UTC"
        what = f"stop condition of the {self.limit.of}: {self.limit.describe()}"
        if self.outcome == "holds":
            return f"{what}; it does since {when} ({for_s:.1f} s): {self.detail}"
        grace = format_duration(self.limit.spec.grace)
        return f"{what}; it was not read since {when} ({for_s:.1f} s, grace {grace}): {self.detail}"


class ProbeWatch:
    """A condition on a probe, which the drill samples anyway."""

    def __init__(self, limit: Limit, spec: ProbeStop, state: ProbeState, begun: Instant) -> None:
        self.limit = limit
        self._spec, self._state, self._begun = spec, state, begun

    @property
    def settled(self) -> bool:
        """Known to be far from its limit: a probe's first answers may come before it can know."""
        return self._state.ok is True

    def objection(self) -> str | None:
        """Why no drill may begin."""
        last = self._state.last
        if last is None:
            return f"{self.limit.describe()}: no answer yet"
        return None if self._state.ok else f"{self.limit.describe()}: it fails already: {last.detail}"

    def met(self, now: Instant) -> Met | None:
        state, last = self._state, self._state.last
        since = state.since if state.ok is False else None
        # from the first sample in vain to the last one: what was asked in between was in vain too
        if since is not None and last is not None and last.started - since.at >= self._spec.fails_for:
            return Met(self.limit, "holds", since.at, last.detail)
        read = self._begun if last is None else last.ended
        if now - read > self._spec.grace:
            return Met(self.limit, "unread", read, "no sample of the probe was answered")
        return None


@dataclass(slots=True)
class QueryWatch:
    """A condition by PromQL, folded from its readings: pure, each comes with its instant."""

    limit: Limit
    spec: QueryStop
    begun: Instant
    read: Instant | None = None
    since: Instant | None = None
    """When the first reading was asked of those, to the last one, in which it held."""
    detail: str = ""
    failure: str = "no answer yet"

    def took(self, asked: Instant, found: Sequence[Sample]) -> None:
        """A reading that succeeded."""
        self.read, self.failure = asked, "no answer"
        if not found:
            self.since = None
            return
        self.since = self.since or asked
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        self.detail = one_line(f"{found[0]}{more}", _DETAIL)

    def failed(self, reason: str) -> None:
        """A reading that did not. It neither holds nor does not: what held before goes on."""
        self.failure = one_line(reason, _DETAIL)

    @property
    def settled(self) -> bool:
        return self.read is not None

    def objection(self) -> str | None:
        if self.read is None:
            return f"{self.limit.describe()}: it cannot be read: {self.failure}"
        return f"{self.limit.describe()}: it holds already: {self.detail}" if self.since else None

    def met(self, now: Instant) -> Met | None:
        if self.since is not None and self.read is not None and self.read - self.since >= self.spec.holds_for:
            return Met(self.limit, "holds", self.since, self.detail)
        read = self.read or self.begun
        if now - read > self.spec.grace:
            return Met(self.limit, "unread", read, self.failure)
        return None


async def read(spec: QueryStop, queries: Queries) -> tuple[Sample, ...]:
    """One reading.

    Raises:
        DetectorError: there is none; where `absent_is` says so, because there are no series to read.
        TimeoutError: none in time.
    """
    async with asyncio.timeout(QUERY_S):
        found = await queries.query(spec.promql)
        if not found and spec.absent_is == "unread":
            for selector, present in presence(spec.promql).items():
                if not await queries.query(present):
                    raise DetectorError(f"there is no series {selector}")
        return found


@dataclass(slots=True)
class StopWatch:
    """All conditions of one drill. Reads from `start` on; from `arm` on `on_met` is called, once, for the first."""

    limits: Iterable[Limit]
    states: Mapping[str, ProbeState]
    detector: object
    on_met: Callable[[Met], None]
    on_death: Callable[[str], None]
    """The watch itself failed: the drill must not go on without."""
    watches: list[ProbeWatch | QueryWatch] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        now = Instant.now()
        for limit in self.limits:
            if isinstance(limit.spec, ProbeStop):
                state = self.states[limit.spec.probe]
                self.watches.append(ProbeWatch(limit, limit.spec, state, now))
                continue
            watch = QueryWatch(limit, limit.spec, now)
            self.watches.append(watch)
            self._tasks.append(asyncio.create_task(self._read(watch), name="stop condition"))

    async def stop(self) -> None:
        """End everything; harmless when called twice or before `start`."""
        self.disarm()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def arm(self) -> None:
        """From now on a condition ends the drill."""
        if self.watches and self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="stop conditions")

    def disarm(self) -> None:
        """The drill is putting everything back anyway: nothing may interrupt that."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()

    @property
    def settled(self) -> bool:
        """Whether all that can be known before a drill is known."""
        return all(watch.settled for watch in self.watches)

    def objections(self) -> list[str]:
        """Why no drill may begin now."""
        return [told for watch in self.watches if (told := watch.objection()) is not None]

    def describe(self) -> str:
        return "; ".join(watch.limit.describe() for watch in self.watches)

    async def _read(self, watch: QueryWatch) -> None:
        due = time.monotonic()
        while True:
            asked = Instant.now()
            try:
                if not isinstance(self.detector, Queries):
                    raise DetectorError("this detector evaluates no PromQL")
                watch.took(asked, await read(watch.spec, self.detector))
            except TimeoutError:
                watch.failed(f"no answer within {QUERY_S:g} s")
            except Exception as error:  # noqa: BLE001 - whatever happened, it is no reading
                watch.failed(str(error) if isinstance(error, DetectorError) else first_line(error))
            due = max(due + watch.spec.every, time.monotonic())
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _look(self) -> None:
        try:
            while True:
                now = Instant.now()
                met = next((met for watch in self.watches if (met := watch.met(now)) is not None), None)
                if met is not None:
                    self.on_met(met)
                    return
                await asyncio.sleep(LOOK_S)
        except Exception as error:  # noqa: BLE001 - nobody else would notice that nobody looks any more
            self.on_death(f"the watch over stop conditions failed: {first_line(error)}")
