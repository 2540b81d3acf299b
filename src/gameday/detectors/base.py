"""What every detector answers: which alerts are pending or firing now, since when, and whether it can tell.

The protocol is narrow on purpose: the embedded detector, a real Prometheus, an Alertmanager and a webhook
receiver all have to keep it, and a drill must read the same from each. Two promises matter most:

* an alert that a detector cannot see is `UNKNOWN`, never `INACTIVE` (a blind detector proves nothing);
* each transition carries its resolution, so that a measured time to detect can state its own uncertainty.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from gameday.clock import Instant


def _no_labels() -> Mapping[str, Any]:
    return MappingProxyType({})


class AlertState(enum.Enum):
    """State of one alert. `UNKNOWN`: the detector could not tell, which is never the same as inactive."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as last seen: one per label set, and one `summary` of the whole rule (which has no labels).

    A summary fires if any label set fires, is pending if any is pending, else inactive. `pending_since` and
    `firing_since` belong to the current spell; `resolved_at` is the end of the last firing. `value` is the
    sample value of the rule's expression, None where the detector does not know it.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=_no_labels)
    state: AlertState = AlertState.INACTIVE
    pending_since: Instant | None = None
    firing_since: Instant | None = None
    resolved_at: Instant | None = None
    value: float | None = None
    summary: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """One alert, or the `summary` of one rule, changed state at `at`, exact to `resolution_s` seconds.

    `state_to` INACTIVE after FIRING means resolved; after PENDING it means that the condition did not last.
    `seen` says how `at` is known where another machine evaluates: `observed` (between two looks), `evaluated` (the
    server names the evaluation) or `derived` (the server's pending instant, `for` and evaluation interval).
    """

    alert: str
    labels: Mapping[str, str]
    state_from: AlertState
    state_to: AlertState
    at: Instant
    resolution_s: float
    summary: bool = False
    seen: str = ""

    @property
    def resolved(self) -> bool:
        """True when a firing alert ended."""
        return self.state_from is AlertState.FIRING and self.state_to is AlertState.INACTIVE


class NoticeKind(enum.Enum):
    """What became of a firing alert behind the rules. Only a receiver knows that somebody was notified."""

    NOTIFIED = "notified"
    END_NOTIFIED = "end notified"
    SUPPRESSED = "suppressed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened to the notifications of an alert, in the `resolution_s` seconds before `at`.

    NOTIFIED and END_NOTIFIED (that it resolved) are about label sets that were not told of before; `labels` are
    those of the first in the notification. SUPPRESSED and RELEASED are about all of
    an alert: every label set is silenced or inhibited, by what `detail` says, or no longer. `from_the_start` is
    true where an alert was suppressed when it was first seen firing: so nobody can have been told. `began_s` is when
    the alert began to fire, in UTC seconds of the clock of whoever evaluates the rules, where that is told.
    """

    kind: NoticeKind
    alert: str
    labels: Mapping[str, str]
    at: Instant
    resolution_s: float
    detail: str = ""
    from_the_start: bool = False
    began_s: float | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the detector can tell. `detail` is for people; `last_good` is the last complete evaluation."""

    ok: bool
    detail: str
    last_good: Instant | None = None


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What a drill needs to know of one alert rule. `for_s` is in force: already divided by the speed.

    `expr` is the expression as it stands in the file, its windows undivided; empty where it is not known.
    `floor` is what a time to detect cannot be promised below, with its parts, in seconds; empty where not known.
    """

    name: str
    for_s: float
    severity: str | None = None
    annotations: Mapping[str, str] = field(default_factory=_no_labels)
    expr: str = ""
    labels: Mapping[str, str] = field(default_factory=_no_labels)
    floor: Mapping[str, float | None] = field(default_factory=_no_labels)

    @property
    def runbook_url(self) -> str | None:
        """The runbook that the rule names, if any."""
        return self.annotations.get("runbook_url")


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of a query's result: its labels (`__name__` among them) and value."""

    labels: Mapping[str, str]
    value: float

    def __str__(self) -> str:
        name = self.labels.get("__name__", "")
        inner = ", ".join(f'{key}="{text}"' for key, text in self.labels.items() if key != "__name__")
        shown = f"{name}{{{inner}}}" if inner else name
        return f"{shown} {self.value:g}".lstrip()


OnTransition = Callable[[Transition], None]
OnNotice = Callable[[Notice], None]
OnHealth = Callable[[Health], None]


class Detector(Protocol):
    """A source of alert states. Constructed with `on_transition` and `on_health`, called on the event loop.

    The callbacks must be quick and must not raise. `on_health` is called for the first verdict after `start`
    and whenever `Health.ok` changes.
    """

    async def start(self) -> None:
        """Begin to watch; returns before the first evaluation. Raises DetectorError if it cannot."""
        ...

    async def stop(self) -> None:
        """Stop watching and release connections; harmless when called twice or before `start`."""
        ...

    def alerts(self) -> tuple[Alert, ...]:
        """The latest state: for every rule its summary, then its alerts per label set.

        What the detector cannot tell is UNKNOWN: everything before the first evaluation and while it is
        stalled, one rule's alerts while that rule cannot be evaluated.
        """
        ...

    def health(self) -> Health:
        """Whether the detector can tell, as of now (a detector that stalled says so when asked)."""
        ...

    def rules(self) -> tuple[RuleInfo, ...]:
        """The rules that this detector evaluates, in the file's order."""
        ...

    def describe(self) -> dict[str, object]:
        """Plain data for the evidence: kind, interval, rules file, speed. Never a secret."""
        ...


@runtime_checkable
class Queries(Protocol):
    """What a detector can do beside its rules where it knows the series: evaluate PromQL."""

    async def query(self, expr: str) -> tuple[Sample, ...]:
        """The instant vector that `expr` is now.

        An empty one is an answer. Whatever is none (no answer in time, an error, a detector that is blind) raises.

        Raises:
            DetectorError: it is not known.
        """
        ...
