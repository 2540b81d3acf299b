"""Advice on a whole Prometheus rules file, as people wrote it.

Not by way of `rules.py`: that refuses what the embedded detector cannot evaluate (absent(), `or`), and just those
expressions are often the good ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.detectors.advice import Advice, Survey, advise
from gameday.detectors.base import RuleInfo
from gameday.detectors.promql_shapes import parse_shape
from gameday.detectors.rules import parse_prometheus_duration_s
from gameday.errors import InvalidFile, UsageError
from gameday.files import Document, Location, load_yaml


@dataclass(frozen=True, slots=True)
class RuleAdvice:
    """What is to be said of one rule of a file; `advice` is empty for a good rule. `line` counts from 1."""

    rule: str
    line: int
    advice: tuple[Advice, ...]


def advise_file(path: Path, *, interval_s: float | None = None) -> tuple[RuleAdvice, ...]:
    """Advice on each alert rule of a Prometheus rules file, in its order; recording rules are passed over.

    All of PromQL and of the format is accepted, also what the embedded detector refuses. `interval_s` is the time
    between two scrapes, where it is known.

    Raises:
        InvalidFile: not readable, no rules file, no alert rule in it, or rules that cannot be read.
    """
    document = load_yaml(path)
    problems = []
    rules: list[tuple[int, RuleInfo]] = []
    for location, value in _alerts(document):
        try:
            rule = _rule(value)
            parse_shape(rule.expr)
        except UsageError as error:
            problems.append(
                document.problem((*location, "expr"), f"the expression of {value['alert']} {error}")
            )
        except ValueError as error:
            problems.append(document.problem(location, f"the rule {value['alert']}: {error}"))
        else:
            rules.append((document.line((*location, "alert")), rule))
    if not rules and not problems:
        problems.append(document.problem(("groups",), "has no alerting rule; there is nothing to advise on"))
    if problems:
        raise InvalidFile(problems)
    among = Survey.of([rule for _, rule in rules])
    return tuple(
        RuleAdvice(rule.name, line, advise(rule, among=among, interval_s=interval_s)) for line, rule in rules
    )


def _alerts(document: Document) -> Iterator[tuple[Location, dict[str, Any]]]:
    top = document.value
    groups = top.get("groups") if isinstance(top, dict) else None
    if not isinstance(groups, list):
        raise InvalidFile([document.problem((), "is no Prometheus rules file: expected a list `groups`")])
    for index, group in enumerate(groups):
        rules = group.get("rules") if isinstance(group, dict) else None
        where: Location = ("groups", index)
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise InvalidFile([document.problem(where, "expected a group with a list `rules` of mappings")])
        yield from (((*where, "rules", n), rule) for n, rule in enumerate(rules) if "alert" in rule)


def _rule(value: dict[str, Any]) -> RuleInfo:
    """The rule as it stands in the file. Raises ValueError with what would be right."""
    expression = value.get("expr")
    labels, annotations = value.get("labels") or {}, value.get("annotations") or {}
    if not isinstance(expression, str | int | float) or not str(expression).strip():
        raise ValueError("expected a PromQL expression in `expr`")
    if not isinstance(labels, dict) or not isinstance(annotations, dict):
        raise ValueError("expected mappings in `labels` and `annotations`")
    for_s = parse_prometheus_duration_s(value.get("for", 0))
    return RuleInfo(str(value["alert"]), for_s, labels.get("severity"), annotations, str(expression))
