"""What a timeline says of one alert beside its instants: why it was missed, who was told, what its rule is. Pure."""

from __future__ import annotations

from gameday.intervals import alert_event
from gameday.timeline import Kind, Timeline


def suppressed(timeline: Timeline, alert: str) -> str | None:
    """What kept the alert from being told; None where it was told, or silenced only after it could be seen."""
    event = alert_event(timeline, Kind.ALERT_SUPPRESSED, alert)
    notified = alert_event(timeline, Kind.ALERT_NOTIFIED, alert)
    if event is None or not event.data.get("from_the_start"):
        return None
    return None if notified is not None and notified.at <= event.at else str(event.data.get("detail"))


def silences_unread(timeline: Timeline, alert: str) -> str | None:
    """Why nobody knows whether it was silenced: an Alertmanager that could not be read when it fired."""
    firing = alert_event(timeline, Kind.ALERT_FIRING, alert)
    if firing is None or alert_event(timeline, Kind.ALERT_NOTIFIED, alert) is not None:
        return None
    health = timeline.last(Kind.DETECTOR_HEALTH, lambda event: event.seq < firing.seq)
    detail = "" if health is None or health.data["ok"] else str(health.data.get("detail"))
    return detail if "Alertmanager" in detail else None


def advice(timeline: Timeline, alert: str) -> str:
    """What is known of the rule that may explain what it did, as the end of a sentence."""
    told = timeline.first(Kind.ALERT_RULE, lambda event: event.data["alert"] == alert)
    if told is None:
        return ""
    parts = [str(part["explanation"]) for part in told.data["advice"]]
    rule = f". The rule is {told.data['expr']}" if told.data["expr"] else ""
    return rule + "".join(f". {part.rstrip('.')}" for part in parts)


def since_effect(timeline: Timeline, alert: str) -> str:
    firing, effective = alert_event(timeline, Kind.ALERT_FIRING, alert), timeline.first(Kind.FAULT_EFFECTIVE)
    if firing is None or effective is None:
        return ""
    after_s = firing.at - effective.at
    when = "after" if after_s >= 0 else "before"
    return f" {abs(after_s):.1f} s {when} the effect, which nobody should be woken for"


def blind(timeline: Timeline) -> bool:
    """Whether the detector could not see at some time between the effect and the end of detection."""
    effective = timeline.first(Kind.FAULT_EFFECTIVE)
    ended = timeline.first(Kind.DETECT_ENDED)
    if effective is None:
        return False
    health = [event for event in timeline.all(Kind.DETECTOR_HEALTH) if ended is None or event.at <= ended.at]
    before = [event for event in health if event.at <= effective.at]
    during = [event for event in health if effective.at <= event.at]
    return any(not event.data["ok"] for event in (*before[-1:], *during))
