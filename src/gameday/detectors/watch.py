"""Watching a detector on its own: `gameday detect`. Works with any detector, through the protocol alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gameday.clock import Instant
from gameday.detectors.base import Alert, AlertState, Detector, Health, Notice, NoticeKind, RuleInfo


async def watch(
    detector: Detector,
    *,
    once: bool,
    out: Callable[[str], None],
    poll_s: float = 0.25,
    timeout_s: float = 30.0,
) -> tuple[Alert, ...]:
    """Start the detector, show every alert and then each change; returns the last alerts.

    With `once` it ends as soon as nothing is unknown any more. A rate needs two scrapes, so for that the
    detector should be made with a short interval (1 s); `timeout_s` bounds the wait, and alerts that are
    still unknown then are returned as unknown. Without `once` it goes on until it is cancelled.

    Raises:
        DetectorError: the detector died.
    """
    await detector.start()
    rules = {rule.name: rule for rule in detector.rules()}  # some are known only from then on
    try:
        if any(rule.floor for rule in rules.values()):
            out(describe_rules(rules.values()))
        alerts = await _until_known(detector, poll_s, timeout_s)
        shown = _show(alerts, {}, rules, out)
        _show_health(detector.health(), None, out)
        ok = detector.health().ok
        while not once:
            await asyncio.sleep(poll_s)
            alerts = detector.alerts()
            ok = _show_health(detector.health(), ok, out)
            shown = _show(alerts, shown, rules, out)
        return alerts
    finally:
        await detector.stop()


async def _until_known(detector: Detector, poll_s: float, timeout_s: float) -> tuple[Alert, ...]:
    began = Instant.now()
    while True:
        alerts = detector.alerts()
        if alerts and all(alert.state is not AlertState.UNKNOWN for alert in alerts):
            return alerts
        if Instant.now() - began > timeout_s:
            return alerts
        await asyncio.sleep(poll_s)


def describe_alert(alert: Alert, rule: RuleInfo | None = None) -> str:
    """One line for people: `redis_connection_issues  pending since 12:00:03 UTC, fires after 120 s`."""
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(alert.labels.items()))
    name = f"{alert.name}{{{labels}}}" if labels else alert.name
    text = f"{name}  {alert.state.value}"
    if alert.state is AlertState.PENDING:
        text += _since(alert.pending_since)
        text += f", fires after {rule.for_s:g} s" if rule is not None else ""
    elif alert.state is AlertState.FIRING:
        text += _since(alert.firing_since)
        if alert.pending_since is not None:
            text += f" (pending{_since(alert.pending_since)})"
    elif alert.state is AlertState.INACTIVE and alert.resolved_at is not None:
        text += f", resolved at {_time(alert.resolved_at)}"
    return text if alert.value is None else f"{text}, value {alert.value:g}"


_NOTICES = {
    NoticeKind.NOTIFIED: "was notified",
    NoticeKind.END_NOTIFIED: "was notified as resolved",
    NoticeKind.SUPPRESSED: "is suppressed",
    NoticeKind.RELEASED: "is no longer suppressed",
}


def describe_notice(notice: Notice) -> str:
    """One line for people of what became of an alert behind the rules."""
    why = f": {notice.detail}" if notice.detail else ""
    return f"{notice.alert}  {_NOTICES[notice.kind]} at {_time(notice.at)}{why}"


def describe_rules(rules: Iterable[RuleInfo]) -> str:
    """How many there are, and the lowest and highest floor of a time to detect where it is known."""
    known = list(rules)
    fires = [floor for rule in known if (floor := rule.floor.get("fires_s")) is not None]
    text = f"{len(known)} rules, floor of the time to detect"
    return f"{text} {min(fires):g} to {max(fires):g} s" if fires else f"{text} not known"


def _show(
    alerts: tuple[Alert, ...],
    shown: dict[tuple[object, ...], AlertState],
    rules: dict[str, RuleInfo],
    out: Callable[[str], None],
) -> dict[tuple[object, ...], AlertState]:
    states: dict[tuple[object, ...], AlertState] = {}
    for alert in alerts:
        key = (alert.name, alert.summary, *sorted(alert.labels.items()))
        states[key] = alert.state
        if shown.get(key) is not alert.state:
            line = describe_alert(alert, rules.get(alert.name))
            out(line if alert.summary else f"  {line}")
    return states


def _show_health(health: Health, ok: bool | None, out: Callable[[str], None]) -> bool:
    if health.ok is not ok:
        last = f" (last good {_time(health.last_good)})" if health.last_good and not health.ok else ""
        out(f"detector {'healthy' if health.ok else 'UNHEALTHY'}: {health.detail}{last}")
    return health.ok


def _since(instant: Instant | None) -> str:
    return "" if instant is None else f" since {_time(instant)}"


def _time(instant: Instant) -> str:
    return instant.utc.strftime("%H:%M:%S UTC")
