"""The files of a first drill, as text. Pure: what was found and chosen comes in, and nothing is looked up here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from gameday.fields import format_duration
from gameday.scaffold.alerts import Times, Watching, owner, severity, times
from gameday.scaffold.asking import Question
from gameday.scaffold.place import Part, Place
from gameday.text import one_line
from gameday.todo import MARK

Ci = Literal["github", "gitlab", "none"]
CI_FILES: Mapping[Ci, str] = {
    "github": ".github/workflows/gameday.yaml",
    "gitlab": "ci/gameday.gitlab-ci.yaml",
}
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./ -]*[A-Za-z0-9_./]|[A-Za-z_/]")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_RUNBOOK_SEVERITY = {"SEV1": "CRITICAL", "SEV2": "HIGH"}
_LISTED = 12
_RTO_S, _BUDGET_S = 900.0, 300.0
"""What stands there until people decide."""


@dataclass(frozen=True, slots=True)
class Detector:
    """Where the alerts are: a component of the environment, or a URL; `known` is false where it is only an example."""

    component: str | None
    url: str
    known: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a first drill."""

    place: Place
    environment: str
    part: Part
    question: Question
    detector: Detector
    alert: Watching | None
    scrape_s: float | None
    alerts: Sequence[str]
    """All that there are, for who has to choose one."""
    ci: Ci
    package: str = "gameday-runner"

    @property
    def scenario(self) -> str:
        return f"{self.part.name}-down"

    @property
    def control(self) -> str:
        return f"{self.part.name}-quiet"

    @property
    def runbook(self) -> str:
        return self.part.name


def render(choice: Choice) -> dict[str, str]:
    """The text of each file, by its path below the project's folder."""
    files = {
        f"environments/{choice.environment}.yaml": "environment.yaml.j2",
        f"scenarios/{choice.scenario}.yaml": "scenario.yaml.j2",
        f"scenarios/{choice.control}.yaml": "control.yaml.j2",
        f"runbooks/{choice.runbook}.md": "runbook.md.j2",
    }
    if choice.ci != "none":
        files[CI_FILES[choice.ci]] = f"{choice.ci}.yaml.j2"
    values = _values(choice)
    return {path: _templates().get_template(name).render(values) for path, name in files.items()}


def _values(choice: Choice) -> dict[str, Any]:
    rule = choice.alert.rule if choice.alert else None
    labels = rule.info.labels if rule else {}
    expected = times(rule, choice.scrape_s) if rule else Times(300.0, 600.0, "no rule was read")
    level = severity(labels)
    rto_s = max(_RTO_S, 2 * expected.fires_within_s)
    return {
        "choice": choice,
        "place": choice.place,
        "part": choice.part,
        "question": choice.question,
        "components": [(one, _component(choice, one)) for one in choice.place.parts],
        "header": [(name, flow(value)) for name, value in choice.place.header.items()],
        "alert": choice.alert,
        "alert_name": choice.alert.name if choice.alert else "TODO",
        "alerts": _listed(choice.alerts),
        "times": expected,
        "severity": level or "SEV2",
        "severity_known": level is not None,
        "runbook_severity": _RUNBOOK_SEVERITY.get(level or "SEV2", "MEDIUM"),
        "owner": owner(labels),
        "rto_s": rto_s,
        "ttl_s": rto_s + _BUDGET_S,
        "quiet_s": max(60.0, expected.fires_within_s),
        "wants": "docker" if choice.place.target == "docker" else "docker,kubernetes",
    }


def _component(choice: Choice, part: Part) -> str:
    value: dict[str, Any] = {choice.place.target: dict(part.selector)}
    if part.service is not None:
        value["service"] = part.service
    asked = part.name in (choice.question.component, choice.detector.component)
    port = part.port if part.published is not None else None
    if asked and port is None:
        port = part.port or 8080
    if port is not None:
        value["port"] = port
    return flow(value)


def _listed(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return ", ".join(found[:_LISTED]) + more if found else "none"


# --- YAML ------------------------------------------------------------------------------------------------------


def flow(value: Any) -> str:
    """Plain data as YAML on one line. Whatever a name contains, it comes back as the same text."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(name)}: {flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, bool | int | float) or value is None:
        return json.dumps(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and " -" not in text:
        return text
    return str(yaml.safe_dump(text, default_style='"', width=math.inf, allow_unicode=True)).strip()


def comment(text: object) -> str:
    """For a comment: on one line, whatever it was."""
    return one_line(text, 300)


def markdown(text: object) -> str:
    """For Markdown outside of code: without what could begin a heading, a block or a comment."""
    return re.sub(r"([`<>#*_\[\]|])", r"\\\1", one_line(text, 300)).replace("--", "- -")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("gameday.scaffold", "templates"),
        autoescape=False,  # noqa: S701 - no HTML: every value goes through `flow`, `comment` or `markdown`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"flow": flow, "comment": comment, "md": markdown, "duration": format_duration}
    environment.globals["todo"] = f"# {MARK}:"
    environment.globals["mark"] = MARK
    return environment
