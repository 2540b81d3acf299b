"""Reads a standard Prometheus rules file into frozen values, and refuses what would be measured wrongly.

The same file is meant for a real Prometheus, so nothing is added to the format. What Prometheus accepts and
the embedded detector would have to ignore (a group's own interval, templated labels) is refused by name: a
drill that measured another rule than the one in production would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gameday.detectors.base import RuleInfo
from gameday.detectors.promql import Expression, UnsupportedError
from gameday.errors import InvalidFile, Problem, UsageError
from gameday.files import Document, Location, load_yaml

# model.ParseDuration of prometheus/common: whole numbers, units in falling order, each at most once
_DURATION = re.compile(
    r"(?:(?P<y>\d+)y)?(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?(?:(?P<ms>\d+)ms)?"
)
_SECONDS = {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

_GROUP_KEYS = ("name", "rules")
_RULE_KEYS = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_PROMETHEUS_ONLY = {
    "interval": "the embedded detector evaluates every rule after every scrape",
    "limit": "the embedded detector has no limit of alerts for a group",
    "query_offset": "the embedded detector evaluates at the time of the scrape",
    "labels": "the embedded detector knows labels of rules only",
    "partial_response_strategy": "it belongs to Thanos",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One alerting rule. Durations and the expression's windows are already divided by the speed."""

    name: str
    group: str
    expression: Expression
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def info(self) -> RuleInfo:
        """What the rest of a drill may know of the rule."""
        severity = self.labels.get("severity")
        return RuleInfo(self.name, self.for_s, severity, self.annotations, self.expression.text)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of one file, in its order, at one speed."""

    path: Path
    rules: tuple[Rule, ...]
    speed: float = 1.0


def load_rules(path: Path, *, speed: float = 1.0) -> RuleSet:
    """Read a Prometheus rules file; `speed` N divides windows, `for` and `keep_firing_for` by N.

    Raises:
        InvalidFile: with every problem found: file, line, field, what would be right.
        UsageError: the speed is not above zero.
    """
    return read_rules(load_yaml(path), speed=speed)


def read_rules(document: Document, *, speed: float = 1.0) -> RuleSet:
    """Like `load_rules`, for a document that is already parsed."""
    if not speed > 0:
        raise UsageError(f"speed {speed:g} is not above zero")
    reader = _Reader(document, speed)
    rules = tuple(reader.rules())
    if not rules and not reader.problems:
        reader.problem(("groups",), "has no alerting rule; a detector without rules can tell nothing")
    if reader.problems:
        raise InvalidFile(reader.problems)
    return RuleSet(document.path, rules, speed)


def parse_prometheus_duration_s(text: object) -> float:
    """Seconds of a Prometheus duration such as `1m30s`; a plain `0` is the only number without a unit.

    Raises:
        ValueError: with what would be right.
    """
    if text in ("0", 0) and not isinstance(text, bool):
        return 0.0
    match = _DURATION.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        raise ValueError(
            f"{text!r} is no Prometheus duration; expected whole numbers with units such as 30s or 1h30m"
        )
    return sum(int(amount) * _SECONDS[unit] for unit, amount in match.groupdict().items() if amount)


class _Reader:
    """Walks the document, gathers every problem, and yields the rules that have none."""

    def __init__(self, document: Document, speed: float) -> None:
        self.document = document
        self.speed = speed
        self.problems: list[Problem] = []
        self._first_line: dict[str, int] = {}

    def problem(self, location: Location, message: str) -> None:
        self.problems.append(self.document.problem(location, message))

    def rules(self) -> Iterator[Rule]:
        top = self._mapping(self.document.value, ())
        self._keys(top, (), ("groups",), {})
        groups: set[str] = set()
        for location, value in self._list(top, (), "groups"):
            group = self._mapping(value, location)
            self._keys(group, location, _GROUP_KEYS, _PROMETHEUS_ONLY)
            name = self._text(group, location, "name")
            if name and name in groups:
                self.problem((*location, "name"), f"group {name!r} stands twice; Prometheus refuses that")
            groups.add(name)
            for rule_location, rule in self._list(group, location, "rules"):
                parsed = self._rule(self._mapping(rule, rule_location), rule_location, name)
                if parsed is not None:
                    yield parsed

    def _rule(self, rule: dict[str, Any], location: Location, group: str) -> Rule | None:
        found = len(self.problems)
        if "record" in rule:
            message = (
                "the embedded detector evaluates no recording rules; write the expression into the alert"
            )
            self.problem((*location, "record"), message)
            return None
        if not rule:
            return None
        self._keys(rule, location, _RULE_KEYS, {})
        name = self._text(rule, location, "alert")
        if name in self._first_line:
            message = (
                f"a rule named {name!r} stands on line {self._first_line[name]}; a drill tells alerts by name"
            )
            self.problem((*location, "alert"), message)
        self._first_line.setdefault(name, self.document.line((*location, "alert")))
        expression = self._expression(rule, location, name)
        for_s = self._duration(rule, location, "for")
        keep_s = self._duration(rule, location, "keep_firing_for")
        labels = self._strings(rule, location, "labels")
        annotations = self._strings(rule, location, "annotations")
        if expression is None or len(self.problems) > found:
            return None
        return Rule(name, group, expression, for_s, keep_s, labels, annotations)

    def _expression(self, rule: dict[str, Any], location: Location, name: str) -> Expression | None:
        value = rule.get("expr")
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)  # `expr: 1` is fine for Prometheus
        if not isinstance(value, str) or not value.strip():
            self.problem((*location, "expr"), "expected a PromQL expression")
            return None
        try:
            return Expression.parse(value, speed=self.speed)
        except UnsupportedError as error:
            self.problem((*location, "expr"), f"rule {name} {error}")
        except UsageError as error:
            self.problem((*location, "expr"), f"the expression of rule {name} {error}")
        return None

    def _duration(self, rule: dict[str, Any], location: Location, key: str) -> float:
        if key not in rule:
            return 0.0
        try:
            return parse_prometheus_duration_s(rule[key]) / self.speed
        except ValueError as error:
            self.problem((*location, key), str(error))
            return 0.0

    def _strings(self, rule: dict[str, Any], location: Location, key: str) -> Mapping[str, str]:
        given = rule.get(key)
        value = {} if given is None else self._mapping(given, (*location, key))
        for name, text in value.items():
            where = (*location, key, name)
            if (
                not _LABEL_NAME.fullmatch(name)
                or name == "__name__"
                or (key == "labels" and name == "alertname")
            ):
                self.problem(where, f"{name!r} cannot be set here; expected letters, digits and underscores")
            elif not isinstance(text, str):
                self.problem(where, f"expected text, found {text!r}; put it in quotes")
            elif key == "labels" and "{{" in text:
                message = "the embedded detector expands no templates in labels; use detector kind prometheus"
                self.problem(where, message)
        return MappingProxyType(dict(value))

    def _mapping(self, value: Any, location: Location) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.problem(location, f"expected a mapping of fields, found {value!r}")
        return {}

    def _list(self, parent: dict[str, Any], location: Location, key: str) -> Iterator[tuple[Location, Any]]:
        where = (*location, key)
        value = parent.get(key)
        if not isinstance(value, list):
            if parent:
                what = "is required and absent" if key not in parent else f"expected a list, found {value!r}"
                self.problem(where, what)
            return
        for index, item in enumerate(value):
            yield (*where, index), item

    def _text(self, parent: dict[str, Any], location: Location, key: str) -> str:
        value = parent.get(key)
        if isinstance(value, str) and value:
            return value
        if parent:
            what = "is required and absent" if key not in parent else f"expected text, found {value!r}"
            self.problem((*location, key), what)
        return ""

    def _keys(
        self, value: dict[str, Any], location: Location, known: tuple[str, ...], refused: Mapping[str, str]
    ) -> None:
        for key in value:
            if key in refused:
                message = f"is not supported: {refused[key]}; remove it or use detector kind prometheus"
                self.problem((*location, key), message)
            elif key not in known:
                self.problem((*location, key), f"unknown field; known here: {', '.join(known)}")
