"""The floor of the time to detect, for people: what no promise can go below, as the stack was configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gameday.fields import format_duration
from gameday.record import DrillRecord
from gameday.timeline import Kind

_PARTS = {
    "scrape_s": "scrape",
    "evaluation_s": "evaluation",
    "for_s": "for",
    "group_wait_s": "group_wait",
}
_FIRES, _NOTIFIES = "fires_s", "notifies_s"


@dataclass(frozen=True, slots=True)
class Floor:
    """Of one alert's rule. A sum is None where one of its parts could not be read."""

    alert: str
    parts: Mapping[str, float]
    unread: tuple[str, ...]
    fires_s: float | None
    notifies_s: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "alert": self.alert,
            "parts": dict(self.parts),
            "unread": list(self.unread),
            "fires_s": self.fires_s,
            "notifies_s": self.notifies_s,
        }

    def __str__(self) -> str:
        """`floor 7s = scrape 5s + evaluation 1s + for 1s; 7.3s until notified, with group_wait 300ms`."""
        wait_s = self.parts.get("group_wait")
        fires = " + ".join(
            f"{name} {_length(value)}" for name, value in self.parts.items() if name != "group_wait"
        )
        if self.fires_s is None:
            text = f"floor not known{f', at least {fires}' if fires else ''}"
        else:
            text = f"floor {_length(self.fires_s)} = {fires}"
        if self.notifies_s is not None and wait_s is not None:
            text += f"; {_length(self.notifies_s)} until notified, with group_wait {_length(wait_s)}"
        elif wait_s is not None:
            text += f"; group_wait {_length(wait_s)} more until notified"
        return f"{text}; not read: {', '.join(self.unread)}" if self.unread else text


def floor(record: DrillRecord) -> Floor | None:
    """Of the expected alert; None where the detector tells of none."""
    alert = record.scenario.alert
    told = record.timeline.last(Kind.ALERT_RULE, lambda event: event.data.get("alert") == alert)
    data = told.data.get("floor") if told is not None else None
    if alert is None or not isinstance(data, Mapping) or not data:
        return None
    known = {name: _number(data.get(key)) for key, name in _PARTS.items()}
    parts = {name: value for name, value in known.items() if value is not None}
    unread = tuple(name for name, value in known.items() if value is None)
    return Floor(alert, parts, unread, _number(data.get(_FIRES)), _number(data.get(_NOTIFIES)))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _length(seconds: float) -> str:
    return format_duration(round(seconds, 3))
