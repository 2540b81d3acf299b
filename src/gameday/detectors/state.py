"""The alert state machine: a pure step from one evaluation of a rule to the next.

Modelled on `AlertingRule.Eval` in Prometheus' rules/alerting.go: one state per label set; pending from the
evaluation that first returns the series (`ActiveAt`); firing from the first evaluation with
`ts - ActiveAt >= for`; a pending series that leaves the result is forgotten; a firing one resolves, after
`keep_firing_for` where that is set; resolved alerts are kept for 15 minutes.

Two times come in. `tick` is the scheduled time of the evaluation: Prometheus evaluates at aligned ticks, so
differences are exact multiples of the interval and a few milliseconds of jitter cannot delay firing by a
whole interval. `now` is the clock at the moment the state changed, and is what transitions record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gameday.clock import Instant
from gameday.detectors.base import Alert, AlertState, Transition

LabelKey = tuple[tuple[str, str], ...]
_NO_LABELS: Mapping[str, str] = MappingProxyType({})

# `resolvedRetention` in Prometheus' rules/alerting.go
RESOLVED_RETENTION_S = 15 * 60.0

_INACTIVE, _PENDING, _FIRING = AlertState.INACTIVE, AlertState.PENDING, AlertState.FIRING

# Every way from one state to another, along the edges that exist: nothing fires that was not pending.
_PATHS: Mapping[tuple[AlertState, AlertState], tuple[AlertState, ...]] = {
    (_INACTIVE, _PENDING): (_PENDING,),
    (_INACTIVE, _FIRING): (_PENDING, _FIRING),
    (_PENDING, _FIRING): (_FIRING,),
    (_PENDING, _INACTIVE): (_INACTIVE,),
    (_FIRING, _INACTIVE): (_INACTIVE,),
    (_FIRING, _PENDING): (_INACTIVE, _PENDING),
}


def label_key(labels: Mapping[str, str]) -> LabelKey:
    """Identity of a label set."""
    return tuple(sorted(labels.items()))


def edges(before: AlertState, after: AlertState) -> tuple[AlertState, ...]:
    """The states that are entered on the way from one to another, in order; none when they are equal."""
    return _PATHS.get((before, after), ())


@dataclass(frozen=True, slots=True)
class Entry:
    """State of one label set, with the ticks that `for` and `keep_firing_for` count from (monotonic ns)."""

    state: AlertState = _INACTIVE
    active_tick_ns: int = 0
    missing_tick_ns: int | None = None
    pending_since: Instant | None = None
    firing_since: Instant | None = None
    resolved_at: Instant | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class RuleState:
    """Everything that one rule remembers between two evaluations."""

    entries: Mapping[LabelKey, Entry] = field(default_factory=lambda: MappingProxyType({}))
    summary: Entry = Entry()

    def alerts(self, name: str) -> tuple[Alert, ...]:
        """The summary of the rule, then its alerts per label set."""
        alerts = [_alert(name, _NO_LABELS, self.summary, summary=True)]
        alerts += [_alert(name, MappingProxyType(dict(key)), entry) for key, entry in self.entries.items()]
        return tuple(alerts)


def step(
    name: str,
    state: RuleState,
    active: Mapping[LabelKey, float],
    *,
    now: Instant,
    for_s: float,
    keep_firing_for_s: float = 0.0,
    tick: Instant | None = None,
    resolution_s: float = 0.0,
) -> tuple[RuleState, tuple[Transition, ...]]:
    """One evaluation of one rule.

    Args:
        name: the alert's name, for the transitions.
        state: what the previous step returned; `RuleState()` at first.
        active: the series that the rule's expression returned, with their values.
        now: the clock; what transitions and alerts record.
        for_s: how long a series must stay before its alert fires, in seconds.
        keep_firing_for_s: how long an alert goes on firing after its series left, in seconds.
        tick: the scheduled time of this evaluation, which both durations are compared with; else `now`.
        resolution_s: uncertainty of `now`, passed on to the transitions.

    Returns:
        The new state, and the transitions in order: per label set, then those of the summary.
    """
    tick_ns = (tick or now).mono_ns
    for_ns, keep_ns = round(for_s * 1e9), round(keep_firing_for_s * 1e9)
    entries: dict[LabelKey, Entry] = {}
    transitions: list[Transition] = []
    for key in [*state.entries, *(key for key in active if key not in state.entries)]:
        before = state.entries.get(key, Entry())
        if key in active:
            after = _present(before, active[key], tick_ns, now, for_ns)
        else:
            after = _absent(before, tick_ns, now, keep_ns)
        labels = MappingProxyType(dict(key))
        sample = Transition(name, labels, before.state, after.state, now, resolution_s)
        transitions += _transitions(before, after, sample)
        if after.state is not _INACTIVE or _recently_resolved(after, now):
            entries[key] = after
    summary = _summarise(state.summary, entries, now)
    sample = Transition(name, _NO_LABELS, state.summary.state, summary.state, now, resolution_s, summary=True)
    transitions += _transitions(state.summary, summary, sample)
    return RuleState(MappingProxyType(entries), summary), tuple(transitions)


def _present(before: Entry, value: float, tick_ns: int, now: Instant, for_ns: int) -> Entry:
    entry = replace(before, value=value, missing_tick_ns=None)
    if entry.state is _INACTIVE:
        entry = replace(entry, state=_PENDING, active_tick_ns=tick_ns, pending_since=now, firing_since=None)
    if entry.state is _PENDING and tick_ns - entry.active_tick_ns >= for_ns:
        entry = replace(entry, state=_FIRING, firing_since=now)
    return entry


def _absent(before: Entry, tick_ns: int, now: Instant, keep_ns: int) -> Entry:
    if before.state is _FIRING:
        missing_tick_ns = tick_ns if before.missing_tick_ns is None else before.missing_tick_ns
        if tick_ns - missing_tick_ns < keep_ns:
            return replace(before, missing_tick_ns=missing_tick_ns)
        return Entry(resolved_at=now)
    return Entry(resolved_at=before.resolved_at)


def _recently_resolved(entry: Entry, now: Instant) -> bool:
    return entry.resolved_at is not None and now - entry.resolved_at <= RESOLVED_RETENTION_S


def _summarise(before: Entry, entries: Mapping[LabelKey, Entry], now: Instant) -> Entry:
    """State of the whole rule. Its instants are those of the rule's spell, not of any one label set."""
    states = {entry.state for entry in entries.values()}
    state = _FIRING if _FIRING in states else _PENDING if _PENDING in states else _INACTIVE
    value = next((entry.value for entry in entries.values() if entry.state is state), None)
    entry = before
    for reached in _PATHS.get((before.state, state), ()):
        if reached is _PENDING:
            entry = replace(entry, state=reached, pending_since=now, firing_since=None)
        elif reached is _FIRING:
            entry = replace(entry, state=reached, firing_since=now)
        else:
            ended = now if entry.state is _FIRING else entry.resolved_at
            entry = Entry(resolved_at=ended)
    return replace(entry, value=value if state is not _INACTIVE else None)


def _transitions(before: Entry, after: Entry, sample: Transition) -> list[Transition]:
    """`sample` once for each edge between the two states."""
    result: list[Transition] = []
    state = before.state
    for reached in _PATHS.get((before.state, after.state), ()):
        result.append(replace(sample, state_from=state, state_to=reached))
        state = reached
    return result


def _alert(name: str, labels: Mapping[str, str], entry: Entry, *, summary: bool = False) -> Alert:
    return Alert(
        name,
        labels,
        entry.state,
        entry.pending_since,
        entry.firing_since,
        entry.resolved_at,
        entry.value,
        summary,
    )
