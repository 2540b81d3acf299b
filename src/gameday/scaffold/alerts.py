"""Which alert watches a component: from the labels that its expression asks for, its own labels and its names. Pure.

A score says how much speaks for it; the weights are an order and no more. An alert that nothing ties to the component
has none, and is never chosen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gameday.detectors.base import AlertState
from gameday.detectors.prometheus_rules import RuleReading
from gameday.detectors.promql_shapes import Node, Selector, parse_shape, walk
from gameday.errors import UsageError
from gameday.fields import ALERT_PATTERN

_WHOSE = frozenset(
    {
        "job",
        "service",
        "app",
        "component",
        "container",
        "pod",
        "deployment",
        "statefulset",
        "instance",
        "name",
    }
    | {"app_kubernetes_io_name", "container_label_com_docker_compose_service", "workload", "host", "target"}
)
"""Labels that say whose series they are."""
_GENERIC = frozenset({"service", "svc", "server", "app", "application", "the"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_EXACT, _MATCHES, _ON_RULE, _IN_NAME, _IN_METRIC, _IN_TEXT, _PRESENCE = 8, 6, 7, 4, 3, 2, 1
_SEVERITIES = {
    **dict.fromkeys(("sev1", "p0", "critical", "page", "emergency", "disaster"), "SEV1"),
    **dict.fromkeys(("sev2", "p1", "high", "error", "major"), "SEV2"),
    **dict.fromkeys(("sev3", "p2", "warning", "warn", "medium", "minor"), "SEV3"),
    **dict.fromkeys(("sev4", "p3", "info", "low", "none", "notice"), "SEV4"),
}
"""What rules commonly call them."""
_DEFAULT_SCRAPE_S = 60.0


@dataclass(frozen=True, slots=True)
class Watching:
    """An alert that has to do with the component. `why` is for people."""

    rule: RuleReading
    score: int
    why: str

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def active(self) -> bool:
        """Whether it is pending or fires now, so that a drill would be refused."""
        return any(alert.state is not AlertState.INACTIVE for alert in self.rule.alerts)


def watching(rules: Iterable[RuleReading], component: str, image: str = "") -> tuple[Watching, ...]:
    """Alerts that watch it, the best first. `image` is the image's name without registry and version."""
    names = [words for text in (component, image) if (words := _words(text) - _GENERIC)]
    best: dict[str, Watching] = {}
    for rule in rules:
        found = dict.fromkeys(reason for reason in _reasons(rule, component, names))
        score = sum(weight for weight, _ in found)
        if not nameable(rule.name) or score <= _PRESENCE:
            continue
        if rule.name not in best or best[rule.name].score < score:
            best[rule.name] = Watching(rule, score, "; ".join(text for _, text in found))
    return tuple(sorted(best.values(), key=lambda one: (-one.score, one.name)))


def nameable(alert: str) -> bool:
    """Whether a scenario can name it: Prometheus takes any text for a name."""
    return re.fullmatch(ALERT_PATTERN, alert) is not None


def outstanding(found: Sequence[Watching]) -> Watching | None:
    """The one for which more speaks than for any other."""
    if not found or (len(found) > 1 and found[0].score == found[1].score):
        return None
    return found[0]


def _reasons(rule: RuleReading, component: str, names: Sequence[frozenset[str]]) -> Iterator[tuple[int, str]]:
    shape = _shape(rule.info.expr)
    for node in walk(shape) if shape is not None else ():
        if isinstance(node, Selector):
            yield from _of_selector(node, component, names)
    for label, value in rule.info.labels.items():
        if label in _WHOSE and _names(value, names):
            yield _ON_RULE, f"its label {label} is {value}"
    if _names(rule.name, names):
        yield _IN_NAME, "its name says so"
    for text in rule.info.annotations.values():
        if _names(text, names):
            yield _IN_TEXT, "its annotations mention it"


def _of_selector(
    selector: Selector, component: str, names: Sequence[frozenset[str]]
) -> Iterator[tuple[int, str]]:
    for label, operator, value in sorted(selector.matchers):
        if label not in _WHOSE or operator not in ("=", "=~"):
            continue
        if operator == "=~":
            if value not in (".*", ".+") and _fits(value, component):
                yield _MATCHES, f"it asks for {label}=~{value}"
        elif value.lower() == component:
            yield _EXACT, f"it asks for {label}={value}"
        elif _names(value, names):
            yield _MATCHES, f"it asks for {label}={value}"
    if selector.name is not None and _names(selector.name, names):
        yield _IN_METRIC, f"it is about {selector.name}"
    if selector.name == "up":
        yield _PRESENCE, "it tells whether something is there"


def _words(text: str) -> frozenset[str]:
    """`RedisDown`, `redis_down` and `redis-down` as redis and down."""
    return frozenset(word.lower() for word in _WORDS.findall(text))


def _names(text: str, names: Sequence[frozenset[str]]) -> bool:
    """Whether the text has all words of one of the names; a plural is the same word."""
    words = {word.rstrip("s") for word in _words(text)}
    return any({word.rstrip("s") for word in name} <= words for name in names)


def _fits(pattern: str, component: str) -> bool:
    try:
        return re.fullmatch(pattern, component) is not None
    except re.error:  # RE2 knows some that this does not
        return False


def _shape(expression: str) -> Node | None:
    try:
        return parse_shape(expression)
    except UsageError:
        return None


# --- what a scenario says of it -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, for the scenario's `expect`, and where they come from."""

    fires_within_s: float
    resolves_within_s: float
    because: str


def times(rule: RuleReading, scrape_s: float | None) -> Times:
    """How soon the alert can be expected: what the rule itself takes at the worst, half as much again, and 10 s.

    `scrape_s` is None where it is not known; then Prometheus' own default is taken.
    """
    window_s = _window_s(rule.info.expr)
    waits_s = (
        math.ceil(rule.info.for_s / rule.interval_s) * rule.interval_s if rule.interval_s else rule.info.for_s
    )
    seen_s = (scrape_s or _DEFAULT_SCRAPE_S) + rule.interval_s
    fires_s = seen_s + waits_s + window_s
    resolves_s = seen_s + window_s + rule.keep_firing_for_s
    parts = [
        f"scraped every {(scrape_s or _DEFAULT_SCRAPE_S):g} s"
        + ("" if scrape_s else " (not known: the default)")
    ]
    parts.append(f"evaluated every {rule.interval_s:g} s")
    parts += [f"pending for {rule.info.for_s:g} s"] if rule.info.for_s else []
    parts += [f"over a window of {window_s:g} s"] if window_s else []
    return Times(_rounded(fires_s * 1.5 + 10), _rounded(resolves_s * 1.5 + 10), ", ".join(parts))


def _window_s(expression: str) -> float:
    shape = _shape(expression)
    nodes = walk(shape) if shape is not None else ()
    return max((node.window_s for node in nodes if isinstance(node, Selector)), default=0.0)


def _rounded(seconds: float) -> float:
    """Up to whole 10 seconds, from two minutes on to whole half minutes."""
    step = 10.0 if seconds <= 120 else 30.0
    return math.ceil(seconds / step) * step


def severity(labels: Mapping[str, str]) -> str | None:
    """SEV1 to SEV4 of a rule's label `severity`; None where it has none, or another word."""
    return _SEVERITIES.get(labels.get("severity", "").lower().replace("-", ""))


def owner(labels: Mapping[str, str]) -> str | None:
    """The team that a rule names."""
    return labels.get("team") or labels.get("owner")
