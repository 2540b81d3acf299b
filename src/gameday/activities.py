"""What Chaos Toolkit calls: one thin function for each phase of a drill.

They are the same under `gameday run`, which owns signals, deadlines, undo and verdict in a parent process, and
under a plain `chaos run`, where the drill's session is opened here by the first activity and closed by the
last. A phase that makes the rest pointless interrupts the experiment; nothing else ends one early.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from gameday import faults
from gameday.clock import Instant
from gameday.environment import Environment, start_order
from gameday.errors import GamedayError, RunbookError
from gameday.fault_spec import AnyFault
from gameday.fields import parse
from gameday.link import Link, LinkError, LocalLink, RemoteLink
from gameday.operations import TargetOperations
from gameday.project import Project
from gameday.runbook.execute import StepEvent, execute
from gameday.runbook.model import Runbook
from gameday.runbook.parse import load_runbook
from gameday.safeguard import operator_resets
from gameday.scenario import Scenario
from gameday.targets import open_target
from gameday.targets.base import Counting, OwnedTarget

CHAOS_TOOLKIT_EXIT = 20
"""The exit code by which chaoslib tells an end with rollbacks from one without (its module `exit`)."""

__all__ = [
    "account",
    "detect",
    "effective",
    "holds",
    "inject",
    "preflight",
    "recover",
    "respond",
    "undo",
    "watch",
]


@dataclass(slots=True)
class _Drill:
    """The drill that this process takes part in."""

    link: Link
    project: Project
    scenario: Scenario
    target: OwnedTarget
    speed: float
    disarmed: bool

    @classmethod
    def join(cls, configuration: Mapping[str, Any]) -> _Drill:
        link: Link = _runner or LocalLink(_own_session(configuration))
        known = link.call("context")
        project = Project(Path(known["project"]))
        environment = parse(Environment, known["environment"])
        scenario = parse(Scenario, known["scenario"])
        target = open_target(environment, known["instance"], project)
        return cls(link, project, scenario, target, known["speed"], known["disarmed"])


_drill: _Drill | None = None
_runner: RemoteLink | None = None


def work_for(runner: RemoteLink) -> None:
    """The session of this process' drill is the runner's: said once, by the engine, before anything else."""
    global _runner  # noqa: PLW0603 - see `_join`
    _runner = runner


def _own_session(configuration: Mapping[str, Any]) -> Any:
    from gameday.environment import load_instance
    from gameday.preflight import check_names
    from gameday.session import Session

    project = Project.find()
    scenario = parse(Scenario, configuration["gameday_scenario"])
    environment, instance = load_instance(project, str(configuration["gameday_environment"]))
    check_names(scenario, environment)
    return Session(project, environment, instance, scenario, speed=float(configuration["gameday_speed"]))


def _join(configuration: Mapping[str, Any] | None) -> _Drill:
    global _drill  # noqa: PLW0603 - Chaos Toolkit calls plain functions; a drill is one process
    if _drill is None:
        try:
            _drill = _Drill.join(configuration or {})
        except GamedayError as error:
            _end(str(error))
    return _drill


def _call(drill: _Drill, method: str, **params: Any) -> Any:
    try:
        return drill.link.call(method, **params)
    except GamedayError as error:
        _leave(drill)
        _end(str(error))


def _end(reason: str) -> NoReturn:
    """End the experiment. Chaos Toolkit takes any exception of a Python activity, its own InterruptExecution
    too, for a failed activity and goes on with the next; only an exit gets through."""
    print(f"gameday: {reason}", file=sys.stderr, flush=True)
    raise SystemExit(CHAOS_TOOLKIT_EXIT)


def asked() -> dict[str, int]:
    """What the activities asked of their target, by kind."""
    if _drill is None or not isinstance(_drill.target, Counting):
        return {}
    return dict(_drill.target.asked())


def _leave(drill: _Drill) -> None:
    """End a drill that this process owns and tell its verdict; under `gameday run` the runner does that."""
    if isinstance(drill.link, LocalLink):
        if not drill.link.session.finished:
            drill.link.call("ended", asked=asked())
        drill.link.close()
        _tell(drill.link)


def _tell(link: LocalLink) -> None:
    import json

    from gameday.record import load_record
    from gameday.verdict import verdict_to_json

    folder = link.session.evidence.folder
    verdict = load_record(folder, with_samples=False).verdict
    (folder / "verdict.json").write_text(
        json.dumps(verdict_to_json(verdict), indent=2) + "\n", encoding="utf-8"
    )
    print(f"gameday: {verdict.outcome} {folder}", file=sys.stderr)
    for reason in verdict.reasons:
        print(f"gameday:   {reason}", file=sys.stderr)


# --- the phases -------------------------------------------------------------------------------------------


def holds(probe: str, configuration: Mapping[str, Any] | None = None) -> bool:
    """Steady state: whether a probe holds."""
    drill = _join(configuration)
    if isinstance(drill.link, LocalLink) and drill.link.session.finished:
        return False
    return bool(_call(drill, "holds", probe=probe))


def preflight(configuration: Mapping[str, Any] | None = None) -> str:
    """Everything that must be true before something is touched."""
    _call(_join(configuration), "preflight")
    return "passed"


def inject(configuration: Mapping[str, Any] | None = None) -> str:
    """Record the undo, arm the dead-man switch, then break what the scenario breaks; what must be in force
    meanwhile first, and proven."""
    drill = _join(configuration)
    scenario = drill.scenario
    _call(drill, "arm", undos=[undo.to_json() for undo in operator_resets(drill.target.environment)])
    if scenario.during is not None:
        breaking = _Breaking.prepare(drill, scenario.during.fault)
        _call(drill, "during_injecting", fault=breaking.described)
        detail, _ = breaking.apply()
        _call(drill, "during_injected", detail=detail)
        _gate(drill, "during_effective", "what must be in force before the fault had no effect")
    breaking = _Breaking.prepare(drill, scenario.fault)
    _call(drill, "injecting", fault=breaking.described, at=Instant.now().to_json())
    detail, begun = breaking.apply()
    _call(drill, "injected", detail=detail, begun=begun.to_json(), at=Instant.now().to_json())
    return detail


@dataclass(frozen=True, slots=True)
class _Breaking:
    """Faults that strike together, each undo of which is on disk."""

    drill: _Drill
    parts: tuple[faults.Fault, ...]

    @classmethod
    def prepare(cls, drill: _Drill, wanted: Sequence[AnyFault]) -> _Breaking:
        ttl_s = drill.scenario.safety.ttl / drill.speed
        parts = tuple(faults.build(fault, drill.target, ttl_s) for fault in wanted)
        # what starts last is put back last: reverting is last in, first out, and an API waits for its database
        order = start_order(drill.target.environment.components)
        recorded = sorted(parts, key=lambda part: order.index(part.component), reverse=True)
        _call(drill, "arm", undos=[part.prepare().to_json() for part in recorded])
        return cls(drill, parts)

    @property
    def described(self) -> str:
        return "; ".join(part.describe() for part in self.parts)

    def apply(self) -> tuple[str, Instant]:
        """What was done, and the instant before it."""
        begun = Instant.now()
        if self.drill.disarmed:
            return "disarmed: the fault was not applied", begun
        done = []
        for part in self.parts:
            try:
                done.append(part.apply())
            except GamedayError as error:
                reason = f"{part.describe()}: {error}"
                _call(self.drill, "not_injected", detail=reason)
                _leave(self.drill)
                _end(reason)
        return "; ".join(done), begun


def effective(configuration: Mapping[str, Any] | None = None) -> bool:
    """The proof that the fault took effect; without it nothing that follows means anything."""
    return _gate(_join(configuration), "effective", "the fault had no effect")


def _gate(drill: _Drill, phase: str, otherwise: str) -> bool:
    """Go on only when that phase says yes."""
    if not _call(drill, phase):
        _leave(drill)
        _end(otherwise)
    return True


def watch(configuration: Mapping[str, Any] | None = None) -> str:
    """A control: watch that no alert fires. `quiet`, `fired` or `unknown`."""
    return str(_call(_join(configuration), "watch"))


def detect(configuration: Mapping[str, Any] | None = None) -> str:
    """Wait for the expected alert: `firing`, `expired` or `unknown`. The drill goes on in any case, since
    whether the runbook works is a question of its own."""
    return str(_call(_join(configuration), "detect"))


def respond(configuration: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Execute the runbook, step by step."""
    drill = _join(configuration)
    try:
        runbook = load_runbook(drill.project.runbook_file(str(drill.scenario.runbook)))
    except GamedayError as error:
        _leave(drill)
        _end(str(error))
    _call(drill, "responding", runbook=runbook.name, title=runbook.title)
    outcome = execute(
        runbook,
        operations=TargetOperations(drill.target, partial(_wait_for_probe, drill)),
        manual=_Questions(drill),
        on_event=lambda event: _report(drill, runbook, event),
        stop=partial(_aborted, drill),
        speed=drill.speed,
    ).to_json()
    _call(drill, "responded", **outcome)
    return outcome


def _aborted(drill: _Drill) -> bool:
    """Whether the runbook must not go on; under `gameday run` the runner ends this process instead."""
    return isinstance(drill.link, LocalLink) and drill.link.session.aborted is not None


def recover(configuration: Mapping[str, Any] | None = None) -> bool:
    """Wait until the service is back."""
    return bool(_call(_join(configuration), "recover"))


def account(configuration: Mapping[str, Any] | None = None) -> str:
    """Look the canary's records up; wait until the alert has resolved."""
    _call(_join(configuration), "account")
    return "accounted"


def undo(configuration: Mapping[str, Any] | None = None) -> bool:
    """Put everything back, and end a drill that this process owns."""
    drill = _join(configuration)
    if isinstance(drill.link, LocalLink) and drill.link.session.finished:
        return True
    clean = bool(_call(drill, "undo"))
    if isinstance(drill.link, LocalLink):
        _leave(drill)
    return clean


# --- what a runbook does ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Questions:
    """The questions of a runbook, put to whoever answers in the drill's own process."""

    drill: _Drill

    def can_answer(self, heading: str) -> bool:  # noqa: ARG002
        return True  # preflight has looked at that

    def ask(self, heading: str, question: str, timeout_s: float) -> str | None:
        try:
            answer = self.drill.link.call("ask", heading=heading, question=question, timeout_s=timeout_s)
        except LinkError as error:
            raise RunbookError(str(error)) from error
        return None if answer is None else str(answer)

    def cancel(self) -> None:
        return


def _report(drill: _Drill, runbook: Runbook, event: StepEvent) -> None:
    step = runbook.step(event.heading)
    acts = step is not None and step.may_change
    data = {"heading": event.heading, "section": event.section, "budget_s": event.budget_s, "acts": acts}
    if step is not None and step.mitigation is not None:
        data["mitigation"] = step.mitigation
    if event.record is None:
        _call(drill, "step_started", at=event.at.to_json(), action=event.action, **data)
    else:
        _call(drill, "step_ended", at=event.at.to_json(), **{**event.record.to_json(), **data})


def _wait_for_probe(drill: _Drill, probe: str, within_s: float, steady_s: float) -> tuple[bool, str]:
    met, detail = _call(drill, "wait_for_probe", probe=probe, within_s=within_s, steady_s=steady_s)
    return bool(met), str(detail)
