"""The floor of a time to detect: what no promise can go below, whatever breaks, given how the stack is configured.

The worst phase is counted, since nobody chooses when something breaks:

    scrape_s       the fault is seen at the next scrape
    evaluation_s   and by the rule at its next evaluation
    for_s          then it is pending for `for`, which ends at an evaluation: rounded up to whole intervals
    group_wait_s   and Alertmanager waits for others of its group before it tells anybody

`fires_s` is the sum of the first three, `notifies_s` of all. A window in the rule's expression adds more, which
`advice_window` explains. Both configurations are read from the servers themselves; parts that cannot be read, or
depend on what is not known, are None and so is every sum that needs them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gameday.detectors.base import RuleInfo
from gameday.errors import DetectorError, GamedayError

_DEFAULT_SCRAPE = "1m"  # Prometheus' default `scrape_interval`
_DEFAULT_WAIT = "30s"  # Alertmanager's default `group_wait`
_MATCHER = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"]*?))\s*')


@dataclass(frozen=True, slots=True)
class PrometheusConfig:
    """Scrape intervals by job, in seconds. `reason` says why there is none."""

    scrape_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    reason: str = "not read yet"

    def floor(
        self, rule: RuleInfo, interval_s: float, wait_s: float | None = None
    ) -> dict[str, float | None]:
        """The parts and sums for one rule of a group that is evaluated every `interval_s`."""
        waits_s = math.ceil(rule.for_s / interval_s - 1e-6) * interval_s if interval_s > 0 else rule.for_s
        scrape_s = self._scrape_s(rule)
        fires_s = None if scrape_s is None else scrape_s + interval_s + waits_s
        notifies_s = None if fires_s is None or wait_s is None else fires_s + wait_s
        return {
            "scrape_s": scrape_s,
            "evaluation_s": interval_s,
            "for_s": waits_s,
            "group_wait_s": wait_s,
            "fires_s": fires_s,
            "notifies_s": notifies_s,
        }

    def _scrape_s(self, rule: RuleInfo) -> float | None:
        """The slowest scrape that the rule may depend on: of the jobs that it names, else of all."""
        named = _jobs(rule.expr)
        found = [seconds for job, seconds in self.scrape_s.items() if named is None or job in named]
        return max(found) if found else None


@dataclass(frozen=True, slots=True)
class Route:
    """One node of Alertmanager's routing tree. `matchers` is None where one could not be read."""

    wait_s: float
    matchers: tuple[tuple[str, str, str], ...] | None = ()
    routes: tuple[Route, ...] = ()

    def group_wait_s(self, labels: Mapping[str, str]) -> float:
        """The longest wait that these labels may meet: labels that only the series has may match or not."""
        waits = []
        for route in self.routes:
            verdict = route.matches(labels)
            if verdict is not False:
                waits.append(route.group_wait_s(labels))
            if verdict:
                return max(waits)
        return max([*waits, self.wait_s])

    def matches(self, labels: Mapping[str, str]) -> bool | None:
        """None where it depends on a label that is not known."""
        if self.matchers is None:
            return None
        verdicts = [_matches(labels.get(name), operator, text) for name, operator, text in self.matchers]
        return False if False in verdicts else None if None in verdicts else True


def read_prometheus_config(answer: Any) -> PrometheusConfig:
    """Of /api/v1/status/config. Raises DetectorError, which quotes nothing: configurations hold secrets."""
    config = _yaml(answer, ("data", "yaml"), "Prometheus")
    try:
        default = _of(_of(config, "global"), "scrape_interval", _DEFAULT_SCRAPE)
        jobs = {
            str(job["job_name"]): _seconds(job.get("scrape_interval", default))
            for job in config.get("scrape_configs") or []
        }
    except (AttributeError, LookupError, TypeError, ValueError):
        raise DetectorError("Prometheus' configuration is not as documented") from None
    return PrometheusConfig(MappingProxyType(jobs), "")


def read_routes(answer: Any) -> Route:
    """Of Alertmanager's /api/v2/status. Raises DetectorError, which quotes nothing."""
    config = _yaml(answer, ("config", "original"), "Alertmanager")
    try:
        return _route(config["route"], _seconds(_DEFAULT_WAIT), 0)
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        raise DetectorError("Alertmanager's configuration is not as documented") from None


def _route(route: Mapping[str, Any], inherited_s: float, depth: int) -> Route:
    if depth > 50:
        raise ValueError
    wait = route.get("group_wait")
    wait_s = inherited_s if wait is None else _seconds(wait)
    below = tuple(_route(inner, wait_s, depth + 1) for inner in route.get("routes") or [])
    return Route(wait_s, _matchers(route), below)


def _matchers(route: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...] | None:
    found = [(name, "=", str(text)) for name, text in (route.get("match") or {}).items()]
    found += [(name, "=~", str(text)) for name, text in (route.get("match_re") or {}).items()]
    for text in route.get("matchers") or []:
        match = _MATCHER.fullmatch(str(text))
        if match is None:
            return None
        name, operator, quoted, plain = match.groups()
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        found.append((name, operator, value))
    return tuple(found)


def _matches(value: str | None, operator: str, text: str) -> bool | None:
    if value is None:
        return None
    if operator in ("=", "!="):
        return (value == text) is (operator == "=")
    try:
        return bool(re.fullmatch(text, value)) is (operator == "=~")
    except re.error:
        return None


def _jobs(expression: str) -> frozenset[str] | None:
    """The jobs that every selector of the expression names; None where one names none, or it cannot be read."""
    from gameday.detectors.promql_shapes import parse_shape, selectors

    try:
        named = [
            {text for label, operator, text in selector.matchers if label == "job" and operator == "="}
            for selector in selectors(parse_shape(expression))
        ]
    except GamedayError:
        return None
    return frozenset().union(*named) if named and all(named) else None


def _yaml(answer: Any, path: tuple[str, str], server: str) -> Any:
    from gameday.files import parse_yaml

    try:
        text = answer[path[0]][path[1]]
        return parse_yaml(text, Path("configuration.yml")).value
    except (GamedayError, LookupError, TypeError, AttributeError):
        raise DetectorError(f"{server}'s configuration cannot be read") from None


def _of(mapping: Any, name: str, default: Any = None) -> Any:
    value = (mapping or {}).get(name)
    return default if value is None else value


def _seconds(text: Any) -> float:
    from gameday.detectors.rules import parse_prometheus_duration_s

    return parse_prometheus_duration_s(text)


def wait_of(route: Route | None, rule: RuleInfo) -> float | None:
    """How long Alertmanager waits before it notifies of this rule's alert, as far as its labels tell."""
    return None if route is None else route.group_wait_s({**rule.labels, "alertname": rule.name})
