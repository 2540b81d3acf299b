"""`gameday init`: look at a service, choose what a first drill is about, write its files, and see that they fit.

Nothing of the service is changed, and no file is written over. Where a choice is not given it is asked for on a
terminal; where there is none, the error names what there is to choose from.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gameday.commands.init_preflight import preflight
from gameday.commands.menu import ask_which
from gameday.errors import UsageError
from gameday.project import Project
from gameday.scaffold.alerts import Watching, nameable, outstanding, watching
from gameday.scaffold.asking import ask
from gameday.scaffold.monitoring import Rules, read_rules
from gameday.scaffold.place import Part, Place, name_of
from gameday.scaffold.render import Choice, Ci, Detector, render
from gameday.scaffold.write import write_files
from gameday.todo import todos

_EXAMPLE = "http://127.0.0.1:9090"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says; None: not said."""

    target: str | None = None
    project: str | None = None
    containers: Sequence[str] = ()
    context: str | None = None
    namespace: str | None = None
    service: str | None = None
    prometheus: str | None = None
    alert: str | None = None
    environment: str | None = None
    ci: Ci | None = None
    into: Path = Path()
    force: bool = False


def init(wishes: Wishes) -> int:
    """0, or 3 where the first preflight found something that a drill would be refused for.

    Raises:
        UsageError: a choice that nobody can be asked for, something that is not there, or a file that is.
        TargetError, DetectorError: who was asked does not answer.
    """
    place = _place(wishes)
    print(f"found {place.what}: {', '.join(part.name for part in place.parts)}")
    part = _part(place, wishes.service)
    detector, rules = _rules(place, wishes.prometheus)
    alert = _alert(part, rules, wishes.alert)
    question = ask(_asked(place, part))
    environment = name_of(wishes.environment or place.name)
    choice = Choice(
        place=place,
        environment=environment,
        part=part,
        question=question,
        detector=detector,
        alert=alert,
        scrape_s=rules.scrape_s(alert.rule.info) if rules and alert else None,
        alerts=[rule.name for rule in rules.rules] if rules else (),
        ci=wishes.ci or _ci(wishes.into),
    )
    written = write_files(wishes.into, render(choice), force=wishes.force)
    for path in written:
        print(f"wrote {path}")
    found = preflight(Project(wishes.into.resolve()), choice)
    _tell(choice, written)
    return found


def _tell(choice: Choice, written: Sequence[Path]) -> None:
    print("\nyours to decide:")
    for path in written:
        for problem in todos(path.read_text(encoding="utf-8"), path):
            print(f"  {problem}")
    print("\nthen:")
    for step in choice.place.steps:
        print(f"  {step}")
    print(f"  gameday validate environments scenarios runbooks; gameday runbook lint -e {choice.environment}")
    print(f"  gameday run {choice.control} -e {choice.environment}    # touches nothing: no alert may fire")
    print(f"  gameday run {choice.scenario} -e {choice.environment}")


# --- choosing -------------------------------------------------------------------------------------------------


def choose(what: str, options: Sequence[str], flag: str) -> str:
    """One of the options: the only one, or the one that a person at the terminal names.

    Raises:
        UsageError: nobody is there, or nothing was chosen.
    """
    if len(options) == 1:
        return options[0]
    if not options:
        raise UsageError(f"found no {what}; name it with {flag}")
    if not sys.stdin.isatty():
        raise UsageError(f"which {what}? say {flag}: {', '.join(options)}")
    return ask_which(what, {option: option for option in options}, "nothing chosen; nothing was written")


def _place(wishes: Wishes) -> Place:
    target = wishes.target
    if target is None and (wishes.project or wishes.containers):
        target = "docker"
    elif target is None and (wishes.context or wishes.namespace):
        target = "kubernetes"
    target = target or choose("target", ("docker", "kubernetes"), "--target")
    strangers = (
        {"--context": wishes.context, "--namespace": wishes.namespace}
        if target == "docker"
        else {"--project": wishes.project, "--container": wishes.containers}
    )
    wrong = [flag for flag, value in strangers.items() if value]
    if wrong:
        raise UsageError(f"{' and '.join(wrong)}: not for target {target}")
    _need(target)
    return _in_docker(wishes) if target == "docker" else _in_kubernetes(wishes)


def _need(target: str) -> None:
    """Raises UsageError where this gameday was installed without what the target takes."""
    if importlib.util.find_spec(target) is None:
        raise UsageError(
            f"target {target} takes more than is installed: pip install 'gameday-runner[{target}]'"
        )


def _in_docker(wishes: Wishes) -> Place:
    from gameday.scaffold.docker import choices, look_at_containers, look_at_project
    from gameday.targets.docker.engine import Engine

    if wishes.project and wishes.containers:
        raise UsageError("--project and --container: expected one of them")
    engine = Engine.connect()
    if wishes.containers:
        return look_at_containers(engine, wishes.containers)
    if wishes.project:
        return look_at_project(engine, wishes.project)
    projects, single = choices(engine)
    options = [*projects, *(f"container {name}" for name in single)]
    chosen = choose("compose project or container", options, "--project or --container")
    if chosen.startswith("container "):
        return look_at_containers(engine, [chosen.removeprefix("container ")])
    return look_at_project(engine, chosen)


def _in_kubernetes(wishes: Wishes) -> Place:
    from gameday.scaffold.kubernetes import contexts, look_at_namespace, namespaces

    context = wishes.context or choose("context of the kubeconfig", contexts(), "--context")
    namespace = wishes.namespace or choose("namespace", namespaces(context), "--namespace")
    return look_at_namespace(context, namespace)


def _part(place: Place, wanted: str | None) -> Part:
    options = [part.name for part in place.breakable]
    if wanted is not None:
        part = place.part(name_of(wanted))
        if part is None:
            names = ", ".join(one.name for one in place.parts)
            raise UsageError(f"--service {wanted}: not in {place.what}; services there: {names}")
        return part
    chosen = place.part(choose("service is to be drilled", options, "--service"))
    if chosen is None:
        raise AssertionError("chosen from the parts")
    return chosen


def _asked(place: Place, part: Part) -> Part:
    """The part itself where it can be asked, else one that can: what stands before it, most likely."""
    if part.published is not None:
        return part
    return next((one for one in place.breakable if one.published is not None), part)


def _rules(place: Place, url: str | None) -> tuple[Detector, Rules | None]:
    """Where the alerts are, and which there are. A Prometheus beside the service is its own, where none is named."""
    beside = [part for part in place.parts if part.is_prometheus and part.url is not None]
    if url is not None:
        named = url.rstrip("/")
        same = next((part.name for part in beside if _same(part, named)), None)
        return Detector(same, named), read_rules(named)
    if beside and beside[0].url is not None:
        print(f"its alerts are those of {beside[0].name}, at {beside[0].url}")
        return Detector(beside[0].name, beside[0].url), read_rules(beside[0].url)
    print(f"no Prometheus in {place.what}: no alert could be chosen; name one with --prometheus URL")
    return Detector(None, _EXAMPLE, known=False), None


def _same(part: Part, url: str) -> bool:
    local = url.replace("://localhost:", "://127.0.0.1:")
    return part.url in (url, local)


def _alert(part: Part, rules: Rules | None, wanted: str | None) -> Watching | None:
    if rules is None:
        if wanted is not None:
            raise UsageError(
                f"--alert {wanted}: no Prometheus was found that could have it; see --prometheus"
            )
        return None
    found = watching(rules.rules, part.name, part.image_name)
    if wanted is not None:
        rule = next((rule for rule in rules.rules if rule.name == wanted), None)
        if rule is None:
            there = ", ".join(sorted({rule.name for rule in rules.rules})) or "none"
            raise UsageError(f"--alert {wanted}: no such rule at {rules.url}; rules there: {there}")
        if not nameable(wanted):
            raise UsageError(
                f"--alert {wanted}: a scenario names no alert with such characters; rename the rule"
            )
        known = next((one for one in found if one.name == wanted), None)
        return known or Watching(rule, 0, "named on the command line")
    best = outstanding(found)
    if best is None and found:
        tied = [one.name for one in found if one.score == found[0].score]
        chosen = choose(f"alert watches {part.name}", tied, "--alert")
        best = next(one for one in found if one.name == chosen)
    if best is None:
        print(
            f"none of {len(rules.rules)} rules at {rules.url} watches {part.name}: that is a finding of its own"
        )
        return None
    print(f"{best.name} watches {part.name}: {best.why}")
    return best


def _ci(into: Path) -> Ci:
    return "gitlab" if (into / ".gitlab-ci.yml").exists() else "github"
