"""What a runbook lacks although it can be read: found before a night on which it is needed.

One finding, one stable code. `error` means that a drill, or a person at night, would fail over it; `warning`
that it proves or tells less than it could. What a runbook is compared with may be None: not known here, so
not checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from gameday.fields import format_duration
from gameday.runbook.model import INVESTIGATION, READ_ONLY, SECTIONS, Runbook, Step, key
from gameday.scenario import Scenario

Level = Literal["error", "warning"]

CODES: dict[str, tuple[Level, str]] = {
    "RB001": ("error", "a section is missing"),
    "RB002": ("warning", "a section is out of order"),
    "RB003": ("warning", "a section that runbooks do not have"),
    "RB004": ("warning", "a step that changes something has no check"),
    "RB005": ("error", "the budgets of the main path add up to more than the RTO"),
    "RB006": ("error", "no such component in the environment"),
    "RB007": ("error", "no such probe in the environment"),
    "RB008": ("error", "`otherwise` or `then` names no step"),
    "RB009": ("error", "a step that is never reached"),
    "RB010": ("warning", "a step without a sentence for people"),
    "RB011": ("warning", "a check may wait longer than its step's budget"),
    "RB012": ("error", "an alert without a runbook"),
    "RB013": ("error", "an alert's runbook_url leads to no runbook"),
    "RB014": ("warning", "no scenario drills the runbook"),
    "RB015": ("error", "a runbook answers an alert that no rule raises"),
    "RB016": ("warning", "`otherwise` or `then` in Investigation is never followed"),
    "RB017": ("warning", "a drill has nothing to execute that could restore the service"),
    "RB018": ("warning", "an alert and the runbook that it names do not agree"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to improve, at one place. `line` counts from 1."""

    file: Path
    line: int
    code: str
    message: str

    @property
    def severity(self) -> Level:
        return CODES[self.code][0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.code} {self.severity}: {self.message}"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What lint needs of an alert rule: its name, the runbook it names, and where it stands."""

    name: str
    runbook_url: str | None
    file: Path
    line: int = 1


def lint(
    runbooks: Sequence[Runbook],
    *,
    environment_components: Collection[str] | None,
    probes: Collection[str] | None,
    alerts: Sequence[AlertRule] | None,
    scenarios: Sequence[Scenario] | None,
) -> list[Finding]:
    """Every finding, ordered by file and line."""
    findings: list[Finding] = []
    drilled = None if scenarios is None else {scenario.runbook for scenario in scenarios}
    for runbook in runbooks:
        findings += _sections(runbook)
        findings += _path(runbook)
        for step in runbook.steps:
            findings += _step(runbook, step)
            findings += _names(runbook, step, environment_components, probes)
        if drilled is not None and runbook.name not in drilled:
            message = f"no scenario drills it; expected one with 'respond: {{runbook: {runbook.name}}}'"
            findings.append(Finding(runbook.path, 1, "RB014", message))
    if alerts is not None:
        findings += _alerts(runbooks, alerts)
    return sorted(findings, key=lambda found: (str(found.file), found.line, found.code, found.message))


def _sections(runbook: Runbook) -> Iterator[Finding]:
    titles = [section.title for section in runbook.sections]
    missing = [title for title in SECTIONS if title not in titles]
    if missing:
        message = f"no section {', '.join(missing)}; a runbook has {', '.join(SECTIONS)}"
        yield Finding(runbook.path, 1, "RB001", message)
    highest = -1
    for section in runbook.sections:
        if section.title not in SECTIONS:
            message = f"{section.title!r} is not one of {', '.join(SECTIONS)}"
            yield Finding(runbook.path, section.line, "RB003", message)
            continue
        position = SECTIONS.index(section.title)
        if position < highest:
            message = f"{section.title!r} stands behind {SECTIONS[highest]!r}; expected before it"
            yield Finding(runbook.path, section.line, "RB002", message)
        highest = max(highest, position)


def _path(runbook: Runbook) -> Iterator[Finding]:
    path = runbook.main_path
    total_s = sum(step.budget_s for step in path)
    if total_s > runbook.rto_s:
        message = (
            f"the main path's budgets add up to {format_duration(total_s)}, the RTO is "
            f"{format_duration(runbook.rto_s)}: {', '.join(_priced(step) for step in path)}"
        )
        yield Finding(runbook.path, runbook.line_of("rto"), "RB005", message)
    if not any(step.may_change for step in path):
        message = "no step of the main path changes anything: executing it cannot restore a service"
        yield Finding(runbook.path, 1, "RB017", message)
    reached = _reached(runbook)
    for step in runbook.steps:
        if key(step.heading) not in reached:
            message = f"{step.heading!r} is off the main path and nothing that is executed leads to it"
            yield Finding(runbook.path, step.line, "RB009", message)


def _priced(step: Step) -> str:
    return f"{step.heading} {format_duration(step.budget_s)}"


def _reached(runbook: Runbook) -> set[str]:
    waiting = list(runbook.main_path)
    reached: set[str] = set()
    while waiting:
        step = waiting.pop()
        if key(step.heading) in reached:
            continue
        reached.add(key(step.heading))
        if step.section != INVESTIGATION:
            named = (runbook.step(heading) for _, heading in step.following)
            waiting += [following for following in named if following is not None]
    return reached


def _step(runbook: Runbook, step: Step) -> Iterator[Finding]:
    if step.check is None and step.kind in ("operation", "command") and _acts(step):
        message = f"{step.heading!r} ({step.describe()}) has no check: nothing proves that it helped"
        yield Finding(runbook.path, step.line, "RB004", message)
    if not step.text:
        message = f"{step.heading!r} has no sentence that tells a person what to do and when"
        yield Finding(runbook.path, step.line, "RB010", message)
    if step.check is not None and step.check.within + step.check.steady_for > step.budget_s:
        message = (
            f"the check may wait {format_duration(step.check.within + step.check.steady_for)}, "
            f"the whole step has {format_duration(step.budget_s)}"
        )
        yield Finding(runbook.path, step.line_of("check", "within"), "RB011", message)
    for name, heading in step.following:
        if runbook.step(heading) is None:
            message = (
                f"{name}: no step {heading!r}; steps here: {', '.join(s.heading for s in runbook.steps)}"
            )
            yield Finding(runbook.path, step.line_of(name), "RB008", message)
        elif step.section == INVESTIGATION:
            message = f"{name}: never followed in {INVESTIGATION}, which is for evidence only"
            yield Finding(runbook.path, step.line_of(name), "RB016", message)


def _acts(step: Step) -> bool:
    return step.may_change and step.section not in READ_ONLY


def _names(
    runbook: Runbook,
    step: Step,
    components: Collection[str] | None,
    probes: Collection[str] | None,
) -> Iterator[Finding]:
    if components is not None and step.component is not None and step.component not in components:
        field = "do" if step.kind == "operation" else "run"
        message = f"no component {step.component!r}; components here: {', '.join(components)}"
        yield Finding(runbook.path, step.line_of(field), "RB006", message)
    if probes is not None and step.check is not None and step.check.probe not in probes:
        message = f"no probe {step.check.probe!r}; probes here: {', '.join(probes)}"
        yield Finding(runbook.path, step.line_of("check", "probe"), "RB007", message)


def _alerts(runbooks: Sequence[Runbook], alerts: Sequence[AlertRule]) -> Iterator[Finding]:
    answered = {alert for runbook in runbooks for alert in runbook.alerts}
    by_name = {runbook.name: runbook for runbook in runbooks}
    for alert in alerts:
        if alert.runbook_url is None:
            if alert.name not in answered:
                message = f"{alert.name}: no runbook lists it and it has no annotation runbook_url"
                yield Finding(alert.file, alert.line, "RB012", message)
            continue
        named = by_name.get(PurePosixPath(alert.runbook_url.partition("#")[0]).name.removesuffix(".md"))
        if named is None:
            message = f"{alert.name}: runbook_url {alert.runbook_url!r} leads to no runbook here"
            yield Finding(alert.file, alert.line, "RB013", message)
        elif alert.name not in named.alerts:
            message = f"{alert.name}: names {named.path.name}, whose front matter does not list it"
            yield Finding(alert.file, alert.line, "RB018", message)
    raised = {alert.name for alert in alerts}
    for runbook in runbooks:
        for index, name in enumerate(runbook.alerts):
            if name not in raised:
                message = f"no rule raises {name!r}; rules here: {', '.join(sorted(raised))}"
                yield Finding(runbook.path, runbook.line_of("alerts", index), "RB015", message)
