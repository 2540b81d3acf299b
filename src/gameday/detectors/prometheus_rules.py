"""Prometheus' answer to /api/v1/rules as values. What is not as documented is refused: nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from gameday.detectors.base import AlertState, RuleInfo
from gameday.errors import DetectorError

T = TypeVar("T")
_TOLD = 200


@dataclass(frozen=True, slots=True)
class AlertReading:
    """One label set of a rule. `active_s` is when it became pending, in UTC seconds of the server."""

    labels: Mapping[str, str]
    state: AlertState
    active_s: float | None
    value: float | None


@dataclass(frozen=True, slots=True)
class RuleReading:
    """One alerting rule as Prometheus has it. `problem` says why its alerts are not known; empty where they are.

    `evaluated_s` is when the last evaluation began, in UTC seconds of the server, and `took_s` how long it took.
    """

    key: tuple[str, str, int]
    info: RuleInfo
    keep_firing_for_s: float
    interval_s: float
    alerts: tuple[AlertReading, ...]
    evaluated_s: float | None
    took_s: float
    problem: str

    @property
    def name(self) -> str:
        return self.info.name


def read_rules_answer(value: Any) -> tuple[RuleReading, ...]:
    """All alerting rules, in Prometheus' order.

    Raises:
        DetectorError: the answer is none, or another one than the API's documentation says.
    """
    document = _is(value, dict, "the answer")
    if document.get("status") != "success":
        said = " ".join(str(document.get("error", "no reason given")).split())[:_TOLD]
        raise DetectorError(f"the rules are not told: {said}")
    groups = _get(_get(document, "data", dict), "groups", list)
    return tuple(_rules(groups))


def _rules(groups: list[Any]) -> Iterator[RuleReading]:
    seen: dict[tuple[str, str], int] = {}
    for group in groups:
        of = _is(group, dict, "a group")
        place = f"{_get(of, 'file', str, '')};{_get(of, 'name', str)}"
        interval_s = _number(of, "interval")
        for rule in _get(of, "rules", list):
            if _get(_is(rule, dict, "a rule"), "type", str) != "alerting":
                continue
            name = _get(rule, "name", str)
            number = seen[place, name] = seen.get((place, name), -1) + 1
            yield _rule(rule, (place, name, number), interval_s)


def _rule(rule: dict[str, Any], key: tuple[str, str, int], interval_s: float) -> RuleReading:
    labels, annotations = _strings(rule, "labels"), _strings(rule, "annotations")
    name = key[1]
    info = RuleInfo(
        name,
        _number(rule, "duration"),
        labels.get("severity"),
        annotations,
        _get(rule, "query", str),
        labels,
    )
    evaluated_s = parse_time_s(_get(rule, "lastEvaluation", str, ""))
    return RuleReading(
        key,
        info,
        _number(rule, "keepFiringFor", 0.0),
        interval_s,
        tuple(_alert(alert) for alert in _get(rule, "alerts", list, [])),
        evaluated_s,
        _number(rule, "evaluationTime", 0.0),
        _problem(rule, evaluated_s),
    )


def _problem(rule: dict[str, Any], evaluated_s: float | None) -> str:
    health = _get(rule, "health", str)
    if health == "ok" and evaluated_s is not None:
        return ""
    if health in {"ok", "unknown"}:
        return "not evaluated yet"
    said = " ".join(_get(rule, "lastError", str, "").split())[:_TOLD]
    return f"health {health}" + (f": {said}" if said else "")


def _alert(value: Any) -> AlertReading:
    alert = _is(value, dict, "an alert")
    labels = {name: text for name, text in _strings(alert, "labels").items() if name != "alertname"}
    state = _get(alert, "state", str)
    if state not in ("pending", "firing", "inactive"):
        raise DetectorError(f"an alert in the state {state[:40]!r}, which is none")
    try:
        number = float(_get(alert, "value", str))
    except ValueError:
        number = None
    return AlertReading(
        MappingProxyType(labels), AlertState(state), parse_time_s(_get(alert, "activeAt", str, "")), number
    )


def parse_time_s(text: str) -> float | None:
    """UTC seconds of an RFC 3339 time; None for Go's zero time, and for none.

    Raises:
        DetectorError: it is another text.
    """
    if not text or text.startswith("0001-01-01T"):
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        return at.timestamp()
    except (ValueError, OverflowError):
        raise DetectorError(f"{text[:60]!r} is no time") from None


_REQUIRED: Any = object()


def _get(mapping: dict[str, Any], name: str, kind: type[T], default: T = _REQUIRED) -> T:
    value = mapping.get(name)
    if value is None and default is not _REQUIRED:
        return default
    return _is(value, kind, f"`{name}`")


def _is(value: Any, kind: type[T], what: str) -> T:
    if not isinstance(value, kind):
        raise DetectorError(
            f"not Prometheus' rules API: {what} is {type(value).__name__}, not {kind.__name__}"
        )
    return value


def _number(mapping: dict[str, Any], name: str, default: float | None = None) -> float:
    value = mapping.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e10:
        raise DetectorError(f"not Prometheus' rules API: `{name}` is no length of time")
    return float(value)


def _strings(mapping: dict[str, Any], name: str) -> Mapping[str, str]:
    found = _get(mapping, name, dict, {})
    if not all(isinstance(text, str) for text in found.values()):
        raise DetectorError(f"not Prometheus' rules API: `{name}` holds something that is no text")
    return MappingProxyType(dict(found))
