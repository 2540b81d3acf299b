"""Which alerts fire, where all that is told is that one fires or is gone: nobody says what is pending."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from gameday.clock import Instant
from gameday.detectors.base import Alert, AlertState, OnTransition, Transition
from gameday.detectors.state import LabelKey, label_key

_INACTIVE, _FIRING, _UNKNOWN = AlertState.INACTIVE, AlertState.FIRING, AlertState.UNKNOWN


class Spells:
    """One summary for each name, and what fires of it by label set."""

    def __init__(self, names: Iterable[str], seen: str, on_transition: OnTransition) -> None:
        """`names` are known from the beginning; others become known when they fire. `seen` as in `Transition`."""
        self._seen, self._on_transition = seen, on_transition
        self._summaries = {name: Alert(name, summary=True) for name in names}
        self._entries: dict[str, dict[LabelKey, Alert]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is known, in the order in which it became so."""
        return tuple(self._summaries)

    def fires(self, name: str) -> bool:
        return name in self._summaries and self._summaries[name].state is _FIRING

    def tell(self, name: str, firing: Iterable[Mapping[str, str]], at: Instant, resolution_s: float) -> None:
        """These label sets of a name fire and no others: so it became in the `resolution_s` before `at`."""
        before = self._entries.get(name, {})
        now = {label_key(labels): MappingProxyType(dict(labels)) for labels in firing}
        after = {key: alert for key, alert in before.items() if key in now}
        changed = [alert for key, alert in before.items() if key not in now]
        for key, labels in now.items():
            if key not in before:
                alert = Alert(name, labels)
                after[key] = _entered(alert, _FIRING, at)
                changed.append(alert)
        self._entries[name] = after
        for alert in changed:
            self._moved(alert, at, resolution_s)
        summary = self._summaries.setdefault(name, Alert(name, summary=True))
        state = _FIRING if after else _INACTIVE
        if state is not summary.state:
            self._summaries[name] = _entered(summary, state, at)
            self._moved(summary, at, resolution_s)

    def alerts(self, unknown: Mapping[str, bool]) -> tuple[Alert, ...]:
        """The summary of each name, then its label sets; UNKNOWN where `unknown` says so."""
        found: list[Alert] = []
        for name, summary in self._summaries.items():
            known = (summary, *self._entries.get(name, {}).values())
            found += [replace(alert, state=_UNKNOWN) for alert in known] if unknown.get(name) else known
        return tuple(found)

    def _moved(self, before: Alert, at: Instant, resolution_s: float) -> None:
        state = _INACTIVE if before.state is _FIRING else _FIRING
        self._on_transition(
            Transition(
                before.name, before.labels, before.state, state, at, resolution_s, before.summary, self._seen
            )
        )


def _entered(alert: Alert, state: AlertState, at: Instant) -> Alert:
    if state is _FIRING:
        return replace(alert, state=state, firing_since=at)
    return replace(alert, state=state, firing_since=None, resolved_at=at)
