"""Alert states that another machine keeps, turned into what every detector tells: alerts and transitions. Pure.

`Followed` remembers one alert name: all rules of that name, each with its label sets. A name is known as soon as
each of its rules is; its summary fires if any label set of any rule does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gameday.clock import Instant
from gameday.detectors.base import Alert, AlertState, Transition
from gameday.detectors.moment import Look, Moment, firing_tick_s, locate
from gameday.detectors.prometheus_rules import AlertReading, RuleReading
from gameday.detectors.remote_clock import Difference, seconds
from gameday.detectors.state import RESOLVED_RETENTION_S, LabelKey, edges, label_key

_INACTIVE, _PENDING, _FIRING = AlertState.INACTIVE, AlertState.PENDING, AlertState.FIRING
_Key = tuple[tuple[str, str, int], LabelKey]


@dataclass(frozen=True, slots=True)
class _Move:
    """A state that was entered: when that was, as far as it was watched, and since when it holds."""

    state: AlertState
    moment: Moment
    since: Instant


@dataclass(frozen=True, slots=True)
class Followed:
    """What is remembered of one alert name between two looks. `looks` has the last good one at each rule."""

    name: str
    summary: Alert
    entries: Mapping[_Key, Alert] = field(default_factory=lambda: MappingProxyType({}))
    looks: Mapping[tuple[str, str, int], Look] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, name: str) -> Followed:
        return cls(name, Alert(name, summary=True))

    def alerts(self) -> tuple[Alert, ...]:
        return (self.summary, *self.entries.values())


def follow(
    followed: Followed,
    rules: Iterable[RuleReading],
    *,
    since: Instant,
    sent: Instant,
    received: Instant,
    difference: Difference | None,
) -> tuple[Followed, tuple[Transition, ...]]:
    """One look at all rules of one name.

    Args:
        followed: what the look before returned; `Followed.of(name)` at first.
        rules: every rule of that name; none has a problem.
        since: when looking began: nothing is said to have happened earlier.
        sent, received: of the answer in which the rules stood.
        difference: of the server's clock, None where it is not known.

    Returns:
        What to remember, and the transitions in order: per label set, then those of the summary.
    """
    entries: dict[_Key, Alert] = {}
    looks: dict[tuple[str, str, int], Look] = {}
    moves: list[_Move] = []
    transitions: list[Transition] = []
    for rule in rules:
        look = looks[rule.key] = Look(sent, received, rule.evaluated_s, rule.took_s)
        last = followed.looks.get(rule.key, Look(since, since))
        readings = {label_key(reading.labels): reading for reading in rule.alerts}
        known = [key for of, key in followed.entries if of == rule.key]
        for labels in dict.fromkeys((*known, *readings)):
            reading = readings.get(labels)
            before = followed.entries.get(
                (rule.key, labels), Alert(rule.name, MappingProxyType(dict(labels)))
            )
            after, steps = _step(before, reading, rule, last, look, difference)
            transitions += [transition for transition, _ in steps]
            moves += [move for _, move in steps]
            if after.state is not _INACTIVE or _recent(after, received):
                entries[rule.key, labels] = after
    observed = locate(_oldest(followed, since), Look(sent, received), 0.0, None)
    summary, made = _summarise(followed.summary, entries, moves, observed)
    return replace(
        followed, entries=MappingProxyType(entries), summary=summary, looks=MappingProxyType(looks)
    ), (*transitions, *made)


def _step(
    before: Alert,
    reading: AlertReading | None,
    rule: RuleReading,
    last: Look,
    look: Look,
    difference: Difference | None,
) -> tuple[Alert, list[tuple[Transition, _Move]]]:
    """One label set: the alert after this look, and a transition for each edge on the way."""
    state = reading.state if reading is not None else _INACTIVE
    after, made = before, []
    for reached in edges(before.state, state):
        tick_s = None
        if reading is not None and reading.active_s is not None and reached is not _INACTIVE:
            tick_s = reading.active_s
            if reached is _FIRING:
                tick_s = firing_tick_s(tick_s, rule.info.for_s, rule.interval_s)
        moment = locate(last, look, rule.interval_s, difference, tick_s)
        move = _Move(reached, moment, _since(moment, tick_s, difference))
        entered = _entered(after, move)
        made.append((_transition(after, entered, moment), move))
        after = entered
    return replace(after, value=reading.value if reading is not None else None), made


def _summarise(
    before: Alert, entries: Mapping[_Key, Alert], moves: list[_Move], observed: Moment
) -> tuple[Alert, list[Transition]]:
    """The rule's own state. It is entered with the first label set that enters it, and left with the last."""
    states = {entry.state for entry in entries.values()}
    state = _FIRING if _FIRING in states else _PENDING if _PENDING in states else _INACTIVE
    after, made = before, []
    for reached in edges(before.state, state):
        found = sorted(
            (move for move in moves if move.state is reached), key=lambda move: move.moment.at.mono_ns
        )
        unseen = _Move(reached, observed, observed.at)
        pick = unseen if not found else found[-1] if reached is _INACTIVE else found[0]
        entered = _entered(after, pick)
        made.append(_transition(after, entered, pick.moment))
        after = entered
    value = next((entry.value for entry in entries.values() if entry.state is state), None)
    return replace(after, value=value if state is not _INACTIVE else None), made


def _entered(alert: Alert, move: _Move) -> Alert:
    if move.state is _PENDING:
        return replace(alert, state=move.state, pending_since=move.since, firing_since=None)
    if move.state is _FIRING:
        return replace(alert, state=move.state, firing_since=move.since)
    ended = move.since if alert.state is _FIRING else alert.resolved_at
    return replace(alert, state=move.state, pending_since=None, firing_since=None, resolved_at=ended)


def _since(moment: Moment, tick_s: float | None, difference: Difference | None) -> Instant:
    """Since when a state holds: of one that is older than the watch, what the server says."""
    if tick_s is None or difference is None:
        return moment.at
    earlier_s = seconds(moment.at) - difference.span(tick_s, tick_s).high_s
    return moment.at.plus(-earlier_s) if earlier_s > moment.resolution_s else moment.at


def _transition(before: Alert, after: Alert, moment: Moment) -> Transition:
    return Transition(
        after.name,
        after.labels,
        before.state,
        after.state,
        moment.at,
        moment.resolution_s,
        after.summary,
        moment.seen,
    )


def _oldest(followed: Followed, since: Instant) -> Look:
    """The look before at all rules of the name: what happened since happened in one of them."""
    return min(followed.looks.values(), key=lambda look: look.sent.mono_ns, default=Look(since, since))


def _recent(alert: Alert, now: Instant) -> bool:
    return alert.resolved_at is not None and now - alert.resolved_at <= RESOLVED_RETENTION_S
