"""A scenario: what breaks, which alert must say so, which runbook must bring the service back, and by when.

Names components only, never processes, containers or pods, so that one file runs on every target.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    Tag,
    WrapSerializer,
    model_validator,
)
from pydantic_core import CoreSchema

from gameday.fault_spec import AnyFault, Fault
from gameday.fields import (
    AlertName,
    ByVerb,
    Duration,
    Misfit,
    Model,
    Name,
    PositiveDuration,
    Text,
    load_named,
)
from gameday.files import Location
from gameday.stop_spec import ProbeStop, StopConditions

Severity = Literal["SEV1", "SEV2", "SEV3", "SEV4"]
RestoredBy = Literal["runbook", "self"]


class _OneOrList:
    """One mapping or a list of them, in files and in their schema; always a tuple in the program."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(core)
        return {"anyOf": [several["items"], several]}


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _unlisted(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
    written = handler(value)
    return written[0] if len(written) == 1 else written


Faults = Annotated[
    tuple[Fault, ...],
    Field(max_length=10),
    BeforeValidator(_listed),
    WrapSerializer(_unlisted),
    _OneOrList(),
]


class Impact(Model):
    """The proof that the fault took effect."""

    probe: Name
    """The probe that must begin to fail."""
    fails_within: PositiveDuration
    """Time from the injection to the first failed sample; beyond it the drill is INCONCLUSIVE."""


class During(Model):
    """A fault that is in force, and proven, before the fault under test strikes."""

    fault: Faults = Field(min_length=1)
    impact: Impact


class Expect(Model):
    """The alert that must tell people."""

    verb: ClassVar[str] = "alert"
    alert: AlertName
    """The name of the alert rule."""
    fires_within: PositiveDuration
    """Time from the fault's effect to firing."""
    resolves_within: PositiveDuration
    """Time until the alert no longer fires, from recovery or from the undo."""
    resolves_after: Literal["recovery", "undo"] = "recovery"
    """`undo` where the cause is out of reach (a third party is down) and the alert is right to go on."""
    also: tuple[AlertName, ...] = ()
    """Alerts that may fire beside it (collateral); any other is reported as unexpected."""


class Quiet(Model):
    """A control: no alert may fire."""

    verb: ClassVar[str] = "no_alert_for"
    no_alert_for: PositiveDuration
    """How long the drill watches, from the fault's effect, or from preflight where there is no fault."""


_EXPECT = ByVerb(Expect, Quiet)
Expectation = Annotated[
    Annotated[Expect, Tag("Expect")] | Annotated[Quiet, Tag("Quiet")],
    _EXPECT.discriminator,
    _EXPECT.exactly_one,
]


class Respond(Model):
    """What the team does about it."""

    runbook: Name
    """File name in `runbooks/`, without `.md`."""


class Recovered(Model):
    """What counts as service restored."""

    probes: tuple[Name, ...] = Field(min_length=1)
    """Probes that must all hold."""
    stable_for: PositiveDuration
    """They must hold this long without a failure; recovery is the start of that window."""
    by: tuple[RestoredBy, ...] = ("runbook",)
    """What may restore the service: `runbook`, and `self` where a supervisor heals it."""


class Objectives(Model):
    """What the business was promised."""

    rto: PositiveDuration
    """Recovery time objective, from the fault's effect to recovery."""
    rpo: Duration | None = None
    """Recovery point objective: how old the oldest lost record may be; `0s`: none may be lost. Absent: not judged."""


class Afterwards(Model):
    """What must hold after the undo: a third party is back, and what waited for it drains."""

    probes: tuple[Name, ...] = Field(min_length=1)
    within: PositiveDuration
    """Time from the end of the undo until they all hold."""


class Safety(Model):
    """Limits that hold whatever else happens."""

    ttl: PositiveDuration
    """The dead-man switch reverts the fault after this time, whatever became of the runner."""
    max_targets: int = Field(default=1, ge=1, le=1000)
    """A fault that would hit more targets than this is refused."""
    alone: bool = False
    """For drills that need the machine for themselves: of several in one run it comes last, beside no other."""
    stop_when: StopConditions = ()
    """What ends the drill at once, with everything put back: it holds for too long, or cannot be read."""


class Scenario(Model):
    """One scenario file: a drill, or a control, in which nothing may be alerted."""

    scenario: Name
    """The scenario's name, equal to its file name."""
    title: Text
    owner: Text
    """The team that answers for this scenario."""
    tier: int = Field(ge=1, le=4)
    """Service tier of the component that breaks, 1 (critical) to 4."""
    severity: Severity
    hypothesis: Text
    """One sentence that the drill can prove wrong."""
    tags: tuple[Name, ...] = ()
    steady_state: tuple[Name, ...] = Field(min_length=1)
    """Probes that must hold before anything is touched."""
    during: During | None = None
    fault: Faults = ()
    """What breaks; a list is applied in its order, at once. Only a control may be without."""
    impact: Impact | None = None
    expect: Expectation
    respond: Respond | None = None
    recovered: Recovered | None = None
    afterwards: Afterwards | None = None
    objectives: Objectives | None = None
    safety: Safety

    @model_validator(mode="after")
    def _has_all_its_parts(self) -> Scenario:
        drill = ("fault", "impact", "respond", "recovered", "objectives")
        if isinstance(self.expect, Expect):
            problems: list[tuple[Location, str]] = [
                ((name,), "is required and absent") for name in drill if not getattr(self, name)
            ]
        else:
            never = ("respond", "recovered", "objectives", "afterwards", "during")
            problems = [
                ((name,), "has no place in a control, which expects no alert")
                for name in never
                if getattr(self, name)
            ]
            if bool(self.fault) != bool(self.impact):
                absent = "impact" if self.fault else "fault"
                problems.append(((absent,), "is required and absent: fault and impact belong together"))
        problems += self._ttl_is_too_short()
        problems += self._the_same_twice()
        if problems:
            raise Misfit(*problems)
        return self

    def _ttl_is_too_short(self) -> list[tuple[Location, str]]:
        needed, name, what = (
            (self.objectives.rto, "objectives.rto", "the runbook's time is up")
            if self.objectives is not None
            else (self.watched_s, "expect.no_alert_for", "the control is over")
        )
        if self.safety.ttl >= needed:
            return []
        message = f"is shorter than {name}: the dead-man switch would end the fault before {what}"
        return [(("safety", "ttl"), message)]

    def _the_same_twice(self) -> list[tuple[Location, str]]:
        """A fault is known by its verb and what it hits; one undo would end two."""
        keys = [(fault.verb, fault.component, getattr(fault, "client", None)) for fault in self.faults]
        twice = [key for key in dict.fromkeys(keys) if keys.count(key) > 1]
        return [(("fault",), f"{verb} {component} is there twice") for verb, component, _ in twice]

    # --- a drill's parts, which a control has not ----------------------------------------------------------

    @property
    def control(self) -> bool:
        """Whether no alert may fire."""
        return isinstance(self.expect, Quiet)

    @property
    def watched_s(self) -> float:
        """How long a control watches; 0 for a drill."""
        return self.expect.no_alert_for if isinstance(self.expect, Quiet) else 0.0

    @property
    def expected(self) -> Expect:
        """The alert of a drill."""
        if isinstance(self.expect, Quiet):
            raise TypeError(f"{self.scenario} is a control: it expects no alert")
        return self.expect

    @property
    def alert(self) -> str | None:
        return None if isinstance(self.expect, Quiet) else self.expect.alert

    @property
    def known_alerts(self) -> tuple[str, ...]:
        """Alerts that may fire: the expected one and those beside it."""
        return () if isinstance(self.expect, Quiet) else (self.expect.alert, *self.expect.also)

    @property
    def runbook(self) -> str | None:
        return self.respond.runbook if self.respond else None

    @property
    def rto_s(self) -> float | None:
        return self.objectives.rto if self.objectives else None

    @property
    def rpo_s(self) -> float | None:
        return self.objectives.rpo if self.objectives else None

    @property
    def recovery(self) -> Recovered:
        """What counts as restored, in a drill."""
        return _needed(self.recovered, "recovered", self.scenario)

    @property
    def proof(self) -> Impact:
        """The proof that the fault took effect, where there is a fault."""
        return _needed(self.impact, "impact", self.scenario)

    @property
    def faults(self) -> tuple[AnyFault, ...]:
        """Every fault, in the order in which they strike."""
        return (*(self.during.fault if self.during else ()), *self.fault)

    @property
    def probes(self) -> tuple[str, ...]:
        """Every probe that the scenario names, without repetition, in order of first mention."""
        named = [*self.steady_state]
        named += [part.probe for part in (self.during and self.during.impact, self.impact) if part]
        for part in (self.recovered, self.afterwards):
            named += part.probes if part else ()
        named += [part.probe for part in self.safety.stop_when if isinstance(part, ProbeStop)]
        return tuple(dict.fromkeys(named))

    def at_speed(self, speed: float) -> Scenario:
        """Budgets and objectives divided by `speed`; the proof of effect is no budget and keeps its time."""
        if speed == 1:
            return self
        divided = {
            "expect": ("fires_within", "resolves_within", "no_alert_for"),
            "recovered": ("stable_for",),
            "afterwards": ("within",),
            "objectives": ("rto", "rpo"),
            "safety": ("ttl",),
        }
        update: dict[str, Any] = {}
        for name, fields in divided.items():
            part = getattr(self, name)
            values = {field: getattr(part, field, None) for field in fields}
            faster = {field: value / speed for field, value in values.items() if value is not None}
            update[name] = part.model_copy(update=faster) if part is not None else None
        if self.safety.stop_when:
            stop_when = tuple(condition.at_speed(speed) for condition in self.safety.stop_when)
            update["safety"] = update["safety"].model_copy(update={"stop_when": stop_when})
        return self.model_copy(update=update)


PartT = TypeVar("PartT")


def _needed(part: PartT | None, name: str, scenario: str) -> PartT:
    if part is None:
        raise TypeError(f"{scenario} has no {name}")
    return part


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        InvalidFile: with file, line and field of every problem.
    """
    return load_named(Scenario, path, "scenario")
