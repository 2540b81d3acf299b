"""A scenario: what breaks, which alert must say so, which runbook must bring the service back, and by when.

Names components only, never processes, containers or pods, so that one file runs on every target.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag, field_validator

from gameday.errors import InvalidFile
from gameday.fields import AlertName, ByVerb, Duration, Misfit, Model, Name, PositiveDuration, Text, validate
from gameday.files import load_yaml

Severity = Literal["SEV1", "SEV2", "SEV3", "SEV4"]
RestoredBy = Literal["runbook", "self"]


class KillFault(Model):
    """End every process of a component at once; it stays down until a runbook or the undo starts it."""

    verb: ClassVar[str] = "kill"
    kill: Name
    """The component to kill."""
    signal: Literal["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"] = "SIGKILL"
    """The signal to send."""

    @property
    def component(self) -> str:
        return self.kill


class PauseFault(Model):
    """Freeze every process of a component: it keeps its connections and answers nothing."""

    verb: ClassVar[str] = "pause"
    pause: Name
    """The component to freeze."""

    @property
    def component(self) -> str:
        return self.pause


_FAULT = ByVerb(KillFault, PauseFault)
Fault = Annotated[
    Annotated[KillFault, Tag("KillFault")] | Annotated[PauseFault, Tag("PauseFault")],
    _FAULT.discriminator,
    _FAULT.exactly_one,
]


class Impact(Model):
    """The proof that the fault took effect."""

    probe: Name
    """The probe that must begin to fail."""
    fails_within: PositiveDuration
    """Time from the injection to the first failed sample; beyond it the drill is INCONCLUSIVE."""


class Expect(Model):
    """The alert that must tell people."""

    alert: AlertName
    """The name of the alert rule."""
    fires_within: PositiveDuration
    """Time from the fault's effect to firing."""
    resolves_within: PositiveDuration
    """Time from recovery until the alert no longer fires."""
    also: tuple[AlertName, ...] = ()
    """Alerts that may fire beside it (collateral); any other is reported as unexpected."""


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


class Safety(Model):
    """Limits that hold whatever else happens."""

    ttl: PositiveDuration
    """The dead-man switch reverts the fault after this time, whatever became of the runner."""
    max_targets: int = Field(default=1, ge=1, le=1000)
    """A fault that would hit more targets than this is refused."""


class Scenario(Model):
    """One scenario file."""

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
    fault: Fault
    impact: Impact
    expect: Expect
    respond: Respond
    recovered: Recovered
    objectives: Objectives
    safety: Safety

    @field_validator("safety")
    @classmethod
    def _ttl_outlives_the_budgets(cls, safety: Safety, info: Any) -> Safety:
        objectives = info.data.get("objectives")
        if objectives is not None and safety.ttl < objectives.rto:
            message = (
                "is shorter than objectives.rto: the dead-man switch would end the fault before the "
                "runbook's time is up"
            )
            raise Misfit((("ttl",), message))
        return safety

    @property
    def probes(self) -> tuple[str, ...]:
        """Every probe that the drill samples, without repetition, in order of first mention."""
        return tuple(dict.fromkeys((*self.steady_state, self.impact.probe, *self.recovered.probes)))

    def at_speed(self, speed: float) -> Scenario:
        """Budgets and objectives divided by `speed`; the proof of effect is no budget and keeps its time."""
        if speed == 1:
            return self

        def divided(model: Any, *names: str) -> Any:
            values = {name: getattr(model, name) for name in names}
            return model.model_copy(
                update={name: value / speed for name, value in values.items() if value is not None}
            )

        return self.model_copy(
            update={
                "expect": divided(self.expect, "fires_within", "resolves_within"),
                "recovered": divided(self.recovered, "stable_for"),
                "objectives": divided(self.objectives, "rto", "rpo"),
                "safety": divided(self.safety, "ttl"),
            }
        )


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        InvalidFile: with file, line and field of every problem.
    """
    document = load_yaml(path)
    scenario = validate(Scenario, document)
    if scenario.scenario != path.stem:
        message = f"is {scenario.scenario!r} in a file named {path.name}; expected {path.stem!r}"
        raise InvalidFile([document.problem(("scenario",), message)])
    return scenario
