"""Rules files that another machine evaluates: what they say of their alerts, and nothing of what can be evaluated here.

`rules` reads a file that the embedded detector is to evaluate and refuses what it cannot. This one only needs names,
texts and times, and takes whatever Prometheus takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gameday.detectors.base import RuleInfo
from gameday.detectors.rules import parse_prometheus_duration_s
from gameday.errors import InvalidFile, Problem
from gameday.files import Document, Location, load_yaml


def load_foreign_rules(paths: Sequence[Path]) -> tuple[RuleInfo, ...]:
    """The alerting rules of all files in order. Their floor has what the files say of it.

    Raises:
        InvalidFile: a file is no rules file, or there is no alerting rule in any.
    """
    problems: list[Problem] = []
    found: list[RuleInfo] = []
    for path in paths:
        found += _rules(load_yaml(path), problems)
    if not found and not problems:
        message = "has no alerting rule; a detector without rules can tell nothing"
        problems.append(load_yaml(paths[0]).problem(("groups",), message))
    if problems:
        raise InvalidFile(problems)
    return tuple(found)


def _rules(document: Document, problems: list[Problem]) -> Iterator[RuleInfo]:
    groups = document.value.get("groups") if isinstance(document.value, dict) else None
    if not isinstance(groups, list):
        problems.append(
            document.problem(("groups",), "expected the list of groups of a Prometheus rules file")
        )
        return
    for number, group in enumerate(groups):
        place: Location = ("groups", number)
        rules = group.get("rules") if isinstance(group, dict) else None
        if not isinstance(rules, list):
            problems.append(document.problem((*place, "rules"), "expected a list of rules"))
            continue
        for index, rule in enumerate(rules):
            where: Location = (*place, "rules", index)
            if not isinstance(rule, dict) or not ({"alert", "record"} & set(rule)):
                problems.append(document.problem(where, "expected a rule with `alert` or `record`"))
            elif "alert" in rule:
                try:
                    yield _info(rule, group.get("interval"))
                except ValueError as error:
                    problems.append(document.problem(where, str(error)))


def _info(rule: dict[str, Any], interval: object) -> RuleInfo:
    name = rule["alert"]
    if not isinstance(name, str) or not name:
        raise ValueError("`alert` is no name")
    for_s = parse_prometheus_duration_s(rule.get("for", 0))
    labels = {
        key: text for key, text in _texts(rule, "labels").items() if "{{" not in text
    }  # a template's text is known only where it is evaluated
    info = RuleInfo(
        name,
        for_s,
        labels.get("severity"),
        MappingProxyType(_texts(rule, "annotations")),
        " ".join(str(rule.get("expr", "")).split()),
        MappingProxyType(labels),
    )
    if interval is None:  # then it is Prometheus' own, which no rules file knows
        return replace(info, floor=_floor(None, for_s))
    interval_s = parse_prometheus_duration_s(interval)
    rounded_s = math.ceil(for_s / interval_s - 1e-6) * interval_s if interval_s > 0 else for_s
    return replace(info, floor=_floor(interval_s, rounded_s))


def _floor(evaluation_s: float | None, for_s: float) -> MappingProxyType[str, float | None]:
    unknown = {"scrape_s": None, "group_wait_s": None, "fires_s": None, "notifies_s": None}
    return MappingProxyType({**unknown, "evaluation_s": evaluation_s, "for_s": for_s})


def _texts(rule: dict[str, Any], key: str) -> dict[str, str]:
    found = rule.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"`{key}` is no mapping of texts")
    return {str(name): str(text) for name, text in found.items()}
